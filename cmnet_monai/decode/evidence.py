"""What speaks for a candidate, a step and a bend: numbers whose weighted sums are the scores of chains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmnet_monai.decode.candidates import Candidates
from cmnet_monai.decode.chain_model import LEVELS, STRIDES, Scores, Steps

Array = NDArray[np.floating]

_LONGEST, _SHORTEST = 4.5, 0.35
_STEEPEST_DEG = 75.0
_LUMBAR_GROUPS = ((1,), (2, 3, 4), (5,), (6,), (7,), tuple(range(8, LEVELS)))
"""Levels that share a weight of looking lumbar: L5, L4 to L2, L1, T12, T11, all above."""


@dataclass(frozen=True)
class Evidence:
    """Features of everything that chains are made of; the weights of each kind multiply its last axis.

    Args:
        steps: which candidates may follow each other.
        element: (N, LEVELS, A).
        start: (N, LEVELS, B).
        end: (N, LEVELS, C).
        step: (E, STRIDES, 2, D).
        bend: (P, STRIDES, STRIDES, 2, F).
    """

    steps: Steps
    element: Tensor
    start: Tensor
    end: Tensor
    step: Tensor
    bend: Tensor

    def scores(self, weights: dict[str, Tensor]) -> Scores:
        """Weighted sums; ``weights`` by the name of the kind, each (features,)."""
        return Scores(**{kind: getattr(self, kind) @ weights[kind] for kind in KINDS})


KINDS = ("element", "start", "end", "step", "bend")


def gather_evidence(found: Candidates) -> Evidence:
    """Features of a film's candidates, in units of the size of its usual body."""
    size = found.size_px()
    ends = _possible_steps(found, size)
    starts = np.searchsorted(ends[:, 0], np.arange(len(found) + 1))
    by_lower = [np.flatnonzero(ends[:, 1] == candidate) for candidate in range(len(found))]
    pairs = [
        (before, number)
        for candidate in range(len(found))
        for number in range(starts[candidate], starts[candidate + 1])
        for before in by_lower[candidate]
    ]
    pair_array = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    arrays = (
        _elements(found, size),
        _starts(found, size),
        _ends(found, size),
        _step_features(found, ends, size),
        _bends(found, ends, pair_array),
    )
    tensors = (torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)) for array in arrays)
    return Evidence(Steps(torch.from_numpy(ends), torch.from_numpy(pair_array)), *tensors)


def _possible_steps(found: Candidates, size: float) -> NDArray[np.int64]:
    delta = found.centre_xy[None] - found.centre_xy[:, None]
    length = np.linalg.norm(delta, axis=2)
    steep = np.abs(delta[..., 0]) <= np.tan(np.deg2rad(_STEEPEST_DEG)) * delta[..., 1]
    apart = found.members.astype(int) @ found.members.T.astype(int) == 0
    fits = (delta[..., 1] > 0) & steep & apart & (length >= _SHORTEST * size) & (length <= _LONGEST * size)
    return np.argwhere(fits).astype(np.int64).reshape(-1, 2)


def _log_odds(probability: Array, most: float = 4.0) -> Array:
    kept = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.clip(np.log(kept / (1 - kept)), -most, most)


def _capped(squares: Array, most: float) -> Array:
    """Squares that stop to grow: one bad measure must not decide alone."""
    return np.minimum(squares, most)


def _at(levels: tuple[int, ...], values: Array) -> Array:
    """Values (N,) at some levels, 0 at the others, (N, LEVELS)."""
    result = np.zeros((len(values), LEVELS))
    result[:, list(levels)] = values[:, None]
    return result


_S1, _BODIES = (0,), tuple(range(1, LEVELS))


def _elements(found: Candidates, size: float) -> Array:
    area = np.log(found.area_px / size**2)
    # Bodies grow downwards, by 4 % of area a level at most.
    centre, bone = _log_odds(found.peak), _log_odds(found.bone)
    two = np.maximum(found.peaks - 1, 0).astype(float)
    none = (found.peaks == 0).astype(float)
    determinant = np.maximum(np.linalg.det(found.covariance), 1.0)
    fill = np.log(found.area_px / (12 * np.sqrt(determinant)))
    spread = np.linalg.eigvalsh(found.covariance)
    long = 0.5 * np.log(np.maximum(spread[:, 1], 1.0) / np.maximum(spread[:, 0], 1.0))
    one = np.ones(len(found))
    columns = []
    for levels in (_BODIES, _S1):
        columns += [_at(levels, v) for v in (one, centre, bone, area, _capped(area**2, 2.0), two, none)]
        columns += [_at(levels, v) for v in (np.minimum(area + 0.8, 0), fill, long, _capped(long**2, 1.0))]
    if np.isfinite(found.s1).all():
        sacral = _log_odds(found.s1 / np.maximum(found.bone, 1e-6))
    else:
        sacral = np.zeros(len(found))
    lumbar = np.zeros(len(found))
    if np.isfinite(found.lumbar).all():
        lumbar = _log_odds(found.lumbar / np.maximum(found.bone, 1e-6), 3.0)
    columns += [_at(_S1, sacral), _at((1,), sacral), _at(_BODIES[1:], sacral)]
    columns += [_at(_S1, lumbar), *(_at(group, lumbar) for group in _LUMBAR_GROUPS)]
    columns += [_at(group, one) for group in _LUMBAR_GROUPS[2:]]
    levels_away = np.zeros((len(found), LEVELS))
    if np.isfinite(found.level).all():
        levels_away = _capped((found.level[:, None] - np.arange(LEVELS)) ** 2, 9.0)
    columns += [levels_away, np.minimum(levels_away, 1.0)]
    return np.stack(columns, axis=2)


def _room(found: Candidates, size: float, below: bool) -> Array:
    """Distance from a candidate to the film's lower or upper edge, in body sizes, 0 to 4."""
    edge = found.box[1, 1] - found.centre_xy[:, 1] if below else found.centre_xy[:, 1] - found.box[0, 1]
    return np.clip(edge / size - 0.5, 0, 4)


def _starts(found: Candidates, size: float) -> Array:
    room, one = _room(found, size, below=False), np.ones(len(found))
    columns = [_at(_BODIES, v) for v in (one, np.minimum(room, 1.0), room)]
    columns += [_at(tuple(range(1, 6)), v) for v in (one, room)] + [_at(_S1, one)]
    columns += [_at((level,), one) for level in (5, 6, 7)]
    return np.stack(columns, axis=2)


def _ends(found: Candidates, size: float) -> Array:
    room, one = _room(found, size, below=True), np.ones(len(found))
    columns = [_at(_S1, one), _at(_S1, room)]
    columns += [_at(_BODIES, v) for v in (one, np.minimum(room, 1.0), room)]
    columns += [_at((1,), v) for v in (one, room)] + [_at((2,), one)]
    return np.stack(columns, axis=2)


def _extents(covariance: Array, direction: Array) -> Array:
    """Height along a direction of the rectangle with a covariance: the square root of twelve times the variance."""
    return np.sqrt(12 * np.maximum(np.einsum("ni,nij,nj->n", direction, covariance, direction), 1.0))


def _step_features(found: Candidates, ends: NDArray[np.int64], size: float) -> Array:
    upper, lower = ends.T
    delta = found.centre_xy[lower] - found.centre_xy[upper]
    length = np.linalg.norm(delta, axis=1)
    along = delta / length[:, None]
    across = along[:, ::-1] * (-1, 1)
    high = _extents(found.covariance[upper], along), _extents(found.covariance[lower], along)
    wide = _extents(found.covariance[upper], across), _extents(found.covariance[lower], across)
    area = np.log(found.area_px[lower] / found.area_px[upper])
    width = np.log(wide[1] / wide[0])
    tilt = np.arctan2(delta[:, 0], delta[:, 1])
    one = np.ones(len(ends))
    result = []
    for stride in range(1, STRIDES + 1):
        by_size = np.log(length / (stride * size))
        by_height = np.log(length / (stride * 0.5 * (high[0] + high[1])))
        by_width = np.log(length / (stride * 0.5 * (wide[0] + wide[1])))
        measures = [f for z in (by_size, by_height, by_width) for f in (z, _capped(z**2, 0.5))]
        shapes = [area, _capped(area**2, 1.0), width, _capped(width**2, 0.5), _capped(tilt**2, 1.0)]
        passed = [one * (stride >= 2), one * (stride >= 3)]
        single = [v * (stride == 1) for v in measures]
        more = [v * (stride > 1) for v in measures]
        row = np.stack([*single, *more, *shapes, *passed], axis=1)
        empty = np.zeros_like(row)
        body, s1 = np.concatenate([row, empty], axis=1), np.concatenate([empty, row], axis=1)
        result.append(np.stack([body, s1], axis=1))
    return np.stack(result, axis=1)


def _bends(found: Candidates, ends: NDArray[np.int64], pairs: NDArray[np.int64]) -> Array:
    delta = found.centre_xy[ends[:, 1]] - found.centre_xy[ends[:, 0]]
    length, angle = np.linalg.norm(delta, axis=1), np.arctan2(delta[:, 0], delta[:, 1])
    turn = np.abs(angle[pairs[:, 1]] - angle[pairs[:, 0]])
    ratio = np.log(length[pairs[:, 1]] / length[pairs[:, 0]])
    stride = np.arange(1, STRIDES + 1)
    growth = ratio[:, None, None] - np.log(stride[None, None, :] / stride[None, :, None])
    shape = growth.shape
    turn = np.broadcast_to(turn[:, None, None], shape)
    row = np.stack([_capped(turn**2, 0.5), turn, growth, _capped(growth**2, 0.5)], axis=-1)
    empty = np.zeros_like(row)
    body, s1 = np.concatenate([row, empty], axis=-1), np.concatenate([empty, row], axis=-1)
    return np.stack([body, s1], axis=3)
