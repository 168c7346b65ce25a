"""The vertebra map parted into single bodies."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.floating]
Labels = NDArray[np.int32]

_TO_SEED = 0.6
"""How much the distance to the nearest seed weighs against that to the border: without a waist, touching bodies part
midway between their seeds."""


def part_bodies(
    vertebra_map: Array, centres_xy: Array, threshold: float = 0.5, min_area_px: int = 60
) -> tuple[Labels, Array, NDArray[np.bool_]]:
    """One region a body: seeded watershed of the thresholded vertebra map, so that touching bodies part.

    A centre seeds the body it lies in; a centre outside every body is given up. A body of at least `min_area_px`
    without a centre keeps its region and gets its centroid as its centre.

    Args:
        vertebra_map: vertebra probabilities, (x, y), 0..1.
        centres_xy: centres (N, 2) as (x, y) in pixels of the map.
        threshold: least probability inside a body.
        min_area_px: smaller regions are dropped.
    Returns:
        Regions (x, y), 0 outside, 1..M inside; the centre of each region, (M, 2); and for each region whether a given
        centre seeded it, (M,).

    >>> vertebrae = np.zeros((40, 60))
    >>> vertebrae[10:30, 10:50] = 0.9  # two bodies that touch
    >>> regions, centres, seeded = part_bodies(vertebrae, np.array([[19.5, 19.5], [19.5, 39.5]]))
    >>> int(regions.max()), seeded.tolist(), bool(regions[20, 15] != regions[20, 45])
    (2, [True, True], True)
    """
    mask = np.asarray(vertebra_map) >= threshold
    seeds, seeded = _place_seeds(mask, np.asarray(centres_xy, dtype=np.float64).reshape(-1, 2))
    parts, _ = ndimage.label(mask)
    for component, box in enumerate(ndimage.find_objects(parts), start=1):
        inside = parts[box] == component
        if not seeds[box][inside].any():
            seeded.append(None)
            seeds[box][_deepest(inside)] = len(seeded)
    regions = _watershed(mask, seeds)
    return _renumber(regions, seeded, min_area_px)


def _place_seeds(mask: NDArray[np.bool_], centres: Array) -> tuple[Labels, list[Array | None]]:
    seeds = np.zeros(mask.shape, dtype=np.int32)
    seeded: list[Array | None] = []
    for centre in centres:
        x, y = (round(float(v)) for v in centre)
        if 0 <= x < mask.shape[0] and 0 <= y < mask.shape[1] and mask[x, y] and seeds[x, y] == 0:
            seeded.append(centre)
            seeds[x, y] = len(seeded)
    return seeds, seeded


def _deepest(inside: NDArray[np.bool_]) -> tuple[int, ...]:
    """The pixel farthest from the border of a region."""
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(depth)), depth.shape))


def _watershed(mask: NDArray[np.bool_], seeds: Labels) -> Labels:
    if not seeds.any():
        return np.zeros(mask.shape, dtype=np.int32)
    relief = _TO_SEED * ndimage.distance_transform_edt(seeds == 0) - ndimage.distance_transform_edt(mask)
    flooded = sitk.MorphologicalWatershedFromMarkers(
        sitk.GetImageFromArray(relief.astype(np.float32)),
        sitk.GetImageFromArray(seeds),
        markWatershedLine=False,
        fullyConnected=False,
    )
    return np.where(mask, sitk.GetArrayFromImage(flooded), 0).astype(np.int32)


def _renumber(regions: Labels, seeded: list[Array | None], min_area_px: int) -> tuple[Labels, Array, NDArray[np.bool_]]:
    renumbered = np.zeros_like(regions)
    centres: list[Array] = []
    from_seed: list[bool] = []
    for label, seed in enumerate(seeded, start=1):
        inside = regions == label
        if int(inside.sum()) < min_area_px:
            continue
        renumbered[inside] = len(centres) + 1
        centres.append(seed if seed is not None else np.argwhere(inside).mean(axis=0))
        from_seed.append(seed is not None)
    return renumbered, np.array(centres, dtype=np.float64).reshape(-1, 2), np.array(from_seed, dtype=bool)
