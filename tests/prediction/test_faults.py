"""Faults while a batch is finished, and what a second run makes of them; the same input gives the same bytes."""

from __future__ import annotations

import csv
import ctypes
import errno
import io
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cmnet_monai.io import OutputError, read_film, write_dx
from cmnet_monai.io.files.atomic import TEMPORARY_PREFIX
from cmnet_monai.prediction import Prediction, Wanted, predict
from cmnet_monai.prediction import finish as finishing

EVERYTHING = Wanted(overlay=True, dicom_seg=True, dicom_sr=True, anterior="right")
FILMS = ("one", "two")


class BrightIsVertebra(nn.Module):
    """Calls the brightest pixels of a film vertebra."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.9))

    def forward(self, x: Tensor) -> Tensor:
        low = torch.full_like(x[:, :1], -20.0)
        return torch.cat((low, (x[:, :1] - self.level) * 200.0, low), dim=1)


def boxes(seed: int) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(100, 900, (201, 343)).astype(np.uint16)
    for n in range(5):
        pixels[60 + 8 * n : 110 + 8 * n + 3 * seed, 25 + 60 * n : 62 + 60 * n] = 4000
    return pixels


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for seed, name in enumerate(FILMS):
        write_dx(folder / f"{name}.dcm", boxes(seed), bits_stored=12, imager_spacing_xy_mm=(0.2, 0.3))
    return folder


@pytest.fixture(scope="module")
def run(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Prediction]:
    weights = tmp_path_factory.mktemp("bright") / "model.pt"
    torch.save(BrightIsVertebra().state_dict(), weights)
    settings = {"ckpt_path": str(weights), "spatial_size": [201, 343], "mirror": False, "passes": 1, "device": "cpu"}

    def go(films: Path, output: Path, wanted: Wanted = EVERYTHING, **more: Any) -> Prediction:
        network = BrightIsVertebra()
        all_settings = {**settings, "network_def": network, **more}
        return predict([str(films)], output, repository / "bundle", wanted, lambda line: None, **all_settings)

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
        assert {f"{name}{end}" for end in ("_measurements.json", "_overlay.png", "_seg.dcm", "_sr.dcm")} <= set(found)
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
    measure, calls = finishing.region_statistics, iter(range(100))

    def failing(*args: Any) -> Any:
        if next(calls) == 1:
            raise IndexError("of something inside")
        return measure(*args)

    with monkeypatch.context() as patch:
        patch.setattr(finishing, "region_statistics", failing)
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
        patch.setattr("cmnet_monai.io.radiograph_reader.read_film", crashing)
        done = run(films, tmp_path)
    assert (done.done, done.exit_code) == (1, 3)
    (failure,) = table(tmp_path, "failures.csv")
    assert failure["film"] == "one.dcm" and failure["reason"] == "the process that read this film ended without a word"
    assert [row["film"] for row in table(tmp_path, "films.csv")] == ["two.dcm"]
    assert not list(tmp_path.glob("one*"))
    assert run(films, tmp_path).exit_code == 0
    assert contents(tmp_path) == undisturbed


# Two flushes a file: within the picture, the segmentation, the report, the record of the first film.
@pytest.mark.parametrize("after", [pytest.param(n, marks=pytest.mark.slow) if n != 5 else n for n in (1, 3, 5, 7)])
def test_full_disk_stops_the_finishing_and_the_next_run_completes_it(
    run: Callable, films: Path, undisturbed: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    flush = os.fsync
    finish, calls = finishing.finish_film, iter(range(1000))
    started: list[str] = []

    def full(descriptor: int) -> None:
        if started and next(calls) >= after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(descriptor)

    def noted(*args: Any) -> Any:
        started.append("finishing")
        return finish(*args)

    with monkeypatch.context() as patch, pytest.raises(OutputError, match="No space left"):
        patch.setattr("cmnet_monai.io.atomic.os.fsync", full)
        patch.setattr(sys.modules["cmnet_monai.prediction.predict"], "finish_film", noted)
        run(films, tmp_path)
    found = contents(tmp_path)
    assert found.items() <= undisturbed.items() and not any(name.startswith(".cmnet") for name in found)
    assert run(films, tmp_path).kept == 2
    assert contents(tmp_path) == undisturbed


def test_sigterm_stops_the_finishing_and_the_next_run_completes_it(
    run: Callable, films: Path, undisturbed: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = finishing.save_reading, iter(range(100))

    def struck(path: Path, *args: Any) -> None:
        save(path, *args)
        if next(calls) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(finishing, "save_reading", struck)
        run(films, tmp_path)
    assert ended.value.code == 143
    assert contents(tmp_path).items() <= undisturbed.items()
    assert len(list(tmp_path.glob("*_measurements.json"))) == 1
    assert run(films, tmp_path).kept == 2
    assert contents(tmp_path) == undisturbed


def test_nothing_of_an_earlier_film_stays_beside_a_new_one(run: Callable, films: Path, tmp_path: Path) -> None:
    folder, output = tmp_path / "films", tmp_path / "out"
    shutil.copytree(films, folder)
    run(folder, output, Wanted(overlay=True, dicom_seg=True))
    segs = {name: (output / f"{name}_seg.dcm").read_bytes() for name in FILMS}
    shutil.copy(films / "two.dcm", folder / "one.dcm")
    os.utime(folder / "one.dcm", (5, 5))
    run(folder, output, Wanted())
    assert not (output / "one_seg.dcm").exists() and not (output / "one_overlay.png").exists()
    # Of films that are the same, what was made is still theirs.
    assert (output / "two_seg.dcm").read_bytes() == segs["two"] and (output / "two_overlay.png").is_file()


def test_outputs_beside_the_films_are_not_taken_for_films(run: Callable, films: Path, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    shutil.copytree(films, folder)
    output = folder / "out"
    assert (run(folder, output).done, run(folder, output).kept) == (2, 2)
    assert run(folder, folder, Wanted()).done == run(folder, folder, Wanted()).kept == 2
    assert not list(folder.rglob(f"{TEMPORARY_PREFIX}*")) and not list(folder.rglob("*films.json"))
