"""One side of a body, end plate or wall, as a chord and a shallow curve over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

PLATE_CURVE = (0.3, 0.03, 0.1)
WALL_CURVE = (0.04, 0.01, 0.01)
"""End plates are dished, walls are nearly straight."""

_NOISE_PX = 0.1
_NOISE_SHARE = 0.004
_TUKEY = 4.685
_ROUNDS = 12


@dataclass(frozen=True)
class Side:
    """A side between two corners: the chord, and how far the border lies inside of it.

    Along the chord t runs from -1 to 1; the border's distance from it is ``offset`` + ``tilt`` t + the curve, whose
    terms (1 - t²), t (1 - t²) and t² (1 - t²) vanish at the corners.

    Args:
        start: the corner at t = -1, (2,).
        end: the corner at t = 1, (2,).
        terms: offset, tilt and the curve's terms.
        residual: root mean square distance of the border from the fit, the outliers left out.
    """

    start: Array
    end: Array
    terms: Array
    residual: float

    @property
    def normal(self) -> Array:
        """Unit vector square to the chord, into the body if the outline runs clockwise."""
        return _normal(self.start, self.end)

    @property
    def ends(self) -> tuple[Array, Array]:
        """The chord's ends moved onto the fitted border."""
        offset, tilt = float(self.terms[0]), float(self.terms[1])
        return self.start + (offset - tilt) * self.normal, self.end + (offset + tilt) * self.normal


def _normal(start: Array, end: Array) -> Array:
    along = (end - start) / np.linalg.norm(end - start)
    return np.array([-along[1], along[0]])


def _along(points: Array, start: Array, end: Array) -> tuple[Array, Array]:
    """Position t of points along a chord, and their distance from it."""
    chord = end - start
    length = float(np.linalg.norm(chord))
    t = 2 * ((points - start) @ chord) / length**2 - 1
    return t, (points - start) @ _normal(start, end)


def fit_side(
    points: Array, start: Array, end: Array, margin: float, curve: tuple[float, float, float] = PLATE_CURVE
) -> Side:
    """Fit a side to the outline between two corners, both ends left out, so that rounded corners and spurs do not
    count.

    Points that stand out are weighted down (Tukey's biweight); the curve's higher terms are held back by a prior
    (ridge), so that a short or rough side stays straight.

    Args:
        points: outline points of the side, (N, 2).
        start: corner where the side begins, (2,).
        end: corner where it ends.
        margin: length at either end that is left out, same unit.
        curve: how large the curve's three terms are expected to be, standard deviations as shares of the chord.
    """
    length = float(np.linalg.norm(end - start))
    t, d = _along(points, start, end)
    reach = 1 - 2 * min(margin / length, 0.3)
    kept = np.abs(t) <= reach
    if kept.sum() < 4:
        kept = np.ones(len(t), dtype=bool)
    t, d = t[kept], d[kept]
    rise = 1 - t * t
    design = np.stack([np.ones_like(t), t, rise, t * rise, t * t * rise], axis=1)
    prior_sd = np.array([np.inf, np.inf, *curve]) * length
    noise = _NOISE_PX + _NOISE_SHARE * length
    ridge = np.diag((noise / prior_sd) ** 2)
    weights: Array = np.ones_like(t)
    terms: Array = np.zeros(5)
    miss = d
    for _ in range(_ROUNDS):
        weighted = design * weights[:, None]
        terms = np.linalg.lstsq(weighted.T @ design + ridge, weighted.T @ d, rcond=None)[0]
        miss = d - design @ terms
        scale = max(1.4826 * float(np.median(np.abs(miss))), 0.2 * noise)
        weights = np.clip(1 - (miss / (_TUKEY * scale)) ** 2, 0, None) ** 2
    residual = float(np.sqrt(np.sum(weights * miss**2) / max(float(weights.sum()), 1e-9)))
    return Side(start, end, terms, residual)


def side_middle(points: Array, start: Array, end: Array) -> Array:
    """Point of the border over the middle of the chord: the median distance of the outline there, (2,)."""
    t, d = _along(points, start, end)
    order = np.argsort(np.abs(t))
    near = np.abs(t) <= max(0.15, float(np.abs(t[order[min(4, len(t) - 1)]])))
    return 0.5 * (start + end) + float(np.median(d[near])) * _normal(start, end)


def cross(first: tuple[Array, Array], second: tuple[Array, Array]) -> Array | None:
    """Where two lines, each through two points, meet, (2,); None if they are almost parallel (under 5 degrees)."""
    a, b = first[1] - first[0], second[1] - second[0]
    turn = float(a[0] * b[1] - a[1] * b[0])
    if abs(turn) < 0.087 * float(np.linalg.norm(a) * np.linalg.norm(b)):
        return None
    gap = second[0] - first[0]
    return first[0] + a * float(gap[0] * b[1] - gap[1] * b[0]) / turn
