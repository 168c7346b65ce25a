from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cmnet_monai.paper.__main__ import app
from cmnet_monai.paper.results import collect_results

COMMAND = "python -m cmnet_monai.paper run table1 --work runs/paper --seeds {} --films 400"


def write(
    work: Path,
    dice: dict[tuple[str, int], float | None],
    command: str = COMMAND,
    seeds: str = "0",
    test_hash: str = "h",
    picture: str = "",
) -> Path:
    """Results of one experiment, a row and a film for each variant and seed; None is a row that was not run."""
    rows, films = [], []
    for (variant, seed), value in dice.items():
        row = {"variant": variant, "seed": seed, "status": "not run yet" if value is None else "done"}
        if value is not None:
            row |= {"dice": value, "test_hash": test_hash, "curve": {"tp": [1]}, "pictures": [picture] * bool(picture)}
            films.append({"variant": variant, "seed": seed, "film": "film_1", "dice": value})
        rows.append(row)
    content = {"experiment": "table1", "command": command.format(seeds), "rows": rows, "films": films}
    file = work / "results" / "synthetic" / "table1.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    return work


def read(work: Path) -> dict:
    return json.loads((work / "results" / "synthetic" / "table1.json").read_text())


def dice(records: list[dict]) -> dict:
    return {(r["variant"], r["seed"]): r["dice"] for r in records if r.get("dice") is not None}


def test_rows_of_two_machines_come_together(tmp_path: Path) -> None:
    here = write(tmp_path / "a", {("unet", 0): 0.8, ("cmnet", 0): None, ("modified", 0): None})
    there = write(tmp_path / "b", {("unet", 0): 0.1, ("cmnet", 0): 0.7, ("cmnet", 2): 0.6}, seeds="0,2")
    assert collect_results([there], here) == {"synthetic/table1": 2}
    merged = read(here)
    wanted = {("unet", 0): 0.8, ("cmnet", 0): 0.7, ("cmnet", 2): 0.6}  # what was finished here stays
    assert dice(merged["rows"]) == wanted == dice(merged["films"])
    assert [row["variant"] for row in merged["rows"]] == ["unet", "cmnet", "modified", "cmnet"]
    assert merged["rows"][2]["status"] == "not run yet"
    assert merged["command"] == COMMAND.format("0,2")
    with (here / "results" / "synthetic" / "table1.csv").open() as stream:
        assert [row["dice"] for row in csv.DictReader(stream)] == ["0.8", "0.7", "", "0.6"]
    assert collect_results([there], here) == {"synthetic/table1": 0}
    assert read(here) == merged


def test_an_empty_work_folder_takes_all_and_the_pictures_with_it(tmp_path: Path) -> None:
    there = write(tmp_path / "b", {("unet", 0): 0.8}, picture="measurements/x/000.png")
    (there / "measurements" / "x").mkdir(parents=True)
    (there / "measurements" / "x" / "000.png").write_bytes(b"picture")
    assert collect_results([there, there], tmp_path / "new") == {"synthetic/table1": 1}
    assert read(tmp_path / "new") == read(there)
    assert (tmp_path / "new" / "measurements" / "x" / "000.png").read_bytes() == b"picture"


def test_a_picture_is_never_written_outside_the_work_folder(tmp_path: Path) -> None:
    there = write(tmp_path / "b" / "c", {("unet", 0): 0.8}, picture="../stray.png")
    (tmp_path / "b" / "stray.png").write_bytes(b"picture")
    collect_results([there], tmp_path / "new")
    assert read(tmp_path / "new") == read(there) and not (tmp_path / "stray.png").exists()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"command": COMMAND + " --set pretrain.max_epochs=6"}, "other settings"),
        ({"test_hash": "g"}, "other test films"),
    ],
)
def test_other_settings_or_films_are_refused_and_nothing_is_taken(tmp_path: Path, other: dict, message: str) -> None:
    here = write(tmp_path / "a", {("unet", 0): 0.8, ("cmnet", 0): None})
    good = write(tmp_path / "b", {("cmnet", 0): 0.7})
    bad = write(tmp_path / "c", {("unet", 0): 0.8}, **other)
    before = read(here)
    with pytest.raises(ValueError, match=message):
        collect_results([good, bad], here)
    assert read(here) == before


def test_command_names_a_folder_without_results(tmp_path: Path) -> None:
    here = write(tmp_path / "a", {("unet", 0): 0.8})
    result = CliRunner().invoke(app, ["collect", str(tmp_path / "none"), "--work", str(here)])
    assert result.exit_code == 1 and "none: no results" in result.output
    there = write(tmp_path / "b", {("cmnet", 0): 0.7})
    result = CliRunner().invoke(app, ["collect", str(there), "--work", str(here)])
    assert result.exit_code == 0 and "synthetic/table1: 1 rows taken" in result.output
