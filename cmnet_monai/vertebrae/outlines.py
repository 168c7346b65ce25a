"""The outline of a body as a closed line of sub-pixel points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

Array = NDArray[np.floating]

MIN_AREA_PX = 40
"""Smaller regions have no end plates and walls that could be told apart."""


def region_outline(region: NDArray, smoothing_px: float = 1.0) -> Array:
    """Outline of a binary region, its holes filled, its largest part alone.

    The staircase of pixel borders is smoothed with a Gaussian before the half-way line is traced, which leaves a straight
    border where it is and rounds a corner a little.

    Args:
        region: (x, y), whatever is not zero is inside.
        smoothing_px: standard deviation of the Gaussian; less is taken for a narrow region.
    Returns:
        Points (N, 2) as (x, y) px, pixel-centre origin, clockwise as seen on the film; the last is not the first again.
    Raises:
        ValueError: the region does not have two axes, or its largest part has fewer than `MIN_AREA_PX` pixels.
    """
    if region.ndim != 2:
        raise ValueError(f"a region has shape (x, y); got {region.shape}")
    inside, origin = _largest_part(np.asarray(region) != 0)
    area = int(inside.sum())
    if area < MIN_AREA_PX:
        raise ValueError(f"the region has {area} pixels in one piece; a body's outline needs at least {MIN_AREA_PX}")
    depth = float(ndimage.distance_transform_edt(inside).max())
    sigma = min(smoothing_px, 0.05 * depth)
    soft = ndimage.gaussian_filter(inside.astype(np.float64), sigma) if sigma > 0 else inside.astype(np.float64)
    line = max(find_contours(soft, 0.5), key=len)[:-1]
    x, y = line.T
    if float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) < 0:
        line = line[::-1]
    return np.asarray(line + origin, dtype=np.float64)


def _largest_part(inside: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Array]:
    """The largest connected part, its holes filled, in its box with a margin; and the place of the box's first pixel."""
    margin = 4
    box = _bounds(inside)
    if box is None:
        return np.zeros((1, 1), dtype=bool), np.zeros(2)
    parts, count = ndimage.label(np.pad(inside[box], margin))
    if count > 1:
        parts = parts == int(np.argmax(np.bincount(parts.ravel())[1:])) + 1
    origin = np.array([s.start - margin for s in box], dtype=np.float64)
    return np.asarray(ndimage.binary_fill_holes(parts > 0)), origin


def _bounds(inside: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    found = ndimage.find_objects(inside.astype(np.int8))
    return found[0] if found else None
