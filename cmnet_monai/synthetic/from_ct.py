"""Lateral radiographs with truth from a CT and its vertebra labels; one CT becomes many patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cmnet_monai.conventions import LEVEL_OF_LABEL
from cmnet_monai.synthetic import soft_tissue
from cmnet_monai.synthetic.anatomy import Patient, random_patient
from cmnet_monai.synthetic.ct_bodies import split_bodies, to_verse
from cmnet_monai.synthetic.ct_projection import attenuation, middle_third, project, silhouettes
from cmnet_monai.synthetic.ct_warp import FilmVolume, random_warp, warp_volume
from cmnet_monai.synthetic.film import BodyTruth, SyntheticFilm, check_arguments, finish_film, place_patient
from cmnet_monai.synthetic.projection import Array, FloatArray, Geometry, Labels, Mask, Point3, Rng

OUTLINES = ("silhouette", "middle")
_MIN_VISIBLE = 0.5
_WIDE_MM = 240.0
_AIR_HU = -300.0
_MARGIN_MM = 30.0
_AROUND_MM = 45.0
_UNLABELLED_MM = 8.0
_SPUR_MM = (4.0, 2.0)
_BEYOND_MM = 60.0
_FILM_FROM_RAS = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
"""Right, anterior, superior to posterior, downwards, towards the source (the patient's right side)."""


@dataclass(frozen=True)
class LabelledCT:
    """A CT that is ready to become films, see `prepare_ct`.

    Args:
        hu: Hounsfield units, (i, j, k), float32.
        bodies: VerSe codes of the vertebral bodies, same shape.
        to_index: undeformed film coordinates (mm from the middle body's centre) to voxel indices, (4, 4).
        box_mm: least and greatest film coordinates of the CT, (2, 3).
        spine_mm: top of the first and bottom of the last body, film y.
        tissue_hu: median of its soft tissue.
        wide: it holds the trunk from side to side, so that nothing needs to be added around it.
        level: the middle level.
    """

    hu: FloatArray
    bodies: Labels
    to_index: Array
    box_mm: Array
    spine_mm: tuple[float, float]
    tissue_hu: float
    wide: bool
    level: str


def film_from_ct(
    ct_hu: npt.NDArray[np.number],
    labels: npt.NDArray[np.integer],
    affine: Array,
    seed: int,
    *,
    codes: str = "verse",
    height_px: int = 640,
    faces: str | None = None,
    look: str | None = None,
    outline: str = "silhouette",
) -> SyntheticFilm:
    """Make one lateral radiograph of a randomly deformed CT; the same arguments give the same bytes.

    Args:
        ct_hu: Hounsfield units, (i, j, k), any orientation.
        labels: whole vertebrae, same shape.
        affine: voxel indices to mm, right, anterior, superior (as nibabel has it), (4, 4).
        seed: seed of deformation, pose, exposure and noise.
        codes: "verse" or "totalsegmentator" (task "total", v2): the naming scheme of the labels.
        height_px: height of the film; width is 0.5 to 0.9 of it.
        faces: "left" or "right"; None draws one.
        look: see `generate_film`.
        outline: what the mask of a body is: "silhouette", the shadow of the whole body, or "middle", that of its
            mid-sagittal third, which runs through the middle of doubled end plates as readers draw it.
    Returns:
        The film. Its ``deformity`` and ``grade`` are not known. Findings are empty.
    Raises:
        ValueError: shapes differ, no vertebra is labelled, or an argument is out of range.
        ImportError: nanodrr is not installed.
    """
    ct = prepare_ct(ct_hu, labels, affine, codes)
    return film_of(ct, seed, height_px=height_px, faces=faces, look=look, outline=outline)


def prepare_ct(
    ct_hu: npt.NDArray[np.number], labels: npt.NDArray[np.integer], affine: Array, codes: str = "verse"
) -> LabelledCT:
    """What all films of one CT have in common: its bodies, its frame, its soft tissue; arguments as `film_from_ct`.

    Of a long CT the part up to 60 mm beyond the labelled vertebrae is kept.
    """
    if ct_hu.ndim != 3 or ct_hu.shape != labels.shape:
        raise ValueError(f"CT and labels must be volumes of the same shape; got {ct_hu.shape} and {labels.shape}")
    affine = np.asarray(affine, dtype=np.float64)
    verse = to_verse(np.asarray(labels), codes)
    if not verse.any():
        raise ValueError(f"no thoracic or lumbar vertebra is labelled in {codes!r} codes")
    window = _cropped(verse, affine)
    hu, verse = np.asarray(ct_hu[window], dtype=np.float32), verse[window]
    affine = affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [w.start for w in window]
    bodies = split_bodies(verse, affine)
    present = [int(v) for v in np.unique(bodies) if v]
    if not present:
        raise ValueError("no vertebral body is left after the posterior elements are cut off")
    centres = ndimage.center_of_mass(bodies > 0, bodies, present)
    tops = sorted(zip((affine[:3, :3] @ np.transpose(centres) + affine[:3, 3:])[2], present), reverse=True)
    middle = tops[len(tops) // 2][1]
    centre = affine[:3, :3] @ centres[present.index(middle)] + affine[:3, 3]
    to_film = np.eye(4)
    to_film[:3, :3] = _FILM_FROM_RAS @ affine[:3, :3]
    to_film[:3, 3] = _FILM_FROM_RAS @ (affine[:3, 3] - centre)
    ends = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], float)
    ends[:, :3] *= np.array(hu.shape) - 1
    corners = ends @ to_film.T[:, :3]
    box = np.stack([corners.min(axis=0), corners.max(axis=0)])
    y_mm = np.argwhere(bodies) @ to_film[1, :3] + to_film[1, 3]
    spine = float(y_mm.min()), float(y_mm.max())
    wide = bool(box[1, 2] - box[0, 2] >= _WIDE_MM)
    tissue = hu[(hu > -150) & (hu < 150)]
    tissue_hu = float(np.median(tissue)) if tissue.size else 0.0
    if not wide:
        hu = _without_outer_air(hu, affine, tissue_hu)
    return LabelledCT(
        hu, bodies, np.linalg.inv(to_film).astype(np.float64), box, spine, tissue_hu, wide, LEVEL_OF_LABEL[middle]
    )


def _cropped(labels: Labels, affine: Array) -> tuple[slice, ...]:
    """Window of a volume that ends 60 mm beyond the labels along the axis that is nearest to the patient's."""
    axis = int(np.argmax(np.abs(affine[2, :3])))
    present = np.flatnonzero(labels.any(axis=tuple(a for a in range(3) if a != axis)))
    more = int(np.ceil(_BEYOND_MM / np.linalg.norm(affine[:3, axis])))
    window = [slice(0, n) for n in labels.shape]
    window[axis] = slice(max(int(present[0]) - more, 0), int(present[-1]) + more + 1)
    return tuple(window)


def _without_outer_air(hu: FloatArray, affine: Array, tissue_hu: float) -> FloatArray:
    """A narrow CT whose air before and behind the patient is filled with soft tissue: the film gets its own skin."""
    axis = int(np.argmax(np.abs(affine[1, :3])))
    parts, _ = ndimage.label(hu < _AIR_HU)
    outer = np.union1d(np.take(parts, 0, axis), np.take(parts, -1, axis))
    air = np.isin(parts, outer[outer > 0])
    if not air.any():
        return hu
    near = ndimage.binary_dilation(air, iterations=2)
    return np.where(near & (hu < tissue_hu), np.float32(tissue_hu), hu)


def film_of(
    ct: LabelledCT,
    seed: int,
    *,
    height_px: int = 640,
    faces: str | None = None,
    look: str | None = None,
    outline: str = "silhouette",
) -> SyntheticFilm:
    """Make one film of a prepared CT; arguments and errors as `film_from_ct`."""
    check_arguments(seed, height_px, faces)
    if outline not in OUTLINES:
        raise ValueError(f"unknown outline {outline!r}: choose one of {', '.join(OUTLINES)}")
    rng = np.random.default_rng([seed, 17])
    drawn = "left" if rng.random() < 0.5 else "right"
    part = _part(ct, rng)
    box = np.stack([ct.box_mm[0] - _MARGIN_MM, ct.box_mm[1] + _MARGIN_MM])
    box[:, 1] = max(box[0, 1], part[0] - _AROUND_MM), min(box[1, 1], part[1] + _AROUND_MM)
    size = box[1] - box[0]
    warp = random_warp(rng, (float(size[0]), float(size[1]), float(size[2])))
    volume = warp_volume(ct.hu, ct.bodies, ct.to_index, box, warp)
    patient = random_patient(int(rng.integers(2**31)), "healthy", "lumbar")
    geometry, offset, patient = _position(ct, _within_labels(part, volume), patient, height_px, rng)
    origin = tuple(float(o + s) for o, s in zip(volume.origin_mm, offset))
    corner = (origin[0], origin[1], origin[2])
    depth = _depth(ct, volume, corner, geometry, patient, rng)
    bodies = volume.bodies if outline == "silhouette" else middle_third(volume.bodies)
    shadows = silhouettes(bodies, corner, volume.voxel_mm, geometry)
    shadows = {label: _without_spurs(mask, geometry) for label, mask in shadows.items()}
    pixel = geometry.spacing_mm / geometry.magnification(offset[2])
    whole = {label: (bodies == label).any(axis=2).sum() * (volume.voxel_mm / pixel) ** 2 for label in shadows}
    return finish_film(
        depth,
        lambda valid: _label(shadows, whole, valid),
        geometry,
        rng,
        faces=faces or drawn,
        look=look,
        findings=(),
        seed=seed,
        kind="ct",
    )


def _part(ct: LabelledCT, rng: Rng) -> tuple[float, float]:
    """Which part of a CT goes on the film, film y from top to bottom; of a long one rather the lower end."""
    low, high = ct.spine_mm
    low, high = max(low - _UNLABELLED_MM, ct.box_mm[0, 1]), min(high + _UNLABELLED_MM, ct.box_mm[1, 1])
    spare = max(float(high - low) - float(rng.uniform(250, 400)), 0.0)
    cut = spare * float(rng.uniform(0, 1)) ** 2
    return float(low + spare - cut), float(high - cut)


def _within_labels(part_mm: tuple[float, float], volume: FilmVolume) -> tuple[float, float]:
    """A part that shows next to nothing of vertebrae without labels beyond the first and last body."""
    y_mm = np.flatnonzero((volume.bodies > 0).any(axis=(0, 2))) * volume.voxel_mm + volume.origin_mm[1]
    if not y_mm.size:
        return part_mm
    low, high = max(part_mm[0], float(y_mm[0]) - _UNLABELLED_MM), min(part_mm[1], float(y_mm[-1]) + _UNLABELLED_MM)
    return (low, high) if high - low > _UNLABELLED_MM else part_mm


def _position(
    ct: LabelledCT, part_mm: tuple[float, float], patient: Patient, height_px: int, rng: Rng
) -> tuple[Geometry, Point3, Patient]:
    """Choose film, source and place: a part of the CT from top to bottom about fills the film.

    Returns:
        The geometry, the world position of the middle body, and the patient whose trunk is around it.
    """
    low, high = part_mm
    source = float(rng.uniform(1000, 1500))
    width_mm = max(patient.width_mm, float(ct.box_mm[1, 2] - ct.box_mm[0, 2]))
    height = 0.5 * width_mm + float(rng.uniform(40, 90))
    scale = source / (source - height)
    aspect = float(rng.uniform(0.5, 0.9))
    field = (high - low) * scale * float(rng.uniform(0.88, 1.02))
    across, middle = float(rng.uniform(0.36, 0.62)), 0.5 * (low + high)
    goal = across * aspect * field, 0.5 * field - middle * scale + float(rng.normal(0, 0.015)) * field
    central = goal[0] + float(rng.normal(10, 40)), 0.5 * field + float(rng.normal(20, 40))
    where = tuple(c + (g - c) / scale for c, g in zip(central, goal))
    geometry = Geometry((round(height_px * aspect), height_px), field / height_px, source, central)
    levels = {v.level: v.centre_mm for v in patient.vertebrae}
    anchor = levels.get(ct.level, levels["L3"])
    placed = place_patient(patient, (where[0] - anchor[0], where[1] - anchor[1]), height)
    return geometry, (where[0], where[1], height), placed


def _depth(
    ct: LabelledCT, volume: FilmVolume, corner: Point3, geometry: Geometry, patient: Patient, rng: Rng
) -> FloatArray:
    """Optical depths: the CT's attenuation in excess of its soft tissue, within the trunk of a random patient.

    The excess falls to zero at the borders of a narrow CT, so that they leave no edge on the film.
    """
    gain = float(rng.uniform(1.3, 2.3))
    mu = attenuation(volume.hu, gain)
    if ct.wide:
        return np.maximum(project(mu, corner, volume.voxel_mm, geometry), 0)
    mu -= attenuation(np.array([ct.tissue_hu], np.float32), gain)
    depth = np.zeros(geometry.shape, np.float32)
    soft_tissue.add_trunk(depth, geometry, patient, rng)
    depth += project(mu * volume.share, corner, volume.voxel_mm, geometry)
    return np.maximum(depth, 0)


def _without_spurs(mask: Mask, geometry: Geometry) -> Mask:
    """A silhouette without what is narrower than 8 mm and stands out by more than 2 mm: osteophytes, stray voxels."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return mask
    thick, kept = _SPUR_MM[0] / geometry.spacing_mm, _SPUR_MM[1] / geometry.spacing_mm
    inside = np.pad(mask[found[0]], 1)
    core = ndimage.distance_transform_edt(inside) > thick
    if not core.any():
        return mask
    inside &= ndimage.distance_transform_edt(~core) <= thick + kept
    out = np.zeros_like(mask)
    out[found[0]] = inside[1:-1, 1:-1]
    return out


def _label(shadows: dict[int, Mask], whole_px: dict[int, float], valid: Mask) -> tuple[Labels, tuple[BodyTruth, ...]]:
    """Label map and truth of the bodies of which at least half is visible, whether film, collimator or CT cuts them."""
    labels = np.zeros(valid.shape, np.uint8)
    usual = float(np.median(list(whole_px.values()))) if whole_px else 0.0
    truths = []
    for label in sorted(shadows):
        mask = shadows[label] & valid & (labels == 0)
        if mask.sum() < max(_MIN_VISIBLE * max(0.6 * usual, whole_px[label]), 1):
            continue
        labels[mask] = label
        x, y = np.nonzero(mask)
        corners = _corners(x, y)
        centre = (float(x.mean()), float(y.mean()))
        truths.append(BodyTruth(LEVEL_OF_LABEL[label], label, centre, corners, "unknown", -1, ()))
    return labels, tuple(truths)


def _corners(x: npt.NDArray[np.intp], y: npt.NDArray[np.intp]) -> Array:
    """Pixels of a silhouette that lie furthest along the diagonals of its own axes: see `BodyTruth`, facing left."""
    points = np.column_stack([x, y]).astype(np.float64)
    from_centre = points - points.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(from_centre.T))
    posterior = axes[:, int(np.argmax(np.abs(axes[0])))]
    posterior = posterior * np.sign(posterior[0])
    down = np.array([-posterior[1], posterior[0]])
    u, v = from_centre @ posterior, from_centre @ down
    u, v = u / max(float(u.std()), 1e-6), v / max(float(v.std()), 1e-6)
    return points[[int(np.argmax(a * u + b * v)) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]]
