"""Films from CT: a phantom whose place on the film is known by hand, and real CTs where they are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmnet_monai.synthetic import film_from_ct
from cmnet_monai.synthetic.anatomy import random_patient
from cmnet_monai.synthetic.ct_bodies import CODES, split_bodies, to_verse
from cmnet_monai.synthetic.ct_projection import attenuation, middle_third, project, silhouettes
from cmnet_monai.synthetic.ct_warp import Warp, warp_volume
from cmnet_monai.synthetic.from_ct import _depth, film_of, prepare_ct
from cmnet_monai.synthetic.projection import Geometry

# Flipped and permuted: the first index runs to the left, the second downwards, the third forwards.
AFFINE = np.array([[-3.0, 0, 0, 40], [0, 0, 1.5, -70], [0, -1.0, 0, 60], [0, 0, 0, 1]])
SHAPE = (27, 120, 80)
# Anterior and superior mm of a body's front and back; the canal lies behind -8, the spinous process behind -24.
FRONT, BACK, ARCH = 24.0, -8.0, -24.0


def phantom(levels: tuple[int, ...] = (21, 22, 23)) -> tuple[np.ndarray, np.ndarray]:
    """CT and labels: boxes 32 mm deep, 24 high and 36 wide, 32 mm apart, with pedicles, canal and spinous process."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"))
    r, a, s = np.tensordot(AFFINE[:3, :3], index, axes=1) + AFFINE[:3, 3].reshape(3, 1, 1, 1)
    labels = np.zeros(SHAPE, np.int64)
    for label, height in zip(levels, (32.0, 0.0, -32.0)):
        up = s - height
        body = (np.abs(r) <= 18) & (a >= BACK) & (a <= FRONT) & (np.abs(up) <= 12)
        pedicles = (np.abs(np.abs(r) - 12) <= 4) & (a >= ARCH - 4) & (a <= BACK) & (up >= 0) & (up <= 10)
        arch = (np.abs(r) <= 16) & (a >= ARCH - 6) & (a <= ARCH) & (np.abs(up) <= 10)
        labels[body | pedicles | arch] = label
    hu = np.where(labels > 0, 400.0, 20.0)
    return hu, labels


def test_split_cuts_at_the_anterior_border_of_the_canal() -> None:
    _, labels = phantom()
    bodies = split_bodies(to_verse(labels, "verse"), AFFINE)
    for label in (21, 22, 23):
        index = np.argwhere(bodies == label)
        anterior = index @ AFFINE[1, :3] + AFFINE[1, 3]
        # Voxels are 1.5 mm deep: the first voxel centre before the wall lies within that of it.
        assert BACK - 0.75 <= anterior.min() <= BACK + 1.5 and anterior.max() > FRONT - 1.5
        solid = np.zeros(SHAPE, bool)
        solid[tuple(index.T)] = True
        window = tuple(slice(a, b + 1) for a, b in zip(index.min(axis=0), index.max(axis=0)))
        assert solid[window].mean() > 0.97  # a box, without pedicles


def test_slab_attenuates_by_its_length_along_the_ray() -> None:
    pytest.importorskip("nanodrr")
    mu = attenuation(np.zeros((60, 50, 41), np.float32), water_per_mm=0.02)
    geometry = Geometry((40, 30), 2.0, 1200.0, (38.0, 29.0))
    depth = project(mu, (0.0, 0.0, 200.0), 1.0, geometry)
    # 41 voxels of 1 mm; linear interpolation against the empty outside keeps the integral. The central ray is normal.
    assert depth[19, 14] == pytest.approx(0.02 * 41, rel=0.01)
    x, y = 24, 20
    oblique = np.sqrt(1 + ((x * 2.0 - 38) ** 2 + (y * 2.0 - 29) ** 2) / 1200**2)
    assert np.exp(-depth[x, y]) == pytest.approx(np.exp(-0.02 * 41 * oblique), rel=0.005)


def test_silhouette_and_depth_lie_where_the_perspective_formula_says() -> None:
    pytest.importorskip("nanodrr")
    solid = np.zeros((50, 40, 30), np.uint8)
    solid[10:35, 8:20, 5:26] = 22
    origin, voxel, geometry = (60.0, 45.0, 180.0), 1.2, Geometry((220, 150), 0.9, 1100.0, (95.0, 40.0))
    mask = silhouettes(solid, origin, voxel, geometry)[22]
    depth = project(solid.astype(np.float32), origin, voxel, geometry)
    # Faces of the box, half a voxel beyond the outer centres; the outline is the union of its far and near faces.
    faces = [[o + (i - 0.5) * voxel for i in ends] for o, ends in zip(origin, ((10, 35), (8, 20), (5, 26)))]
    for axis in (0, 1):
        centre = geometry.central_xy_mm[axis]
        shadow = [
            (centre + (edge - centre) * 1100 / (1100 - z)) / geometry.spacing_mm
            for edge in faces[axis]
            for z in faces[2]
        ]
        found = np.flatnonzero(mask.any(axis=1 - axis))
        assert found[0] == pytest.approx(min(shadow), abs=1) and found[-1] == pytest.approx(max(shadow), abs=1)
        # Half of the greatest depth is crossed at the edge of the mean face, up to 1 px from either.
        dark = np.flatnonzero((depth > 0.5 * depth.max()).any(axis=1 - axis))
        assert dark[0] == pytest.approx(min(shadow), abs=2) and dark[-1] == pytest.approx(max(shadow), abs=2)


def test_prepared_ct_lies_straight_in_the_frame_of_the_film() -> None:
    hu, labels = phantom()
    ct = prepare_ct(hu, labels, AFFINE)
    volume = warp_volume(ct.hu, ct.bodies, ct.to_index, ct.box_mm, Warp(np.eye(3)))
    index = np.argwhere(volume.bodies == 21)
    centre = index.mean(axis=0) * volume.voxel_mm + volume.origin_mm
    # L2's body lies 32 mm above L3's, which is the origin: x to posterior, y downwards, z lateral.
    assert centre == pytest.approx((0, -32, 0), abs=0.5)
    assert np.ptp(index, axis=0) * volume.voxel_mm == pytest.approx((31, 24, 37), abs=2.5)
    assert volume.hu[tuple(np.round(index.mean(axis=0)).astype(int))] == pytest.approx(400)


def test_both_naming_schemes_give_the_same_film_and_each_side_mirrors_the_bodies() -> None:
    pytest.importorskip("nanodrr")
    hu, labels = phantom()
    value_of = {label: value for value, label in CODES["totalsegmentator"].items()}
    other = np.vectorize(lambda v: value_of.get(v, 25 if v == 0 else 0))(labels)  # the sacrum's code is no body
    left = film_from_ct(hu, labels, AFFINE, 3, height_px=160, faces="left")
    same = film_from_ct(hu, other, AFFINE, 3, codes="totalsegmentator", height_px=160, faces="left")
    right = film_from_ct(hu, labels, AFFINE, 3, height_px=160, faces="right")
    assert left.pixels.tobytes() == same.pixels.tobytes() and left.label_map.tobytes() == same.label_map.tobytes()
    assert [b.level for b in left.bodies] == ["L2", "L3", "L4"]
    ys = [b.centre_xy_px[1] for b in left.bodies]
    assert ys == sorted(ys)
    for body in left.bodies:
        sa, sp, ip, ia = body.corners_xy_px
        assert sa[0] < sp[0] and ia[0] < ip[0] and sa[1] < ia[1] and sp[1] < ip[1]
    for body in right.bodies:
        assert body.corners_xy_px[0][0] > body.corners_xy_px[1][0]


def test_wide_ct_keeps_its_own_trunk_and_the_air_around_it() -> None:
    pytest.importorskip("nanodrr")
    x, y, _ = np.meshgrid(*(np.linspace(-1, 1, n) for n in (64, 50, 40)), indexing="ij")
    hu = np.where(x**2 + (y / 0.9) ** 2 < 0.9, 20.0, -1000.0)
    labels = np.zeros(hu.shape, np.int64)
    for label, bottom in ((20, 27), (21, 16), (22, 5)):
        labels[27:37, 15:24, bottom : bottom + 8] = label
    hu[labels > 0] = 500
    ct = prepare_ct(hu, labels, np.diag([5.0, 5.0, 4.0, 1.0]))
    assert ct.wide and ct.hu.min() == -1000
    volume = warp_volume(ct.hu, ct.bodies, ct.to_index, ct.box_mm, Warp(np.eye(3)))
    geometry = Geometry((60, 20), 5.0, 1e5, (125.0, 20.0))
    depth = _depth(ct, volume, (0.0, 20.0, 100.0), geometry, random_patient(0, "healthy"), np.random.default_rng(0))
    # The trunk is 0.95 of 320 mm wide where it is widest, y = 0: 125 mm from the front of the CT.
    assert depth[25, 10] == pytest.approx(0.0195 * 1.02 * 0.95 * 320, rel=0.03)
    assert depth[0].max() < 0.01


def test_middle_outline_runs_through_the_middle_of_a_tilted_body() -> None:
    solid = np.zeros((20, 40, 30), np.uint8)
    for z in range(30):  # tilted like a scoliosis: 10 voxels high, 0.5 lower for each voxel to the side
        solid[5:15, 5 + z // 2 : 15 + z // 2, z] = 20
    geometry = Geometry((40, 60), 1.0, np.inf, (0.0, 0.0))
    rows = {
        name: np.flatnonzero(silhouettes(bodies, (5.0, 5.0, 10.0), 1.0, geometry)[20].any(axis=0))
        for name, bodies in (("silhouette", solid), ("middle", middle_third(solid)))
    }
    # All slices reach from 5 to 14 + 14; those within 5 of the middle (14.5) from 5 + 5 to 14 + 9; the origin adds 5.
    assert (rows["silhouette"][0], rows["silhouette"][-1]) == (10, 33)
    assert (rows["middle"][0], rows["middle"][-1]) == (15, 28)


def test_mistakes_are_named() -> None:
    hu, labels = phantom()
    with pytest.raises(ValueError, match="same shape"):
        prepare_ct(hu[1:], labels, AFFINE)
    with pytest.raises(ValueError, match="unknown label codes 'visible'"):
        prepare_ct(hu, labels, AFFINE, "visible")
    with pytest.raises(ValueError, match="unknown outline"):
        film_of(prepare_ct(hu, labels, AFFINE), 0, outline="edge")
    with pytest.raises(ValueError, match="no thoracic or lumbar vertebra"):
        prepare_ct(hu, np.where(labels > 0, 99, 0), AFFINE)


@pytest.mark.parametrize(("name", "levels"), [("verse014", 20), ("verse012", 17)])
def test_real_ct_gives_bright_bodies_of_all_levels(shared_data: Path, name: str, levels: int) -> None:
    pytest.importorskip("nanodrr")
    nib = pytest.importorskip("nibabel")
    folder = shared_data / "spine_ct" / name
    if not folder.is_dir():
        pytest.skip("needs a CT, which is not part of the project")
    ct = nib.load(folder / f"sub-{name}_ct.nii.gz")
    labels = np.asarray(nib.load(folder / f"sub-{name}_seg-vert_msk.nii.gz").dataobj).astype(int)
    film = film_of(prepare_ct(np.asarray(ct.dataobj, np.float32), labels, ct.affine), 1, height_px=200, look="a")
    found = [b.label for b in film.bodies]
    assert found == list(range(found[0], found[0] + len(found))) and len(found) >= 4 and found[0] >= levels
    # Bodies are brighter than the soft tissue before them.
    front = 1 if film.faces == "right" else -1
    for body in film.bodies[1:-1]:
        mask = film.label_map == body.label
        width = int(np.ptp(np.nonzero(mask)[0])) + 4
        before = np.roll(mask, front * width, axis=0) & (film.label_map == 0) & film.valid_area
        if before.sum() > 0.8 * mask.sum():
            assert film.pixels[mask].mean() > film.pixels[before].mean()
