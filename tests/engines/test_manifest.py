from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ignite.engine import Engine

from cmnet_monai.datasets import FailedFilm
from cmnet_monai.engines import FilmEvents, RunManifest, SegmentedFilm, own_share, pending_films, versions
from cmnet_monai.film_result import FilmIdentity, FilmResult, Flag, LabelMap
from cmnet_monai.io.files.results import ResultFiles, film_fingerprint

KEPT = "kept from an earlier run"


@pytest.fixture
def films(tmp_path: Path) -> list[dict[str, str]]:
    items = []
    for name in ("one", "two", "three"):
        path = tmp_path / f"{name}.dcm"
        path.write_bytes(b"film " + name.encode())
        items.append({"image": str(path), "path": str(path), "name": name, "shown": path.name})
    return items


def found(film: dict[str, str], run_id: str = "run1") -> FilmResult:
    identity = FilmIdentity(film["shown"], (2, 3), fingerprint=film_fingerprint(film["path"]))
    return FilmResult(identity, run_id, LabelMap.of(np.full((2, 3), 20)), flags=(Flag("cut_off", "L1", "Look."),))


def leave_result(folder: Path, film: dict[str, str], run_id: str) -> None:
    ResultFiles(folder, film["name"]).write_result(found(film, run_id))


def run(folder: Path, films: list[dict], pending: list[dict], failing: str = "", breaking: str = "") -> dict[str, Any]:
    """Follow a made-up engine that handles one pending film after another."""

    def step(engine: Engine, film: dict[str, str]) -> None:
        engine.state.batch = [film]
        if film["name"] == breaking:
            raise MemoryError("the machine is too small")
        if film["name"] == failing:
            engine.state.batch = []
            engine.state.failed_film = FailedFilm(film["name"], film["path"], "it is cut short", "Copy it again")
            engine.fire_event(FilmEvents.FILM_FAILED)
        else:
            engine.state.film = SegmentedFilm(film["name"], film["path"], found(film), np.zeros((2, 3)))
            engine.state.film.problems += ["no overlay: no room"] if film["name"] == "three" else []
            engine.state.film.left_out["_seg.dcm"] = "no DICOM SEG: a picture"
            engine.fire_event(FilmEvents.FILM_DONE)

    engine = Engine(step)
    engine.register_events(*FilmEvents)
    weights = {"file": "model.pt", "sha256": "0" * 64}
    RunManifest(folder, films, pending, {"threshold": 0.5}, weights, "run1").attach(engine)
    try:
        engine.run(pending, epoch_length=len(pending))
    finally:
        manifest = json.loads((folder / "manifest.json").read_text())
    return manifest


def statuses(manifest: dict[str, Any]) -> dict[str, str]:
    return {name: film["status"] for name, film in manifest["films"].items()}


def test_each_film_has_its_status(films: list[dict], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cmnet_monai")
    leave_result(tmp_path / "out", films[2], "run0")  # what the stand-in for a network does not write
    manifest = run(tmp_path / "out", films, films[1:], failing="two")
    assert statuses(manifest) == {"one": KEPT, "two": "failed", "three": "done"}
    assert manifest["counts"] == {"done": 1, KEPT: 1, "failed": 1, "pending": 0}
    assert manifest["films"]["two"]["reason"] == "it is cut short"
    assert manifest["films"]["two"]["remedy"] == "Copy it again"
    assert manifest["films"]["three"]["outputs"] == ["three_result.json"]
    assert manifest["films"]["three"]["problems"] == ["no overlay: no room"]
    assert manifest["films"]["three"]["left_out"] == ["no DICOM SEG: a picture"]
    assert manifest["films"]["three"]["flags"] == 1 and "problems" not in manifest["films"]["one"]
    assert manifest["films"]["three"]["film"] == films[2]["path"]
    assert (manifest["run"], manifest["settings"]) == ("run1", {"threshold": 0.5})
    assert manifest["started"] <= manifest["finished"] != ""
    assert "two: it is cut short. Copy it again" in caplog.text
    assert "1 films done, 1 kept from before, 1 failed" in caplog.text


def test_run_that_breaks_off_leaves_what_was_done(films: list[dict], tmp_path: Path) -> None:
    with pytest.raises(MemoryError, match="too small"):
        run(tmp_path, films, films, breaking="two")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert statuses(manifest) == {"one": "done", "two": "pending", "three": "pending"}
    assert manifest["finished"] == ""


def test_pending_are_films_without_a_result_of_this_run(films: list[dict], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert pending_films(films, folder, "run1") == films
    leave_result(folder, films[0], "run1")
    leave_result(folder, films[1], "run2")
    assert [film["name"] for film in pending_films(films, folder, "run1")] == ["two", "three"]
    assert pending_films(films, folder, "run1", resume=False) == films
    Path(films[0]["path"]).write_bytes(b"another film")
    assert len(pending_films(films, folder, "run1")) == 3


def test_vanished_film_is_pending_so_that_the_run_names_it(films: list[dict], tmp_path: Path) -> None:
    leave_result(tmp_path / "out", films[0], "run1")
    Path(films[0]["path"]).unlink()
    assert pending_films(films, tmp_path / "out", "run1") == films


def test_versions_name_what_a_result_depends_on() -> None:
    import torch

    found = versions()
    # The distribution's version may leave out the build's local part ("+cpu", "+cu130") that torch itself tells.
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0] and found["python"].startswith("3.")
    assert "not installed" not in found.values()


def as_process(monkeypatch: pytest.MonkeyPatch, rank: int, lists: list[str] | None = None) -> None:
    """Pretend to be one of three processes; the others have seen `lists` of films, or the same as this one."""

    def gather(found: list[Any], own: Any) -> None:
        found[:] = [own, *(lists or [own, own])]

    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: rank)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 3)
    monkeypatch.setattr("torch.distributed.all_gather_object", gather)


def test_shares_hold_every_film_once(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [{"name": str(n)} for n in range(8)]
    assert own_share(items) == items
    shares = []
    for rank in range(3):
        as_process(monkeypatch, rank)
        shares.append([item["name"] for item in own_share(items)])
    assert shares == [["0", "3", "6"], ["1", "4", "7"], ["2", "5"]]


def test_first_process_puts_the_shares_together(
    films: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cmnet_monai.engines.manifest.remove_leftovers", lambda folder: 0)
    (tmp_path / ".cmnet-manifest-1.json").write_text('{"finished": "of an earlier run", "films": {}}')
    parts = {}
    for rank in (2, 1):
        as_process(monkeypatch, rank)
        share = films[rank : rank + 1]
        with pytest.raises(FileNotFoundError):
            run(tmp_path, films, share, failing="two")  # no manifest.json: that is the first process's
        part = tmp_path / f".cmnet-manifest-{rank}.json"
        parts[part] = part.read_text()
        assert list(json.loads(parts[part])["films"]) == [share[0]["name"]]
    as_process(monkeypatch, 0)

    def others_work(seconds: float) -> None:
        for part, text in parts.items():
            part.write_text(text)

    monkeypatch.setattr("cmnet_monai.engines.manifest.time.sleep", others_work)
    manifest = run(tmp_path, films, films[:1])
    assert statuses(manifest) == {"one": "done", "two": "failed", "three": "done"}
    assert manifest["counts"] == {"done": 2, KEPT: 0, "failed": 1, "pending": 0} and manifest["finished"]
    assert not list(tmp_path.glob(".cmnet-manifest-*"))


def test_processes_that_see_different_films_stop(
    films: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_process(monkeypatch, 0, ["another list", "another list"])
    with pytest.raises(RuntimeError, match="different films"):
        run(tmp_path, films, films)
