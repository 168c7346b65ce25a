from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cmnet_monai.paper.__main__ import app
from cmnet_monai.paper.catalogue import EXPERIMENTS
from cmnet_monai.paper.definitions import FULL


def call(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


@pytest.fixture(autouse=True)
def keep_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmnet_monai.console.quiet", lambda: None)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a run is asked to do, instead of doing it."""
    asked: dict[str, Any] = {}

    def note(experiments: Any, bench: Any, seeds: Any, say: Any, dry_run: bool, rows: Any) -> None:
        asked.update(names=[e.name for e in experiments], bench=bench, seeds=seeds, dry_run=dry_run, rows=rows)

    monkeypatch.setattr("cmnet_monai.paper.run.run_experiments", note)
    return asked


def test_list_names_every_experiment_and_what_it_answers() -> None:
    code, output = call("list")
    assert code == 0
    for name, experiment in EXPERIMENTS.items():
        assert f"\n{name} " in f"\n{output}" and experiment.question in output


def test_options_reach_the_bench(bench: dict[str, Any], tmp_path: Path) -> None:
    options = (
        "--seeds",
        "3,1,3",
        "--set",
        "precision=bf16",
        "--set",
        "pretrain.max_epochs=6",
        "--set",
        "shares=[0.7, 0.3]",
    )
    options += ("--row", "unet", "--row", "cmnet")
    code, output = call(
        "run", "table2", "table1", "--work", tmp_path, "--test-set", "real", "--real", tmp_path, *options
    )
    assert code == 0 and f"cmnet_monai.paper report --work {tmp_path}" in output
    made = bench["bench"]
    assert (bench["names"], bench["seeds"], bench["dry_run"]) == (["table1", "table2"], (3, 1), False)
    assert list(bench["rows"]) == ["unet", "cmnet"]
    assert (made.work, made.test_set, made.real, made.scale.name) == (tmp_path, "real", tmp_path, "full")
    assert made.settings == {"precision": "bf16", "pretrain.max_epochs": 6, "shares": [0.7, 0.3]}
    assert made.settings_of("pretrain")["max_epochs"] == 6 and "max_epochs" not in made.settings_of("finetune")


def test_quick_has_a_folder_and_a_scale_of_its_own(bench: dict[str, Any], tmp_path: Path) -> None:
    assert FULL.training_films == 1200
    code, _ = call("run", "--quick", "--work", tmp_path, "--films", 7)
    assert bench["bench"].scale.training_films == 7
    assert code == 0 and bench["bench"].work == tmp_path / "quick" and bench["bench"].scale.name == "quick"
    assert bench["names"] == list(EXPERIMENTS) and bench["seeds"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("table9",), "no experiment 'table9'"),
        (("table1", "--seeds", "a"), "--seeds takes whole numbers, such as 0,1,2; got 'a'"),
        (("table1", "--set", "precision"), "--set takes NAME=VALUE; got 'precision'"),
        (("table1", "--bundle", "nowhere"), "no bundle there"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments: tuple[str, ...], message: str, bench: dict[str, Any]) -> None:
    code, output = call("run", *arguments)
    assert code == 1 and message in output and not bench


def test_report_of_one_experiment_as_one_page(tmp_path: Path) -> None:
    code, output = call("report", "table2", "--work", tmp_path / "empty", "--output", tmp_path / "page.md")
    assert code == 0 and output.strip() == str(tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "## table2: Intervals and tests" in text and "## table1" not in text
    assert [file.name for file in tmp_path.iterdir()] == ["page.md"]


def test_the_documentation_has_every_experiment(repository: Path) -> None:
    text = (repository / "docs" / "reproduce" / "paper.md").read_text(encoding="utf-8")
    for name, experiment in EXPERIMENTS.items():
        assert f"## {name}: {experiment.title}" in text and f"python -m cmnet_monai.paper run {name} " in text
