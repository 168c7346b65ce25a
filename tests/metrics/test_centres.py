from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from cmnet_monai.metrics import bodies_hit, centre_error, match_centres


def test_matched_distances_missed_and_false_match_hand_computed_numbers() -> None:
    true = [(10, 20), (12, 60), (15, 100)]
    predicted = [(300, 5), (15, 64), (10, 18)]
    match = match_centres(predicted, true, max_distance_px=30)
    assert match.true.tolist() == [0, 1] and match.predicted.tolist() == [2, 1]
    assert match.distances_px.tolist() == [2, 5]
    assert (match.found, match.missed, match.false) == (2, 1, 1)
    assert match.mean_error_px == 3.5
    assert centre_error(predicted, true, 30) == 3.5


def test_matching_is_global_not_greedy() -> None:
    true, predicted = [(0, 0), (10, 0)], [(9, 0), (21, 0)]  # greedy pairs 10 with 9 and leaves 0 with 21
    assert match_centres(predicted, true).distances_px.tolist() == [9, 11]


def test_more_matches_win_over_shorter_ones() -> None:
    true, predicted = [(0, 0), (10, 0)], [(10, 0), (20, 0)]  # 10 -> 10 is perfect, but then 0 finds no partner
    match = match_centres(predicted, true, max_distance_px=10)
    assert match.found == 2 and match.distances_px.tolist() == [10, 10]


@pytest.mark.parametrize(("n_predicted", "n_true"), [(3, 5), (5, 3), (4, 4)])
def test_total_distance_equals_the_best_of_all_permutations(n_predicted: int, n_true: int) -> None:
    generator = np.random.default_rng(n_predicted)
    predicted, true = generator.uniform(0, 99, (n_predicted, 2)), generator.uniform(0, 99, (n_true, 2))
    few, many = sorted((predicted, true), key=len)
    best = min(
        sum(math.dist(few[i], many[j]) for i, j in enumerate(order))
        for order in itertools.permutations(range(len(many)), len(few))
    )
    match = match_centres(predicted, true)
    assert match.distances_px.sum() == pytest.approx(best)
    assert (match.missed, match.false) == (max(n_true - n_predicted, 0), max(n_predicted - n_true, 0))


def test_nothing_predicted_or_nothing_there() -> None:
    nothing = match_centres([], [(1, 2), (3, 4)])
    assert (nothing.found, nothing.missed, nothing.false) == (0, 2, 0) and math.isnan(nothing.mean_error_px)
    only_false = match_centres([(1, 2)], np.empty((0, 2)))
    assert (only_false.found, only_false.missed, only_false.false) == (0, 0, 1)


@pytest.mark.parametrize("points", [[(1, 2, 3)], [(1, float("nan"))], [1, 2]])
def test_points_of_the_wrong_kind_are_refused(points: list) -> None:
    with pytest.raises(ValueError, match=r"true_xy must be finite points"):
        match_centres([(1, 2)], points)


def test_body_is_found_by_a_centre_inside_it_in_x_y_order() -> None:
    label_map = np.zeros((30, 50), dtype=np.uint8)
    label_map[2:8, 10:14] = 20
    label_map[3:9, 20:24] = 21
    label_map[3:9, 30:34] = 26  # S1 does not count
    predicted = [(7.4, 13.4), (3.0, 11.0), (7.6, 17.0), (4.0, 31.0), (200.0, 5.0), (13.0, 7.0)]
    hits = bodies_hit(predicted, label_map)
    assert (hits.found, hits.missed) == ((20,), (21,))
    assert (hits.outside, hits.surplus) == (4, 1)
    assert bodies_hit([(2.5, 21.0)], label_map).found == (21,)  # 2.5 belongs to pixel 3
    assert bodies_hit([], label_map).missed == (20, 21)
