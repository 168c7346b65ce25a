"""Each kind of file from a result in which nothing is empty, and every flag in every one that a person looks at."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from ignite.engine import Engine
from PIL import Image
from rich_result import FLAGS, SIZE, labels, pixels, rich_result, write_film

from cmnet_monai import engines, visualize
from cmnet_monai.engines import FilmEvents, RunManifest, SegmentedFilm, pending_films
from cmnet_monai.film_result import FilmResult
from cmnet_monai.io.files.results import ResultFiles

PLAIN = (engines.SaveMask, engines.SaveLabelMap, engines.SaveCentres, engines.SaveOverlay, engines.SaveSegNrrd)
DICOM = (engines.SaveDicomSeg, engines.SaveDicomSr)
OBJECTS = ("_seg.dcm", "_sr.dcm")


def outputs(folder: Path, flagged: bool) -> list[engines.FilmOutput]:
    made = [output(folder) for output in PLAIN] + [output(folder, flagged) for output in DICOM]
    return [*made, engines.SaveResult(folder)]


def write(film: Path, result: FilmResult, folder: Path, flagged: bool = True) -> RunManifest:
    """What a run on one film writes, the network and the measuring left out."""
    items = [{"path": str(film), "name": film.stem, "shown": film.name}]

    def step(engine: Engine, item: dict[str, str]) -> None:
        engine.state.batch = []
        engine.state.film = SegmentedFilm(item["name"], item["path"], result, pixels().astype(np.float32))
        engine.fire_event(FilmEvents.FILM_SEGMENTED)
        engine.fire_event(FilmEvents.FILM_DONE)

    engine = Engine(step)
    engine.register_events(*FilmEvents)
    manifest = RunManifest(folder, items, items, {}, {}, "run1")
    for handler in (*outputs(folder, flagged), manifest, engines.SaveTables(manifest), engines.SaveReport(manifest)):
        handler.attach(engine)
    engine.run(items)
    return manifest


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("film") / "film.dcm")


@pytest.fixture(scope="module")
def drawn() -> list[tuple[Any, ...]]:
    """What the overlay was drawn of."""
    return []


@pytest.fixture(scope="module")
def folder(film: Path, drawn: list[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, draw = tmp_path_factory.mktemp("written"), visualize.write_overlay

    def noting(path: Path, *args: Any) -> None:
        drawn.append(args)
        draw(path, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visualize, "write_overlay", noting)
        manifest = write(film, rich_result(film), folder)
    record = manifest.films["film"]
    assert "problems" not in record and "left_out" not in record, record
    return folder


def dumped(tool: str, file: Path) -> str:
    if shutil.which(tool) is None:
        pytest.skip(f"needs {tool} as an independent witness")
    options = ["+L"] if tool == "dcmdump" else ["+Pl"]  # long values whole
    return subprocess.run([tool, *options, str(file)], capture_output=True, text=True, check=True).stdout


def rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / f"{table}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: f"{flag.code}-{flag.level}")
def test_every_flag_stands_in_every_output(flag: Any, folder: Path, drawn: list[tuple[Any, ...]]) -> None:
    record = json.loads((folder / "film_result.json").read_text(encoding="utf-8"))
    assert {"code": flag.code, "level": flag.level, "text": flag.text} in record["flags"]
    expected = {"film": "film.dcm", "code": flag.code, "level": flag.level or "", "text": flag.text}
    assert expected in rows(folder, "flags")
    for row in rows(folder, "vertebrae"):
        assert (flag.code in row["flags"].split("; ")) == any(
            one.code == flag.code and one.level in (None, row["level"]) for one in FLAGS
        )
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert flag.text in unescape(page) and "<b>were" not in page
    assert flag in drawn[0][1].flags
    report = dumped("dsrdump", folder / "film_sr.dcm")
    groups = dict(re.findall(r'Tracking Identifier"\)="([^"]+)"(.*?)(?=CONTAINER:|$)', report, flags=re.DOTALL))
    assert flag.text in groups[flag.level if flag.level in groups else "lumbar spine"]
    described = re.findall(r"SegmentDescription|\(0062,0006\) ST \[(.*?)\]", dumped("dcmdump", folder / "film_seg.dcm"))
    bodies = {text.split(".")[0].removeprefix("Body of "): text for text in described if text}
    assert set(bodies) == {"L4", "L5", "S1"}
    for level, text in bodies.items():
        assert (flag.text in text) == (flag.level == level or flag.level not in bodies)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dicom3tools")
@pytest.mark.parametrize("name", ["film_seg.dcm", "film_sr.dcm"])
def test_objects_full_of_flags_are_without_error_to_dciodvfy(folder: Path, name: str) -> None:
    done = subprocess.run(["dciodvfy", "-new", folder / name], capture_output=True, text=True, errors="replace")
    assert not re.findall(r"^Error.*", done.stdout + done.stderr, re.MULTILINE)


def test_mask_and_label_map_are_in_all_files_as_they_were_found(folder: Path) -> None:
    for ending, values, scale in (("mask", (labels() == 23).astype(np.uint8), 255), ("labels", labels(), 1)):
        nifti = nibabel.load(folder / f"film_{ending}.nii.gz")
        np.testing.assert_array_equal(np.asarray(nifti.dataobj)[..., 0], values)
        assert nifti.header.get_zooms()[:2] == pytest.approx((0.2, 0.3))
        with Image.open(folder / f"film_{ending}.png") as png:
            assert png.size == SIZE
            np.testing.assert_array_equal(np.asarray(png).T, scale * values)
    slicer = SimpleITK.ReadImage(str(folder / "film_labels.seg.nrrd"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(slicer)[0].T, labels())
    assert slicer.GetSpacing()[:2] == pytest.approx((0.2, 0.3))


def test_unit_of_an_unknown_spacing_is_unknown(film: Path, tmp_path: Path) -> None:
    result = rich_result(film)
    unknown = replace(result, film=replace(result.film, spacing_xy_mm=None))
    engines.SaveMask(tmp_path).run(SegmentedFilm("film", str(film), unknown, pixels()))
    assert nibabel.load(tmp_path / "film_mask.nii.gz").header.get_xyzt_units()[0] == "unknown"


def test_dicom_objects_of_a_film_that_may_be_another_kind_are_written_on_demand(film: Path, tmp_path: Path) -> None:
    result = replace(rich_result(film), problems=(), given_centres=())
    record = write(film, result, tmp_path, flagged=False).films["film"]
    assert not any((tmp_path / f"film{ending}").exists() for ending in OBJECTS)
    assert [reason.split(":")[0] for reason in record["left_out"]] == ["no DICOM SEG", "no DICOM SR"]
    assert "may not be a lateral lumbar one (--dicom-flagged" in record["left_out"][0]
    assert "problems" not in record
    item = {"path": str(film), "name": "film", "shown": "film.dcm"}
    assert pending_films([item], tmp_path, "run1", outputs=outputs(tmp_path, flagged=False)) == []
    assert pending_films([item], tmp_path, "run1", outputs=outputs(tmp_path, flagged=True)) == [item]
    write(film, result, tmp_path, flagged=True)
    assert all((tmp_path / f"film{ending}").is_file() for ending in OBJECTS)
    assert pending_films([item], tmp_path, "run1", outputs=outputs(tmp_path, flagged=True)) == []


def test_picture_has_no_dicom_objects_and_misses_none(film: Path, tmp_path: Path) -> None:
    picture = tmp_path / "film.png"
    Image.fromarray((pixels() >> 4).astype(np.uint8).T).save(picture)
    record = write(picture, rich_result(picture, ()), tmp_path / "out").films["film"]
    assert record["left_out"] == [f"no DICOM {kind}: the film is not a DICOM file" for kind in ("SEG", "SR")]
    assert "problems" not in record and "film_overlay.png" in record["outputs"]


@pytest.mark.parametrize("kind", DICOM, ids=lambda kind: kind.__name__)
def test_film_that_has_gone_meanwhile_is_a_problem_and_no_end(kind: Callable, film: Path, tmp_path: Path) -> None:
    segmented = SegmentedFilm("film", str(tmp_path / "gone.dcm"), rich_result(film), pixels())
    kind(tmp_path, True).run(segmented)
    (problem,) = segmented.problems
    assert problem.startswith(f"no {kind.what}: ") and not list(tmp_path.iterdir())


def test_result_names_the_problems_of_the_outputs_before_it(film: Path, tmp_path: Path) -> None:
    segmented = SegmentedFilm("film", str(film), rich_result(film), pixels(), problems=["no centres: x"])
    engines.SaveResult(tmp_path).run(segmented)
    assert ResultFiles(tmp_path, "film").read_result().problems == ("no overlay: no room", "no centres: x")
