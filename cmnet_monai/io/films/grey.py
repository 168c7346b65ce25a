"""Colour films whose channels agree become grey; real colour is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmnet_monai.io.errors import FilmError

if TYPE_CHECKING:
    from pathlib import Path

CHANNEL_TOLERANCE = 8 / 255
"""Largest difference between two channels of one pixel, as a fraction of the range, that still counts as grey.

A grey film stored as lossy JPEG in YCbCr comes back with channels a few levels apart.
"""


def grey_from_rgb(rgb: np.ndarray, highest: int, path: Path) -> np.ndarray:
    """The one grey channel of (row, column, 3) values between 0 and `highest`.

    Returns:
        The channel itself where the three are equal, else their Rec. 601 luma, rounded, in the same type.
    Raises:
        FilmError: channels of some pixel differ by more than `CHANNEL_TOLERANCE`.
    """
    red, green, blue = (rgb[..., i] for i in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return np.ascontiguousarray(green)
    top = np.maximum(np.maximum(red, green), blue)
    spread = int((top - np.minimum(np.minimum(red, green), blue)).max())
    if spread > CHANNEL_TOLERANCE * highest:
        raise FilmError(
            path,
            f"the picture is in real colour (its channels differ by up to {spread} of {highest})",
            "Give the original grey radiograph, or a copy without coloured marks",
        )
    luma = rgb @ np.asarray([0.299, 0.587, 0.114], np.float32)
    return np.clip(np.rint(luma), 0, highest).astype(rgb.dtype)
