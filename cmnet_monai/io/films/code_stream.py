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


def has_sound_jpeg_header(stream: bytes) -> bool:
    """Whether segments follow each other without a gap from the start to the first scan, and say what can be.

    GDCM ends the whole process, by an assertion, on a header that libjpeg would warn of: bytes between segments, an
    unknown version of JFIF, an unknown transform of Adobe's.
    """
    position, frames = 2, 0
    while position + 4 <= len(stream) and stream[position] == 0xFF:
        marker = stream[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        end = position + 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
        segment = stream[position + 4 : end]
        if marker <= 0x01 or 0xD0 <= marker <= 0xD9 or end < position + 4 or end > len(stream):
            return False
        if marker == 0xDA:
            return frames == 1
        if _is_frame(marker):
            frames += 1
            components = segment[5] if len(segment) > 5 else 0
            if components not in (1, 3) or len(segment) != 6 + 3 * components:
                return False
        if marker == 0xE0 and segment.startswith(b"JFIF\0") and segment[5:6] != b"\x01":
            return False
        if marker == 0xEE and segment.startswith(b"Adobe") and segment[11:12] not in (b"\0", b"\x01"):
            return False
        position = end
    return False


def _is_frame(marker: int) -> bool:
    return (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7


def _jpeg_size(stream: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(stream) and stream[position] == 0xFF:
        marker = stream[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if _is_frame(marker):
            rows, columns = (int.from_bytes(stream[position + i : position + i + 2], "big") for i in (5, 7))
            return rows, columns
        position += 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
    return None
