"""What may be a vertebra: pieces of the maps, and unions of neighbouring pieces."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmnet_monai.conventions import (
    CENTRE_CHANNEL,
    LEVEL_CHANNEL,
    LEVEL_STEP,
    LUMBAR_CHANNEL,
    S1_CHANNEL,
    VERTEBRA_CHANNEL,
)
from cmnet_monai.decode.instances import part_bodies

Array = NDArray[np.floating]
Labels = NDArray[np.int32]

FAINT = 0.2
"""Least probability of a piece where nothing reaches the threshold of a body."""
_LEAST_PIECE_PX, _REACH_PX = 20, 3
_LARGE, _LARGEST = 1.4, 2.4
_ELONGATED = 1.35


@dataclass(frozen=True)
class Candidates:
    """Unions of pieces, from top to bottom.

    Args:
        pieces: (x, y), 0 outside, 1..P inside.
        members: which pieces each candidate is made of, (N, P).
        area_px: (N,).
        centre_xy: centre of mass, pixels weighted by their probability, (N, 2).
        covariance: of a candidate's pixels, (N, 2, 2).
        bone: mean probability of being any vertebra, (N,).
        s1: the same of S1, (N,); NaN if the maps do not say it.
        lumbar: the same of L1-L5, (N,); NaN if the maps do not say it.
        level: mean of what the level channel gives, S1 0, L5 1 and upwards, (N,); NaN if the maps do not say it.
        peak: greatest probability of a centre, (N,).
        second: probability of the second of the centres inside, 0 where there is but one, (N,).
        box: least and greatest (x, y) of the film on the grid, (2, 2).
    """

    pieces: Labels
    members: NDArray[np.bool_]
    area_px: Array
    centre_xy: Array
    covariance: Array
    bone: Array
    s1: Array
    lumbar: Array
    level: Array
    peak: Array
    second: Array
    box: Array

    def __len__(self) -> int:
        return len(self.area_px)

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Pixels of one candidate, (x, y)."""
        return np.concatenate([[False], self.members[index]])[self.pieces]

    def size_px(self) -> float:
        """Side of a square as large as the usual body: of half of all area, the bodies are larger."""
        single = self.members.sum(axis=1) == 1
        areas = np.sort(self.area_px[single & (self.peak >= 0.5)])
        if not len(areas):
            areas = np.sort(self.area_px[single])
        return float(np.sqrt(areas[np.searchsorted(np.cumsum(areas), 0.5 * areas.sum())]))


def find_candidates(
    maps: Array, points: Array, scores: Array, threshold: float = 0.5, min_area_px: int = 60, box: Array | None = None
) -> Candidates | None:
    """Everything in a film's maps that may be a vertebra, or S1.

    A watershed from the centres parts the vertebra map, and what S1 claims is parted off; pieces much longer than the
    others are halved where they are narrowest. A candidate is a piece, or up to three neighbours together.

    Args:
        maps: probabilities (C, x, y): centre, vertebra and perhaps S1, lumbar, level; 0 outside of the film.
        points: centres that part touching bodies, (M, 2), (x, y) px.
        scores: their probabilities, (M,).
        threshold: least probability in a piece.
        min_area_px: least area of a candidate.
        box: least and greatest (x, y) of the film on the grid, (2, 2); the whole grid by default.
    Returns:
        The candidates, or None if there is not one.
    """
    window = _window(maps)
    if window is None:
        return None
    pieces = np.zeros(maps.shape[1:], dtype=np.int32)
    shifted = np.asarray(points, dtype=np.float64).reshape(-1, 2) - [side.start for side in window]
    pieces[window] = _pieces(maps[(slice(None), *window)], shifted, threshold)
    count = int(pieces.max())
    if not count:
        return None
    whole = np.array([[0.0, 0.0], np.array(pieces.shape) - 1.0])
    sums = _sums(pieces, count, maps)
    members = _unions(pieces, count, sums[:, 0], sums[:, -1])
    members = members[members @ sums[:, 0] >= min_area_px]
    if not len(members):
        return None
    second = _second_centres(pieces, members, np.asarray(points, dtype=np.float64).reshape(-1, 2), scores)
    found = _measured(pieces, members, sums, second, maps.shape[0], whole if box is None else box)
    order = np.argsort(found.centre_xy[:, 1], kind="stable")
    kept = {name: value[order] for name, value in vars(found).items() if name not in ("pieces", "box")}
    return Candidates(pieces=pieces, box=found.box, **kept)


def _window(maps: Array) -> tuple[slice, slice] | None:
    """Where there is anything, with a margin."""
    places = np.argwhere(maps[VERTEBRA_CHANNEL : S1_CHANNEL + 1].max(axis=0) >= FAINT)
    if not len(places):
        return None
    low, high = np.maximum(places.min(axis=0) - 2 * _REACH_PX, 0), places.max(axis=0) + 2 * _REACH_PX
    return slice(int(low[0]), int(high[0]) + 1), slice(int(low[1]), int(high[1]) + 1)


def _pieces(maps: Array, points: Array, threshold: float) -> Labels:
    """Bodies parted by a watershed, behind them connected parts of S1, behind those what is faint and apart."""
    vertebra = np.asarray(maps[VERTEBRA_CHANNEL], dtype=np.float64)
    s1 = np.asarray(maps[S1_CHANNEL], dtype=np.float64) if maps.shape[0] > S1_CHANNEL else np.zeros_like(vertebra)
    pieces = part_bodies(np.where(s1 > vertebra, 0, vertebra), points, threshold, _LEAST_PIECE_PX)[0]
    pieces = _with_parts(pieces, (s1 >= threshold) & (pieces == 0), _LEAST_PIECE_PX)
    apart = ~ndimage.binary_dilation(pieces > 0, iterations=_REACH_PX)
    return _halved(_with_parts(pieces, (np.maximum(vertebra, s1) >= FAINT) & apart, 3 * _LEAST_PIECE_PX))


def _with_parts(pieces: Labels, mask: NDArray[np.bool_], min_area_px: int) -> Labels:
    """Pieces, and the connected parts of a mask behind them."""
    parts, count = ndimage.label(mask)
    large = np.bincount(parts.ravel(), minlength=count + 1) >= min_area_px
    large[0] = False
    number = np.where(large, np.cumsum(large) + pieces.max(), 0)
    return np.where(parts > 0, number[parts], pieces).astype(np.int32)


def _halved(pieces: Labels) -> Labels:
    """Long pieces parted across their longer axis, where they are narrowest."""
    areas = np.bincount(pieces.ravel())[1:]
    if not len(areas):
        return pieces
    ordered = np.sort(areas)
    usual = ordered[np.searchsorted(np.cumsum(ordered), 0.5 * ordered.sum())]
    if len(areas) > 2:
        usual = min(usual, 1.15 * np.median(areas[areas >= 0.4 * usual]))
    result = pieces.copy()
    for number in np.flatnonzero(areas > _LARGE * usual) + 1:
        points = np.argwhere(pieces == number)
        spread, axes = np.linalg.eigh(np.cov(points.T))
        if spread[1] < _ELONGATED**2 * spread[0]:
            continue
        along = (points - points.mean(axis=0)) @ axes[:, 1]
        edges = np.linspace(along.min(), along.max() + 1e-9, max(int(np.ptp(along) / 2), 4) + 1)
        width, _ = np.histogram(along, edges)
        inner = np.arange(int(0.3 * len(width)), max(int(np.ceil(0.7 * len(width))), int(0.3 * len(width)) + 1))
        cut = edges[inner[np.argmin(width[inner])]] + 0.5 * (edges[1] - edges[0])
        beyond = points[along > cut]
        result[tuple(beyond.T)] = result.max() + 1
    return result


def _sums(pieces: Labels, count: int, maps: Array) -> Array:
    """What adds up over the pixels of each piece, (P, 12), and behind that the greatest probability of a centre."""
    x, y = np.nonzero(pieces)
    index = pieces[x, y] - 1
    values = [np.asarray(channel, dtype=np.float64)[x, y] for channel in maps]
    zeros = np.zeros(len(x))
    s1 = values[S1_CHANNEL] if len(values) > S1_CHANNEL else zeros
    bone = np.maximum(values[VERTEBRA_CHANNEL], s1)
    lumbar = values[LUMBAR_CHANNEL] if len(values) > LUMBAR_CHANNEL else zeros
    level = values[LEVEL_CHANNEL] / LEVEL_STEP - 0.5 if len(values) > LEVEL_CHANNEL else zeros
    one = np.ones(len(x))
    columns = [one, x, y, x * x, x * y, y * y, bone, s1, lumbar, level, bone * x, bone * y]
    sums = np.stack([np.bincount(index, weights=column, minlength=count) for column in columns], axis=1)
    peak = np.zeros(count)
    np.maximum.at(peak, index, values[CENTRE_CHANNEL])
    return np.column_stack([sums, peak])


def _second_centres(pieces: Labels, members: NDArray[np.bool_], points: Array, scores: Array) -> Array:
    at = np.clip(np.rint(points).astype(int), 0, np.array(pieces.shape) - 1)
    piece = pieces[tuple(at.T)]
    inside = np.where((piece > 0)[None], members[:, piece - 1] * np.asarray(scores)[None], 0.0)
    padded = np.pad(inside, ((0, 0), (2, 0)))
    return np.sort(padded, axis=1)[:, -2]


def _unions(pieces: Labels, count: int, areas: Array, peaks: Array) -> NDArray[np.bool_]:
    """Single pieces, and two or three that touch or nearly touch and are no larger than two bodies, (N, P)."""
    near = {(min(a, b), max(a, b)) for a, b in _neighbours(pieces)}
    strong = areas[peaks >= 0.5]
    usual = float(np.median(strong)) if len(strong) else float(np.median(areas))
    groups = {frozenset([i]) for i in range(count)}
    pairs = {frozenset(pair) for pair in near if areas[list(pair)].sum() < _LARGEST * usual}
    triples = {
        a | b for a, b in itertools.combinations(pairs, 2) if len(a & b) == 1 and areas[list(a | b)].sum() < 1.6 * usual
    }
    members = np.zeros((len(groups | pairs | triples), count), dtype=bool)
    for row, group in zip(members, sorted(groups | pairs | triples, key=sorted)):
        row[list(group)] = True
    return members


def _neighbours(pieces: Labels) -> set[tuple[int, int]]:
    """Pairs of pieces (from 0) with pixels at most two reaches apart."""
    places = np.argwhere(pieces > 0)
    low, high = np.maximum(places.min(axis=0) - _REACH_PX, 0), places.max(axis=0) + _REACH_PX + 1
    pieces = pieces[low[0] : high[0], low[1] : high[1]]
    distance, nearest = ndimage.distance_transform_edt(pieces == 0, return_indices=True)
    spread = np.where(distance <= _REACH_PX, pieces[tuple(nearest)], 0)
    pairs = set()
    for a, b in ((spread[1:], spread[:-1]), (spread[:, 1:], spread[:, :-1])):
        touch = (a != b) & (a > 0) & (b > 0)
        pairs |= set(zip((a[touch] - 1).tolist(), (b[touch] - 1).tolist()))
    return pairs


def _measured(
    pieces: Labels, members: NDArray[np.bool_], sums: Array, second: Array, channels: int, box: Array
) -> Candidates:
    total = members @ sums[:, :-1]
    area = total[:, 0]
    mean = total / area[:, None]
    middle = mean[:, 1:3]
    xx, xy, yy = mean[:, 3] - middle[:, 0] ** 2, mean[:, 4] - middle.prod(axis=1), mean[:, 5] - middle[:, 1] ** 2
    none = np.full(len(area), np.nan)
    return Candidates(
        pieces=pieces,
        members=members,
        area_px=area,
        centre_xy=total[:, 10:12] / total[:, 6:7],
        covariance=np.stack([xx, xy, xy, yy], axis=1).reshape(-1, 2, 2),
        bone=mean[:, 6],
        s1=mean[:, 7] if channels > S1_CHANNEL else none,
        lumbar=mean[:, 8] if channels > LUMBAR_CHANNEL else none,
        level=mean[:, 9] if channels > LEVEL_CHANNEL else none,
        peak=np.where(members, sums[:, -1], 0).max(axis=1),
        second=second,
        box=np.asarray(box, dtype=np.float64),
    )
