"""Stored values of a DICOM film, whatever its transfer syntax."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cmnet_monai.io.errors import FilmError, warn_of_film
from cmnet_monai.io.films.code_stream import LOSSLESS_JPEG, CodeStream, code_stream, has_end, has_sound_jpeg_header
from cmnet_monai.io.films.polarity import stored_range

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset
    from pydicom.uid import UID

_AGAIN = "Copy or export the file again"
_EXTENDED = "1.2.840.10008.1.2.4.51"
_RLE = "1.2.840.10008.1.2.5"
_LOSSY = frozenset(
    {"1.2.840.10008.1.2.4.50", _EXTENDED, "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203"}
)
_JPEG_LS = "1.2.840.10008.1.2.4.8"
_JPEG = ("1.2.840.10008.1.2.4.5", "1.2.840.10008.1.2.4.70")
_COSINE = (0xC0, 0xC1, 0xC2)
"""Frame markers of lossy JPEG."""
_PREFERRED = ("pyjpegls", "pylibjpeg", "pydicom", "pillow", "gdcm")
"""Decoding plugins in the order they are tried; GDCM only where no other reads: damage can make it end the run."""

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
    are masked away, and the sign follows Pixel Representation. Other code streams say themselves how deep they are and,
    in JPEG 2000, whether they are signed: where that matters it is trusted, with a warning. A lossy codec's overshoot
    is clipped to the stored range.

    Raises:
        FilmError: no decoder is installed, the code stream is damaged, or the bits make no sense.
    """
    syntax = transfer_syntax(dataset, path)
    bits, high_bit, signed = _bits(dataset, path)
    decoder = _decoder(dataset, syntax, path)
    if not syntax.is_encapsulated or syntax == _RLE:
        if syntax.is_encapsulated:
            values, photometric = _with_any_plugin(decoder, dataset, path)
        else:
            _check_length(dataset, path)
            values, photometric = _attempt(decoder, dataset, "", path)
        return StoredPixels(_mask_bits(values, bits, high_bit, signed), bits, signed, photometric)
    frame = _frame(dataset, path)
    stream = _checked_stream(frame, dataset, syntax, path)
    if syntax == _EXTENDED and stream.precision == 12 and "gdcm" in decoder.available_plugins:
        values, photometric = _decode_extended(frame, dataset, path), str(dataset.PhotometricInterpretation)
    else:
        values, photometric = _with_any_plugin(decoder, dataset, path, _as_the_stream_says(stream, dataset))
    if values.dtype.kind == "i" and not signed:
        signed = _is_negative(values)
    values, bits = _within_stored_range(values, bits, signed, stream, syntax)
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


def _decoder(dataset: Dataset, syntax: UID, path: Path) -> Any:
    from pydicom.pixels import get_decoder

    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        name = syntax.name if syntax.name != syntax else "of an unknown UID"  # which may be any text
        raise FilmError(
            path,
            f"no decoder knows the transfer syntax {name}",
            "Export the film uncompressed (Explicit VR Little Endian)",
        ) from error
    if not hasattr(dataset, "file_meta") or not dataset.file_meta.get("TransferSyntaxUID"):
        _set_transfer_syntax(dataset, syntax)
    if not decoder.is_available:
        raise FilmError(
            path, f"no installed decoder reads {syntax.name}", f"Install one: pip install {_package(syntax)}"
        )
    return decoder


def _with_any_plugin(
    decoder: Any, dataset: Dataset, path: Path, options: Mapping[str, int] | None = None
) -> tuple[np.ndarray, str]:
    """What the first plugin reads that does; the first one's error where none does."""
    plugins = sorted(decoder.available_plugins, key=lambda p: _PREFERRED.index(p) if p in _PREFERRED else 99)
    lenient = decoder.UID.startswith(_JPEG_LS) and has_sound_jpeg_header(_frame(dataset, path))
    if len(plugins) > 1 and plugins[-1] == "gdcm" and not lenient:
        plugins.pop()
    first: FilmError | None = None
    for plugin in plugins:
        try:
            read = _attempt(decoder, dataset, plugin, path, options)
        except FilmError as error:
            first = first or error
            continue
        if lenient and first is not None:
            warn_of_film(
                "The compressed pixel data break the rules of JPEG-LS and were read all the same; look at them."
            )
        return read
    raise first or FilmError(path, "the pixel data cannot be decoded", _AGAIN)


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


def _attempt(
    decoder: Any, dataset: Dataset, plugin: str, path: Path, options: Mapping[str, int] | None = None
) -> tuple[np.ndarray, str]:
    fixed = {"correct_unused_bits": False, "allow_excess_frames": False}
    try:
        values, properties = decoder.as_array(dataset, index=0, decoding_plugin=plugin, **fixed, **(options or {}))
    except (MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a decoder written in Rust panics, which is no Exception
        raise _damaged(path, error) from error
    return values, str(properties["photometric_interpretation"])


def _damaged(path: Path, error: BaseException) -> FilmError:
    # A decoder's own words tell of the code stream, one line per plugin; other errors may quote the header.
    text = str(error).strip().splitlines()[-1:] if isinstance(error, RuntimeError) else []
    short = textwrap.shorten(text[0], 160, placeholder=" ...").rstrip(". ") if text else type(error).__name__
    return FilmError(path, f"the pixel data cannot be decoded ({short})", _AGAIN)


def _package(syntax: str) -> str:
    return next((name for starts, name in _PACKAGES if syntax.startswith(starts)), "python-gdcm")


def _set_transfer_syntax(dataset: Dataset, syntax: UID) -> None:
    from pydicom.dataset import FileMetaDataset

    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax


def _checked_stream(frame: bytes, dataset: Dataset, syntax: UID, path: Path) -> CodeStream:
    """What the code stream announces, before a decoder that may end the process on it sees it."""
    if not has_end(frame):
        raise FilmError(path, "the compressed pixel data has no end: it is truncated", _AGAIN)
    stream = code_stream(frame)
    is_sound = not syntax.startswith(_JPEG) or has_sound_jpeg_header(frame)
    if stream is None or not stream.is_possible or not is_sound:
        raise FilmError(path, "the compressed pixel data have a damaged header", _AGAIN)
    if (stream.rows, stream.columns) != (dataset.Rows, dataset.Columns):
        raise FilmError(
            path,
            f"the header says {dataset.Columns} x {dataset.Rows} pixels, the compressed data "
            f"{stream.columns} x {stream.rows}",
            "Export the film again",
        )
    samples = int(dataset.get("SamplesPerPixel") or 1)
    if stream.components != samples:
        raise FilmError(
            path,
            f"the header says {samples} samples per pixel, the compressed data {stream.components}",
            "Export the film again",
        )
    return stream


def _as_the_stream_says(stream: CodeStream, dataset: Dataset) -> dict[str, int]:
    """What a decoder must be told otherwise than the header says, lest it cut bits off or loses the sign."""
    options = {}
    if stream.precision > int(dataset.BitsStored) or stream.marker in _COSINE:
        container = next(width for width in (8, 16, 32) if width >= stream.precision)
        options = {"bits_stored": stream.precision, "bits_allocated": container}
        if stream.marker not in _COSINE:
            options["bits_allocated"] = max(container, int(dataset.BitsAllocated))
    if stream.signed:
        options["pixel_representation"] = 1
    return options


def _is_negative(values: np.ndarray) -> bool:
    """Whether a signed code stream of a film that says it is unsigned makes use of its sign."""
    if values.min() >= 0:
        return False
    warn_of_film("Pixel Representation says unsigned, but the compressed pixel data are signed; they were read so.")
    return True


def _frame(dataset: Dataset, path: Path) -> bytes:
    from pydicom.encaps import get_frame

    try:
        return get_frame(dataset.PixelData, 0, number_of_frames=1)
    except Exception as error:
        raise _damaged(path, error) from error


def _decode_extended(frame: bytes, dataset: Dataset, path: Path) -> np.ndarray:
    """JPEG Extended with 12 bits by GDCM itself, which pydicom's plugin leaves out."""
    import gdcm

    rows, columns, samples = int(dataset.Rows), int(dataset.Columns), int(dataset.get("SamplesPerPixel") or 1)
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
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
    values: np.ndarray, bits: int, signed: bool, stream: CodeStream, syntax: UID
) -> tuple[np.ndarray, int]:
    if stream.marker == LOSSLESS_JPEG and stream.precision < bits:
        warn_of_film(f"Bits Stored says {bits} but the lossless JPEG data {stream.precision}; grey may be shifted.")
    lowest, highest = stored_range(bits, signed)
    minimum, maximum = int(values.min()), int(values.max())
    if lowest <= minimum and maximum <= highest:
        return values, bits
    is_overshoot = syntax in _LOSSY and not bits <= 8 < stream.precision
    if is_overshoot:
        return np.clip(values, lowest, highest), bits
    needed = max(max(maximum, -minimum - 1).bit_length() + int(signed), bits)
    kind = "compressed" if syntax in _LOSSY else "lossless"
    warn_of_film(f"Bits Stored says {bits} but the {kind} pixel data uses {needed}; {needed} were read.")
    return values, needed
