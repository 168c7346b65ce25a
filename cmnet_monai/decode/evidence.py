"""What speaks for a candidate, a step and a bend: numbers whose weighted sums are the scores of chains."""

from __future__ import annotations

from collections.abc import Mapping
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
HIGHEST = 9
"""The level that the level channel gives to T9 and everything above."""
_GROUPS = {"L5": (1,), "L4-L2": (2, 3, 4), "L1": (5,), "T12": (6,), "T11": (7,), "upper": tuple(range(8, LEVELS))}
"""Levels that share a weight of looking lumbar."""


KINDS = ("element", "start", "end", "step", "bend")
Weights = Mapping[str, Mapping[str, float]]
"""A weight for each feature, by kind and name."""


@dataclass(frozen=True)
class Evidence:
    """Features of everything that chains are made of.

    Args:
        steps: which candidates may follow each other.
        names: of the features of each kind, in the order of its last axis.
        element: (N, LEVELS, A).
        start: (N, LEVELS, B).
        end: (N, LEVELS, C).
        step: (E, STRIDES, 2, D).
        bend: (P, STRIDES, STRIDES, 2, F).
    """

    steps: Steps
    names: Mapping[str, tuple[str, ...]]
    element: Tensor
    start: Tensor
    end: Tensor
    step: Tensor
    bend: Tensor

    def scores(self, weights: Weights) -> Scores:
        """Weighted sums of the features."""
        rows = {kind: torch.tensor([weights[kind][name] for name in self.names[kind]]) for kind in KINDS}
        return self.weighted(rows)

    def weighted(self, rows: Mapping[str, Tensor]) -> Scores:
        """The same with the weights of each kind in the order of ``names``."""
        return Scores(**{kind: getattr(self, kind) @ rows[kind] for kind in KINDS})


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
    features = {
        "element": _elements(found, size),
        "start": _starts(found, size),
        "end": _ends(found, size),
        "step": _step_features(found, ends, size),
        "bend": _bends(found, ends, pair_array),
    }
    names = {kind: tuple(values) for kind, values in features.items()}
    stacked = {
        kind: torch.from_numpy(np.stack(list(values.values()), axis=-1).astype(np.float32))
        for kind, values in features.items()
    }
    return Evidence(Steps(torch.from_numpy(ends), torch.from_numpy(pair_array)), names, **stacked)


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


def _elements(found: Candidates, size: float) -> dict[str, Array]:
    one, area = np.ones(len(found)), np.log(found.area_px / size**2)
    spread = np.maximum(np.linalg.eigvalsh(found.covariance), 1.0)
    long = 0.5 * np.log(spread[:, 1] / spread[:, 0])
    shape = {
        "any": one,
        "centre": _log_odds(found.peak),
        "bone": _log_odds(found.bone),
        "area": area,
        "area2": _capped(area**2, 2.0),
        "second centre": found.second,
        "sure second centre": np.maximum(found.second - 0.5, 0),
        "crumb": np.minimum(area + 0.8, 0),
        "fill": np.log(found.area_px / (12 * np.sqrt(spread.prod(axis=1)))),
        "long": long,
        "long2": _capped(long**2, 1.0),
    }
    columns = {f"body {name}": _at(_BODIES, value) for name, value in shape.items()}
    columns |= {f"S1 {name}": _at(_S1, value) for name, value in shape.items()}
    sacral, lumbar = _share(found.s1, found.bone, 4.0), _share(found.lumbar, found.bone, 3.0)
    columns |= {"S1 sacral": _at(_S1, sacral), "L5 sacral": _at((1,), sacral), "upper sacral": _at(_BODIES[1:], sacral)}
    seen = _sacrum_seen(found, size)
    for where, trust in (("whole", seen), ("part", 1 - seen)):
        columns[f"S1 lumbar {where}"] = _at(_S1, lumbar * trust)
        columns |= {f"{name} lumbar {where}": _at(levels, lumbar * trust) for name, levels in _GROUPS.items()}
    columns |= {f"{name} any": _at(levels, one) for name, levels in _GROUPS.items() if levels[0] >= 5}
    away: Array = np.zeros((len(found), LEVELS))
    if np.isfinite(found.level).all():
        away = _capped((found.level[:, None] - np.minimum(np.arange(LEVELS), HIGHEST)) ** 2, 9.0)
    return columns | {"level2": away, "level2 small": np.minimum(away, 1.0)}


def _sacrum_seen(found: Candidates, size: float) -> float:
    """How surely the film shows the sacrum, 0 to 1: networks judge what looks lumbar by it."""
    sacral = np.nan_to_num(found.s1) > 0.5 * found.bone
    inside = _room(found, size, below=True) > 0.2
    areas = found.area_px[sacral & inside]
    return float(np.clip(areas.max() / (0.5 * size**2), 0, 1)) if len(areas) else 0.0


def _share(part: Array, whole: Array, most: float) -> Array:
    """Log-odds of a part's share; 0 where it is not known."""
    return _log_odds(part / np.maximum(whole, 1e-6), most) if np.isfinite(part).all() else np.zeros(len(part))


def _room(found: Candidates, size: float, below: bool) -> Array:
    """Distance from a candidate to the film's lower or upper edge, in body sizes, 0 to 4."""
    edge = found.box[1, 1] - found.centre_xy[:, 1] if below else found.centre_xy[:, 1] - found.box[0, 1]
    return np.clip(edge / size - 0.5, 0, 4)


def _starts(found: Candidates, size: float) -> dict[str, Array]:
    room, one = _room(found, size, below=False), np.ones(len(found))
    return {
        "any": _at(_BODIES, one),
        "room to 1": _at(_BODIES, np.minimum(room, 1.0)),
        "room": _at(_BODIES, room),
        "lumbar": _at(tuple(range(1, 6)), one),
        "lumbar room": _at(tuple(range(1, 6)), room),
        "S1": _at(_S1, one),
        "L1": _at((5,), one),
        "T12": _at((6,), one),
        "T11": _at((7,), one),
    }


def _ends(found: Candidates, size: float) -> dict[str, Array]:
    room, one = _room(found, size, below=True), np.ones(len(found))
    return {
        "S1": _at(_S1, one),
        "S1 room": _at(_S1, room),
        "body": _at(_BODIES, one),
        "body room to 1": _at(_BODIES, np.minimum(room, 1.0)),
        "body room": _at(_BODIES, room),
        "L5": _at((1,), one),
        "L5 room": _at((1,), room),
        "L4": _at((2,), one),
    }


def _extents(covariance: Array, direction: Array) -> Array:
    """Height along a direction of the rectangle with a covariance: the square root of twelve times the variance."""
    return np.sqrt(12 * np.maximum(np.einsum("ni,nij,nj->n", direction, covariance, direction), 1.0))


def _step_features(found: Candidates, ends: NDArray[np.int64], size: float) -> dict[str, Array]:
    upper, lower = ends.T
    delta = found.centre_xy[lower] - found.centre_xy[upper]
    length = np.linalg.norm(delta, axis=1)
    along = delta / length[:, None]
    across = along[:, ::-1] * (-1, 1)
    high = [_extents(found.covariance[side], along) for side in (upper, lower)]
    wide = [_extents(found.covariance[side], across) for side in (upper, lower)]
    area, width = np.log(found.area_px[lower] / found.area_px[upper]), np.log(wide[1] / wide[0])
    tilt = np.arctan2(delta[:, 0], delta[:, 1])
    strides = np.arange(1, STRIDES + 1)
    units = {"size": np.full(len(ends), size), "height": 0.5 * (high[0] + high[1]), "width": 0.5 * (wide[0] + wide[1])}
    columns: dict[str, Array] = {}
    for name, unit in units.items():
        ratio = np.log(length[:, None] / (unit[:, None] * strides))
        for which, holds in (("one", strides == 1), ("more", strides > 1)):
            columns |= {f"{which} by {name}": ratio * holds, f"{which} by {name}2": _capped(ratio**2, 0.5) * holds}
    alone = {
        "area": area,
        "area2": _capped(area**2, 1.0),
        "width": width,
        "width2": _capped(width**2, 0.5),
        "tilt2": _capped(tilt**2, 1.0),
    }
    columns |= {name: np.repeat(value[:, None], STRIDES, axis=1) for name, value in alone.items()}
    columns |= {f"passes {n - 1}": np.broadcast_to(strides >= n, (len(ends), STRIDES)) for n in (2, 3)}
    return _to_body_or_s1(columns)


def _bends(found: Candidates, ends: NDArray[np.int64], pairs: NDArray[np.int64]) -> dict[str, Array]:
    delta = found.centre_xy[ends[:, 1]] - found.centre_xy[ends[:, 0]]
    length, angle = np.linalg.norm(delta, axis=1), np.arctan2(delta[:, 0], delta[:, 1])
    turn = np.abs(angle[pairs[:, 1]] - angle[pairs[:, 0]])
    ratio = np.log(length[pairs[:, 1]] / length[pairs[:, 0]])
    strides = np.arange(1, STRIDES + 1)
    growth = ratio[:, None, None] - np.log(strides[None, None, :] / strides[None, :, None])
    turn = np.broadcast_to(turn[:, None, None], growth.shape)
    return _to_body_or_s1(
        {"turn2": _capped(turn**2, 0.5), "turn": turn, "growth": growth, "growth2": _capped(growth**2, 0.5)}
    )


def _to_body_or_s1(columns: dict[str, Array]) -> dict[str, Array]:
    """Each feature twice, with a last axis: 0 for steps to a body, 1 for those to S1."""
    body = {f"body {name}": np.stack([v, np.zeros_like(v)], axis=-1) for name, v in columns.items()}
    return body | {f"S1 {name}": np.stack([np.zeros_like(v), v], axis=-1) for name, v in columns.items()}
