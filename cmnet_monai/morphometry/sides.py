"""The sides of bodies, end plates and walls, each as a chord and a shallow curve over it; many are fitted at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

PLATE_CURVE = (0.3, 0.03, 0.1)
WALL_CURVE = (0.04, 0.01, 0.01)
"""How large a side's three curve terms are expected to be, standard deviations as shares of the chord: end plates are
dished, walls are nearly straight."""

_NOISE_PX = 0.1
_NOISE_SHARE = 0.004
_TUKEY = 4.685
_ROUNDS = 12
_SETTLED_PX = 1e-4


def _normal(start: Array, end: Array) -> Array:
    """Unit vectors square to chords, into the body if the outline runs clockwise."""
    chord = end - start
    return np.stack([-chord[..., 1], chord[..., 0]], axis=-1) / np.linalg.norm(chord, axis=-1, keepdims=True)


def _along(points: Array, start: Array, end: Array) -> tuple[Array, Array]:
    """Position t of points (..., N, 2) along chords (..., 2), and their distance from them, (..., N)."""
    steps, chord = points - start[..., None, :], end - start
    length = np.linalg.norm(chord, axis=-1)[..., None]
    return 2 * (steps @ chord[..., None])[..., 0] / length**2 - 1, (steps @ _normal(start, end)[..., None])[..., 0]


def fit_sides(
    arcs: Sequence[Array], start: Array, end: Array, margin: Array, curve: Array
) -> tuple[Array, Array, Array]:
    """Fit sides to outlines between two corners each, both ends left out, so that rounded corners and spurs do not
    count.

    Along the chord t runs from -1 to 1; the border's distance from it is ``offset`` + ``tilt`` t + the curve, whose
    terms (1 - t²), t (1 - t²) and t² (1 - t²) vanish at the corners. Points that stand out are weighted down (Tukey's
    biweight); the curve's higher terms are held back by a prior (ridge), so that a short or rough side stays straight.

    Args:
        arcs: outline points of each of S sides, (N, 2), clockwise; N need not be the same.
        start: corners where the sides begin, t = -1, (S, 2).
        end: corners where they end, t = 1.
        margin: lengths at either end that are left out, same unit, (S,).
        curve: `PLATE_CURVE` or `WALL_CURVE` of each, (S, 3).
    Returns:
        The chords' beginnings and ends moved onto the fitted border, (S, 2) each, and the root mean square distances of
        the outlines from the fits, the outliers left out, (S,).
    """
    there = np.arange(max(len(arc) for arc in arcs)) < np.array([[len(arc)] for arc in arcs])
    points = np.zeros((*there.shape, 2))
    points[there] = np.concatenate(arcs)
    length = np.linalg.norm(end - start, axis=1)
    t, d = _along(points, start, end)
    kept = there & (np.abs(t) <= (1 - 2 * np.minimum(margin / length, 0.3))[:, None])
    kept = np.where(kept.sum(axis=1, keepdims=True) < 4, there, kept)
    t = np.where(kept, t, 0.0)
    rise = 1 - t * t
    design = np.stack([np.ones_like(t), t, rise, t * rise, t * t * rise], axis=2)
    noise = _NOISE_PX + _NOISE_SHARE * length
    ridge = np.zeros((len(arcs), 5, 5))
    ridge[:, range(5), range(5)] = np.hstack([np.full((len(arcs), 2), 1e-9), (noise / length / curve.T).T ** 2])
    count = kept.sum(axis=1, keepdims=True)
    middle = np.concatenate([(count - 1) // 2, count // 2], axis=1)
    weights, terms, miss = kept.astype(np.float64), np.full((len(arcs), 5), np.inf), d
    for _ in range(_ROUNDS):
        weighted = (design * weights[:, :, None]).swapaxes(1, 2)
        before, terms = terms, np.linalg.solve(weighted @ design + ridge, weighted @ d[:, :, None])[..., 0]
        miss = d - (design @ terms[:, :, None])[..., 0]
        ordered = np.sort(np.where(kept, np.abs(miss), np.inf), axis=1)
        median = np.take_along_axis(ordered, middle, axis=1).mean(axis=1)
        scale = np.maximum(1.4826 * median, 0.2 * noise)[:, None]
        weights = kept * np.maximum(1 - (miss / (_TUKEY * scale)) ** 2, 0) ** 2
        if float(np.abs(terms - before).max()) < _SETTLED_PX:
            break
    residual = np.sqrt(np.sum(weights * miss**2, axis=1) / np.maximum(weights.sum(axis=1), 1e-9))
    normal, offset, tilt = _normal(start, end), terms[:, :1], terms[:, 1:2]
    return start + (offset - tilt) * normal, end + (offset + tilt) * normal, residual


def side_middle(points: Array, start: Array, end: Array) -> Array:
    """Point of the border over the middle of the chord: the median distance of the outline there, (2,)."""
    t, d = _along(points, start, end)
    near = np.abs(t) <= max(0.15, float(np.sort(np.abs(t))[min(4, len(t) - 1)]))
    return 0.5 * (start + end) + float(np.median(d[near])) * _normal(start, end)


def crossings(first: tuple[Array, Array], second: tuple[Array, Array]) -> Array:
    """Where lines, each through two points (S, 2), meet, (S, 2); NaN if they are almost parallel (under 5 degrees)."""
    a, b, gap = first[1] - first[0], second[1] - second[0], second[0] - first[0]
    turn = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    parallel = np.abs(turn) < 0.087 * np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    share = (gap[:, 0] * b[:, 1] - gap[:, 1] * b[:, 0]) / np.where(parallel, np.nan, turn)
    return first[0] + a * share[:, None]
