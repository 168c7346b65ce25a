"""Centres that stand too close to each other to be two vertebrae."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

LEAST_STEP = 0.5
"""Least distance of neighbours, as a share of the usual one. A body crushed to two fifths of its height still keeps
seven tenths of the usual distance from its neighbours."""


def closest_pair(centres_xy: Array, least: float = LEAST_STEP) -> tuple[int, int] | None:
    """The two neighbours along the spine that are closest, if they are too close to be two vertebrae.

    Args:
        centres_xy: (N, 2), (x, y) px.
        least: least distance as a share of the median distance between neighbours.
    Returns:
        Their indices, or None; always None for fewer than three centres, which tell no usual distance.
    """
    if len(centres_xy) < 3:
        return None
    order = np.argsort(centres_xy[:, 1], kind="stable")
    steps = np.linalg.norm(np.diff(centres_xy[order], axis=0), axis=1)
    closest = int(np.argmin(steps))
    if steps[closest] >= least * np.median(steps):
        return None
    return int(order[closest]), int(order[closest + 1])


def uncrowded(centres_xy: Array, scores: Array, least: float = LEAST_STEP) -> NDArray[np.intp]:
    """Indices of the centres that stay when the weaker of two that are too close is left out, again and again."""
    points, weights = np.asarray(centres_xy, dtype=np.float64).reshape(-1, 2), np.asarray(scores, dtype=np.float64)
    kept = np.arange(len(points))
    while (pair := closest_pair(points[kept], least)) is not None:
        weaker = min(pair, key=lambda index: weights[kept[index]])
        kept = np.delete(kept, weaker)
    return kept


def drop_crowded(centres_xy: Array, scores: Array, least: float = LEAST_STEP) -> Array:
    """Centres without the weaker of two that are too close, again and again; (M, 2) in the order given.

    >>> centres = [[10.0, 10.0], [10.0, 50.0], [12.0, 55.0], [10.0, 90.0]]
    >>> drop_crowded(centres, [0.9, 0.4, 0.8, 0.9]).tolist()  # two in the place of one: the surer one stays
    [[10.0, 10.0], [12.0, 55.0], [10.0, 90.0]]
    """
    return np.asarray(centres_xy, dtype=np.float64).reshape(-1, 2)[uncrowded(centres_xy, scores, least)]


def with_given(centres_xy: Array, scores: Array, given_xy: Array) -> tuple[Array, Array]:
    """Centres behind given ones, whose score is infinite: where two are too close, the given one stays.

    >>> found, scores = np.array([[10.0, 10.0], [10.0, 50.0], [10.0, 90.0]]), np.array([0.9, 0.8, 0.7])
    >>> every, weights = with_given(found, scores, np.array([[12.0, 55.0]]))
    >>> weights.tolist(), drop_crowded(every, weights).tolist()
    ([inf, 0.9, 0.8, 0.7], [[12.0, 55.0], [10.0, 10.0], [10.0, 90.0]])
    """
    every = np.concatenate([np.asarray(given_xy, dtype=np.float64).reshape(-1, 2), centres_xy])
    return every, np.concatenate([np.full(len(every) - len(scores), np.inf), scores])
