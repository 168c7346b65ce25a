"""Small pictures of masks, kept with a measurement for the figures of the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cmnet_monai.io import atomic_write

MISSED, FALSE, RIGHT = (34, 211, 238), (255, 90, 60), (120, 220, 120)
"""Colours of true pixels outside the mask, of the mask outside the truth, and of both together."""


def save_picture(path: Path, film: Tensor, probabilities: Tensor, truth: NDArray[np.bool_], height: int) -> None:
    """A film with what its mask has right, what it missed and what is false, as PNG.

    All three are at the film's own size: the network's grid need not hold all of the film, whose borders are cut off.

    Args:
        path: the file.
        film: (1, x, y), 0 to 1.
        probabilities: vertebra map, (1, x, y).
        truth: true mask, (x, y).
        height: rows of the picture.
    """
    from PIL import Image

    mask = np.asarray(probabilities)[0] >= 0.5
    grey = np.clip(np.asarray(film)[0] * 255, 0, 255)
    colours = np.repeat(grey[..., None], 3, axis=2)
    for where, colour in ((truth & ~mask, MISSED), (mask & ~truth, FALSE), (mask & truth, RIGHT)):
        colours[where] = 0.55 * colours[where] + 0.45 * np.array(colour)
    picture = Image.fromarray(colours.transpose(1, 0, 2).astype(np.uint8))
    size = (max(1, round(picture.width * height / picture.height)), height)
    with atomic_write(path) as temporary:
        picture.resize(size, Image.Resampling.BOX).save(temporary)
