"""Vertebral centres from the network's centre map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max

Array = NDArray[np.floating]


def find_centres(
    centre_map: Array, threshold: float = 0.3, min_distance_px: int = 8, smoothing_px: float = 2.0
) -> tuple[Array, Array]:
    """Peaks of a centre map with sub-pixel positions.

    The map is smoothed first, since a network trained with Dice saturates into plateaus whose middle is the centre.

    Args:
        centre_map: centre probabilities, (x, y), 0..1.
        threshold: least smoothed probability of a peak.
        min_distance_px: least distance between two peaks.
        smoothing_px: standard deviation of the Gaussian; 0 leaves the map as it is.
    Returns:
        Points (N, 2) as (x, y) in pixels, pixel-centre origin, highest first, and their probabilities (N,), taken as
        the maximum of the unsmoothed map beside the peak.
    Raises:
        ValueError: the map does not have two axes.

    >>> x, y = np.mgrid[0:40, 0:60]
    >>> points, scores = find_centres(np.exp(-((x - 15.3) ** 2 + (y - 30.0) ** 2) / 50))
    >>> points.round(1).tolist()
    [[15.3, 30.0]]
    """
    if centre_map.ndim != 2:
        raise ValueError(f"a centre map has shape (x, y); got {centre_map.shape}")
    smooth = ndimage.gaussian_filter(centre_map.astype(np.float64), smoothing_px) if smoothing_px > 0 else centre_map
    peaks = peak_local_max(smooth, min_distance=min_distance_px, threshold_abs=threshold, exclude_border=False)
    points = np.array([_refine(smooth, int(x), int(y)) for x, y in peaks], dtype=np.float64).reshape(-1, 2)
    scores = np.array([_score(centre_map, int(x), int(y)) for x, y in peaks], dtype=np.float64)
    return points, scores


def _refine(smooth: Array, x: int, y: int) -> tuple[float, float]:
    """Vertex of the parabola through a peak and its neighbours, along each axis."""
    return x + _vertex_offset(smooth[:, y], x), y + _vertex_offset(smooth[x, :], y)


def _vertex_offset(line: Array, i: int) -> float:
    if i == 0 or i == len(line) - 1:
        return 0.0
    before, here, after = (float(v) for v in line[i - 1 : i + 2])
    curvature = before - 2 * here + after
    return float(np.clip(0.5 * (before - after) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0


def _score(centre_map: Array, x: int, y: int) -> float:
    return float(centre_map[max(x - 1, 0) : x + 2, max(y - 1, 0) : y + 2].max())


class CentrePeaks:
    """Peaks of a film's centre map as points, for metrics that compare maps by their centres.

    Args:
        threshold: see `find_centres`.
        min_distance_px: see `find_centres`.

    >>> x, y = np.mgrid[0:40, 0:80]
    >>> centre_map = sum(np.exp(-((x - 15.3) ** 2 + (y - row) ** 2) / 50) for row in (20, 60))
    >>> sorted(CentrePeaks()(centre_map[None]).round(1).tolist())
    [[15.3, 20.0], [15.3, 60.0]]
    """

    def __init__(self, threshold: float = 0.3, min_distance_px: int = 8) -> None:
        self.threshold = threshold
        self.min_distance_px = min_distance_px

    def __call__(self, centre_map: Any) -> Array:
        """Points (N, 2), (x, y) px, of a map (1, x, y)."""
        return find_centres(np.asarray(centre_map)[0], self.threshold, self.min_distance_px)[0]
