"""What a JPEG, JPEG-LS or JPEG 2000 code stream says about itself, before a decoder believes it."""

from __future__ import annotations

from dataclasses import dataclass

_J2K_START = b"\xff\x4f\xff\x51"  # start of codestream, image size
_END = b"\xff\xd9"
_TAIL = 64
"""The end marker may be followed by padding."""

LOSSLESS_JPEG, JPEG_LS = 0xC3, 0xF7
_PRECISIONS = {0xC0: (8,), 0xC1: (8, 12), 0xC2: (8, 12), LOSSLESS_JPEG: range(2, 17), JPEG_LS: range(2, 17)}
"""Bits of a sample that ITU-T T.81 (table B.2) and T.87 allow, by the marker of the frame header."""
_J2K_PRECISIONS = range(1, 33)
"""The standard allows 38; no radiograph, and no decoder here, has more than 32."""


@dataclass(frozen=True)
class CodeStream:
    """What the header of a code stream announces.

    Attributes:
        rows: of the picture.
        columns: of the picture.
        components: samples of a pixel.
        precision: bits of a sample.
        marker: second byte of JPEG's frame marker, such as `LOSSLESS_JPEG`; 0 for JPEG 2000.
        signed: whether samples are in two's complement; only JPEG 2000 can say so.
    """

    rows: int
    columns: int
    components: int
    precision: int
    marker: int = 0
    signed: bool = False

    @property
    def is_possible(self) -> bool:
        """Whether such a stream can exist: decoders end the process on some that cannot."""
        precisions = _PRECISIONS.get(self.marker, ()) if self.marker else _J2K_PRECISIONS
        return self.components > 0 and self.precision in precisions


def has_end(stream: bytes) -> bool:
    """Whether the stream ends with its end marker; decoders fill what a cut stream lacks with grey and say nothing."""
    return _END in stream[-_TAIL:]


def code_stream(stream: bytes) -> CodeStream | None:
    """What the stream announces, or None where it announces nothing that is understood."""
    if stream.startswith(b"\xff\xd8"):
        return _jpeg(stream)
    start = stream.find(_J2K_START, 0, 4096)  # behind the boxes of a JP2 file, where there are any
    if start < 0 or len(stream) < start + 45:
        return None
    x1, y1, x0, y0 = (int.from_bytes(stream[start + i : start + i + 4], "big") for i in (8, 12, 16, 20))
    components = int.from_bytes(stream[start + 40 : start + 42], "big")
    depth = stream[start + 42]
    return CodeStream(y1 - y0, x1 - x0, components, (depth & 0x7F) + 1, signed=bool(depth & 0x80))


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
    return (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == JPEG_LS


def _jpeg(stream: bytes) -> CodeStream | None:
    position = 2
    while position + 10 <= len(stream) and stream[position] == 0xFF:
        marker = stream[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if _is_frame(marker):
            rows, columns = (int.from_bytes(stream[position + i : position + i + 2], "big") for i in (5, 7))
            return CodeStream(rows, columns, stream[position + 9], stream[position + 4], marker)
        position += 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
    return None
