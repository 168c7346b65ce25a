"""How well predicted vertebral centres meet the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from cmnet_monai.conventions import BODY_LABELS


@dataclass(frozen=True)
class CentreMatch:
    """Pairs of predicted and true centres.

    Attributes:
        predicted: indices of the matched predicted centres, (K,).
        true: indices of the true centre of each, (K,).
        distances_px: their distances, (K,), in the unit of the points.
        missed: number of true centres without a partner.
        false: number of predicted centres without a partner.
    """

    predicted: NDArray[np.intp]
    true: NDArray[np.intp]
    distances_px: NDArray[np.float64]
    missed: int
    false: int

    @property
    def found(self) -> int:
        """Number of matched true centres."""
        return len(self.distances_px)

    @property
    def mean_error_px(self) -> float:
        """Mean distance of the matched centres; NaN without one."""
        return float(self.distances_px.mean()) if self.found else float("nan")


def _points(points_xy: ArrayLike, name: str) -> NDArray[np.float64]:
    points = np.asarray(points_xy, dtype=np.float64)
    points = points.reshape(0, 2) if points.size == 0 else points
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError(f"{name} must be finite points (N, 2) in (x, y) order, got shape {points.shape}")
    return points


def match_centres(predicted_xy: ArrayLike, true_xy: ArrayLike, max_distance_px: float | None = None) -> CentreMatch:
    """Pair centres one to one (Hungarian method): as many pairs as allowed, then the least total distance.

    Args:
        predicted_xy: predicted centres, (N, 2), (x, y) px.
        true_xy: true centres, (M, 2), same unit and origin.
        max_distance_px: pairs farther apart than this are not allowed; None allows every pair.

    Returns:
        The pairs in the order of the true centres, and what stayed alone.

    Raises:
        ValueError: the points are not finite (N, 2) arrays, or `max_distance_px` is negative.

    >>> found, truth = [[10, 52], [10, 99]], [[10, 50], [10, 70], [10, 102]]
    >>> match = match_centres(found, truth, max_distance_px=20)
    >>> match.distances_px.tolist()
    [2.0, 3.0]
    """
    predicted, true = _points(predicted_xy, "predicted_xy"), _points(true_xy, "true_xy")
    if max_distance_px is not None and max_distance_px < 0:
        raise ValueError(f"max_distance_px must not be negative, got {max_distance_px}")
    distances = np.linalg.norm(true[:, None] - predicted[None], axis=-1)
    allowed = distances <= (np.inf if max_distance_px is None else max_distance_px)
    # A forbidden pair costs more than all allowed ones together, so it never displaces one of them.
    forbidden = 1.0 + 2.0 * distances[allowed].max(initial=0.0) * (min(distances.shape) + 1)
    rows, columns = linear_sum_assignment(np.where(allowed, distances, forbidden))
    kept = allowed[rows, columns]
    rows, columns = rows[kept], columns[kept]
    return CentreMatch(columns, rows, distances[rows, columns], len(true) - len(rows), len(predicted) - len(rows))


def centre_error(predicted_xy: ArrayLike, true_xy: ArrayLike, max_distance_px: float | None = None) -> float:
    """Mean distance of a film's matched centres in px; NaN without a match. Arguments as in `match_centres`.

    >>> centre_error([[10, 52], [10, 99]], [[10, 50], [10, 102]])  # (2 + 3) / 2
    2.5
    """
    return match_centres(predicted_xy, true_xy, max_distance_px).mean_error_px


@dataclass(frozen=True)
class BodyHits:
    """Which vertebral bodies hold a predicted centre.

    Attributes:
        found: labels of the bodies that hold at least one.
        missed: labels of the bodies without one.
        outside: number of predicted centres in no body.
        surplus: number of predicted centres beyond the first in a body.
    """

    found: tuple[int, ...]
    missed: tuple[int, ...]
    outside: int
    surplus: int


def bodies_hit(predicted_xy: ArrayLike, label_map: ArrayLike, labels: Sequence[int] = BODY_LABELS) -> BodyHits:
    """Count a vertebra as found if a predicted centre lies inside its body (in the pixel that holds the point).

    Args:
        predicted_xy: predicted centres, (N, 2), (x, y) px of the label map.
        label_map: VerSe labels, (x, y).
        labels: the labels that count; others are background.

    Raises:
        ValueError: the points or the label map have the wrong shape.

    >>> labels = np.zeros((30, 60), dtype=np.uint8)  # (x, y)
    >>> labels[10:20, 5:15], labels[10:20, 25:35], labels[10:20, 45:55] = 22, 23, 24  # L3, L4, L5
    >>> bodies_hit([[15, 10], [14, 30], [16, 28], [2, 50]], labels)
    BodyHits(found=(22, 23), missed=(24,), outside=1, surplus=1)
    """
    points, label_array = _points(predicted_xy, "predicted_xy"), np.asarray(label_map)
    if label_array.ndim != 2:
        raise ValueError(f"label_map must be (x, y), got shape {label_array.shape}")
    present = [int(label) for label in np.unique(label_array) if label in labels]
    pixels = np.floor(points + 0.5).astype(np.intp)
    inside = ((pixels >= 0) & (pixels < label_array.shape)).all(axis=1)
    hits = [int(label_array[x, y]) for x, y in pixels[inside]]
    hits = [label for label in hits if label in present]
    found = tuple(label for label in present if label in hits)
    missed = tuple(label for label in present if label not in hits)
    return BodyHits(found, missed, outside=len(points) - len(hits), surplus=len(hits) - len(found))
