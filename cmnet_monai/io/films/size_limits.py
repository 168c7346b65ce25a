"""Files that are, or unpack to, more than a film can be are refused before they take memory."""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING

from cmnet_monai.io.errors import FilmError

if TYPE_CHECKING:
    from pathlib import Path

MAX_PIXELS = 100_000_000
"""Above any radiograph: a film of 35 x 43 cm digitised at 50 um has 60 million pixels."""

_RAISE_LIMIT = "Raise the reader's max_pixels if this really is a radiograph"
_BYTES_PER_PIXEL = 8
_HEADER_BYTES = 64 << 20
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_BLOCK = 1 << 20
_META_BYTES = 1 << 20


def refuse_giant(columns: int, rows: int, path: Path, max_pixels: int) -> None:
    """Refuse, before decoding, an image of more than `max_pixels` pixels.

    Raises:
        FilmError: it has more.
    """
    if rows * columns > max_pixels:
        raise FilmError(
            path, f"the image is {columns} x {rows} pixels, more than the limit of {max_pixels}", _RAISE_LIMIT
        )


def refuse_giant_file(path: Path, max_pixels: int) -> None:
    """Refuse, before opening it, what is no regular file or larger than a film of `max_pixels` can be.

    Raises:
        FilmError: it is one of them.
        OSError: nobody can tell.
    """
    status = path.stat()
    if not path.is_file():
        raise FilmError(path, "this is neither a file nor a link to one", "Give a file")
    if status.st_size > _most_bytes(max_pixels):
        raise FilmError(
            path,
            f"the file has {status.st_size / 1e9:.1f} GB, more than a film of {max_pixels} pixels can have",
            _RAISE_LIMIT,
        )


def refuse_inflated_giant(path: Path, max_pixels: int) -> None:
    """Refuse a deflated DICOM file that unpacks to more than a film of `max_pixels` can have; it is not kept in memory.

    Raises:
        FilmError: it does.
    """
    from pydicom.filereader import read_dataset, read_preamble

    with path.open("rb") as file:
        if _DEFLATED not in file.read(4096):
            return
        file.seek(0)
        start = io.BytesIO(file.read(_META_BYTES))  # a damaged length asks a file for gigabytes, this for what is there
        read_preamble(start, force=True)
        read_dataset(start, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
        file.seek(start.tell())
        unpacker, most, unpacked = zlib.decompressobj(-zlib.MAX_WBITS), _most_bytes(max_pixels), 0
        while block := file.read(_BLOCK):
            while block:
                unpacked += len(unpacker.decompress(block, _BLOCK))
                block = unpacker.unconsumed_tail
                if unpacked > most:
                    reason = f"the file unpacks to more than {most / 1e9:.1f} GB, too much for {max_pixels} pixels"
                    raise FilmError(path, reason, _RAISE_LIMIT)


def _most_bytes(max_pixels: int) -> int:
    return _BYTES_PER_PIXEL * max_pixels + _HEADER_BYTES
