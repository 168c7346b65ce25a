from __future__ import annotations

import numpy as np
import pytest

from cmnet_monai.synthetic.projection import Geometry, Material, Tube, add_ellipsoid, add_plate, add_tube, add_union


@pytest.fixture
def parallel() -> Geometry:
    return Geometry((120, 90), 0.5, float("inf"), (0.0, 0.0))


def test_magnification_is_source_over_source_minus_height() -> None:
    geometry = Geometry((100, 100), 1.0, 1000.0, (50.0, 40.0))
    assert geometry.magnification(0.0) == 1.0
    assert geometry.magnification(200.0) == pytest.approx(1.25)
    # 20 mm right of and 8 mm above the central ray, 200 mm over the detector.
    assert geometry.project_px((70.0, 32.0, 200.0)) == pytest.approx((75.0, 30.0))


def test_plane_above_the_source_is_refused() -> None:
    geometry = Geometry((10, 10), 1.0, 1000.0, (5.0, 5.0))
    with pytest.raises(ValueError, match="1200 mm is not below the source at 1000"):
        geometry.magnification(1200)


def test_projection_divides_by_the_spacing_and_starts_at_a_pixel_centre() -> None:
    geometry = Geometry((10, 10), 0.5, float("inf"), (0.0, 0.0))
    assert geometry.project_px((3.0, 1.5, 77.0)) == (6.0, 3.0)


def test_ellipsoid_has_its_chord_at_the_centre_and_its_volume_in_total(parallel: Geometry) -> None:
    depth = np.zeros(parallel.shape, np.float32)
    add_ellipsoid(depth, parallel, (30.0, 20.0, 50.0), (10.0, 6.0, 4.0), 0.4, Material(0.1))
    assert depth[60, 40] == pytest.approx(0.8, rel=1e-4)
    volume = depth.sum() * 0.5**2
    # Pixel sums miss or gain slivers at the rim: under 1 % at 12 px.
    assert volume == pytest.approx(0.1 * 4 / 3 * np.pi * 10 * 6 * 4, rel=0.01)


def test_hollow_ellipsoid_counts_the_shell_on_both_sides(parallel: Geometry) -> None:
    depth = np.zeros(parallel.shape, np.float32)
    add_ellipsoid(depth, parallel, (30.0, 20.0, 50.0), (10.0, 10.0, 10.0), 0.0, Material(0.01, 0.2, 1.0))
    assert depth[60, 40] == pytest.approx(2 * 1.0 * 0.2 + 18.0 * 0.01, rel=1e-4)


def test_tube_has_its_diameter_as_longest_path(parallel: Geometry) -> None:
    depth = np.zeros(parallel.shape, np.float32)
    add_tube(depth, parallel, (10.0, 20.0, 5.0), (50.0, 20.0, 5.0), (4.0, 4.0), Material(0.05))
    assert depth[60, 40] == pytest.approx(8 * 0.05, rel=1e-4)
    # 3 mm off the axis of a tube of radius 4: half chord sqrt(16 - 9).
    assert depth[60, 46] == pytest.approx(2 * 7**0.5 * 0.05, rel=1e-3)
    assert depth[60, 49] == 0


def test_overlapping_tubes_of_one_bone_count_once(parallel: Geometry) -> None:
    once, twice = np.zeros(parallel.shape, np.float32), np.zeros(parallel.shape, np.float32)
    tube = Tube((10.0, 20.0, 5.0), (50.0, 20.0, 5.0), (4.0, 4.0))
    material = Material(0.05, 0.2, 0.5)
    add_union(once, parallel, [tube], material)
    add_union(twice, parallel, [tube, tube], material)
    np.testing.assert_array_equal(once, twice)
    # A path of 8 mm: 1.5 mm of it shell.
    assert once[60, 40] == pytest.approx(1.5 * 0.2 + 6.5 * 0.05, rel=1e-4)


def test_strongly_magnified_bone_is_drawn_whole() -> None:
    # 700 mm above the detector, source at 1000 mm: scale 10 / 3, so a radius of 3 mm throws a shadow of 10 mm.
    geometry = Geometry((200, 200), 0.5, 1000.0, (50.0, 50.0))
    depth = np.zeros(geometry.shape, np.float32)
    tubes = [
        Tube((48.0, 50.0, 700.0), (52.0, 50.0, 700.0), (3.0, 3.0)),
        Tube((50.0,) * 2 + (0.0,), (51.0, 50.0, 0.0), (1, 1)),
    ]
    add_union(depth, geometry, tubes, Material(1.0))
    assert np.nonzero(depth[100])[0].tolist() == list(range(81, 120))


def test_plate_keeps_to_its_outline(parallel: Geometry) -> None:
    depth = np.zeros(parallel.shape, np.float32)
    outline = np.array([[10.0, 8.0], [50.0, 8.0], [50.0, 36.0], [10.0, 36.0]])
    add_plate(depth, parallel, outline, 30.0, (5.0, 4.0, 6.0), Material(0.1), np.random.default_rng(0))
    assert depth[60, 44] > 0
    outside = depth.copy()
    # Coarse raster and smoothing spill at most 2 mm over the border.
    outside[16:105, 12:77] = 0
    assert not outside.any()


def test_solids_beside_the_detector_leave_no_trace(parallel: Geometry) -> None:
    depth = np.zeros(parallel.shape, np.float32)
    add_ellipsoid(depth, parallel, (-50.0, 20.0, 5.0), (9.0, 9.0, 9.0), 0.0, Material(1.0))
    add_tube(depth, parallel, (10.0, 90.0, 5.0), (50.0, 95.0, 5.0), (4.0, 4.0), Material(1.0))
    add_union(depth, parallel, [Tube((90.0, 10.0, 0.0), (95.0, 10.0, 0.0), (2.0, 2.0))], Material(1.0))
    assert not depth.any()


def test_crop_is_the_same_picture() -> None:
    geometry = Geometry((90, 140), 0.5, 900.0, (20.0, 31.0))
    window = geometry.window(10.0, 33.0, 20.0, 61.0)
    assert window is not None
    near, shift = geometry.crop(window)
    point = (24.0, 40.0, 200.0)
    x, y = geometry.project_px(point)
    moved = near.project_px((point[0] - shift[0], point[1] - shift[1], point[2]))
    assert moved == pytest.approx((x - window[0].start, y - window[1].start))
    whole, part = np.zeros(geometry.shape, np.float32), np.zeros(near.shape, np.float32)
    add_tube(whole, geometry, point, (26.0, 44.0, 190.0), (3.0, 2.0), Material(0.05))
    ends = [(p[0] - shift[0], p[1] - shift[1], p[2]) for p in (point, (26.0, 44.0, 190.0))]
    add_tube(part, near, ends[0], ends[1], (3.0, 2.0), Material(0.05))
    # float32 mm against pixel offsets: a thousandth of the longest path.
    np.testing.assert_allclose(whole[window], part, atol=1e-3 * whole.max())


def test_hollow_bone_is_brightest_at_its_border(parallel: Geometry) -> None:
    depth = np.zeros(parallel.shape, np.float32)
    tube = Tube((10.0, 20.0, 5.0), (50.0, 20.0, 5.0), (4.0, 4.0))
    add_union(depth, parallel, [tube], Material(0.0, 0.2, 1.0), hollow=True)
    # On the axis the path crosses the wall twice; 3 mm off it runs along the wall: 2 * sqrt(16 - 9).
    assert depth[60, 40] == pytest.approx(2 * 1.0 * 0.2, rel=1e-3)
    assert depth[60, 46] == pytest.approx(2 * 7**0.5 * 0.2, rel=1e-3)


def test_tilted_plate_is_magnified_corner_by_corner() -> None:
    geometry = Geometry((160, 120), 1.0, 1000.0, (60.0, 60.0))
    outline = np.array([[40.0, 40.0], [80.0, 40.0], [80.0, 80.0], [40.0, 80.0]])
    z = np.array([0.0, 500.0, 500.0, 0.0])
    depth = np.zeros(geometry.shape, np.float32)
    add_plate(depth, geometry, outline, z, (5.0, 4.0, 6.0), Material(0.1), np.random.default_rng(0))
    x = np.nonzero(depth[:, 60])[0]
    # The left border stays at 40; the right one, 20 mm from the central ray, moves to 60 + 20 * 2. Raster: 3 px.
    assert abs(x.min() - 40) <= 4 and abs(x.max() - 100) <= 4
