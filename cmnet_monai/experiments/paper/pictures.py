"""Small pictures of masks, kept with a measurement for the figures of the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cmnet_monai.io import atomic_write

MISSED, FALSE, RIGHT = (34, 211, 238), (255, 90, 60), (120, 220, 120)
"""Colours of true pixels outside the mask, of the mask outside the truth, and of both together."""


def save_picture(path: Path, image: Tensor, probabilities: Tensor, truth: NDArray[np.bool_]) -> None:
    """A film on the network's grid with what its mask has right, what it missed and what is false, as PNG.

    Args:
        path: the file.
        image: the film, (1, x, y), 0 to 1.
        probabilities: vertebra map on the same grid, (1, x, y).
        truth: true mask at the film's own size, (x, y).
    """
    from PIL import Image

    from cmnet_monai.transforms import ResizeWithPad

    grid = image.shape[1:]
    true = np.asarray(ResizeWithPad(grid, mode="nearest")(truth[None].astype(np.uint8)))[0] > 0
    mask = np.asarray(probabilities)[0] >= 0.5
    grey = np.clip(np.asarray(image)[0] * 255, 0, 255)
    colours = np.repeat(grey[..., None], 3, axis=2)
    for where, colour in ((true & ~mask, MISSED), (mask & ~true, FALSE), (mask & true, RIGHT)):
        colours[where] = 0.55 * colours[where] + 0.45 * np.array(colour)
    with atomic_write(path) as temporary:
        Image.fromarray(colours.transpose(1, 0, 2).astype(np.uint8)).save(temporary)
