"""Bright, sharp-edged things inside the bodies: a hint at screws, rods, cages or cement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.transform import downscale_local_mean

from cmnet_monai.conventions import BODY_LABELS

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
    bodies = np.isin(label_map, BODY_LABELS)
    present = np.unique(label_map[bodies]).tolist()
    if not present:
        return {}
    size = float(np.sqrt(np.median([(label_map == label).sum() for label in present])))
    factor = max(int(size / _BODY_PX), 1)
    valid = np.ones(bodies.shape, dtype=bool) if valid_area is None else np.asarray(valid_area, dtype=bool)
    low, high = np.quantile(pixels[valid], (0.05, 0.95)) if valid.any() else (0.0, 0.0)
    contrast = max(float(high - low), 1e-12)
    grey = downscale_local_mean(pixels.astype(np.float64), (factor, factor))
    labels = label_map[factor // 2 :: factor, factor // 2 :: factor]
    grey = grey[: labels.shape[0], : labels.shape[1]]
    labels = labels[: grey.shape[0], : grey.shape[1]]
    body = size / factor
    width = int(0.3 * body) | 1
    inside = ndimage.binary_erosion(np.isin(labels, BODY_LABELS), iterations=max(1, int(0.12 * body)))
    box = ndimage.find_objects(inside.astype(np.int8))
    if not box:
        return {}
    window = tuple(slice(max(s.start - width, 0), s.stop + width) for s in box[0])
    grey, labels, inside = grey[window], labels[window], inside[window]
    stands_out = grey - ndimage.median_filter(grey, size=width)
    gradient = ndimage.gaussian_gradient_magnitude(grey, max(0.02 * body, 0.7))
    usual = max(float(np.median(np.abs(stands_out[inside]))), 1e-12)
    noise = 0.5 * float(np.median(gradient[inside]))  # about half of all places are brighter than their surroundings
    scores = {}
    for label in present:
        own = inside & (labels == label)
        if own.sum() < _LEAST_PX:
            continue
        top_hat = float(np.quantile(stands_out[own], 0.95)) / usual
        edge = (float((gradient[own] * (stands_out[own] > 0)).mean()) - noise) / contrast
        scores[label] = max(top_hat / _TOP_HAT_LIMIT, edge / _EDGE_LIMIT)
    return scores
