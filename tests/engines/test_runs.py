from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cmnet_monai.engines import as_switch, prepare_run

SETTINGS = {"learning_rate": 2e-5, "max_epochs": 10, "num_workers": 0, "spatial_size": (64, 128)}


def leave_run(folder: Path, epoch: int | None = None, **changes: object) -> None:
    """A run as a killed process leaves it: after `epoch`, or before its first epoch ended."""
    prepare_run(folder, {**SETTINGS, **changes}, resume=False)
    if epoch is not None:
        torch.save({"epoch": epoch}, folder / "last.pt")


def folders(root: Path) -> set[str]:
    return {folder.name for folder in root.iterdir()}


def test_new_run_saves_its_settings(tmp_path: Path) -> None:
    assert prepare_run(tmp_path / "a" / "run", SETTINGS) == tmp_path / "a" / "run"
    saved = json.loads((tmp_path / "a" / "run" / "settings.json").read_text())
    assert saved == {**SETTINGS, "spatial_size": [64, 128]}


@pytest.mark.parametrize("epoch", [None, 3])
def test_unfinished_run_is_resumed_by_itself(tmp_path: Path, epoch: int | None) -> None:
    leave_run(tmp_path / "run", epoch)
    prepare_run(tmp_path / "run", SETTINGS)
    assert folders(tmp_path) == {"run"}
    assert (tmp_path / "run" / "last.pt").is_file() == (epoch is not None)


def test_finished_run_is_kept_aside_and_a_fresh_one_begins(tmp_path: Path) -> None:
    for _ in range(2):
        leave_run(tmp_path / "run", 10)
        prepare_run(tmp_path / "run", SETTINGS)
        assert not (tmp_path / "run" / "last.pt").exists()
    assert folders(tmp_path) == {"run", "run.1", "run.2", "run.3"}
    assert (tmp_path / "run.1" / "last.pt").is_file() and (tmp_path / "run.3" / "last.pt").is_file()


def test_other_settings_keep_the_earlier_run_aside(tmp_path: Path) -> None:
    leave_run(tmp_path / "run", 3)
    prepare_run(tmp_path / "run", {**SETTINGS, "learning_rate": 1e-3})
    assert folders(tmp_path) == {"run", "run.1"}
    assert json.loads((tmp_path / "run.1" / "settings.json").read_text())["learning_rate"] == 2e-5


def test_number_of_epochs_and_workers_may_change_between_parts(tmp_path: Path) -> None:
    leave_run(tmp_path / "run", 3)
    prepare_run(tmp_path / "run", {**SETTINGS, "max_epochs": 20, "num_workers": 4})
    assert folders(tmp_path) == {"run"}


@pytest.mark.parametrize("resume", [True, "auto"])
def test_finished_run_goes_on_with_more_epochs(tmp_path: Path, resume: bool | str) -> None:
    leave_run(tmp_path / "run", 10)
    prepare_run(tmp_path / "run", {**SETTINGS, "max_epochs": 20}, resume=resume)
    assert (tmp_path / "run" / "last.pt").is_file() and folders(tmp_path) == {"run"}
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["max_epochs"] == 20


@pytest.mark.parametrize("resume", [False, "false", "False"])
def test_fresh_start_keeps_the_unfinished_run_aside(tmp_path: Path, resume: bool | str) -> None:
    leave_run(tmp_path / "run", 3)
    prepare_run(tmp_path / "run", SETTINGS, resume=resume)
    assert folders(tmp_path) == {"run", "run.1"}


@pytest.mark.parametrize("resume", [True, "true"])
def test_resuming_nothing_or_something_else_is_an_error_and_changes_nothing(tmp_path: Path, resume: bool | str) -> None:
    with pytest.raises(ValueError, match="no run to resume"):
        prepare_run(tmp_path / "run", SETTINGS, resume=resume)
    assert folders(tmp_path) == set()
    leave_run(tmp_path / "run", 3)
    with pytest.raises(ValueError, match=r"other settings \(learning_rate\)"):
        prepare_run(tmp_path / "run", {**SETTINGS, "learning_rate": 1e-3}, resume=resume)
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["learning_rate"] == 2e-5


def test_unknown_choice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'maybe'"):
        prepare_run(tmp_path / "run", SETTINGS, resume="maybe")


def test_foreign_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("mine")
    prepare_run(tmp_path / "run", SETTINGS)
    assert (tmp_path / "run" / "thesis.tex").read_text() == "mine"


def test_switches_are_words_or_values() -> None:
    assert [as_switch(value) for value in (True, "true", "True", False, "false", "FALSE")] == [True] * 3 + [False] * 3
    for value in ("yes", "", None, 1):
        with pytest.raises(ValueError, match="anonymous_names is true or false"):
            as_switch(value, "anonymous_names")
