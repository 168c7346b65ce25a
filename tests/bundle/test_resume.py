"""Training that is killed goes on where it stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

EPOCHS = 6


@pytest.mark.usefixtures("one_thread")
def test_killed_training_ends_as_if_it_had_not_been(
    workflow: Callable, dataset: Path, tiny: tuple[str, ...], repository: Path, environment: dict, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    config = ("--config_file", "bundle/configs/train.json", "--bundle_root", "bundle", "--dataset_dir", str(dataset))
    options = ("--output_dir", str(folder), *tiny, "--max_epochs", str(EPOCHS), "--learning_rate", "0.001")
    command = [sys.executable, "-m", "monai.bundle", "run", *config, *options, "--device", "cpu"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=repository, env=environment, **quiet)
    while not (folder / "last.pt").is_file():
        assert process.poll() is None, "the process ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    at_kill = torch.load(folder / "last.pt", weights_only=True)
    assert 1 <= at_kill["epoch"] < EPOCHS

    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, timeout=600)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-4000:]
    assert f"after epoch {at_kill['epoch']} " in output
    resumed = torch.load(folder / "last.pt", weights_only=True)
    assert resumed["epoch"] == EPOCHS
    assert resumed["best_metric"] >= at_kill["best_metric"]
    assert not (tmp_path / "killed.1").exists()

    settings = {"num_workers": 0, "spatial_size": [64, 128], "base_channels": 8, "learning_rate": 0.001}
    through = tmp_path / "through"
    made = workflow(
        ["train"], dataset_dir=str(dataset), output_dir=str(through), max_epochs=EPOCHS, batch_size=2, **settings
    )
    made.run()
    made.finalize()
    expected = torch.load(through / "last.pt", weights_only=True)
    assert resumed["best_metric"] == expected["best_metric"] and resumed["best_epoch"] == expected["best_epoch"]
    for name, value in expected["network"].items():
        assert torch.equal(resumed["network"][name], value), name
    best, best_expected = (torch.load(f / "best.pt", weights_only=True) for f in (folder, through))
    assert all(torch.equal(best[name], value) for name, value in best_expected.items())


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("fault", ["reader killed", "film vanished", "disk full"])
def test_training_broken_off_by_a_fault_ends_as_if_it_had_not_been(
    workflow: Callable, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    from cmnet_monai.io import read_film

    data = tmp_path / "data"
    shutil.copytree(dataset, data)
    parent, seen = os.getpid(), tmp_path / "films read"
    seen.touch()
    listed = json.loads((data / "datalist.json").read_text(encoding="utf-8"))
    film = data / listed["training"][0]["image"]

    def train(folder: Path, **more: Any) -> dict[str, Any]:
        settings = {"spatial_size": [64, 128], "base_channels": 8, "learning_rate": 0.001, "batch_size": 2, **more}
        made = workflow(
            ["train"], dataset_dir=str(data), output_dir=str(folder), max_epochs=3, num_workers=1, **settings
        )
        made.run()
        made.finalize()
        return torch.load(folder / "last.pt", weights_only=True)

    def struck(path: Path, *rest: Any) -> Any:
        with seen.open("a") as stream:
            stream.write("x")
        if seen.stat().st_size > 9 and os.getpid() != parent:  # three or four films and two label maps a turn
            if fault == "reader killed":
                os.kill(os.getpid(), signal.SIGKILL)
            film.rename(gone) if not gone.exists() else None  # once: this process may outlive the run for a moment
        return read_film(path, *rest)

    expected = train(tmp_path / "through")
    gone, whole = tmp_path / "vanished", film.read_bytes()
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        if fault == "disk full":
            calls = iter(range(100))
            flush = os.fsync

            def full(descriptor: int) -> None:
                if next(calls) >= 7:  # settings, last.pt and best.pt of an epoch: two each
                    raise OSError(28, "No space left on device")
                flush(descriptor)

            patch.setattr("cmnet_monai.io.files.atomic.os.fsync", full)
        else:
            patch.setattr("cmnet_monai.io.films.radiograph_reader.read_film", struck)
        train(tmp_path / "parts")
    left = {path.name for path in (tmp_path / "parts").iterdir() if path.is_file()}
    assert left <= {"last.pt", "best.pt", "settings.json"} and "settings.json" in left
    film.write_bytes(whole)
    resumed = train(tmp_path / "parts")
    assert not (tmp_path / "parts.1").exists() and resumed["epoch"] == 3
    for name, value in expected["network"].items():
        assert torch.equal(resumed["network"][name], value), name
