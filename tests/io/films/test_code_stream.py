from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, features

from cmnet_monai.io.films.code_stream import CodeStream, code_stream, has_end, has_sound_jpeg_header


def encoded(form: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((300, 517), np.uint8)).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
def test_size_and_end_of_jpeg(progressive):
    stream = encoded("JPEG", progressive=progressive, comment=b"x" * 500)
    expected = CodeStream(300, 517, components=1, precision=8, marker=0xC2 if progressive else 0xC0)
    assert code_stream(stream) == code_stream(b"\xff\xd8\xff" + stream[2:]) == expected  # a fill byte
    assert expected.is_possible
    assert has_end(stream) and has_end(stream + b"\0")
    assert not has_end(stream[:-1])


@pytest.mark.skipif(not features.check("jpg_2000"), reason="needs Pillow with OpenJPEG")
@pytest.mark.parametrize("no_jp2", [False, True])
def test_size_and_end_of_jpeg_2000(no_jp2):
    stream = encoded("JPEG2000", no_jp2=no_jp2)
    assert code_stream(stream) == CodeStream(300, 517, components=1, precision=8)
    assert has_end(stream) and not has_end(stream[:-2])


@pytest.mark.parametrize("marker", [0xF7, 0xC3])
def test_jpeg_ls_and_lossless_jpeg_tell_their_depth(marker):
    head = bytes([0xFF, 0xD8, 0xFF, marker, 0, 11, 12, 0, 73, 0, 99, 3])
    assert code_stream(head + bytes(8)) == CodeStream(73, 99, components=3, precision=12, marker=marker)


@pytest.mark.parametrize(("depth", "precision", "signed"), [(0x0B, 12, False), (0x8F, 16, True)])
def test_jpeg_2000_tells_its_sign_and_leaves_out_the_offset(depth, precision, signed):
    numbers = b"".join(n.to_bytes(4, "big") for n in (110, 220, 10, 20, 110, 220, 0, 0))
    head = b"\xff\x4f\xff\x51" + (41).to_bytes(2, "big") + bytes(2) + numbers + bytes([0, 1, depth, 1, 1])
    assert code_stream(head) == CodeStream(200, 100, components=1, precision=precision, signed=signed)


@pytest.mark.parametrize(
    ("marker", "possible"),
    [(0xC0, {8}), (0xC1, {8, 12}), (0xC3, set(range(2, 17))), (0xF7, set(range(2, 17))), (0, set(range(1, 33)))],
)
def test_only_depths_of_the_standard_are_possible(marker, possible):
    assert {p for p in range(256) if CodeStream(5, 7, 1, p, marker).is_possible} == possible
    assert not CodeStream(5, 7, 0, min(possible), marker).is_possible  # no component


@pytest.mark.parametrize(
    "stream", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\0\x04ab", b"\xff\x4f\xff\x51", b"nonsense" * 9]
)
def test_a_stream_without_size_has_none(stream):
    assert code_stream(stream) is None


def jpeg(mode: str = "L") -> bytes:
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new(mode, (9, 7), 77).save(file, format="JPEG")
    return file.getvalue()


def at_marker(stream: bytes, marker: int) -> int:
    return stream.index(bytes([0xFF, marker]))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_sound_jpeg_header_is_sound(mode):
    stream = jpeg(mode)
    assert has_sound_jpeg_header(stream)
    filled = at_marker(stream, 0xDB)
    assert has_sound_jpeg_header(stream[:filled] + b"\xff\xff" + stream[filled:])  # fill bytes are allowed


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s[: at_marker(s, 0xDB)] + b"abc" + s[at_marker(s, 0xDB) :],  # bytes between segments
        lambda s: s.replace(b"JFIF\0\x01", b"JFIF\0\x07"),  # an unknown version
        lambda s: s[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x09" + s[2:],  # an unknown transform
        lambda s: s[: at_marker(s, 0xC0)] + 2 * s[at_marker(s, 0xC0) : at_marker(s, 0xC4)] + s[at_marker(s, 0xC4) :],
        lambda s: s[: at_marker(s, 0xC0)] + s[at_marker(s, 0xC4) :],  # no frame
        lambda s: s[: at_marker(s, 0xDA)],  # no scan
        lambda s: s[: at_marker(s, 0xC0) + 2] + b"\xff\xff" + s[at_marker(s, 0xC0) + 4 :],  # a length beyond the end
        lambda s: jpeg("CMYK"),
        lambda s: s[:2],
    ],
)
def test_an_odd_jpeg_header_is_not(spoil):
    assert not has_sound_jpeg_header(spoil(jpeg()))
