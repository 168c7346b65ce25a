"""Where a film shows anything: outside lie pixel padding and whatever a shutter or collimator hides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmnet_monai.io.errors import warn_of_film
from cmnet_monai.io.films.polarity import stored_range

if TYPE_CHECKING:
    from pydicom import Dataset

_MINIMUM_PIXELS = 1


def valid_area(stored: np.ndarray, bits: int, signed: bool, dataset: Dataset) -> np.ndarray:
    """Valid area of a film, (row, column) bool.

    Outside are pixels whose stored value is Pixel Padding Value (or lies between it and Pixel Padding Range Limit,
    both included), and pixels outside any of the display shutter's or collimator's shapes (rectangular, circular,
    polygonal; edges and vertices belong to the valid area; several shapes are intersected).

    Args:
        stored: stored values before any lookup, (row, column).
        bits: bits stored.
        signed: whether they are in two's complement.
        dataset: the data set.
    """
    valid = ~_padding(stored, bits, signed, dataset)
    for name in ("Shutter", "Collimator"):
        for shape in _shapes(dataset, name):
            valid &= shape
    if np.count_nonzero(valid) < _MINIMUM_PIXELS:
        warn_of_film("Padding and shutter leave no pixel of the film; they were ignored.")
        return np.ones(stored.shape, bool)
    return valid


def _padding(stored: np.ndarray, bits: int, signed: bool, dataset: Dataset) -> np.ndarray:
    first = _in_stored_range(dataset.get("PixelPaddingValue"), bits, signed)
    if first is None:
        return np.zeros(stored.shape, bool)
    limit = _in_stored_range(dataset.get("PixelPaddingRangeLimit"), bits, signed)
    if limit is None:
        return stored == first
    low, high = min(first, limit), max(first, limit)
    return (stored >= low) & (stored <= high)


def _in_stored_range(value: object, bits: int, signed: bool) -> int | None:
    """The padding value in the film's own signedness: many files write it in the other one."""
    if not isinstance(value, int):
        return None
    lowest, highest = stored_range(bits, signed)
    if value > highest and signed:
        value -= 1 << 16
    elif value < lowest and not signed:
        value += 1 << 16
    return int(value)


def _shapes(dataset: Dataset, name: str) -> list[np.ndarray]:
    declared = dataset.get(f"{name}Shape")
    if not declared:
        return []
    size = (int(dataset.Rows), int(dataset.Columns))
    makers = {"RECTANGULAR": _rectangle, "CIRCULAR": _circle, "POLYGONAL": _polygon}
    masks = []
    for kind in [declared] if isinstance(declared, str) else declared:
        maker = makers.get(str(kind).strip())
        if maker is None:
            continue
        try:
            masks.append(maker(dataset, name, size))
        except (KeyError, TypeError, ValueError):
            warn_of_film(f"The film's {str(kind).lower()} {name.lower()} is incomplete and was ignored.")
    return masks


def _rectangle(dataset: Dataset, name: str, size: tuple[int, int]) -> np.ndarray:
    left = int(dataset[f"{name}LeftVerticalEdge"].value)
    right = int(dataset[f"{name}RightVerticalEdge"].value)
    upper = int(dataset[f"{name}UpperHorizontalEdge"].value)
    lower = int(dataset[f"{name}LowerHorizontalEdge"].value)
    row, column = np.ogrid[1 : size[0] + 1, 1 : size[1] + 1]  # DICOM counts from 1
    return (row >= upper) & (row <= lower) & (column >= left) & (column <= right)


def _circle(dataset: Dataset, name: str, size: tuple[int, int]) -> np.ndarray:
    """The radius counts pixels along a row; pixels that are not square make the circle an ellipse of pixels."""
    centre_row, centre_column = (int(v) for v in dataset[f"CenterOfCircular{name}"].value)
    radius = int(dataset[f"RadiusOfCircular{name}"].value)
    row, column = np.ogrid[1 : size[0] + 1, 1 : size[1] + 1]
    return ((row - centre_row) * _row_to_column_spacing(dataset)) ** 2 + (column - centre_column) ** 2 <= radius**2


def _row_to_column_spacing(dataset: Dataset) -> float:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        try:
            vertical, horizontal = (float(v) for v in dataset.get(keyword))
        except (TypeError, ValueError):
            continue
        if vertical > 0 and horizontal > 0:
            return vertical / horizontal
    return 1.0


def _polygon(dataset: Dataset, name: str, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image, ImageDraw

    values = [int(v) - 1 for v in dataset[f"VerticesOfThePolygonal{name}"].value]
    if len(values) < 6 or len(values) % 2:
        raise ValueError("a polygon needs three pairs of coordinates")
    vertices = list(zip(values[1::2], values[0::2]))  # (row, column) pairs to (x, y)
    canvas = Image.new("1", (size[1], size[0]))
    ImageDraw.Draw(canvas).polygon(vertices, fill=1, outline=1)
    return np.asarray(canvas)
