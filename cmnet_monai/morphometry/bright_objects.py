"""Bright, sharp-edged things inside the bodies: a hint at screws, rods, cages or cement."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage
from skimage.transform import downscale_local_mean

from cmnet_monai.conventions import S1_LABEL
from cmnet_monai.morphometry.spine import Region, find_regions, shown_area

_BODY_PX = 40
"""Size of a body, square root of its area, on the grid that is looked at."""
_TOP_HAT_LIMIT = 6.0
_EDGE_LIMIT = 0.007
_LEAST_PX = 30


def bright_object_scores(
    pixels: NDArray, label_map: NDArray[np.integer], valid_area: NDArray[np.bool_] | None = None
) -> dict[int, float]:
    """How much a body looks as if metal or cement lay in it, about 1 and more where it does.

    The greater of two figures, each over a limit that was chosen on synthetic films:

    - how far the brightest 5 % of the body's inside stand out from their surroundings (a median filter a third of a
      body wide), divided by the median of that over all bodies: thin metal;
    - the gradient at places brighter than their surroundings, above what noise gives, divided by the film's range of
      grey values: the ragged border of cement, which is too broad for the first.

    Args:
        pixels: linear pixel values, (x, y), bone bright.
        label_map: (x, y), VerSe codes; S1 is left out, since the iliac wings overlie it.
        valid_area: (x, y), False where there is no film.
    Returns:
        Scores by label; bodies too small to say are left out.

    >>> labels = np.zeros((80, 150), dtype=np.uint8)
    >>> labels[20:60, 10:50], labels[20:60, 55:95], labels[20:60, 100:140] = 22, 23, 24  # L3, L4, L5
    >>> film = np.random.default_rng(0).normal(500.0, 10.0, labels.shape) + 300 * (labels > 0)
    >>> film[25:55, 74:77] += 800  # a rod in L4
    >>> {label: score > 1 for label, score in bright_object_scores(film, labels).items()}
    {22: False, 23: True, 24: False}
    """
    regions = {label: region for label, region in find_regions(label_map).items() if label != S1_LABEL}
    if not regions:
        return {}
    size = float(np.sqrt(np.median([region.area_px for region in regions.values()])))
    factor = max(int(size / _BODY_PX), 1)
    body = size / factor
    width = int(0.3 * body) | 1
    sample = pixels[::factor, ::factor][shown_area(valid_area, label_map)[::factor, ::factor]]
    low, high = np.quantile(sample, (0.05, 0.95)) if sample.size else (0.0, 0.0)
    grey, labels = _around(pixels, label_map, regions.values(), factor, width)
    inside = ndimage.binary_erosion(np.isin(labels, list(regions)), iterations=max(1, int(0.12 * body)))
    if not inside.any():
        return {}
    stands_out = grey[inside] - _medians(grey, inside, width)
    gradient = ndimage.gaussian_gradient_magnitude(grey, max(0.02 * body, 0.7))[inside]
    usual = max(float(np.median(np.abs(stands_out))), 1e-12)
    noise = 0.5 * float(np.median(gradient))  # about half of all places are brighter than their surroundings
    scores = {}
    for label in regions:
        own = labels[inside] == label
        if own.sum() < _LEAST_PX:
            continue
        top_hat = float(np.quantile(stands_out[own], 0.95)) / usual
        edge = (float((gradient[own] * (stands_out[own] > 0)).mean()) - noise) / max(float(high - low), 1e-12)
        scores[label] = max(top_hat / _TOP_HAT_LIMIT, edge / _EDGE_LIMIT)
    return scores


def _around(
    pixels: NDArray, label_map: NDArray, regions: Iterable[Region], factor: int, margin: int
) -> tuple[NDArray[np.float64], NDArray]:
    """Film and label map around some bodies, both smaller by a whole factor; the margin counts on that grid."""
    spans = zip(*(region.box for region in regions))
    edges = ((min(part.start for part in span), max(part.stop for part in span)) for span in spans)
    window = tuple(slice(max(a // factor - margin, 0) * factor, (b // factor + margin + 1) * factor) for a, b in edges)
    grey = downscale_local_mean(pixels[window].astype(np.float64), (factor, factor))
    labels = label_map[window][factor // 2 :: factor, factor // 2 :: factor]
    return grey[: labels.shape[0], : labels.shape[1]], labels


def _medians(grey: NDArray[np.float64], at: NDArray[np.bool_], width: int) -> NDArray[np.float64]:
    """Medians of the square windows, of an odd width, around some pixels of a film, (N,)."""
    padded = np.pad(grey.astype(np.float32), width // 2, mode="symmetric")
    windows, middle = sliding_window_view(padded, (width, width)), width * width // 2
    places = np.argwhere(at)
    return np.concatenate(
        [  # some at a time: a window has up to some hundreds of pixels
            np.partition(windows[part[:, 0], part[:, 1]].reshape(len(part), -1), middle, axis=1)[:, middle]
            for part in np.array_split(places, len(places) // 4096 + 1)
        ]
    )
