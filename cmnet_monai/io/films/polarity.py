"""From stored values to modality values whose bone is bright."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cmnet_monai.io.errors import FilmError, warn_of_film

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

_TABLE_BITS = 16
"""Up to this many bits the whole chain is one table over every value that can be stored."""


_USELESS_RESCALE = (
    "Rescale Slope or Rescale Intercept is not a usable number",
    "Export the film again, or remove both attributes if the values need no rescaling",
)


def stored_range(bits: int, signed: bool) -> tuple[int, int]:
    """Lowest and highest value that `bits` bits can hold."""
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def needs_inversion(dataset: Dataset) -> bool:
    """Whether low values are meant to be shown white, so that bone is stored dark.

    MONOCHROME1 and Presentation LUT Shape INVERSE say the same thing and the standard pairs them (PS3.3, C.8.11.3):
    either one alone or both invert once. A contradictory pair (MONOCHROME1 with IDENTITY, MONOCHROME2 with INVERSE)
    warns and inverts once.
    """
    photometric = str(dataset.get("PhotometricInterpretation") or "").strip()
    shape = str(dataset.get("PresentationLUTShape") or "").strip()
    if (photometric, shape) in {("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")}:
        warn_of_film(
            f"Photometric Interpretation {photometric} contradicts Presentation LUT Shape {shape}; the film was "
            "inverted once. Check that bone is bright."
        )
    return photometric == "MONOCHROME1" or shape == "INVERSE"


def modality_values(stored: np.ndarray, bits: int, signed: bool, dataset: Dataset, path: Path) -> np.ndarray:
    """Modality LUT or rescale, then inversion where `needs_inversion` says so.

    Args:
        stored: stored values, any shape, within `stored_range`.
        bits: bits stored.
        signed: whether they are in two's complement.
        dataset: the data set, for its modality and polarity attributes.
        path: file, for errors.
    Returns:
        Values of the same shape. Inversion is ``lowest + highest - value``, where lowest and highest are the limits of
        what the stored bits can express after the modality transform: it does not depend on the film's content.
        Integer values stay integers; others become float32.
    """
    invert = needs_inversion(dataset)
    lut = _modality_lut(dataset)
    slope, intercept = _rescale(dataset, path)
    if lut is None and (slope, intercept) == (1.0, 0.0) and not invert:
        return stored
    lowest, highest = stored_range(bits, signed)
    if bits > _TABLE_BITS:
        return _wide(stored, lowest, highest, slope, intercept, invert, path)
    table: np.ndarray = np.arange(lowest, highest + 1, dtype=np.int64)
    if lut is not None:
        little_endian = getattr(dataset, "original_encoding", (None, True))[1] is not False
        table = _apply_lut(table, lut, signed, little_endian, path)
    elif (slope, intercept) != (1.0, 0.0):
        table = table * slope + intercept
    if invert:
        table = table.min() + table.max() - table
    table = _smallest_type(table)
    if not np.isfinite(table).all():
        raise FilmError(path, *_USELESS_RESCALE)
    if lowest == 0 and stored.dtype.kind == "u":
        return table.take(stored, mode="clip")  # clip spares a check; the values are within the range
    return table.take(stored.astype(np.int32) - lowest, mode="clip")


def _wide(
    stored: np.ndarray, lowest: int, highest: int, slope: float, intercept: float, invert: bool, path: Path
) -> np.ndarray:
    values = stored.astype(np.float64) * slope + intercept
    if invert:
        values = (lowest + highest) * slope + 2 * intercept - values
    if not np.isfinite(values := _as_float32(values)).all():
        raise FilmError(path, *_USELESS_RESCALE)
    return values


def _rescale(dataset: Dataset, path: Path) -> tuple[float, float]:
    if dataset.get("RescaleSlope") is None or dataset.get("RescaleIntercept") is None:
        return 1.0, 0.0
    try:
        slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
    except (TypeError, ValueError):
        slope = intercept = float("nan")
    if slope == 0 or not (math.isfinite(slope) and math.isfinite(intercept)):
        raise FilmError(path, *_USELESS_RESCALE)
    return slope, intercept


def _modality_lut(dataset: Dataset) -> Dataset | None:
    sequence = dataset.get("ModalityLUTSequence")
    item = sequence[0] if sequence else None
    is_empty = item is None or not ("LUTDescriptor" in item or "LUTData" in item)  # some writers leave an empty item
    return None if is_empty else item


def _apply_lut(values: np.ndarray, item: Dataset, signed: bool, little_endian: bool, path: Path) -> np.ndarray:
    """Output of the lookup table (PS3.3, C.11.1.1): inputs below its first and above its last entry take those."""
    try:
        count, first, _ = (int(v) for v in item.LUTDescriptor)
        entries = _lut_entries(item.LUTData, count or 1 << 16, little_endian)
    except (AttributeError, TypeError, ValueError) as error:
        raise FilmError(
            path,
            f"the modality lookup table is damaged ({type(error).__name__})",
            "Export the film again without a modality lookup table",
        ) from error
    if signed and first >= 1 << 15:  # written as unsigned
        first -= 1 << 16
    return entries[np.clip(values - first, 0, len(entries) - 1)]


def _lut_entries(data: Any, count: int, little_endian: bool) -> np.ndarray:
    if isinstance(data, bytes):
        wide = len(data) >= 2 * count  # 8-bit tables may be packed
        data = np.frombuffer(data, ("<u2" if little_endian else ">u2") if wide else np.uint8)
    entries = np.atleast_1d(np.asarray(data, np.int64))[:count]
    if len(entries) < count:
        raise ValueError("fewer entries than announced")
    return entries


def _smallest_type(table: np.ndarray) -> np.ndarray:
    if np.array_equal(table, np.round(table)):
        fits = table.min() >= 0 and table.max() <= np.iinfo(np.uint16).max
        if fits or np.abs(table).max() <= np.iinfo(np.int32).max:
            return table.astype(np.uint16 if fits else np.int32)
    return _as_float32(table)


def _as_float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what overflows is infinite, and refused for it
        return values.astype(np.float32)
