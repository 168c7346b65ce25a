from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bright_films import SIZE, BrightIsVertebra, boxes
from PIL import Image
from plain_decoding import plain_decoding  # noqa: F401
from pydicom import dcmread

from cmnet_monai import FilmResult, FilmSegmenter
from cmnet_monai.film_result import Flag
from cmnet_monai.io import FilmError, write_dx

BUNDLE = Path(__file__).parent.parent / "bundle"


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory) -> FilmSegmenter:
    weights = tmp_path_factory.mktemp("bright") / "model.pt"
    torch.save(BrightIsVertebra().state_dict(), weights)
    settings = {
        "ckpt_path": str(weights),
        "spatial_size": list(SIZE),
        "base_channels": 16,
        "mirror": False,
        "device": "cpu",
    }
    settings |= {"label_protocol": "levels", "heatmap_sigma": 4.0}
    return FilmSegmenter(BUNDLE, network_def=BrightIsVertebra(), anterior="right", **settings)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.dcm"
    return write_dx(path, boxes(1), bits_stored=12, imager_spacing_xy_mm=(0.2, 0.3))


def test_path_array_and_data_set_of_one_film_give_one_result(segment: FilmSegmenter, film: Path) -> None:
    of_path = segment(film)
    assert (of_path.film.name, of_path.film.size_xy_px) == ("film.dcm", SIZE)
    assert of_path.film.spacing_xy_mm == (0.2, 0.3) and of_path.film.spacing_provenance == "detector"
    bright = boxes(1) == 4000
    found = of_path.labels.array > 0
    assert 2 * (found & bright).sum() / (found.sum() + bright.sum()) > 0.95 and len(of_path.vertebrae) == 5
    of_text, of_set = segment(str(film)), segment(dcmread(film), name="a")
    of_array = segment(boxes(1), spacing_xy_mm=(0.2, 0.3), name="a")
    assert (of_text.vertebrae, of_text.film) == (of_path.vertebrae, of_path.film)
    for other in (of_set, of_array):
        assert other.labels == of_path.labels and other.film.name == "a"
        assert [body.corners_xy_px for body in other.vertebrae] == [body.corners_xy_px for body in of_path.vertebrae]
    assert of_set.film.spacing_provenance == "detector"
    assert (of_array.film.spacing_provenance, of_array.film.in_mm, of_array.film.fingerprint) == ("user", True, "")
    assert segment(boxes(1)).film.spacing_xy_mm is None


def test_result_is_a_film_result_that_json_holds(segment: FilmSegmenter, film: Path) -> None:
    result = segment(film)
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert isinstance(result, FilmResult) and set(record) == set(FilmResult.schema()["properties"])
    again = FilmResult.from_dict(record)
    assert (again.vertebrae, again.labels, again.flags) == (result.vertebrae, result.labels, result.flags)


def test_files_are_those_of_predict(segment: FilmSegmenter, film: Path, tmp_path: Path) -> None:
    result = segment(film)
    assert result.save(tmp_path / "some") == tmp_path / "some"
    plain = {"mask.nii.gz", "mask.png", "labels.nii.gz", "labels.png", "centres.json", "overlay.png", "result.json"}
    assert {file.name for file in (tmp_path / "some").iterdir()} == {f"film_{end}" for end in plain}
    with Image.open(next((tmp_path / "some").glob("*_mask.png"))) as mask:
        np.testing.assert_array_equal(np.asarray(mask).T, 255 * result.mask)
    result.save(tmp_path / "few", mask=False, label_map=False, centres=False, overlay=False, seg_nrrd=True)
    assert {file.name.split("_")[-1] for file in (tmp_path / "few").iterdir()} == {"labels.seg.nrrd", "result.json"}


def test_dicom_objects_come_of_a_file_and_of_a_data_set(segment: FilmSegmenter, film: Path, tmp_path: Path) -> None:
    header = dcmread(film)
    for number, source in enumerate((film, header)):
        result, folder = segment(source), tmp_path / str(number)
        result.save(folder, dicom_seg=True, dicom_sr=True, dicom_flagged=True)
        (seg,), (sr,) = folder.glob("*_seg.dcm"), folder.glob("*_sr.dcm")
        for made in (dcmread(seg), dcmread(sr)):
            assert (made.StudyInstanceUID, made.PatientID) == (header.StudyInstanceUID, header.PatientID)
    suspicious = replace(result, flags=(Flag("not_a_lateral_lumbar_film", None, "Look."),))
    with pytest.raises(ValueError, match="may not be a lateral lumbar one"):
        suspicious.save(tmp_path / "flagged", dicom_seg=True)
    assert not list((tmp_path / "flagged").glob("*.dcm"))


def test_picture_of_a_result_is_larger_than_nothing_and_shows_the_outlines(segment: FilmSegmenter, film: Path) -> None:
    picture = segment(film).overlay()
    assert picture.mode == "RGB" and picture.height > picture.width > 300
    colours = np.asarray(picture).astype(int)
    assert (np.ptp(colours, axis=2) > 60).mean() > 0.001  # the film itself is grey
    picture.save(io.BytesIO(), format="PNG")


@pytest.mark.parametrize("shape", [(9,), (3, 40, 50), (40, 50, 3)])
def test_array_that_is_no_film_is_refused(segment: FilmSegmenter, shape: tuple[int, ...]) -> None:
    with pytest.raises(FilmError, match="no film"):
        segment(np.zeros(shape))


def test_film_that_cannot_be_read_says_why(segment: FilmSegmenter, tmp_path: Path) -> None:
    with pytest.raises(FilmError, match=r"none\.dcm: "):
        segment(tmp_path / "none.dcm")
    (tmp_path / "text.png").write_text("no film")
    with pytest.raises(FilmError, match=r"text\.png: "):
        segment(tmp_path / "text.png")
    with pytest.raises(FilmError):
        segment(np.zeros((60, 90)))  # it shows nothing


def test_unknown_switch_and_what_an_array_cannot_have_are_refused(segment: FilmSegmenter, tmp_path: Path) -> None:
    result = segment(boxes(0))
    with pytest.raises(ValueError, match=r"files are mask, label_map, .*; got nifti, pdf"):
        result.save(tmp_path / "out", pdf=True, nifti=True)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="no DICOM SEG: the film is not a DICOM file"):
        result.save(tmp_path, dicom_seg=True)
    assert list(tmp_path.glob("*_mask.png"))  # what it can have is there
