"""Centres and regions that stand too close to each other to be two vertebrae."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import relabel_sequential

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


def merge_crowded(
    regions: NDArray[np.int32], seeded: NDArray[np.bool_], least: float = LEAST_STEP
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Regions of which two that are too close have become one, again and again: a body that was found in pieces.

    Args:
        regions: (x, y), 0 outside, 1..M inside.
        seeded: whether a centre seeded each region, (M,).
        least: see `closest_pair`.
    Returns:
        Regions 1..K, and whether a centre seeded any part of each, (K,).

    >>> regions = np.zeros((20, 100), dtype=np.int32)
    >>> regions[5:15, 10:20], regions[5:15, 70:80] = 1, 4
    >>> regions[5:15, 40:44], regions[5:15, 46:50] = 2, 3  # one body in two pieces
    >>> merged, seeded = merge_crowded(regions, np.array([True, False, True, False]))
    >>> merged[10, [15, 42, 47, 75]].tolist(), seeded.tolist()
    ([1, 2, 2, 3], [True, True, False])
    """
    merged, has_seed = regions.copy(), {number: bool(seed) for number, seed in enumerate(seeded, start=1)}
    while True:
        numbers = list(has_seed)
        centres = np.array(ndimage.center_of_mass(merged > 0, merged, numbers), dtype=np.float64).reshape(-1, 2)
        pair = closest_pair(centres, least)
        if pair is None:
            break
        first, second = numbers[pair[0]], numbers[pair[1]]
        merged[merged == second] = first
        has_seed[first] = has_seed[first] or has_seed.pop(second)
        has_seed.pop(second, None)
    return relabel_sequential(merged)[0].astype(np.int32), np.array(list(has_seed.values()), dtype=bool)
