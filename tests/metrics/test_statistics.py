from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from cmnet_monai.metrics.statistics import compare, holm, mean_interval, rank_biserial, wilcoxon_p


def test_holm_is_the_textbook_example() -> None:
    # Smallest first: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1, and never less than the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []
    with pytest.raises(ValueError, match=r"between 0 and 1, got \[1.2\]"):
        holm([1.2])


def test_rank_biserial_by_hand() -> None:
    # Differences 1, -2, 3, 0: ranks 1, 2, 3; (1 + 3 - 2) / 6.
    assert rank_biserial([2, 1, 7, 5], [1, 3, 4, 5]) == pytest.approx(1 / 3)
    assert rank_biserial([1, 3, 4], [2, 1, 7]) == pytest.approx((-1 + 2 - 3) / 6)
    assert rank_biserial([2, 3], [1, 1]) == 1.0
    assert rank_biserial([1, 1], [1, 1]) == 0.0


def test_wilcoxon_of_five_better_films_is_exact() -> None:
    # All five signs alike: 2 of 2^5 equally likely outcomes are as extreme.
    assert wilcoxon_p([1, 2, 3, 4, 5], [0, 0, 0, 0, 0]) == pytest.approx(2 / 32)
    assert wilcoxon_p([1, 2], [1, 2]) == 1.0
    with pytest.raises(ValueError, match="same films, got 2 and 3"):
        wilcoxon_p([1, 2], [1, 2, 3])


def test_interval_of_normal_values_is_near_that_of_the_t_distribution() -> None:
    values = np.random.default_rng(3).normal(0.9, 0.02, 200)
    found = mean_interval(values)
    half = stats.t.ppf(0.975, 199) * values.std(ddof=1) / math.sqrt(200)
    assert found.mean == pytest.approx(values.mean()) and found.films == 200
    # A bootstrap of 9,999 resamples knows its quantiles to a few per cent of the interval's width.
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_interval_covers_a_skewed_mean_asymmetrically() -> None:
    values = [0.95] * 14 + [0.3, 0.6]
    found = mean_interval(values)
    assert found.mean - found.low > found.high - found.mean > 0  # the low films pull the interval down


def test_interval_of_few_equal_or_missing_values() -> None:
    assert mean_interval([0.5, 0.5, math.nan]).low == mean_interval([0.5, 0.5]).high == 0.5
    alone = mean_interval([math.nan, 0.7])
    assert (alone.mean, alone.films) == (0.7, 1) and math.isnan(alone.low)
    nothing = mean_interval([math.nan])
    assert nothing.films == 0 and math.isnan(nothing.mean)


def test_same_seed_same_interval() -> None:
    values = np.random.default_rng(0).random(16)
    assert mean_interval(values, seed=4) == mean_interval(values, seed=4) != mean_interval(values, seed=5)


def test_comparison_of_three_models_matches_friedman_by_hand() -> None:
    # On each of 4 films the order is c > b > a: rank sums 4, 8, 12; 12 / (4 3 4) (16 + 64 + 144) - 3 4 4 = 8.
    scores = {"a": [0.1, 0.2, 0.3, 0.4], "b": [0.2, 0.4, 0.6, 0.5], "c": [0.3, 0.5, 0.9, 0.8]}
    found = compare(scores)
    assert found.films == 4 and found.friedman == pytest.approx(8.0)
    assert found.friedman_p == pytest.approx(math.exp(-4.0))  # chi-squared of two degrees of freedom
    assert [(pair.first, pair.second) for pair in found.pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    for pair in found.pairs:
        assert pair.p_value == pytest.approx(2 / 16) and pair.p_holm == pytest.approx(3 * 2 / 16)
        assert pair.rank_biserial == -1.0 and pair.low < pair.difference < pair.high < 0
    assert found.pairs[0].difference == pytest.approx(-0.175)


def test_films_that_one_model_lacks_are_left_out_for_all() -> None:
    with_gap = {"a": [0.1, math.nan, 0.3, 0.4], "b": [0.2, 0.9, 0.4, 0.6]}
    without = {"a": [0.1, 0.3, 0.4], "b": [0.2, 0.4, 0.6]}
    assert compare(with_gap).pairs == compare(without).pairs
    assert compare(with_gap).films == 3 and math.isnan(compare(with_gap).friedman)


def test_models_without_a_difference() -> None:
    found = compare({name: [0.5, 0.6] for name in "abc"})
    assert found.friedman_p == 1.0 and {pair.p_holm for pair in found.pairs} == {1.0}
    with pytest.raises(ValueError, match=r"same films, got \[1, 2\] films"):
        compare({"a": [0.5], "b": [0.5, 0.6]})
