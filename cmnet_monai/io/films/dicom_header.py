"""The header of a DICOM film: is this one projection radiograph, and is it all there?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmnet_monai.io.errors import FilmError
from cmnet_monai.io.films.size_limits import refuse_giant, refuse_inflated_giant

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

# Radiographs by SOP Class UID below 1.2.840.10008.5.1.4.1.1. An absent or private class is judged by its pixels.
_STANDARD_STORAGE = "1.2.840.10008.5.1.4.1.1."
_FILM_CLASSES = frozenset(
    _STANDARD_STORAGE + leaf
    for leaf in (
        "1",  # Computed Radiography
        "1.1",  # Digital X-Ray, for presentation
        "1.1.1",  # Digital X-Ray, for processing
        "7",  # Secondary Capture
        "7.2",  # Multi-frame Grayscale Byte Secondary Capture
        "7.3",  # Multi-frame Grayscale Word Secondary Capture
        "7.4",  # Multi-frame True Color Secondary Capture
        "12.1",  # X-Ray Angiographic
        "12.2",  # X-Ray Radiofluoroscopic
        "481.1",  # RT Image
    )
)
_TRUNCATED = "Copy or export the file again; this copy is incomplete"
_FLOATS = "Export the film with whole numbers, or give it as NIfTI"
_NUMBER_KEYS = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel", "NumberOfFrames")
_IMAGE_KEYS = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PhotometricInterpretation")


def read_film_dataset(path: Path, max_pixels: int) -> Dataset:
    """The data set of one single-frame radiograph, complete with pixel data that is not decoded yet.

    The header is judged before the pixels are read.

    Raises:
        FilmError: not DICOM, not an image, not a radiograph, several frames, too large, or truncated.
    """
    refuse_inflated_giant(path, max_pixels)
    header = read_film_header(path)
    _check_size(header, path, max_pixels)
    dataset = _parse(path, stop_before_pixels=False)
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise FilmError(path, "the pixel data are floating point numbers, as in no radiograph", _FLOATS)
    if "PixelData" not in dataset:
        raise FilmError(path, "the file has an image header but no complete pixel data", _TRUNCATED)
    return dataset


def read_film_header(path: Path) -> Dataset:
    """The header of one single-frame radiograph, without its pixel data.

    Raises:
        FilmError: not DICOM, not an image, not a radiograph, or several frames.
    """
    header = _parse(path, stop_before_pixels=True)
    _check_class(header, path)
    _check_image(header, path)
    return header


def other_object(path: Path) -> str | None:
    """What a file is by its DICOM file meta header, such as "Encapsulated PDF", if it is no image; None otherwise."""
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import UID

    try:
        uid = UID(read_file_meta_info(path).get("MediaStorageSOPClassUID", ""))
    except Exception:  # pydicom raises many kinds of error on broken files: let the reader name what is wrong
        return None
    is_other = uid.type == "SOP Class" and "Image Storage" not in uid.name
    return uid.name.removesuffix(" Storage") if is_other else None


def _parse(path: Path, *, stop_before_pixels: bool) -> Dataset:
    from pydicom import dcmread

    try:
        return dcmread(path, force=True, stop_before_pixels=stop_before_pixels)
    except Exception as error:
        # pydicom raises many kinds of error on broken files; their text may quote the header, so it is left out.
        raise FilmError(path, f"the DICOM header cannot be parsed ({type(error).__name__})", _TRUNCATED) from error


def _check_class(header: Dataset, path: Path) -> None:
    from pydicom.uid import UID

    meta = getattr(header, "file_meta", {})
    value = header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or ""
    uid = UID(str(value).strip())
    if not uid or uid in _FILM_CLASSES or uid.name == uid:
        return
    raise FilmError(
        path,
        f"the DICOM object is a {uid.name.removesuffix(' Storage')}, not a radiograph",
        "Give a projection radiograph (CR, DX or a secondary capture of one)",
    )


def _check_image(header: Dataset, path: Path) -> None:
    missing = [key for key in _IMAGE_KEYS if header.get(key) in (None, "")]
    if len(missing) == len(_IMAGE_KEYS):
        raise FilmError(path, "the file holds no image", "Give the radiograph itself; if this is one, copy it again")
    if missing:
        raise FilmError(path, f"the image header lacks {', '.join(missing)}", _TRUNCATED)
    for key in _NUMBER_KEYS:
        if header.get(key) not in (None, "") and not _is_number(header.get(key)):
            raise FilmError(path, f"the image header has a {key} that is no number", "Export the film again")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames != 1:
        raise FilmError(
            path, f"the image has {frames} frames", "Export the one frame to be read as a single-frame image"
        )


def _is_number(value: Any) -> bool:
    try:
        return int(value) == float(value)
    except (TypeError, ValueError, OverflowError):
        return False


def _check_size(header: Dataset, path: Path, max_pixels: int) -> None:
    rows, columns = int(header.Rows), int(header.Columns)
    if rows < 1 or columns < 1:
        raise FilmError(path, f"the image is {columns} x {rows} pixels", _TRUNCATED)
    refuse_giant(columns, rows, path, max_pixels)
