"""Faults while a batch is finished, and what a second run makes of them; the same input gives the same bytes."""

from __future__ import annotations

import csv
import ctypes
import errno
import io
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bright_films import boxes, predict_bright

from cmnet_monai import visualize
from cmnet_monai.engines import Prediction
from cmnet_monai.io import OutputError, read_film, write_dx
from cmnet_monai.io.files.atomic import TEMPORARY_PREFIX
from cmnet_monai.transforms import film_result

EVERYTHING = {"overlay": True, "dicom_seg": True, "dicom_sr": True, "dicom_flagged": True}
PLAIN = dict.fromkeys(EVERYTHING, False)
FILMS = ("one", "two")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for seed, name in enumerate(FILMS):
        write_dx(folder / f"{name}.dcm", boxes(seed), bits_stored=12, imager_spacing_xy_mm=(0.2, 0.3))
    return folder


@pytest.fixture(scope="module")
def run(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Prediction]:
    weights = tmp_path_factory.mktemp("bright") / "model.pt"

    def go(films: Path, output: Path, **more: Any) -> Prediction:
        return predict_bright(films, output, repository / "bundle", weights, **{**EVERYTHING, **more})

    return go


@pytest.fixture(autouse=True)
def one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.fixture(scope="module")
def undisturbed(run: Callable, films: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        done = run(films, output)
    assert (done.done, done.failures) == (2, ())
    found = contents(output)
    for name in FILMS:
        assert {f"{name}{end}" for end in ("_result.json", "_overlay.png", "_seg.dcm", "_sr.dcm")} <= set(found)
    return found


def contents(output: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in output.iterdir() if f.name != "manifest.json"}


def table(output: Path, name: str) -> list[dict[str, str]]:
    with (output / name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_same_films_and_weights_give_the_same_bytes(
    run: Callable, films: Path, undisturbed: dict, tmp_path: Path
) -> None:
    run(films, tmp_path, batch_size=2, num_workers=0)
    found = contents(tmp_path)
    assert sorted(found) == sorted(undisturbed)
    assert [name for name in found if found[name] != undisturbed[name]] == []


def test_time_of_writing_is_all_that_differs_in_dicom_objects(
    run: Callable, films: Path, undisturbed: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydicom import dcmread

    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    run(films / "one.dcm", tmp_path)
    for name in ("one_seg.dcm", "one_sr.dcm"):
        now, then = dcmread(tmp_path / name), dcmread(io.BytesIO(undisturbed[name]))
        assert then.ContentDate == "20231114" and now.ContentDate > then.ContentDate
        different = {entry.keyword for entry, other in zip(now, then, strict=True) if entry != other}
        times = {"ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime"}
        assert different - times <= {"ContributingEquipmentSequence"} and "ContentDate" in different


def test_error_that_no_one_thought_of_costs_one_film_its_row(
    run: Callable, films: Path, undisturbed: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, calls = film_result.region_statistics, iter(range(100))

    def failing(*args: Any) -> Any:
        if next(calls) == 1:
            raise IndexError("of something inside")
        return measure(*args)

    with monkeypatch.context() as patch:
        patch.setattr(film_result, "region_statistics", failing)
        done = run(films, tmp_path)
    assert done.exit_code == 3
    (failure,) = table(tmp_path, "failures.csv")
    assert failure["reason"] == "IndexError: of something inside"
    assert {row["film"] for row in table(tmp_path, "films.csv")} == {f"{n}.dcm" for n in FILMS} - {failure["film"]}
    assert not list(tmp_path.glob(f"{failure['film'].removesuffix('.dcm')}_overlay.png"))
    assert run(films, tmp_path).exit_code == 0
    assert contents(tmp_path) == undisturbed


def test_film_that_ends_its_decoder_costs_that_film_alone_by_default(
    run: Callable, films: Path, undisturbed: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = os.getpid()

    def crashing(path: Path, *rest: Any) -> Any:
        if Path(path).name == "one.dcm" and os.getpid() != parent:  # else pytest itself would end
            ctypes.string_at(0)  # a segmentation fault, as in native code
        return read_film(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("cmnet_monai.io.films.radiograph_reader.read_film", crashing)
        done = run(films, tmp_path)
    assert (done.done, done.exit_code) == (1, 3)
    (failure,) = table(tmp_path, "failures.csv")
    assert failure["film"] == "one.dcm" and failure["reason"] == "the process that read this film ended without a word"
    assert [row["film"] for row in table(tmp_path, "films.csv")] == ["two.dcm"]
    assert not list(tmp_path.glob("one*"))
    assert run(films, tmp_path).exit_code == 0
    assert contents(tmp_path) == undisturbed


def test_output_that_fails_costs_one_film_that_file_alone(
    run: Callable, films: Path, undisturbed: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = visualize.write_overlay

    def failing(path: Path, *args: Any) -> None:
        if "one" in Path(path).name:
            raise IndexError("of something inside")
        draw(path, *args)

    with monkeypatch.context() as patch:
        patch.setattr(visualize, "write_overlay", failing)
        done = run(films, tmp_path)
    assert (done.done, done.exit_code) == (2, 3)
    (failure,) = table(tmp_path, "failures.csv")
    assert (failure["film"], failure["reason"]) == ("one.dcm", "no overlay: IndexError: of something inside")
    found = contents(tmp_path)
    assert set(undisturbed) - set(found) == {"one_overlay.png"}
    different = {name for name in found if found[name] != undisturbed[name]}
    assert different == {"one_result.json", "report.html", "failures.csv"}
    again = run(films, tmp_path)
    assert (again.done, again.kept, again.exit_code) == (1, 1, 0)
    assert contents(tmp_path) == undisturbed


# Two flushes a file, the manifest and nine of each film: within the first mask, the picture, the segmentation, the
# report and the record of the first film, the first mask and the record of the second.
@pytest.mark.parametrize(
    "after", [pytest.param(n, marks=pytest.mark.slow) if n != 15 else n for n in (3, 13, 15, 17, 19, 21, 37)]
)
def test_full_disk_stops_the_run_and_the_next_one_completes_it(
    run: Callable, films: Path, undisturbed: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    flush, calls = os.fsync, iter(range(1000))

    def full(descriptor: int) -> None:
        if next(calls) >= after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(descriptor)

    with monkeypatch.context() as patch, pytest.raises(OutputError, match="No space left"):
        patch.setattr("cmnet_monai.io.files.atomic.os.fsync", full)
        run(films, tmp_path)
    found = contents(tmp_path)
    assert found.items() <= undisturbed.items() and not any(name.startswith(".cmnet") for name in found)
    again = run(films, tmp_path)
    assert (again.kept, again.exit_code) == (sum(name.endswith("_result.json") for name in found), 0)
    assert contents(tmp_path) == undisturbed


def test_sigterm_stops_the_run_and_the_next_one_completes_it(
    run: Callable, films: Path, undisturbed: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, calls = visualize.write_overlay, iter(range(100))

    def struck(path: Path, *args: Any) -> None:
        draw(path, *args)
        if next(calls) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(visualize, "write_overlay", struck)
        run(films, tmp_path)
    assert ended.value.code == 143
    assert json.loads((tmp_path / "manifest.json").read_text())["stopped"] == "stopped"
    assert contents(tmp_path).items() <= undisturbed.items()
    assert len(list(tmp_path.glob("*_result.json"))) == 1
    again = run(films, tmp_path)
    assert (again.done, again.kept) == (1, 1)
    assert contents(tmp_path) == undisturbed


def test_nothing_of_an_earlier_film_stays_beside_a_new_one(run: Callable, films: Path, tmp_path: Path) -> None:
    folder, output = tmp_path / "films", tmp_path / "out"
    shutil.copytree(films, folder)
    run(folder, output, dicom_sr=False)
    segs = {name: (output / f"{name}_seg.dcm").read_bytes() for name in FILMS}
    shutil.copy(films / "two.dcm", folder / "one.dcm")
    os.utime(folder / "one.dcm", (5, 5))
    run(folder, output, **PLAIN)
    assert not (output / "one_seg.dcm").exists() and not (output / "one_overlay.png").exists()
    # Of films that are the same, what was made is still theirs.
    assert (output / "two_seg.dcm").read_bytes() == segs["two"] and (output / "two_overlay.png").is_file()


def test_outputs_beside_the_films_are_not_taken_for_films(run: Callable, films: Path, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    shutil.copytree(films, folder)
    output = folder / "out"
    first, second = run(folder, output), run(folder, output)
    assert (first.done, second.kept, second.failures) == (2, 2, ())
    assert run(folder, folder, **PLAIN).done == run(folder, folder, **PLAIN).kept == 2
    assert not list(folder.rglob(f"{TEMPORARY_PREFIX}*")) and not list(folder.rglob("*films.json"))
