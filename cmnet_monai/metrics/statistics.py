"""Paired statistics of models that were measured on the same films; the film is the unit."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean over films with its confidence interval; both bounds are NaN where there are fewer than two films."""

    mean: float
    low: float
    high: float
    films: int


@dataclass(frozen=True)
class PairTest:
    """Two models, `first` and `second`, compared on the same films.

    Attributes:
        difference: mean of first minus second, with `low` and `high`, the bounds of its bootstrap interval.
        p_value: of Wilcoxon's signed-rank test, two-sided; 1 where no film differs.
        p_holm: the same after Holm's correction for all pairs of the comparison.
        rank_biserial: effect size, -1 to 1; 1 means the first model is better on every film.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    p_value: float
    p_holm: float
    rank_biserial: float


@dataclass(frozen=True)
class Comparison:
    """All models at once, then pair by pair.

    Attributes:
        films: number of films, those that every model has a value of.
        friedman: Friedman's chi-squared; NaN with fewer than three models, or where no film differs.
        friedman_p: its p-value; likewise NaN, or 1.
        pairs: every pair of models, in the order they were given.
    """

    films: int
    friedman: float
    friedman_p: float
    pairs: tuple[PairTest, ...]


def mean_interval(values: ArrayLike, confidence: float = 0.95, resamples: int = 9999, seed: int = 0) -> Interval:
    """Mean over films and its bias-corrected and accelerated bootstrap interval (Efron, 1987), resampling films.

    Args:
        values: one number a film, (N,); NaN where a film has none, which is left out.
        confidence: of the interval.
        resamples: number of bootstrap samples.
        seed: of the resampling.

    >>> interval = mean_interval([0.90, 0.92, 0.94, 0.96])
    >>> round(interval.mean, 2), interval.low < 0.93 < interval.high
    (0.93, True)
    """
    sample = np.asarray(values, dtype=np.float64).ravel()
    sample = sample[np.isfinite(sample)]
    if len(sample) == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    mean = float(sample.mean())
    if len(sample) == 1:
        return Interval(mean, float("nan"), float("nan"), 1)
    if np.ptp(sample) == 0:
        return Interval(mean, mean, mean, len(sample))
    found = stats.bootstrap(
        (sample,),
        np.mean,
        confidence_level=confidence,
        n_resamples=resamples,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high), len(sample))


def holm(p_values: ArrayLike) -> Values:
    """Holm's step-down adjustment (1979): the k-th smallest of m p-values times m - k + 1, made monotone, at most 1.

    Raises:
        ValueError: a p-value is outside 0 to 1.

    >>> holm([0.01, 0.04, 0.03]).tolist()  # 3 * 0.01, then 2 * 0.03, which 0.04 may not fall below
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64).ravel()
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values lie between 0 and 1, got {p.tolist()}")
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


def rank_biserial(first: ArrayLike, second: ArrayLike) -> float:
    """Matched-pairs rank-biserial correlation (Kerby, 2014): the share of the ranks of absolute differences that
    belongs to films on which the first is higher, minus that of the second. Films without a difference have no rank.

    Returns:
        -1 to 1; 0 where no film differs.
    Raises:
        ValueError: the two differ in length.

    >>> effect = rank_biserial([0.9, 0.8, 0.7], [0.8, 0.5, 0.9])  # ranks 1 and 3 for the first, 2 against it
    >>> round(effect, 3)  # (4 - 2) / 6
    0.333
    """
    a, b = _paired(first, second)
    difference = a - b
    difference = difference[difference != 0]
    if not len(difference):
        return 0.0
    ranks = stats.rankdata(np.abs(difference))
    return float((ranks * np.sign(difference)).sum() / ranks.sum())


def wilcoxon_p(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test, zeros dropped; 1 where no film differs.

    Raises:
        ValueError: the two differ in length.
    """
    a, b = _paired(first, second)
    return float(stats.wilcoxon(a, b, zero_method="wilcox").pvalue) if (a != b).any() else 1.0


def _paired(first: ArrayLike, second: ArrayLike) -> tuple[Values, Values]:
    a, b = (np.asarray(values, dtype=np.float64).ravel() for values in (first, second))
    if a.shape != b.shape:
        raise ValueError(f"paired values must be of the same films, got {len(a)} and {len(b)}")
    return a, b


def compare(scores: Mapping[str, Sequence[float]], resamples: int = 9999, seed: int = 0) -> Comparison:
    """Friedman's test over all models, then Wilcoxon's for each pair with Holm's correction and effect sizes.

    Args:
        scores: for each model one number a film, the films in the same order; a film that is NaN for one model is left
            out for all.
        resamples: of the intervals of the differences.
        seed: of the resampling.
    Raises:
        ValueError: the models differ in their number of films.

    >>> dice = {"a": [0.91, 0.92, 0.95, 0.93, 0.94, 0.96], "b": [0.90, 0.90, 0.92, 0.89, 0.89, 0.90]}
    >>> (pair,) = compare(dice, resamples=199).pairs
    >>> round(pair.difference, 4), pair.p_value, pair.rank_biserial  # better on all of 6 films: 2 / 2 ** 6
    (0.035, 0.03125, 1.0)
    >>> pair.low < pair.difference < pair.high
    True
    """
    names = list(scores)
    lengths = {len(values) for values in scores.values()}
    if len(lengths) > 1:
        raise ValueError(f"models must be measured on the same films, got {sorted(lengths)} films")
    table = np.array([list(scores[name]) for name in names], dtype=np.float64).reshape(len(names), -1)
    table = table[:, np.isfinite(table).all(axis=0)]
    films = table.shape[1]
    chi, p = _friedman(table)
    if films == 0:
        return Comparison(0, chi, p, ())
    pairs = list(itertools.combinations(range(len(names)), 2))
    p_values = [wilcoxon_p(table[i], table[j]) for i, j in pairs]
    tests = []
    for (i, j), p_value, adjusted in zip(pairs, p_values, holm(p_values)):
        difference = mean_interval(table[i] - table[j], resamples=resamples, seed=seed)
        effect = rank_biserial(table[i], table[j])
        interval = (difference.mean, difference.low, difference.high)
        tests.append(PairTest(names[i], names[j], *interval, p_value, float(adjusted), effect))
    return Comparison(films, chi, p, tuple(tests))


def _friedman(table: Values) -> tuple[float, float]:
    """Friedman's chi-squared and p-value of (models, films)."""
    if table.shape[0] < 3 or table.shape[1] < 2:
        return float("nan"), float("nan")
    if (table == table[0]).all():
        return float("nan"), 1.0
    found = stats.friedmanchisquare(*table)
    return float(found.statistic), float(found.pvalue)
