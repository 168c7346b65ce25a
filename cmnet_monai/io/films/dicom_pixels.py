"""Stored values of a DICOM film, whatever its transfer syntax."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cmnet_monai.io.errors import FilmError, warn_of_film
from cmnet_monai.io.films.code_stream import has_end, has_sound_jpeg_header, size_of
from cmnet_monai.io.films.polarity import stored_range

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset
    from pydicom.uid import UID

_AGAIN = "Copy or export the file again"
_EXTENDED = "1.2.840.10008.1.2.4.51"
_RLE = "1.2.840.10008.1.2.5"
_LOSSY = frozenset({"1.2.840.10008.1.2.4.50", _EXTENDED, "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91"})
_LOSSY_HTJ2K = "1.2.840.10008.1.2.4.203"
_JPEG = ("1.2.840.10008.1.2.4.5", "1.2.840.10008.1.2.4.70")
_PREFERRED = ("pyjpegls", "pylibjpeg", "pydicom", "pillow", "gdcm")
"""Decoding plugins in the order they are tried; GDCM only where there is no other: damage can make it end the run."""

_PACKAGES = (
    (("1.2.840.10008.1.2.4.5", "1.2.840.10008.1.2.4.7"), "python-gdcm"),
    (("1.2.840.10008.1.2.4.8",), "pyjpegls"),
    (("1.2.840.10008.1.2.4.9", "1.2.840.10008.1.2.4.20"), "pylibjpeg pylibjpeg-openjpeg"),
    (("1.2.840.10008.1.2.5",), "pylibjpeg pylibjpeg-rle"),
)


@dataclass(frozen=True)
class StoredPixels:
    """Stored values, (row, column) or (row, column, 3), and how to read them."""

    values: np.ndarray
    bits: int
    signed: bool
    photometric: str


def decode(dataset: Dataset, path: Path) -> StoredPixels:
    """Decode the pixel data of one frame.

    Bits Stored and High Bit are trusted: other bits of an uncompressed or run-length coded sample (overlays, rubbish)
    are masked away, and the sign follows Pixel Representation. A lossy codec's overshoot is clipped to the stored
    range; a lossless code stream that is deeper than Bits Stored says warns and keeps its depth.

    Raises:
        FilmError: no decoder is installed, the code stream is damaged, or the bits make no sense.
    """
    syntax = transfer_syntax(dataset, path)
    bits, high_bit, signed = _bits(dataset, path)
    values, photometric = _decode_with_any_plugin(dataset, syntax, path)
    if syntax.is_compressed and not syntax.is_deflated and syntax != _RLE:
        values, bits = _within_stored_range(values, bits, signed, syntax, path)
    else:
        values = _mask_bits(values, bits, high_bit, signed)
    return StoredPixels(values, bits, signed, photometric)


def transfer_syntax(dataset: Dataset, path: Path) -> UID:
    """The transfer syntax, guessed from the encoding where the file meta header is missing."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    syntax = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    if syntax:
        return syntax
    if dataset["PixelData"].is_undefined_length:
        raise FilmError(
            path,
            "the file has compressed pixel data but no header that names the compression",
            "Export the film again as a complete DICOM file",
        )
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _bits(dataset: Dataset, path: Path) -> tuple[int, int, bool]:
    allocated, bits = int(dataset.BitsAllocated), int(dataset.BitsStored)
    high = dataset.get("HighBit")
    high_bit = bits - 1 if high is None else int(high)
    if allocated not in (1, 8, 16, 24, 32, 64) or not (1 <= bits <= allocated and bits - 1 <= high_bit < allocated):
        raise FilmError(
            path,
            f"Bits Allocated {allocated}, Bits Stored {bits} and High Bit {high_bit} contradict each other",
            "Export the film again with a valid header",
        )
    return bits, high_bit, dataset.get("PixelRepresentation") == 1


def _decode_with_any_plugin(dataset: Dataset, syntax: UID, path: Path) -> tuple[np.ndarray, str]:
    from pydicom.pixels import get_decoder

    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise FilmError(
            path,
            f"no decoder knows the transfer syntax {syntax.name}",
            "Export the film uncompressed (Explicit VR Little Endian)",
        ) from error
    if not hasattr(dataset, "file_meta") or not dataset.file_meta.get("TransferSyntaxUID"):
        _set_transfer_syntax(dataset, syntax)
    if not syntax.is_encapsulated:
        _check_length(dataset, path)
        return _attempt(decoder, dataset, "", path)
    if not decoder.is_available:
        raise FilmError(
            path, f"no installed decoder reads {syntax.name}", f"Install one: pip install {_package(syntax)}"
        )
    _check_code_stream(dataset, syntax, path)
    plugins = sorted(decoder.available_plugins, key=lambda p: _PREFERRED.index(p) if p in _PREFERRED else 99)
    if syntax == _EXTENDED and int(dataset.BitsStored) != 8 and "gdcm" in plugins:
        return _decode_extended(dataset, path), str(dataset.PhotometricInterpretation)
    if len(plugins) > 1 and plugins[-1] == "gdcm":
        plugins.pop()
    for plugin in plugins[:-1]:
        try:
            return _attempt(decoder, dataset, plugin, path)
        except FilmError:
            continue
    return _attempt(decoder, dataset, plugins[-1], path)


def _check_length(dataset: Dataset, path: Path) -> None:
    """Rows, columns and bits must agree with the bytes that are there; less than a row too much is padding."""
    rows, columns, samples = int(dataset.Rows), int(dataset.Columns), int(dataset.get("SamplesPerPixel") or 1)
    if str(dataset.PhotometricInterpretation).strip() == "YBR_FULL_422":
        samples = 2
    row = columns * samples * int(dataset.BitsAllocated)
    expected, found = (rows * row + 7) // 8, len(dataset.PixelData)
    if found < expected:
        raise FilmError(path, f"{found} bytes of pixel data are less than expected ({expected})", _AGAIN)
    if 8 * (found - expected) >= max(row, 16):
        raise FilmError(
            path,
            f"{found} bytes are more pixel data than the header's {columns} x {rows} pixels take ({expected})",
            "Export the film again with a valid header",
        )


def _attempt(decoder: Any, dataset: Dataset, plugin: str, path: Path) -> tuple[np.ndarray, str]:
    try:
        values, properties = decoder.as_array(
            dataset, index=0, decoding_plugin=plugin, correct_unused_bits=False, allow_excess_frames=False
        )
    except (MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a decoder written in Rust panics, which is no Exception
        raise _damaged(path, error) from error
    return values, str(properties["photometric_interpretation"])


def _damaged(path: Path, error: BaseException) -> FilmError:
    # Only these carry a text for people; pydicom puts one line per plugin below a heading.
    text = str(error).strip().splitlines()[-1:] if isinstance(error, (ValueError, RuntimeError)) else []
    short = textwrap.shorten(text[0], 160, placeholder=" ...").rstrip(". ") if text else type(error).__name__
    return FilmError(path, f"the pixel data cannot be decoded ({short})", _AGAIN)


def _package(syntax: str) -> str:
    return next((name for starts, name in _PACKAGES if syntax.startswith(starts)), "python-gdcm")


def _set_transfer_syntax(dataset: Dataset, syntax: UID) -> None:
    from pydicom.dataset import FileMetaDataset

    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax


def _check_code_stream(dataset: Dataset, syntax: UID, path: Path) -> None:
    if syntax == _RLE:
        return
    stream = _frame(dataset, path)
    if not has_end(stream):
        raise FilmError(path, "the compressed pixel data has no end: it is truncated", _AGAIN)
    if syntax.startswith(_JPEG) and not has_sound_jpeg_header(stream):
        raise FilmError(path, "the compressed pixel data have a damaged header", _AGAIN)
    size = size_of(stream)
    if size is not None and size != (dataset.Rows, dataset.Columns):
        raise FilmError(
            path,
            f"the header says {dataset.Columns} x {dataset.Rows} pixels, the compressed data {size[1]} x {size[0]}",
            "Export the film again",
        )


def _frame(dataset: Dataset, path: Path) -> bytes:
    from pydicom.encaps import get_frame

    try:
        return get_frame(dataset.PixelData, 0, number_of_frames=1)
    except Exception as error:
        raise _damaged(path, error) from error


def _decode_extended(dataset: Dataset, path: Path) -> np.ndarray:
    """JPEG Extended with 12 bits by GDCM itself, which pydicom's plugin leaves out."""
    import gdcm

    rows, columns, samples = int(dataset.Rows), int(dataset.Columns), int(dataset.get("SamplesPerPixel") or 1)
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(_frame(dataset, path))
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(str(dataset.PhotometricInterpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(_EXTENDED)))
    # 12 bits allocated, though the values come back in 16: it makes GDCM try its 12-bit codec first.
    image.SetPixelFormat(gdcm.PixelFormat(samples, 12, 12, 11, 0))
    try:
        buffer = image.GetBuffer().encode("utf-8", "surrogateescape")
        return np.frombuffer(buffer, np.uint16)[: rows * columns * samples].reshape(rows, columns).copy()
    except Exception as error:
        raise _damaged(path, error) from error


def _mask_bits(values: np.ndarray, bits: int, high_bit: int, signed: bool) -> np.ndarray:
    """Keep the stored bits of each sample and give them their sign."""
    width = 8 * values.dtype.itemsize
    if bits == width:
        return values
    if signed:
        up, down = width - 1 - high_bit, width - bits
        return (values << up) >> down
    if high_bit != bits - 1:
        values = values >> (high_bit + 1 - bits)
    highest = (1 << bits) - 1
    return values if values.size == 0 or values.max() <= highest else values & values.dtype.type(highest)


def _within_stored_range(
    values: np.ndarray, bits: int, signed: bool, syntax: UID, path: Path
) -> tuple[np.ndarray, int]:
    lowest, highest = stored_range(bits, signed)
    minimum, maximum = int(values.min()), int(values.max())
    if lowest <= minimum and maximum <= highest:
        return values, bits
    if syntax in _LOSSY or syntax == _LOSSY_HTJ2K:
        return np.clip(values, lowest, highest), bits
    needed = max(max(maximum, -minimum - 1).bit_length() + int(signed), bits)
    warn_of_film(f"Bits Stored says {bits} but the lossless pixel data uses {needed}; {needed} were read.")
    return values, needed
