"""A film whose header says that it is frontal: flagged in every output, and no DICOM object of it unless asked for."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from bright_films import boxes, predict_bright
from plain_decoding import plain_decoding  # noqa: F401
from pydicom import dcmread

from cmnet_monai.io import write_dx

CODE = "not_a_lateral_lumbar_film"


@pytest.fixture
def frontal(tmp_path: Path) -> Path:
    path = write_dx(tmp_path / "films" / "ap.dcm", boxes(0), bits_stored=12, imager_spacing_xy_mm=(0.2, 0.3))
    film = dcmread(path)
    film.ViewPosition, film.PatientOrientation = "AP", ["L", "F"]
    del film.ViewCodeSequence
    film.save_as(path)
    return path


def test_frontal_film_is_flagged_and_gets_no_dicom_objects(frontal: Path, repository: Path, tmp_path: Path) -> None:
    weights, objects = tmp_path / "w.pt", {"dicom_seg": True, "dicom_sr": True}
    done = predict_bright(frontal.parent, tmp_path / "out", repository / "bundle", weights, **objects)
    assert (done.exit_code, done.flagged, [count for _, count in done.left_out]) == (0, 1, [1, 1])
    assert not list((tmp_path / "out").glob("*.dcm"))
    with (tmp_path / "out" / "flags.csv").open(newline="", encoding="utf-8") as stream:
        (row,) = (row for row in csv.DictReader(stream) if row["code"] == CODE)
    assert "the view is frontal" in row["text"]


def test_objects_that_are_asked_for_say_it(frontal: Path, repository: Path, tmp_path: Path) -> None:
    objects = {"dicom_seg": True, "dicom_sr": True, "dicom_flagged": True}
    predict_bright(frontal.parent, tmp_path / "out", repository / "bundle", tmp_path / "w.pt", **objects)
    seg = dcmread(tmp_path / "out" / "ap_seg.dcm")
    assert all("the view is frontal" in segment.SegmentDescription for segment in seg.SegmentSequence)
    assert "the view is frontal" in dcmread(tmp_path / "out" / "ap_sr.dcm").to_json()
