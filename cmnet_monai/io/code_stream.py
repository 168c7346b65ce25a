"""What a JPEG, JPEG-LS or JPEG 2000 code stream says about itself, before a decoder believes it."""

from __future__ import annotations

_J2K_START = b"\xff\x4f\xff\x51"  # start of codestream, image size
_END = b"\xff\xd9"
_TAIL = 64
"""The end marker may be followed by padding."""


def has_end(stream: bytes) -> bool:
    """Whether the stream ends with its end marker; decoders fill what a cut stream lacks with grey and say nothing."""
    return _END in stream[-_TAIL:]


def size_of(stream: bytes) -> tuple[int, int] | None:
    """(rows, columns) that the stream announces, or None where it announces none that is understood."""
    if stream.startswith(b"\xff\xd8"):
        return _jpeg_size(stream)
    start = stream.find(_J2K_START, 0, 4096)  # behind the boxes of a JP2 file, where there are any
    if start < 0 or len(stream) < start + 24:
        return None
    x1, y1, x0, y0 = (int.from_bytes(stream[start + i : start + i + 4], "big") for i in (8, 12, 16, 20))
    return y1 - y0, x1 - x0


def _jpeg_size(stream: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(stream) and stream[position] == 0xFF:
        marker = stream[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:  # start of frame
            rows, columns = (int.from_bytes(stream[position + i : position + i + 2], "big") for i in (5, 7))
            return rows, columns
        position += 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
    return None
