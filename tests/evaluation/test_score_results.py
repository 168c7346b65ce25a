from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stored_results import store_result

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.engines import RunManifest
from cmnet_monai.evaluation import BodyScore, FilmScore
from cmnet_monai.evaluation.score_results import (
    comparison_table,
    film_table,
    score_results,
    summary_table,
    write_scores,
)
from cmnet_monai.io import write_label_png

SIZE = (40, 70)
CENTRES = [{"level": "L4", "x_px": 14.5, "y_px": 14.5}, {"level": "L5", "x_px": 14.5, "y_px": 34.5}]


def truth() -> np.ndarray:
    """L4 and L5, 20 by 10 pixels each, one above the other."""
    labels = np.zeros(SIZE, dtype=np.uint8)
    labels[5:25, 10:20] = LABEL_OF_LEVEL["L4"]
    labels[5:25, 30:40] = LABEL_OF_LEVEL["L5"]
    return labels


class InferenceRun:
    """A finished run on the films "one", "two", ...; its manifest and results are written by the package itself."""

    def __init__(self, root: Path, *names: str) -> None:
        self.folder = root / "out"
        self.items: list[dict[str, Any]] = []
        for name in names:
            film, label = root / f"{name}.png", root / "labels" / f"{name}.png"
            film.parent.mkdir(exist_ok=True), label.parent.mkdir(exist_ok=True)
            Image.fromarray((np.indices(SIZE).sum(axis=0) * 2).astype(np.uint8).T).save(film)
            write_label_png(label, truth())
            self.items.append({"image": str(film), "label": str(label)})
        films = [
            {"name": f"{name}_film", "path": item["image"], "shown": name} for name, item in zip(names, self.items)
        ]
        self.manifest = RunManifest(self.folder, films, [], {}, {}, "run")
        self.manifest.write()

    def finish(self, name: str, mask: np.ndarray, centres: list) -> None:
        film = self.manifest.films[f"{name}_film"]
        store_result(self.folder, f"{name}_film", film["film"], np.where(mask, LABEL_OF_LEVEL["L4"], 0), centres)
        self.mark(name, "done")

    def mark(self, name: str, status: str) -> None:
        self.manifest.films[f"{name}_film"]["status"] = status
        self.manifest.write()


def test_results_are_those_of_their_films(tmp_path: Path) -> None:
    run = InferenceRun(tmp_path, "one", "two")
    half = truth() > 0
    half[15:] = False
    run.finish("two", half, CENTRES[1:])
    run.finish("one", truth() > 0, CENTRES)
    films, bodies = score_results(run.items, run.folder)
    assert films == [
        FilmScore("one_film", dice=1.0, precision=1.0, recall=1.0, bodies=2, found=2, named=2, false=0),
        FilmScore(
            "two_film", dice=pytest.approx(2 / 3), precision=1.0, recall=0.5, bodies=2, found=1, named=1, false=0
        ),
    ]
    assert [(body.film, body.level, body.named) for body in bodies] == [
        ("one_film", "L4", True),
        ("one_film", "L5", True),
        ("two_film", "L4", False),
        ("two_film", "L5", True),
    ]
    assert bodies[3].dice == pytest.approx(2 / 3)


def test_only_the_films_asked_for_are_scored_with_their_trust(tmp_path: Path) -> None:
    run = InferenceRun(tmp_path, "one", "two")
    run.finish("one", truth() > 0, CENTRES)
    films, bodies = score_results([{**run.items[0], "confidence": {"L4": 0.25}}], run.folder)
    assert [film.film for film in films] == ["one_film"]
    assert bodies[0].confidence == 0.25 and np.isnan(bodies[1].confidence)


@pytest.mark.parametrize("left_by_an_earlier_run", [False, True])
def test_failed_film_scores_zero(tmp_path: Path, left_by_an_earlier_run: bool) -> None:
    run = InferenceRun(tmp_path, "one")
    if left_by_an_earlier_run:
        run.finish("one", truth() > 0, CENTRES)
    run.mark("one", "failed")
    films, bodies = score_results(run.items, run.folder)
    assert films == [FilmScore("one_film", dice=0.0, precision=0.0, recall=0.0, bodies=2, found=0, named=0, false=0)]
    assert [(body.dice, body.found) for body in bodies] == [(0.0, False), (0.0, False)]


def test_film_of_no_or_an_unfinished_run_is_an_error(tmp_path: Path) -> None:
    run = InferenceRun(tmp_path, "one")
    run.mark("one", "pending")
    with pytest.raises(ValueError, match=r"one_film: .*manifest\.json says it is pending"):
        score_results(run.items, run.folder)
    with pytest.raises(ValueError, match=r"/other\.png: not among the films of .*manifest\.json"):
        score_results([{"image": "/other.png", "label": run.items[0]["label"]}], run.folder)
    run.mark("one", "done")
    with pytest.raises(FileNotFoundError, match=r"one_film_result\.json"):
        score_results(run.items, run.folder)
    with pytest.raises(FileNotFoundError, match=r"manifest\.json"):
        score_results(run.items, tmp_path / "labels")


def test_mask_of_another_size_is_an_error(tmp_path: Path) -> None:
    run = InferenceRun(tmp_path, "one")
    run.finish("one", truth().T > 0, CENTRES)
    with pytest.raises(ValueError, match=r"one_film: the mask is \(x, y\) = \(70, 40\), the label map \(40, 70\)"):
        score_results(run.items, run.folder)


FILMS = [
    FilmScore("a", dice=0.81239, precision=0.9, recall=0.75, bodies=2, found=2, named=1, false=3),
    FilmScore("b", dice=0.5, precision=1.0, recall=0.25, bodies=0, found=0, named=0, false=0),
]
BODIES = [
    BodyScore("a", "L4", 0.75, 0.9, True, True, 3.0, 24.0),
    BodyScore("a", "L5", 0.9, 0.7, True, False, float("nan"), 24.0),
]


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_tables_hold_every_film_and_body(tmp_path: Path) -> None:
    write_scores(tmp_path / "new" / "scores", FILMS, BODIES)
    folder = tmp_path / "new" / "scores"
    assert {file.name for file in folder.iterdir()} == {"films.csv", "bodies.csv", "summary.json"}
    films, bodies = rows_of(folder / "films.csv"), rows_of(folder / "bodies.csv")
    assert films[0] == {
        "film": "a",
        "dice": "0.8124",
        "precision": "0.9000",
        "recall": "0.7500",
        "bodies": "2",
        "found": "2",
        "named": "1",
        "false": "3",
    }
    assert [row["film"] for row in films] == ["a", "b"]
    assert [row["level"] for row in bodies] == ["L4", "L5"]
    assert [row["centre_error"] for row in bodies] == ["0.1250", "nan"]
    assert (bodies[0]["found"], bodies[1]["named"], bodies[0]["width_px"]) == ("True", "False", "24.0000")


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def test_summary_is_strict_json_with_what_else_is_to_be_known(tmp_path: Path) -> None:
    write_scores(tmp_path, FILMS, BODIES, weights="sha", passes=2)
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"), parse_constant=no_constant)
    assert (summary["weights"], summary["passes"], summary["films"], summary["bodies"]) == ("sha", 2, 2, 2)
    assert summary["mean_dice"] == pytest.approx((0.81239 + 0.5) / 2)
    assert summary["median_centre_error_of_width"] == 0.125
    assert (summary["weak_bodies"], summary["mean_weak_body_dice"]) == (0, None)
    assert summary["body_dice_by_level"] == {"L4": 0.9, "L5": 0.7}


def test_films_without_bodies_have_an_empty_table(tmp_path: Path) -> None:
    write_scores(tmp_path, FILMS[1:], [])
    assert rows_of(tmp_path / "bodies.csv") == []
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"), parse_constant=no_constant)
    assert summary["bodies"] == 0 and summary["median_centre_error_of_width"] is None


def colours(picture: Path, code: tuple[int, int, int]) -> int:
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=int)
    return int((np.abs(pixels - code).max(axis=2) < 40).sum())


def test_every_film_is_drawn_with_what_was_found_and_what_is_true(tmp_path: Path) -> None:
    run = InferenceRun(tmp_path, "one", "two")
    moved = np.roll(truth(), 8, axis=0) > 0
    run.finish("one", moved, CENTRES)
    run.finish("two", truth() > 0, CENTRES)
    run.mark("two", "failed")
    score_results(run.items, run.folder, tmp_path / "pictures")
    assert {file.name for file in (tmp_path / "pictures").iterdir()} == {"one_film.png", "two_film.png"}
    amber, cyan = (255, 176, 0), (34, 211, 238)
    one, two = (tmp_path / "pictures" / f"{name}_film.png" for name in ("one", "two"))
    assert colours(one, amber) > 200 and colours(one, cyan) > 200
    assert colours(two, amber) == 0 and colours(two, cyan) > 200  # nothing that an earlier run left


NAN = float("nan")
TWO_FILMS = [FilmScore("film_b", 0.8, 0.75, 0.9, 2, 2, 1, 1), FilmScore("film_a", 0.94, 0.95, 0.93, 1, 1, 1, 0)]
THREE_BODIES = [
    BodyScore("film_b", "L4", 0.4, 0.7, True, False, 3.0, 100.0),
    BodyScore("film_b", "L5", 0.8, 0.9, True, True, 2.0, 100.0),
    BodyScore("film_a", "L5", NAN, 0.96, True, True, 1.0, 100.0),
]


def cells(table: str, first: str) -> list[str]:
    (row,) = (line for line in table.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in row.strip("|").split("|")][1:]


def test_summary_stands_beside_that_of_another_model() -> None:
    table = summary_table({"one": (TWO_FILMS, THREE_BODIES), "other": (TWO_FILMS[1:], THREE_BODIES[2:])})
    assert cells(table, "") == ["one", "other"]
    assert cells(table, "mean Dice of L1-L5") == ["**0.870**", "**0.940**"]
    assert cells(table, "median, lowest") == ["0.870, 0.800", "0.940, 0.940"]
    assert cells(table, "bodies named rightly") == ["2 of 3", "1 of 1"]
    assert cells(table, "median centre error, share of body width") == ["2.0 %", "1.0 %"]
    assert cells(table, "the same, outlines of confidence 0.5 or less") == ["0.70 (1 bodies)", "- (0 bodies)"]
    assert cells(table, "mean Dice of L5") == ["0.93", "0.96"]
    assert cells(table, "mean Dice of L4") == ["0.70", "-"]


def test_films_are_listed_by_name_with_the_dice_of_each_level() -> None:
    table = film_table(TWO_FILMS, THREE_BODIES)
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == ["film_a", "film_b"]
    assert cells(table, "film_b") == ["0.800", "0.750", "0.900", "2/2", "1/2", "-", "-", "-", "0.70", "0.90"]


def test_comparison_has_one_row_a_setting() -> None:
    table = comparison_table({"one": (TWO_FILMS, THREE_BODIES), "other": (TWO_FILMS[1:], THREE_BODIES[2:])})
    assert cells(table, "one") == ["0.870", "0.870", "0.800", "3 of 3", "2 of 3", "1", "2.0 %"]
    assert cells(table, "other") == ["0.940", "0.940", "0.940", "1 of 1", "1 of 1", "0", "1.0 %"]
