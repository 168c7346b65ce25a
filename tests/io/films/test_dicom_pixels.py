from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from cmnet_monai.io import FilmError, write_dx
from cmnet_monai.io.films import dicom_pixels

RNG = np.random.default_rng(20)
SHAPE = (37, 53)  # rows, columns


def random_values(bits: int, signed: bool = False) -> np.ndarray:
    low = -(2 ** (bits - 1)) if signed else 0
    values = RNG.integers(low, low + 2**bits, SHAPE)
    values[0, :2] = low, low + 2**bits - 1
    return values


def change(path: Path, syntax: str | None = None, frame: bytes | None = None, **attributes: Any) -> None:
    """Rewrite a file with another transfer syntax, code stream or header."""
    dataset = dcmread(path)
    if syntax is not None:
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
    if frame is not None:
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].VR = "OB"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("bits", range(8, 17))
@pytest.mark.parametrize("signed", [False, True])
def test_every_bit_depth_and_sign_comes_back(bits, signed, make_dicom, read_film):
    values = random_values(bits, signed)
    path = make_dicom(values.astype(np.int16 if signed else np.uint16), BitsStored=bits, HighBit=bits - 1)
    pixels, meta = read_film(path)
    np.testing.assert_array_equal(pixels, values.T)
    assert meta["bits_stored"] == bits


@pytest.mark.parametrize("signed", [False, True])
def test_high_bits_with_an_overlay_or_rubbish_are_masked(signed, make_dicom, read_film, dcmtk_stored):
    values = random_values(12, signed)
    words = (values & 0x0FFF) | (RNG.integers(0, 16, SHAPE) << 12)
    path = make_dicom(words.astype(np.uint16), BitsStored=12, HighBit=11, PixelRepresentation=int(signed))
    np.testing.assert_array_equal(dcmtk_stored(path), words)  # the rubbish is really in the file
    np.testing.assert_array_equal(read_film(path)[0], values.T)


@pytest.mark.parametrize("signed", [False, True])
def test_bits_may_sit_high_in_the_word(signed, make_dicom, read_film):
    values = random_values(10, signed)
    words = ((values & 0x3FF) << 6) | RNG.integers(0, 64, SHAPE)
    path = make_dicom(words.astype(np.uint16), BitsStored=10, HighBit=15, PixelRepresentation=int(signed))
    np.testing.assert_array_equal(read_film(path)[0], values.T)


@pytest.mark.parametrize("allocated", [np.uint8, np.uint16, np.uint32])
def test_every_allocation_comes_back(allocated, make_dicom, read_film):
    bits = 8 * np.dtype(allocated).itemsize
    values = random_values(min(bits, 24)).astype(allocated)
    pixels, _ = read_film(make_dicom(values, BitsStored=min(bits, 24), HighBit=min(bits, 24) - 1))
    np.testing.assert_array_equal(pixels, values.T)


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=["explicit", "implicit", "big-endian", "deflated"],
)
def test_uncompressed_syntaxes_agree(syntax, make_dicom, read_film):
    values = random_values(12).astype(np.uint16)
    path = make_dicom(values, syntax=syntax, BitsStored=12, HighBit=11, PixelPaddingValue=int(values[3, 4]))
    pixels, meta = read_film(path)
    np.testing.assert_array_equal(pixels, values.T)
    np.testing.assert_array_equal(meta["valid_area"], (values != values[3, 4]).T)
    assert meta["transfer_syntax"] == syntax
    assert pixels.dtype.isnative


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize(
    ("tool", "options"),
    [
        ("dcmcrle", []),
        ("dcmcjpls", ["+el"]),
        ("dcmcjpeg", ["+e1"]),  # lossless, first-order prediction
        ("dcmcjpeg", ["+el"]),  # lossless, process 14
    ],
)
def test_films_compressed_by_dcmtk_come_back(bits, tool, options, make_dicom, read_film, run_tool, tmp_path):
    smooth = np.add.outer(np.arange(SHAPE[0]), 3 * np.arange(SHAPE[1])) * (2**bits // 256)
    values = np.clip(smooth + RNG.integers(0, 5, SHAPE), 0, 2**bits - 1)
    plain = make_dicom(values.astype(np.uint8 if bits == 8 else np.uint16), BitsStored=bits, HighBit=bits - 1)
    packed = tmp_path / "packed"
    run_tool(tool, *options, plain, packed)
    pixels, meta = read_film(packed)
    np.testing.assert_array_equal(pixels, values.T)
    assert meta["transfer_syntax"] not in (ExplicitVRLittleEndian, "")


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize(("tool", "option"), [("dcmcrle", "-v"), ("dcmcjpls", "+el"), ("dcmcjpeg", "+e1")])
def test_signed_films_compressed_by_dcmtk_come_back(bits, tool, option, make_dicom, read_film, run_tool, tmp_path):
    values = random_values(bits, signed=True)
    packed = tmp_path / "packed"
    run_tool(tool, option, make_dicom(values.astype(np.int16), BitsStored=bits, HighBit=bits - 1), packed)
    np.testing.assert_array_equal(read_film(packed)[0], values.T)


@pytest.mark.parametrize(("option", "bits"), [("+eb", 8), ("+ee", 12)], ids=["baseline", "extended-12-bit"])
def test_lossy_jpeg_equals_dcmtk(option, bits, make_dicom, read_film, run_tool, dcmtk_stored, tmp_path):
    values = np.add.outer(7 * np.arange(64), 5 * np.arange(48)) * 2**bits // 1024 % 2**bits
    plain = make_dicom(values.astype(np.uint8 if bits == 8 else np.uint16), BitsStored=bits, HighBit=bits - 1)
    packed = tmp_path / "packed"
    run_tool("dcmcjpeg", option, "+q", "95", plain, packed)
    pixels = read_film(packed)[0].astype(int)
    # Inverse cosine transforms of different libraries round differently, by one level.
    assert np.abs(pixels - dcmtk_stored(packed).astype(int).T).max() <= 1


def test_the_overshoot_of_a_lossy_codec_is_clipped_not_wrapped(make_dicom, read_film, run_tool, tmp_path):
    values = np.zeros((32, 48), np.uint16)
    values[:, 24:] = 1040  # more than the 10 bits that the header will announce
    values[0, 0] = 4095  # keeps DCMTK from stretching the values
    packed = tmp_path / "packed.dcm"
    run_tool("dcmcjpeg", "+ee", "+q", 100, make_dicom(values, BitsStored=12, HighBit=11), packed)
    assert read_film(packed)[0][24:].min() > 1023
    run_tool("dcmodify", "-nb", "-m", "(0028,0101)=10", "-m", "(0028,0102)=9", packed)
    assert (read_film(packed)[0][24:] == 1023).all()


@pytest.mark.parametrize("compression", ["rle", "jpegls", "jpeg2000"])
def test_compressed_films_of_odd_size_come_back(compression, tmp_path, read_film):
    values = random_values(12).T.astype(np.uint16)
    try:
        path = write_dx(tmp_path / "film.dcm", values, bits_stored=12, compression=compression)
    except ValueError as error:
        pytest.skip(str(error))
    np.testing.assert_array_equal(read_film(path)[0], values)


def test_a_missing_decoder_is_named_with_its_package(make_dicom, read_film, run_tool, tmp_path, monkeypatch):
    from pydicom.pixels import get_decoder
    from pydicom.uid import JPEGLosslessSV1

    packed = tmp_path / "packed.dcm"
    run_tool("dcmcjpeg", "+e1", make_dicom(random_values(12).astype(np.uint16)), packed)
    monkeypatch.setattr(get_decoder(JPEGLosslessSV1), "_available", {})
    with pytest.raises(FilmError, match=r"no installed decoder reads JPEG Lossless.*pip install python-gdcm"):
        read_film(packed)


def test_a_video_is_refused_as_an_unknown_syntax(make_dicom, read_film):
    path = make_dicom(random_values(8).astype(np.uint8))
    data = path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0")
    path.write_bytes(data)
    with pytest.raises(FilmError, match="no decoder knows the transfer syntax"):
        read_film(path)


@pytest.mark.parametrize(("stored", "high"), [(17, 16), (12, 16), (12, 5), (0, 0)])
def test_contradicting_bits_are_refused(stored, high, make_dicom, read_film):
    path = make_dicom(random_values(12).astype(np.uint16), BitsStored=stored, HighBit=high)
    with pytest.raises(FilmError, match="contradict each other"):
        read_film(path)


def test_too_few_pixels_are_refused(make_dicom, read_film):
    path = make_dicom(random_values(12).astype(np.uint16), Rows=SHAPE[0] + 1)
    with pytest.raises(FilmError, match="less than expected"):
        read_film(path)


@pytest.mark.parametrize("tool", ["dcmcjpeg", "dcmcjpls"])
def test_a_code_stream_of_another_size_is_refused(tool, make_dicom, read_film, run_tool, tmp_path):
    packed = tmp_path / "packed.dcm"
    run_tool(tool, make_dicom(random_values(12).astype(np.uint16)), packed)
    run_tool("dcmodify", "-nb", "-m", "(0028,0010)=73", packed)
    with pytest.raises(FilmError, match="the header says 53 x 73 pixels, the compressed data 53 x 37"):
        read_film(packed)


def test_a_lossless_stream_deeper_than_bits_stored_keeps_its_values_and_warns(
    make_dicom, read_film, run_tool, tmp_path
):
    values = random_values(14)
    packed = tmp_path / "packed.dcm"
    run_tool("dcmcjpls", "+el", make_dicom(values.astype(np.uint16), BitsStored=14, HighBit=13), packed)
    run_tool("dcmodify", "-nb", "-m", "(0028,0101)=12", "-m", "(0028,0102)=11", packed)
    with pytest.warns(UserWarning, match="Bits Stored says 12 but the lossless pixel data uses 14"):
        pixels, meta = read_film(packed)
    np.testing.assert_array_equal(pixels, values.T)
    assert meta["bits_stored"] == 14


@pytest.mark.parametrize("allocated", [8, 16])
def test_lossless_jpeg_deeper_than_bits_stored_keeps_its_values_and_warns(
    allocated, make_dicom, read_film, run_tool, tmp_path
):
    values, packed = random_values(12), tmp_path / "packed.dcm"
    run_tool("dcmcjpeg", "+e1", make_dicom(values.astype(np.uint16), BitsStored=12, HighBit=11), packed)
    change(packed, BitsAllocated=allocated, BitsStored=8, HighBit=7)
    with pytest.warns(UserWarning, match="Bits Stored says 8 but the lossless pixel data uses 12"):
        pixels, meta = read_film(packed)
    np.testing.assert_array_equal(pixels, values.T)
    assert meta["bits_stored"] == 12


def test_lossless_jpeg_shallower_than_bits_stored_warns(make_dicom, read_film, run_tool, tmp_path):
    values, packed = random_values(8), tmp_path / "packed.dcm"
    run_tool("dcmcjpeg", "+e1", make_dicom(values.astype(np.uint8)), packed)
    change(packed, BitsAllocated=16, BitsStored=12, HighBit=11)
    with pytest.warns(UserWarning, match="Bits Stored says 12 but the lossless JPEG data 8"):
        pixels, _ = read_film(packed)
    np.testing.assert_array_equal(pixels, values.T)


def test_extended_jpeg_of_twelve_bits_is_not_cut_to_eight(make_dicom, read_film, run_tool, dcmtk_stored, tmp_path):
    values = np.add.outer(40 * np.arange(64), 30 * np.arange(48))  # up to 3930
    packed = tmp_path / "packed.dcm"
    run_tool("dcmcjpeg", "+ee", "+q", 95, make_dicom(values.astype(np.uint16), BitsStored=12, HighBit=11), packed)
    expected = dcmtk_stored(packed).astype(int)
    change(packed, BitsStored=8, HighBit=7)
    with pytest.warns(UserWarning, match="Bits Stored says 8 but the compressed pixel data uses 12"):
        pixels, _ = read_film(packed)
    assert np.abs(pixels - expected.T).max() <= 1  # two inverse cosine transforms round differently


def test_signed_jpeg_2000_of_an_unsigned_film_keeps_its_sign_and_warns(make_dicom, read_film, tmp_path):
    encode = pytest.importorskip("openjpeg.utils").encode_array
    values = random_values(12, signed=True).astype(np.int16)
    path = make_dicom(values.view(np.uint16), BitsStored=12, HighBit=11)
    change(path, JPEG2000Lossless, encode(values, bits_stored=12), PixelRepresentation=0)
    with pytest.warns(UserWarning, match="Pixel Representation says unsigned"):
        pixels, _ = read_film(path)
    np.testing.assert_array_equal(pixels, values.T)
    change(path, PixelRepresentation=1)
    np.testing.assert_array_equal(read_film(path)[0], values.T)


def test_jpeg_ls_that_breaks_the_rules_is_read_all_the_same(make_dicom, read_film, run_tool, tmp_path):
    values, packed = random_values(12), tmp_path / "packed.dcm"
    run_tool("dcmcjpls", "+el", make_dicom(values.astype(np.uint16), BitsStored=12, HighBit=11), packed)
    frame = bytearray(get_frame(dcmread(packed).PixelData, 0, number_of_frames=1))
    start = frame.index(b"\xff\xda\0\x08\x01\x01")
    frame[start + 6] = 1  # a mapping table that is not there: CharLS rejects it
    change(packed, None, bytes(frame))
    with pytest.warns(UserWarning, match="break the rules of JPEG-LS"):
        pixels, _ = read_film(packed)
    np.testing.assert_array_equal(pixels, values.T)


@pytest.mark.parametrize(
    ("option", "depths"), [("+e1", {*range(2, 17)}), ("+el", {*range(2, 17)}), ("+ee", {8, 12}), ("+eb", {8})]
)
def test_a_depth_that_no_jpeg_has_is_refused_before_a_decoder_sees_it(
    option, depths, make_dicom, read_film, run_tool, tmp_path, monkeypatch
):
    """GDCM would end the process on some of them."""
    bits = 8 if option == "+eb" else 12
    plain, packed = make_dicom(random_values(bits).astype(f"u{1 if bits == 8 else 2}"), BitsStored=bits), tmp_path / "p"
    change(plain, HighBit=bits - 1)
    run_tool("dcmcjpeg", option, plain, packed)
    data = bytearray(packed.read_bytes())
    at = next(
        data.index(bytes([0xFF, marker, 0, 11]))
        for marker in (0xC0, 0xC1, 0xC3)
        if bytes([0xFF, marker, 0, 11]) in data
    )
    monkeypatch.setattr(dicom_pixels, "_attempt", reached := lambda *args: (_ for _ in ()).throw(AssertionError))
    monkeypatch.setattr(dicom_pixels, "_decode_extended", reached)
    for depth in {*range(256)} - depths:
        data[at + 4] = depth
        packed.write_bytes(data)
        with pytest.raises(FilmError, match="damaged header"):
            read_film(packed)


@pytest.mark.parametrize("samples", [2, 3, 4, 5, 255, 65535])
def test_another_number_of_samples_than_the_code_stream_has_is_refused(
    samples, make_dicom, read_film, run_tool, tmp_path
):
    packed = tmp_path / "packed.dcm"
    run_tool("dcmcjpeg", "+ee", make_dicom(random_values(12).astype(np.uint16), BitsStored=12, HighBit=11), packed)
    change(packed, SamplesPerPixel=samples)
    with pytest.raises(FilmError, match=f"says {samples} samples per pixel, the compressed data 1"):
        read_film(packed)


def test_a_decoder_that_panics_is_a_damaged_film_not_the_end_of_the_run(make_dicom, read_film, monkeypatch):
    """A decoder written in Rust panics with an exception that is no Exception."""
    from pydicom.pixels import get_decoder

    class PanicException(BaseException):
        pass

    def panics(self, *args, **kwargs):
        raise PanicException("index out of bounds")

    path = make_dicom(random_values(12).astype(np.uint16))
    monkeypatch.setattr(type(get_decoder(ExplicitVRLittleEndian)), "as_array", panics)
    with pytest.raises(FilmError, match=r"cannot be decoded \(PanicException\)"):
        read_film(path)
