from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from stored_results import store_result
from typer.testing import CliRunner

from cmnet_monai.deploy.__main__ import app as deploy
from cmnet_monai.evaluation.__main__ import app
from cmnet_monai.io import write_label_png

HEAVY = ("torch", "monai", "pydicom", "SimpleITK", "matplotlib", "scipy", "skimage", "numpy", "highdicom", "ignite")


def call(*arguments: object, of: object = app) -> tuple[int, str]:
    """Exit code and everything printed."""
    done = CliRunner().invoke(of, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


@pytest.fixture(autouse=True)
def keep_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command turns warnings off for its process; the tests' process goes on."""
    monkeypatch.setattr("cmnet_monai.console.quiet", lambda: None)


@pytest.mark.parametrize("arguments", ["evaluation recipe --help", "paper run --help"])
def test_help_imports_nothing_heavy(arguments: str) -> None:
    room, *rest = arguments.split()
    program = (
        f"import runpy, sys\nsys.argv = ['x', *{rest!r}]\n"
        f"try:\n    runpy.run_module('cmnet_monai.{room}', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('HEAVY', sorted(set(sys.modules) & set({HEAVY!r})))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("HEAVY []")


def test_every_command_has_an_example() -> None:
    for command in app.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")
        assert f"python -m cmnet_monai.evaluation {name} " in (command.callback.__doc__ or ""), name


def test_score_prints_its_table_and_writes_the_rows(tmp_path: Path) -> None:
    labels = np.zeros((40, 70), dtype=np.uint8)
    labels[5:25, 10:20], labels[5:25, 30:40] = 23, 24  # L4, L5
    half = labels * (np.arange(40) < 15)[:, None]  # of both the left half
    film, out = tmp_path / "a.png", tmp_path / "out"
    film.write_bytes(b"film")
    write_label_png(tmp_path / "true.png", labels)
    centres = [{"level": "L4", "x_px": 9.5, "y_px": 14.5}, {"level": "L5", "x_px": 9.5, "y_px": 34.5}]
    store_result(out, "a", film, half, centres)
    manifest = {"films": {"a": {"film": str(film), "status": "done"}}}
    (out / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (tmp_path / "list.json").write_text(json.dumps({"test": [{"image": str(film), "label": "true.png"}]}))
    code, output = call("score", out, tmp_path / "list.json", tmp_path / "scores")
    assert code == 0 and "| mean Dice of L1-L5 | **0.667** |" in output  # 2 n/2 / (n/2 + n)
    with (tmp_path / "scores" / "films.csv").open(encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["dice"], row["precision"], row["recall"], row["named"]) == ("0.6667", "1.0000", "0.5000", "2")


def test_pack_weights_writes_half_precision_and_says_how_much(tmp_path: Path) -> None:
    torch.save({"network": {"w": torch.ones(1000)}}, tmp_path / "last.pt")
    known = ("spatial_size=[96,128]", "label_protocol=levels", "base_channels=8", "heatmap_sigma=2.0")
    options = [part for setting in known for part in ("--set", setting)]
    code, output = call("pack-weights", tmp_path / "last.pt", tmp_path / "model.pt", *options)
    assert code == 0 and "MB" in output
    assert torch.load(tmp_path / "model.pt", weights_only=True)["w"].dtype == torch.float16


def test_pack_weights_names_what_it_cannot_use(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no weights")
    for name in ("none.pt", "text.pt"):
        code, output = call("pack-weights", tmp_path / name, tmp_path / "model.pt")
        assert code == 1 and name in output.replace("\n", "")
    assert not (tmp_path / "model.pt").exists()


def test_unequal_numbers_of_datalists_and_weights_are_told_in_one_line(tmp_path: Path) -> None:
    code, output = call("settings", tmp_path, "--films", "a.json", "--films", "b.json", "--weights", "a.pt")
    assert code == 1 and "cmnet-monai: 2 datalists and 1 weights" in output


def test_bundle_prints_a_folder_with_configs() -> None:
    code, output = call("bundle", of=deploy)
    assert code == 0 and (Path(output.strip()) / "configs" / "inference.json").is_file()


def test_label_bundle_is_written_and_never_over_another(tmp_path: Path) -> None:
    assert call("label-bundle", tmp_path / "cmnet", of=deploy)[0] == 0
    assert (tmp_path / "cmnet" / "configs" / "inference.json").is_file()
    assert call("label-bundle", tmp_path / "cmnet", of=deploy)[0] == 1
