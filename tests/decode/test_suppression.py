from __future__ import annotations

import numpy as np
import pytest

from cmnet_monai.decode import drop_crowded, read_maps

COLUMN = np.array([[50.0 + 2 * i, 40.0 * i + 30] for i in range(6)])


def test_weaker_of_two_crowded_centres_goes() -> None:
    extra = COLUMN[2] + (3.0, 12.0)
    points = np.vstack([COLUMN, extra])
    np.testing.assert_array_equal(drop_crowded(points, [1, 1, 0.9, 1, 1, 1, 0.4]), COLUMN)
    kept = drop_crowded(points, [1, 1, 0.4, 1, 1, 1, 0.9])
    np.testing.assert_array_equal(kept, np.vstack([np.delete(COLUMN, 2, axis=0), extra]))


def test_two_false_centres_go_one_after_the_other() -> None:
    points = np.vstack([COLUMN, COLUMN[1] + (0.0, 9.0), COLUMN[4] - (6.0, 9.0)])
    np.testing.assert_array_equal(drop_crowded(points, [1] * 6 + [0.5, 0.5]), COLUMN)


@pytest.mark.parametrize("crushed", [0.55, 0.7])
def test_crushed_body_is_not_crowded(crushed: float) -> None:
    steps = np.array([40.0, 40.0 * crushed, 40.0 * crushed, 40.0, 40.0])
    points = np.stack([np.full(6, 30.0), 20 + np.concatenate([[0], np.cumsum(steps)])], axis=1)
    np.testing.assert_array_equal(drop_crowded(points, np.ones(6)), points)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_centres_tell_no_usual_distance(count: int) -> None:
    points = np.array([[10.0, 10.0], [10.0, 11.0]])[:count]
    np.testing.assert_array_equal(drop_crowded(points, np.ones(count)), points)


def test_body_found_in_three_pieces_is_one_region_again() -> None:
    regions = np.zeros((60, 300), dtype=np.int32)
    for number in range(5):
        regions[10:40, 10 + 50 * number : 45 + 50 * number] = number + 1
    regions[10:40, 222:226] = 0
    regions[10:40, 226:245] = 6
    regions[22:25, 226:245] = 0
    regions[25:40, 226:245] = 7
    merged, seeded = merge_crowded(regions, np.array([True, True, True, True, False, True, False]))
    assert seeded.tolist() == [True] * 5 and merged.max() == 5
    np.testing.assert_array_equal(merged > 0, regions > 0)
    assert set(np.unique(merged[regions >= 5])) == {5}
    for number in range(1, 5):
        np.testing.assert_array_equal(merged == number, regions == number)


def test_regions_at_even_steps_stay_as_they_are() -> None:
    regions = np.zeros((60, 300), dtype=np.int32)
    for number in range(5):
        regions[10:40, 10 + 50 * number : 45 + 50 * number] = number + 1
    merged, seeded = merge_crowded(regions, np.array([True, False, True, True, True]))
    np.testing.assert_array_equal(merged, regions)
    assert seeded.tolist() == [True, False, True, True, True]


def test_l5_in_pieces_does_not_push_the_names_up() -> None:
    maps = np.zeros((3, 60, 320))
    for number in range(6):
        maps[0, 28:31, 24 + 45 * number : 27 + 45 * number] = 0.9
        maps[1, 15:45, 10 + 45 * number : 42 + 45 * number] = 0.9
    maps[2, 15:45, 280:310] = 0.9
    whole = read_maps(maps)
    maps[0, 28:31, 240:260] = 0.0  # L5, rows 235 to 266, with two centres and a crack between them
    maps[0, 20:23, 240:243] = maps[0, 36:39, 256:259] = 0.8
    maps[1, 15:45, 249:252] = 0.0
    broken = read_maps(maps)
    assert [body.level for body in broken.bodies] == [body.level for body in whole.bodies]
    assert (whole.label_map == broken.label_map).mean() > 0.99
