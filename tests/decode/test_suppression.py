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


def test_l5_in_pieces_does_not_push_the_names_up() -> None:
    maps = np.zeros((3, 60, 320))
    for number in range(6):
        maps[0, 28:31, 24 + 38 * number : 27 + 38 * number] = 0.9
        maps[1, 12:48, 10 + 38 * number : 42 + 38 * number] = 0.9
    maps[2, 12:48, 238:268] = 0.9
    whole = read_maps(maps)
    maps[0, 28:31, 205:225] = 0.0  # L5, rows 200 to 231, with two centres and a crack between them
    maps[0, 20:23, 205:208] = maps[0, 36:39, 221:224] = 0.6
    maps[1, 12:48, 214:217] = 0.0
    broken = read_maps(maps)
    assert [body.level for body in broken.bodies] == [body.level for body in whole.bodies]
    assert (whole.label_map == broken.label_map).mean() > 0.99
