"""Real films against DCMTK, and against their own uncompressed twins where DCMTK has no decoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

LOSSLESS = {  # file: bits stored, MONOCHROME1
    "RG2_JPLL": (10, False),
    "RG2_JLSL": (10, False),
    "RG2_RLE": (10, False),
    "RG3_JPLL": (10, True),
    "RG3_RLE": (10, True),
    "fodicom_CR-MONO1-10-chest": (10, True),
}


@pytest.fixture
def films(shared_data: Path) -> Path:
    return shared_data / "dicom_cr"


def unpacked(films: Path, name: str, tmp_path: Path) -> Path:
    zstandard = pytest.importorskip("zstandard")
    path = tmp_path / name
    with (films / f"{name}.zst").open("rb") as packed, path.open("wb") as plain:
        zstandard.ZstdDecompressor().copy_stream(packed, plain)
    return path


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_films_equal_dcmtk(name, films, read_film, dcmtk_stored):
    bits, monochrome1 = LOSSLESS[name]
    stored = dcmtk_stored(films / name).astype(np.int64)
    expected = (2**bits - 1 - stored if monochrome1 else stored).T
    pixels, meta = read_film(films / name)
    np.testing.assert_array_equal(pixels, expected)
    assert meta["polarity_inverted"] is monochrome1
    assert meta["bits_stored"] == bits
    assert tuple(meta["spatial_shape"]) == expected.shape


@pytest.mark.parametrize("name", ["RG2_UNC", "RG3_UNC"])
def test_uncompressed_films_equal_dcmtk(name, films, read_film, dcmtk_stored, tmp_path):
    path = unpacked(films, name, tmp_path)
    stored = dcmtk_stored(path).astype(np.int64)
    expected = (1023 - stored if name.startswith("RG3") else stored).T
    np.testing.assert_array_equal(read_film(path)[0], expected)


@pytest.mark.parametrize(("compressed", "twin"), [("RG2_J2KR", "RG2_UNC"), ("RG3_J2KR", "RG3_UNC")])
def test_reversible_jpeg_2000_equals_its_uncompressed_twin(compressed, twin, films, read_film, dcmtk_stored, tmp_path):
    stored = dcmtk_stored(unpacked(films, twin, tmp_path)).astype(np.int64)
    expected = (1023 - stored if twin.startswith("RG3") else stored).T
    np.testing.assert_array_equal(read_film(films / compressed)[0], expected)


def test_lossy_jpeg_equals_dcmtk_and_stays_near_its_twin(films, read_film, dcmtk_stored, tmp_path):
    pixels = read_film(films / "RG2_JPLY")[0].astype(np.int64)
    # Two inverse cosine transforms may round a value differently.
    assert np.abs(pixels - dcmtk_stored(films / "RG2_JPLY").astype(np.int64).T).max() <= 1
    twin = dcmtk_stored(unpacked(films, "RG2_UNC", tmp_path)).astype(np.int64).T
    # Quantisation of a film compressed 36 : 1, in 10-bit values: what the file itself lost.
    assert np.abs(pixels - twin).mean() < 4
    assert np.abs(pixels - twin).max() <= 101


@pytest.mark.parametrize(("name", "highest"), [("RG1_J2KI", 2**15 - 1), ("XA1_J2KR", None)])
def test_jpeg_2000_films_without_twin_agree_with_simpleitk(name, highest, films, read_film):
    sitk = pytest.importorskip("SimpleITK")
    # SimpleITK inverts MONOCHROME1 itself.
    other = sitk.GetArrayFromImage(sitk.ReadImage(str(films / name)))[0].astype(np.int64).T
    pixels = read_film(films / name)[0].astype(np.int64)
    if highest is None:
        np.testing.assert_array_equal(pixels, other)
        return
    # SimpleITK inverts within the film's own extremes, so the two differ by one constant; and the irreversible wavelet
    # may round a value differently.
    shift = np.median(pixels - other)
    assert np.abs(pixels - other - shift).max() <= 1
    assert pixels.max() <= highest


def test_modality_table_and_rescale_match_what_dcmtk_renders(films, read_film, run_tool, tmp_path):
    from PIL import Image

    # DCMTK stretches the extremes to 16 bits. It truncates (below one grey level), and rounds fractional modality
    # values to whole ones: 1 of the range of 552.7 in the second file.
    for name, tolerance in (("fodicom_CR-ModalitySequenceLUT.dcm", 1.0), ("pydicom_CSPINE_LL_16x16_6154.dcm", 120.0)):
        rendered = tmp_path / "rendered.png"
        run_tool("dcmj2pnm", "+Wm", "+on2", films / name, rendered)
        expected = np.asarray(Image.open(rendered)).astype(float).T
        pixels = read_film(films / name)[0].astype(float)
        stretched = (pixels - pixels.min()) / np.ptp(pixels) * 65535
        assert np.abs(stretched - expected).max() <= tolerance


def test_fractional_rescale_is_exact_and_inverted_within_the_stored_range(films, read_film, dcmtk_stored):
    name = "pydicom_CSPINE_LL_16x16_6154.dcm"  # MONOCHROME1, 12 bits, slope 0.684, intercept 200
    stored = dcmtk_stored(films / name).astype(float)
    expected = (0 + 4095) * 0.684 + 2 * 200 - (stored * 0.684 + 200)
    np.testing.assert_allclose(read_film(films / name)[0], expected.T, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "spacing", "provenance", "orientation"),
    [
        ("RG1_J2KI", None, "none", "L\\F"),  # PixelSpacing 0 0
        ("RG2_RLE", (0.2, 0.2), "unspecified", ""),
        ("RG3_RLE", None, "none", "R\\F"),
        ("fodicom_CR-ModalitySequenceLUT.dcm", (0.15, 0.15), "detector", ""),
        ("pydicom_CSPINE_LL_16x16_6154.dcm", (0.1, 0.1), "detector", "L\\F"),
    ],
)
def test_spacing_provenance_and_orientation_of_real_films(name, spacing, provenance, orientation, films, read_film):
    _, meta = read_film(films / name)
    np.testing.assert_allclose(meta["spacing_xy_mm"], spacing or (np.nan, np.nan))
    assert meta["spacing_provenance"] == provenance
    assert meta["patient_orientation"] == orientation
    sx, sy = spacing or (1, 1)
    np.testing.assert_allclose(meta["affine"], np.diag([-sx, -sy, 1]))


@pytest.mark.parametrize("name", ["RG2_JPLL", "RG2_JLSL", "RG2_J2KR", "RG2_RLE", "RG2_JPLY"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.98])
@pytest.mark.filterwarnings("ignore:End of file reached")
def test_a_cut_film_is_refused(name, part, films, read_film, tmp_path):
    from cmnet_monai.io import FilmError

    data = (films / name).read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(FilmError, match=r"cut: .*\. .+\."):
        read_film(cut)


LOSSLESS_SYNTAXES = {  # DCMTK's tool and options, or pydicom's encoder for the transfer syntax
    "implicit": ("dcmconv", "+ti"),
    "big-endian": ("dcmconv", "+tb"),
    "deflated": ("dcmconv", "+td"),
    "rle": ("dcmcrle",),
    "jpeg-lossless": ("dcmcjpeg", "+el"),
    "jpeg-lossless-sv1": ("dcmcjpeg", "+e1"),
    "jpeg-ls": ("dcmcjpls", "+el"),
    "jpeg-2000": "1.2.840.10008.1.2.4.90",
}


@pytest.mark.parametrize("syntax", LOSSLESS_SYNTAXES)
def test_a_real_film_is_the_same_in_every_lossless_syntax(syntax, films, read_film, run_tool, tmp_path):
    from pydicom import dcmread

    plain, packed = tmp_path / "plain", tmp_path / "packed"
    run_tool("dcmdrle", films / "RG3_RLE", plain)
    how = LOSSLESS_SYNTAXES[syntax]
    if isinstance(how, str):
        dataset = dcmread(plain)
        dataset.compress(how, encoding_plugin="pylibjpeg", generate_instance_uid=False)
        dataset.save_as(packed, enforce_file_format=True)
    else:
        run_tool(*how, plain, packed)
    expected, _ = read_film(films / "RG3_RLE")
    pixels, meta = read_film(packed)
    np.testing.assert_array_equal(pixels, expected)
    assert meta["transfer_syntax"] not in ("1.2.840.10008.1.2.1", "") and meta["polarity_inverted"] is True
