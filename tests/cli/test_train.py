"""`cmnet-monai train` and `evaluate`, as a person types them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cmnet_monai.cli.main import app
from cmnet_monai.cli.threads import free_cores
from cmnet_monai.datasets import synthesize

SMALL = ("--set", "spatial_size=[64,128]", "--set", "base_channels=8", "--set", "num_workers=0", "--threads", "1")


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own: how many threads there are is settled before PyTorch is imported."""
    line = [sys.executable, "-m", "cmnet_monai.cli.main", *map(str, arguments)]
    every = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment}
    return subprocess.run(line, env=every, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    synthesize(folder, 3, seed=4, height_px=192, workers=1, progress=False)
    listed = folder / "datalist.json"
    items = [
        item for section in json.loads(listed.read_text()).values() if isinstance(section, list) for item in section
    ]
    listed.write_text(json.dumps({"training": items[:2], "validation": items[2:], "test": items[2:]}))
    return folder


def test_few_epochs_end_with_weights_that_are_measured_as_they_were_trained(films: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    configs = ("--config", "pretrain", "--config", "finetune")
    more = ("--set", "shares=[1.0]", "--set", "epoch_length=2", "--set", "max_epochs=1", "--set", "batch_size=2")
    done = command("train", films, "-o", run, *configs, *SMALL, *more)
    assert done.returncode == 0, done.stderr
    assert "best.pt" in done.stdout and "Traceback" not in done.stderr
    assert "train: Epoch[1] Metrics -- train_loss" in done.stderr and "validate: " in done.stderr
    record = json.loads((run / "best.json").read_text())
    assert (record["spatial_size"], record["base_channels"], record["heatmap_sigma"]) == ([64, 128], 8, 4.0)
    settings = json.loads((run / "settings.json").read_text())
    assert (settings["val_interval"], settings["max_epochs"], settings["open_top"]) == (10, 1, True)
    assert settings["dataset_dir"] == settings["validation_dir"] == str(films)

    measured = command("evaluate", films, "--weights", run / "best.pt", "-o", tmp_path / "eval", "--threads", "1")
    assert measured.returncode == 0, measured.stderr
    assert re.search(r"^dice +\d\.\d{3}$", measured.stdout, re.MULTILINE)
    assert (tmp_path / "eval" / "metrics.csv").is_file()

    grid = ("--set", "spatial_size=[288,384]")
    refused = command("evaluate", films, "--weights", run / "best.pt", "-o", tmp_path / "other", *grid)
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    assert re.search(r"best\.pt: spatial_size is 64 x 128 by best\.json .* 288 x 384 was given", refused.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "DATA", "--weights", "none.pt", "-o", "OUT"), r"none\.pt: no weights there"),
        (("train", "DATA", "-o", "OUT", "--set", "batchsize=2"), r"batchsize: no setting of train\.json"),
        (
            ("train", "DATA", "-o", "OUT", "--config", "finetunes"),
            r"finetunes\.json: no such config; there are .*finetune",
        ),
        (("train", "DATA", "-o", "OUT", "--set", "batch_size"), r"--set takes NAME=VALUE"),
        (("train", "DATA", "-o", "OUT", "--resume"), r"no run to resume"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: tuple[str, ...], message: str, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    names = {"DATA": str(films), "OUT": str(tmp_path / "out")}
    done = CliRunner().invoke(app, [names.get(argument, argument) for argument in arguments])
    assert done.exit_code == 1
    assert re.fullmatch(rf"cmnet-monai: .*{message}.*\n", done.stderr), done.stderr


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_help_has_an_example(name: str) -> None:
    assert f"cmnet-monai {name} " in CliRunner().invoke(app, [name, "--help"]).output


THREADS = """
import os
from cmnet_monai.cli.threads import use_threads
chosen = use_threads({})
import torch
names = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
print(chosen, torch.get_num_threads(), *(os.environ[name] for name in names))
"""


@pytest.mark.parametrize(
    ("asked", "environment", "printed"),
    [
        ("2", {}, "2 2 2 PASSIVE 0"),
        ("", {"OMP_NUM_THREADS": "3"}, "3 3 3 PASSIVE 0"),
        ("1", {"OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "ACTIVE"}, "1 1 1 ACTIVE 0"),
    ],
)
def test_threads_are_those_asked_for_and_sleep_while_they_wait(
    asked: str, environment: dict[str, str], printed: str
) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    program = [sys.executable, "-c", THREADS.format(asked)]
    done = subprocess.run(program, env={**clean, **environment}, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == printed, done.stderr


@pytest.mark.parametrize(("load", "free"), [(0.0, 4), (1.2, 3), (9.0, 1)])
def test_default_leaves_busy_cores_alone(load: float, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    siblings = {0: "0,4", 1: "1,5", 2: "2,6", 3: "3,7"}  # two threads a core
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr("cmnet_monai.cli.threads._read", lambda file: siblings[int(file.parent.parent.name[3:]) % 4])
    assert free_cores() == free
