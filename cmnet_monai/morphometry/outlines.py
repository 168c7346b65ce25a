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

    The staircase of pixel borders is smoothed with a Gaussian before the half-way line is traced, which leaves a
    straight border where it is and rounds a corner a little.

    Args:
        region: (x, y), whatever is not zero is inside.
        smoothing_px: standard deviation of the Gaussian; less is taken for a narrow region.
    Returns:
        Points (N, 2) as (x, y) px, pixel-centre origin, clockwise as seen on the film; the last is not the first again.
    Raises:
        ValueError: the region does not have two axes, or its largest part has fewer than `MIN_AREA_PX` pixels.

    >>> region = np.zeros((40, 60), dtype=bool)
    >>> region[10:30, 20:40] = True  # pixels 10 to 29 and 20 to 39: their borders are half a pixel farther out
    >>> outline = region_outline(region)
    >>> outline.min(axis=0).round(1).tolist(), outline.max(axis=0).round(1).tolist()
    ([9.5, 19.5], [29.5, 39.5])
    """
    if region.ndim != 2:
        raise ValueError(f"a region has shape (x, y); got {region.shape}")
    inside, origin = _largest_part(np.asarray(region) != 0)
    area = int(inside.sum())
    if area < MIN_AREA_PX:
        raise ValueError(f"the region has {area} pixels in one piece; a body's outline needs at least {MIN_AREA_PX}")
    depth = float(ndimage.distance_transform_cdt(inside).max())
    if (
        0.05 * depth < smoothing_px
    ):  # the chessboard's distance is never more than Euclid's, which takes ten times as long
        depth = float(ndimage.distance_transform_edt(inside).max())
    sigma = min(smoothing_px, 0.05 * depth)
    soft = ndimage.gaussian_filter(inside.astype(np.float64), sigma) if sigma > 0 else inside.astype(np.float64)
    return clockwise(max(find_contours(soft, 0.5), key=len)[:-1] + origin)


def polygon_outline(vertices_xy_px: Array, step_px: float = 1.0) -> Array:
    """Outline of a polygon: points on its edges, evenly spaced.

    Args:
        vertices_xy_px: (N, 2), (x, y) px, in either sense; the last need not be the first again.
        step_px: distance of the points, about.
    Returns:
        Points (M, 2), clockwise as seen on the film.
    Raises:
        ValueError: there are fewer than three vertices.

    >>> outline = polygon_outline([[10, 20], [10, 40], [50, 40], [50, 20]])  # given against the clock, 120 px around
    >>> outline.shape, outline[:2].tolist()  # to the right along the upper edge
    ((120, 2), [[11.0, 20.0], [12.0, 20.0]])
    """
    corners = np.asarray(vertices_xy_px, dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise ValueError(f"a polygon has at least 3 vertices (x, y); got shape {corners.shape}")
    closed = np.concatenate([corners, corners[:1]])
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0, way[-1], max(int(way[-1] / step_px), 8), endpoint=False)
    return clockwise(np.stack([np.interp(at, way, closed[:, axis]) for axis in (0, 1)], axis=1))


def clockwise(line: Array) -> Array:
    """A closed line in the sense of the clock as seen on the film (y runs down)."""
    x, y = np.asarray(line, dtype=np.float64).T
    turned = float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) < 0
    return np.asarray(line[::-1] if turned else line, dtype=np.float64)


def _largest_part(inside: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Array]:
    """The largest connected part, its holes filled, in its box with a margin; and the box's first pixel."""
    margin = 4
    box = _bounds(inside)
    if box is None:
        return np.zeros((1, 1), dtype=bool), np.zeros(2)
    parts, count = ndimage.label(np.pad(inside[box], margin))
    if count > 1:
        parts = parts == int(np.argmax(np.bincount(parts.ravel())[1:])) + 1
    origin = np.array([s.start - margin for s in box], dtype=np.float64)
    outside, _ = ndimage.label(parts == 0)
    return outside != outside[0, 0], origin


def _bounds(inside: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    found = ndimage.find_objects(inside.astype(np.int8))
    return found[0] if found else None
