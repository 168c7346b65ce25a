from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cmnet_monai.film_result import FilmIdentity, FilmResult, GivenCentre, LabelMap, Vertebra
from cmnet_monai.io.files.results import (
    CENTRES_SUFFIX,
    MASK_SUFFIXES,
    OUTPUT_SUFFIXES,
    SEG_SUFFIX,
    ResultFiles,
    centres_record,
    file_sha256,
    film_fingerprint,
    run_identity,
)

WANTED = (*MASK_SUFFIXES, CENTRES_SUFFIX)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.dcm"
    path.write_bytes(b"pixels")
    return path


@pytest.fixture
def found(film: Path) -> FilmResult:
    labels = np.zeros((5, 9), np.uint8)
    labels[1:3, 4:8] = 20
    identity = FilmIdentity("film.dcm", (5, 9), (0.2, 0.3), "detector", fingerprint=film_fingerprint(film))
    bodies = (Vertebra("T12", (1.0, 2.0)), Vertebra("L1", (1.5, 5.5), 0.75, 0.25, None, "counted from S1"))
    return FilmResult(identity, "run1", LabelMap.of(labels), (*bodies, Vertebra("L2")))


@pytest.fixture
def files(tmp_path: Path, found: FilmResult) -> ResultFiles:
    files = ResultFiles(tmp_path / "deep" / "out", "film")
    files.write_result(found)
    for suffix in WANTED:
        files.path(suffix).write_bytes(b"made")
    return files


def test_a_result_is_read_as_it_was_written(files: ResultFiles, found: FilmResult) -> None:
    assert files.read_result() == found
    assert files.present == [*(f"film{suffix}" for suffix in WANTED), "film_result.json"]


def test_centres_are_those_of_the_masks_levels_with_what_the_film_is(found: FilmResult, film: Path) -> None:
    given = GivenCentre(1.5, 5.0, "L1", True)
    assert centres_record(replace(found, given_centres=(given,))) == {
        "film": "film.dcm",
        "film_fingerprint": film_fingerprint(film),
        "size_xy_px": [5, 9],
        "spacing_xy_mm": [0.2, 0.3],
        "spacing_provenance": "detector",
        "given_centres": [{"x_px": 1.5, "y_px": 5.0, "level": "L1", "adds": True}],
        "centres": [
            {
                "level": "L1",
                "label": 20,
                "x_px": 1.5,
                "y_px": 5.5,
                "score": 0.75,
                "uncertainty": 0.25,
                "confidence": None,
                "evidence": "counted from S1",
            }
        ],
        "run": "run1",
    }
    unknown = replace(found, film=replace(found.film, spacing_xy_mm=None, spacing_provenance="none"))
    record = centres_record(unknown)
    assert (record["spacing_xy_mm"], record["spacing_provenance"]) == (None, "none") and "given_centres" not in record


def test_complete_for_its_own_run_film_and_centres_only(files: ResultFiles, film: Path) -> None:
    assert files.is_complete("run1", film, suffixes=WANTED)
    assert not files.is_complete("run2", film, suffixes=WANTED)
    assert not files.is_complete("run1", film, [{"x_px": 1.0, "y_px": 2.0, "level": None, "adds": False}], WANTED)
    os.utime(film, ns=(5, 5))
    assert not files.is_complete("run1", film, suffixes=WANTED)
    film.unlink()
    assert not files.is_complete("run1", film, suffixes=WANTED)


@pytest.mark.parametrize("suffix", [*WANTED, "_result.json"])
def test_incomplete_without_any_of_its_files(files: ResultFiles, film: Path, suffix: str) -> None:
    files.path(suffix).unlink()
    assert not files.is_complete("run1", film, suffixes=WANTED)


def test_a_file_that_is_newly_wanted_makes_it_incomplete_unless_the_film_cannot_have_it(
    files: ResultFiles, film: Path, found: FilmResult
) -> None:
    assert not files.is_complete("run1", film, suffixes=(*WANTED, SEG_SUFFIX))
    files.write_result(found, left_out=[SEG_SUFFIX])
    assert files.is_complete("run1", film, suffixes=(*WANTED, SEG_SUFFIX))


def test_a_result_with_a_problem_is_done_again(files: ResultFiles, film: Path, found: FilmResult) -> None:
    files.write_result(replace(found, problems=("no DICOM SEG: the disk was slow",)))
    assert not files.is_complete("run1", film, suffixes=WANTED)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00", "{}"])
def test_incomplete_with_a_record_that_cannot_be_read(files: ResultFiles, film: Path, text: str) -> None:
    files.path("_result.json").write_text(text)
    assert not files.is_complete("run1", film, suffixes=WANTED)


def test_what_goes_is_every_file_and_outdated_is_what_is_of_another_film(files: ResultFiles, film: Path) -> None:
    files.remove_outdated("run1", film)
    assert files.present
    film.rename(film.with_name("away.dcm"))
    files.remove_outdated("run1", film)
    assert files.present  # no film, nothing to judge by
    film.write_bytes(b"other pixels")
    files.remove_outdated("run1", film)
    assert not files.present
    for suffix in OUTPUT_SUFFIXES:
        files.path(suffix).write_bytes(b"made")
    files.remove()
    assert not list(files.output_dir.iterdir())


def test_record_of_a_result_is_plain_json(files: ResultFiles) -> None:
    record = json.loads(files.path("_result.json").read_text())
    assert record["run"] == "run1" and record["labels"]["runs"] == [[20, 13, 4], [20, 22, 4]]  # 9 rows a column


def test_hash_is_that_of_the_standard_library(tmp_path: Path) -> None:
    content = os.urandom((1 << 20) + 7)
    (tmp_path / "w").write_bytes(content)
    assert file_sha256(tmp_path / "w") == hashlib.sha256(content).hexdigest()
    assert file_sha256("") == ""


def test_identity_depends_on_values_and_not_on_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    one = run_identity({"threshold": 0.5, "spatial_size": [64, 128]})
    assert one == run_identity({"spatial_size": [64, 128], "threshold": 0.5})
    assert one != run_identity({"threshold": 0.6, "spatial_size": [64, 128]})
    assert one != run_identity({"threshold": 0.5, "spatial_size": [128, 64]})
    monkeypatch.setattr("cmnet_monai.io.files.results.__version__", "0.0.0.dev0")
    assert one != run_identity({"threshold": 0.5, "spatial_size": [64, 128]})
