from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from cmnet_monai import __version__
from cmnet_monai.bundle_location import bundle_root
from cmnet_monai.cli.main import app
from cmnet_monai.demo import DemoRow, run_demo, table
from cmnet_monai.networks import CMNet

HEAVY = ("torch", "monai", "pydicom", "SimpleITK", "matplotlib", "scipy", "skimage", "numpy", "highdicom", "ignite")


def call(*arguments: object) -> tuple[int, str]:
    """Exit code and everything printed."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


@pytest.fixture(autouse=True)
def keep_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command turns warnings off for its process; the tests' process goes on."""
    monkeypatch.setattr("cmnet_monai.cli.main._quiet", lambda: None)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["demo", "--help"], ["synthesize", "--help"], ["datalist", "--help"], ["--version"]]
)
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom cmnet_monai.cli.main import main\n"
        f"sys.argv = ['cmnet-monai', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('HEAVY', sorted(set(sys.modules) & set({HEAVY!r})))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("HEAVY []")


def test_help_lists_the_commands() -> None:
    code, output = call("--help")
    assert code == 0 and all(name in output for name in ("predict", "demo", "synthesize", "datalist"))
    assert not any(name in output for name in ("recipe", "calibrate", "pack-weights", "experiments"))


def test_version_is_the_packages() -> None:
    assert call("--version") == (0, f"cmnet-monai {__version__}\n")


def test_other_bundle_folder_must_be_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"configs/metadata\.json"):
        bundle_root(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text("{}")
    assert bundle_root(tmp_path) == tmp_path


def test_synthesize_writes_a_data_set_and_says_where(tmp_path: Path) -> None:
    arguments = ("synthesize", tmp_path / "set", "-n", 1, "--seed", 2, "--height", 160, "--kind", "implant")
    code, output = call(*arguments)
    assert code == 0 and str(tmp_path / "set" / "datalist.json") in output.replace("\n", "")
    datalist = json.loads((tmp_path / "set" / "datalist.json").read_text())
    (item,) = datalist["training"]
    assert item["kind"] == "implant" and (tmp_path / "set" / item["image"]).is_file()
    code, output = call(*arguments[:5], 3, *arguments[6:])
    assert code == 1 and "choose another folder or the same settings" in output.replace("\n", " ")


@pytest.mark.parametrize("arguments", [["-n", "0"], ["--seed", "-1"], ["--height", "5"], ["--workers", "0"]])
def test_numbers_out_of_range_are_usage_errors(tmp_path: Path, arguments: list[str]) -> None:
    code, output = call("synthesize", tmp_path / "set", *arguments)
    assert code == 2 and arguments[0] in output and not (tmp_path / "set").exists()


def test_unknown_kind_is_an_error_without_a_traceback(tmp_path: Path) -> None:
    code, output = call("synthesize", tmp_path, "-n", 1, "--height", 160, "--kind", "whale")
    assert code == 1 and "cmnet-monai: " in output
    assert "whale" in output and "Traceback" not in output


def test_demo_without_weights_fails_with_their_name(tmp_path: Path, repository: Path) -> None:
    bundle = tmp_path / "bundle"
    (bundle / "configs").mkdir(parents=True)
    (bundle / "configs" / "metadata.json").write_text("{}")
    (bundle / "configs" / "inference.json").write_text(
        (repository / "bundle" / "configs" / "inference.json").read_text(encoding="utf-8")
    )
    code, output = call("demo", "--output", tmp_path / "out", "--bundle", bundle, "--device", "cpu")
    assert code == 1 and output.count("cmnet-monai: ") == 1
    assert str(bundle / "models" / "model.pt") in output.replace("\n", "")


@pytest.fixture
def small_films(monkeypatch: pytest.MonkeyPatch) -> None:
    synthesize = import_module("cmnet_monai.datasets.synthesize")  # the function has the same name

    def small(*arguments: Any, **named: Any) -> list:
        return plan_films(*arguments, **{**named, "height_px": 160})

    plan_films = synthesize.plan_films
    monkeypatch.setattr(synthesize, "plan_films", small)


@pytest.mark.usefixtures("small_films")
def test_demo_makes_films_masks_overlays_and_rows(tmp_path: Path, repository: Path) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "model.pt"
    torch.save(CMNet(base_channels=8, s1_channel=True, lumbar_channel=True).state_dict(), weights)
    settings = {"ckpt_path": str(weights), "base_channels": 8, "spatial_size": [64, 128], "device": "cpu"}
    settings |= {"label_protocol": "levels", "heatmap_sigma": 4.0}  # for there is no record beside the weights
    lines: list[str] = []
    rows = run_demo(tmp_path / "demo", repository / "bundle", 1, lines.append, **settings)
    assert [row.film for row in rows] == ["healthy", "fracture", "implant"]
    for row in rows:
        assert 0 <= row.dice <= 1 and 0 <= row.found <= row.bodies and row.bodies >= 4 and row.seconds > 0
        assert (tmp_path / "demo" / "overlays" / f"{row.film}.png").stat().st_size > 10_000
        assert (tmp_path / "demo" / "results" / f"{row.film}_mask.nii.gz").is_file()
    assert len(lines) == 3
    json.loads((tmp_path / "demo" / "demo.json").read_text(), parse_constant=pytest.fail)  # no NaN

    # Another seed in the same folder: other films, other results.
    film = tmp_path / "demo" / "films" / "healthy.dcm"
    before = film.read_bytes()
    run_demo(tmp_path / "demo", repository / "bundle", 2, lines.append, **settings)
    assert film.read_bytes() != before


def test_table_has_a_line_for_each_film() -> None:
    text = table([DemoRow("healthy", 0.93127, 4, 5, 3.26, 1.04), DemoRow("implant", 0.0, 0, 5, float("nan"), 2.0)])
    head, rule, first, second = text.splitlines()
    assert head.split() == ["film", "Dice", "found", "centre", "error", "seconds"] and len(rule) == len(head)
    assert first.split() == ["healthy", "0.931", "4/5", "3.3", "px", "1.0"]
    assert "nan" in second
