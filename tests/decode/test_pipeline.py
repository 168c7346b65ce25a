from __future__ import annotations

import numpy as np
import pytest

from cmnet_monai.decode import find_centres, part_bodies, read_maps


def gaussian(shape: tuple[int, int], x: float, y: float, sigma: float = 4.0) -> np.ndarray:
    i, j = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    return np.exp(-((i - x) ** 2 + (j - y) ** 2) / (2 * sigma**2))


def test_centres_are_sub_pixel() -> None:
    truth = np.array([[20.3, 31.8], [41.6, 70.25]])
    maps = np.maximum(gaussian((64, 97), *truth[0]), 0.8 * gaussian((64, 97), *truth[1]))
    points, scores = find_centres(maps)
    # A parabola through three samples of a Gaussian of sigma 4.5 px errs by less than 0.02 px.
    np.testing.assert_allclose(points, truth, atol=0.02)
    np.testing.assert_allclose(scores, [1.0, 0.8], atol=0.03)


def test_middle_of_a_plateau_is_its_centre() -> None:
    maps = np.zeros((50, 61))
    maps[20:31, 30:45] = 1.0
    points, _ = find_centres(maps)
    np.testing.assert_allclose(points, [[25.0, 37.0]], atol=0.5)


def test_map_below_threshold_has_no_centre() -> None:
    points, scores = find_centres(0.2 * gaussian((30, 40), 10, 20))
    assert points.shape == (0, 2) and scores.shape == (0,)


def test_centre_map_with_a_channel_axis_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 30, 40\)"):
        find_centres(np.zeros((1, 30, 40)))


def test_touching_bodies_part_between_their_centres() -> None:
    mask = np.zeros((40, 80))
    mask[10:30, 5:35] = 1.0
    mask[10:30, 35:65] = 1.0
    regions, centres, seeded = part_bodies(mask, np.array([[19.5, 19.5], [19.5, 49.5]]))
    assert seeded.tolist() == [True, True]
    assert (regions[10:30, 5:32] == 1).all() and (regions[10:30, 38:65] == 2).all()
    assert ((regions > 0) == (mask > 0)).all()
    np.testing.assert_array_equal(centres, [[19.5, 19.5], [19.5, 49.5]])


def test_body_without_a_centre_is_kept_and_specks_are_dropped() -> None:
    mask = np.zeros((40, 80))
    mask[10:30, 5:25] = 1.0
    mask[12:28, 40:60] = 1.0
    mask[1:3, 75:78] = 1.0
    regions, centres, seeded = part_bodies(mask, np.array([[20.0, 15.0], [35.0, 70.0]]))
    assert regions.max() == 2 and seeded.tolist() == [True, False]
    np.testing.assert_allclose(centres[1], [19.5, 49.5])


def spine_maps(bodies: int = 7) -> np.ndarray:
    """Bodies of 34 x 26 px every 36 px, S1 below them."""
    maps = np.zeros((3, 60, 36 * (bodies + 1) + 20))
    for i in range(bodies):
        maps[0] = np.maximum(maps[0], gaussian(maps.shape[1:], 30, 36 * i + 22, 3))
        maps[1, 13:47, 36 * i + 9 : 36 * i + 35] = 0.9
    maps[2, 13:47, 36 * bodies + 9 : 36 * bodies + 35] = 0.9
    return maps


def test_film_is_read_from_top_to_bottom_with_its_label_map() -> None:
    reading = read_maps(spine_maps())
    assert [b.level for b in reading.bodies] == ["T11", "T12", "L1", "L2", "L3", "L4", "L5"]
    assert [int(reading.label_map[30, 36 * i + 22]) for i in range(8)] == [18, 19, 20, 21, 22, 23, 24, 0]
    assert (reading.label_map > 0).sum() == 7 * 34 * 26


def test_s1_taken_for_a_vertebra_too_is_not_named() -> None:
    maps = spine_maps()
    maps[1] = np.maximum(maps[1], 0.6 * (maps[2] > 0))
    assert [b.level for b in read_maps(maps).bodies][-1] == "L5"
    # Its centre is its centre of mass, rows 225 to 250, and not the peak of the centre map at row 238.
    assert read_maps(maps).bodies[-1].centre_xy_px == pytest.approx((29.5, 237.5), abs=1e-6)


def test_two_channels_are_read_without_s1() -> None:
    bodies = read_maps(spine_maps(5)[:2]).bodies
    assert [b.level for b in bodies] == ["L1", "L2", "L3", "L4", "L5"]
    assert bodies[0].evidence == "lowest body taken for L5"


def test_count_that_what_looks_lumbar_contradicts_is_uncertain() -> None:
    maps = spine_maps(6)
    # Was L5 taken for S1? Of the six bodies above it two look thoracic.
    lumbar = np.where(np.arange(maps.shape[2]) >= 2 * 36, maps[1], 0.0)
    reading = read_maps(np.concatenate([maps, lumbar[None]]))
    assert reading.levels_uncertain and len(reading.runner_up) == len(reading.bodies) == 6
    assert [body.level for body in reading.bodies] != list(reading.runner_up)
    # What looks as it is named speaks for the names.
    agreeing = np.where(np.arange(maps.shape[2]) >= 36, maps[1], 0.0)
    sure = read_maps(np.concatenate([maps, agreeing[None]]))
    assert [body.level for body in sure.bodies] == ["T12", "L1", "L2", "L3", "L4", "L5"]
    assert sure.probability > reading.probability + 0.1


@pytest.mark.parametrize("channels", [3, 4])
def test_empty_maps_give_no_body(channels: int) -> None:
    assert read_maps(np.zeros((channels, 40, 50))).bodies == ()


def test_wrong_channel_count_is_refused() -> None:
    for channels in (1, 6):
        with pytest.raises(ValueError, match=rf"\({channels}, 40, 50\)"):
            read_maps(np.zeros((channels, 40, 50)))


def maps_with_s1_in_halves() -> np.ndarray:
    """Seven bodies, and below them S1 of which the upper third is a crumb that passes for a body."""
    maps = spine_maps(7)
    maps = np.concatenate([maps, np.where(np.arange(maps.shape[2]) >= 2 * 36, maps[1], 0.0)[None]])
    top = 36 * 7 + 9
    maps[2, :, top : top + 9] = 0
    maps[1, 18:42, top : top + 8] = 0.7
    return maps


def test_crumb_of_s1_is_not_l5() -> None:
    reading = read_maps(maps_with_s1_in_halves())
    assert [b.level for b in reading.bodies] == ["T11", "T12", "L1", "L2", "L3", "L4", "L5"]
    assert reading.s1[30, 36 * 7 + 25]


def test_missed_body_leaves_a_gap() -> None:
    maps = spine_maps(7)
    maps[:2, :, 36 * 4 : 36 * 5] = 0
    assert [b.level for b in read_maps(maps).bodies] == ["T11", "T12", "L1", "L2", "L4", "L5"]


def test_faint_body_is_read_and_counts() -> None:
    maps = spine_maps(7)
    maps[:2, :, 36 * 4 : 36 * 5] *= 0.4
    reading = read_maps(maps)
    assert [b.level for b in reading.bodies] == ["T11", "T12", "L1", "L2", "L3", "L4", "L5"]
    assert reading.label_map[30, 36 * 4 + 22] == 22


def test_film_that_ends_above_the_grid_has_nothing_below() -> None:
    maps = spine_maps(7)
    box = np.array([[0.0, 0.0], [59.0, 36.0 * 5 + 3]])
    assert not read_maps(maps, film_box=box).label_map[:, 36 * 5 + 4 :].any()
