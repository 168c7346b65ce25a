"""Films of floating point numbers: what is not finite is no part of the film."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmnet_monai.io.errors import FilmError

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = float(np.finfo(np.float32).max)
"""Films are float32 tensors after reading: a larger value would turn into infinity there."""


def finite_values(values: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Values in native byte order, and where they are finite: others take the lowest finite value.

    Args:
        values: any shape, integers, booleans or real floats.
        path: file, for errors.
    Returns:
        The values, contiguous, and their mask of the same shape, bool.
    Raises:
        FilmError: another data type, or no value is finite.
    """
    if values.dtype.kind not in "fiub":
        raise FilmError(path, f"the data type {values.dtype} is not one of a film", "Save it as integers or floats")
    values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    if values.dtype.kind != "f":
        return values, np.ones(values.shape, bool)
    valid = np.isfinite(values)
    if values.dtype.itemsize > 4:
        valid &= np.abs(values) <= _LARGEST
    if not valid.any():
        raise FilmError(path, "no pixel has a finite value", "Check how the file was made")
    if not valid.all():
        values = np.where(valid, values, values[valid].min())
    return values, valid
