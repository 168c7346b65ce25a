"""One DICOM file to one film."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cmnet_monai.io.errors import FilmError, warn_of_film
from cmnet_monai.io.films.dicom_header import read_film_dataset
from cmnet_monai.io.films.dicom_pixels import StoredPixels, decode, transfer_syntax
from cmnet_monai.io.films.film import Film, transposed
from cmnet_monai.io.films.grey import grey_from_rgb
from cmnet_monai.io.films.polarity import modality_values, needs_inversion
from cmnet_monai.io.films.spacing import film_spacing
from cmnet_monai.io.films.valid_area import valid_area
from cmnet_monai.io.films.view import film_view

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

_GREY = ("MONOCHROME1", "MONOCHROME2")
_EXPORT_GREY = "Export the film as MONOCHROME2"


def read_dicom(path: Path, max_pixels: int) -> Film:
    """Read one CR, DX, SC, XA or RF radiograph.

    Raises:
        FilmError: the file is not one grey single-frame radiograph that can be decoded.
    """
    dataset = read_film_dataset(path, max_pixels)
    syntax = transfer_syntax(dataset, path)
    _refuse_unknown_photometric(dataset, path)
    _warn_of_burned_in_text(dataset)
    stored = _as_grey(decode(dataset, path), dataset, path)
    spacing, provenance = film_spacing(dataset)
    valid = valid_area(stored.values, stored.bits, stored.signed, dataset)
    values = modality_values(stored.values, stored.bits, stored.signed, dataset, path)
    return Film(
        pixels=transposed(values),
        valid_area=transposed(valid),
        bits_stored=stored.bits,
        spacing_xy_mm=spacing,
        provenance=provenance,
        inverted=needs_inversion(dataset),
        photometric_interpretation=str(dataset.PhotometricInterpretation).strip(),
        modality=_text(dataset.get("Modality")),
        transfer_syntax=str(syntax),
        view=film_view(dataset),
    )


def _refuse_unknown_photometric(dataset: Dataset, path: Path) -> None:
    """Only names that the standard knows reach decoders, metadata and messages: elsewhere it may be any text."""
    from pydicom.pixels.common import PhotometricInterpretation

    try:
        PhotometricInterpretation(_text(dataset.PhotometricInterpretation))
    except ValueError:
        raise FilmError(
            path, "the photometric interpretation is an unknown one, which is not supported", _EXPORT_GREY
        ) from None


def _warn_of_burned_in_text(dataset: Dataset) -> None:
    if _text(dataset.get("BurnedInAnnotation")).upper() == "YES":
        warn_of_film("The header says that text is burned into the film: pictures of it may show who the patient is.")


def _as_grey(stored: StoredPixels, dataset: Dataset, path: Path) -> StoredPixels:
    values, bits = stored.values, stored.bits
    if stored.photometric in _GREY:
        if values.ndim == 2:
            return stored
        raise FilmError(path, f"{stored.photometric} with {values.shape[-1]} samples per pixel", "Export it again")
    if stored.photometric == "PALETTE COLOR" and values.ndim == 2:
        values, bits = _through_palette(values, dataset, path)
    elif stored.photometric not in ("RGB", "PALETTE COLOR"):
        raise FilmError(path, f"the photometric interpretation {stored.photometric} is not supported", _EXPORT_GREY)
    if values.ndim != 3 or values.shape[-1] != 3:
        samples = 1 if values.ndim == 2 else values.shape[-1]
        raise FilmError(path, f"{stored.photometric} with {samples} samples per pixel", "Export it again")
    return StoredPixels(grey_from_rgb(values, (1 << bits) - 1, path), bits, False, stored.photometric)


def _through_palette(values: np.ndarray, dataset: Dataset, path: Path) -> tuple[np.ndarray, int]:
    from pydicom.pixels import apply_color_lut

    try:
        rgb = apply_color_lut(values, dataset)[..., :3]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise FilmError(path, f"the colour palette cannot be applied ({type(error).__name__})", _EXPORT_GREY) from error
    return rgb, 8 * rgb.dtype.itemsize


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
