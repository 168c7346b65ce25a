"""What is refused before pixels are decoded, and headers that lack parts yet are films."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cmnet_monai.io import FilmError

STORED = np.random.default_rng(3).integers(0, 4096, (5, 7)).astype(np.uint16)


@pytest.mark.parametrize("name", ["film", "film.dcm", "1.2.840.99", "film.png", "film.nii.gz"])
def test_the_name_does_not_matter(name, make_dicom, read_film):
    np.testing.assert_array_equal(read_film(make_dicom(STORED, name=name))[0], STORED.T)


def test_a_film_without_preamble(make_dicom, read_film):
    np.testing.assert_array_equal(read_film(make_dicom(STORED, preamble=False))[0], STORED.T)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_film_without_preamble_and_file_meta_header(syntax, make_dicom, read_film):
    pixels, meta = read_film(make_dicom(STORED, syntax=syntax, file_meta=False))
    np.testing.assert_array_equal(pixels, STORED.T)
    assert meta["transfer_syntax"] == syntax


def test_a_film_of_unknown_or_private_class_is_judged_by_its_pixels(make_dicom, read_film):
    for uid in (None, "1.2.3.4.5"):
        path = make_dicom(STORED, SOPClassUID=uid, name=f"film{uid}", file_meta=uid is not None)
        np.testing.assert_array_equal(read_film(path)[0], STORED.T)


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", "CT Image"),
        ("1.2.840.10008.5.1.4.1.1.4", "MR Image"),
        ("1.2.840.10008.5.1.4.1.1.6.1", "Ultrasound Image"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "Segmentation"),
    ],
)
def test_other_images_are_no_radiographs(uid, name, make_dicom, read_film):
    with pytest.raises(FilmError, match=rf"is a {name}, not a radiograph\. Give a projection radiograph"):
        read_film(make_dicom(STORED, SOPClassUID=uid))


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.33", "Comprehensive SR"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "Encapsulated PDF"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "Grayscale Softcopy Presentation State"),
    ],
)
def test_objects_without_image_are_named(uid, name, make_dicom, read_film):
    path = make_dicom(STORED, SOPClassUID=uid, PixelData=None, Rows=None, Columns=None)
    with pytest.raises(FilmError, match=rf"is a {name}"):
        read_film(path)


def test_a_dicomdir_is_refused(make_dicom, read_film, run_tool, tmp_path):
    make_dicom(
        STORED, name="FILM", StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.4", StudyDate="20200101",
        StudyTime="120000", StudyID="1", SeriesNumber=1, InstanceNumber=1, AccessionNumber="",
    )  # fmt: skip
    run_tool("dcmmkdir", "+id", tmp_path, "+D", tmp_path / "DICOMDIR", "FILM")
    with pytest.raises(FilmError, match="Media Storage Directory"):
        read_film(tmp_path / "DICOMDIR")


def test_several_frames_are_refused(make_dicom, read_film):
    stack = np.stack([STORED, STORED])
    path = make_dicom(stack.reshape(10, 7), Rows=5, NumberOfFrames=2)
    with pytest.raises(FilmError, match=r"the image has 2 frames\. Export the one frame"):
        read_film(path)
    np.testing.assert_array_equal(read_film(make_dicom(STORED, NumberOfFrames=1))[0], STORED.T)


def test_giants_are_refused_before_their_pixels_are_read(make_dicom, read_film):
    path = make_dicom(STORED, Rows=60000, Columns=60000)
    with pytest.raises(FilmError, match="60000 x 60000 pixels, more than the limit of 100000000"):
        read_film(path)
    with pytest.raises(FilmError, match="limit of 34"):
        read_film(make_dicom(STORED), max_pixels=34)
    assert read_film(make_dicom(STORED), max_pixels=35)[0].shape == (7, 5)


def test_a_header_without_pixels_is_called_incomplete(make_dicom, read_film):
    with pytest.raises(FilmError, match="no complete pixel data"):
        read_film(make_dicom(STORED, PixelData=None))
    with pytest.raises(FilmError, match="lacks PhotometricInterpretation"):
        read_film(make_dicom(STORED, PhotometricInterpretation=None))


@pytest.mark.parametrize("part", np.linspace(0.05, 0.98, 12))
def test_a_cut_film_is_refused_wherever_it_is_cut(part, make_dicom, read_film, tmp_path):
    data = make_dicom(np.tile(STORED, (20, 20))).read_bytes()
    path = tmp_path / "cut.dcm"
    path.write_bytes(data[: int(part * len(data))])
    with pytest.raises(FilmError):
        read_film(path)


@pytest.mark.parametrize("length", [0, 1, 8, 131, 132, 200, 5000])
def test_empty_and_random_files_are_refused(length, read_film, tmp_path):
    path = tmp_path / "random"
    path.write_bytes(np.random.default_rng(length).bytes(length))
    with pytest.raises(FilmError, match=r"random: this is an .*\. Give a radiograph as DICOM"):
        read_film(path)
    dicom_like = tmp_path / "dicom_like"
    dicom_like.write_bytes(bytes(128) + b"DICM" + path.read_bytes())
    with pytest.raises(FilmError):
        read_film(dicom_like)


def test_errors_do_not_show_the_patient(make_dicom, read_film):
    for attributes in ({"NumberOfFrames": 3}, {"BitsStored": 17}, {"PhotometricInterpretation": "ODD"}, {"Rows": 99}):
        with pytest.raises(FilmError) as caught:
            read_film(make_dicom(STORED, **attributes))
        assert "secret" not in str(caught.value).lower()


# Colour


def test_grey_stored_as_rgb_is_grey(make_dicom, read_film):
    grey = (STORED >> 4).astype(np.uint8)
    pixels, meta = read_film(make_dicom(np.repeat(grey[..., None], 3, axis=2)))
    np.testing.assert_array_equal(pixels, grey.T)
    assert meta["polarity_inverted"] is False
    assert meta["photometric_interpretation"] == "RGB"


def test_real_colour_is_refused(make_dicom, read_film):
    rgb = np.repeat((STORED >> 4).astype(np.uint8)[..., None], 3, axis=2)
    rgb[2, 3] = 255, 0, 0  # one coloured pixel
    with pytest.raises(FilmError, match=r"real colour .*255 of 255.*\. Give the original grey radiograph"):
        read_film(make_dicom(rgb))


@pytest.mark.parametrize("option", ["+ca", "+cy"])
def test_grey_stored_as_colour_jpeg_is_grey(option, make_dicom, read_film, run_tool, tmp_path):
    """Lossy JPEG in RGB or in YCbCr with subsampled colour."""
    grey = np.add.outer(2 * np.arange(48), np.arange(64)).astype(np.uint8)
    packed = tmp_path / "packed.dcm"
    extra = [] if option == "+ca" else ["+s2"]
    run_tool("dcmcjpeg", "+eb", "+q", 95, option, *extra, make_dicom(np.repeat(grey[..., None], 3, axis=2)), packed)
    pixels, _ = read_film(packed)
    assert np.abs(pixels.astype(int) - grey.T).max() <= 4  # quality 95, in levels of 255


def test_a_grey_palette_is_looked_up(make_dicom, read_film):
    indices = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    levels = np.array([10 * 257, 250 * 257, 99 * 257], "<u2")
    palette = {}
    for name in ("Red", "Green", "Blue"):
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [3, 0, 16]
        palette[f"{name}PaletteColorLookupTableData"] = levels.tobytes()
    pixels, _ = read_film(make_dicom(indices, PhotometricInterpretation="PALETTE COLOR", **palette))
    np.testing.assert_array_equal(pixels, levels[indices].T)
    palette["RedPaletteColorLookupTableData"] = levels[::-1].tobytes()
    with pytest.raises(FilmError, match="real colour"):
        read_film(make_dicom(indices, PhotometricInterpretation="PALETTE COLOR", **palette))
