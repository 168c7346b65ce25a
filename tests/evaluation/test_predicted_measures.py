from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from stored_results import store_result

from cmnet_monai.datasets import synthesize
from cmnet_monai.datasets.synthesize import plan_films, read_synthetic, write_film
from cmnet_monai.evaluation.measures import run_predicted_bias
from cmnet_monai.evaluation.names import judge_names, names_table
from cmnet_monai.io import read_label_map
from cmnet_monai.synthetic import generate_film


def test_names_are_judged_by_what_most_of_a_body_bears() -> None:
    true, found = np.zeros((2, 30, 100), np.uint8)
    for i, code in enumerate((22, 23, 24, 26)):
        true[5:25, 10 + 20 * i : 25 + 20 * i] = code
    found[:] = true
    found[5:16, 10:25] = 21  # most of L3 bears L2
    found[true == 23] = 0
    assert judge_names(found, true) == {
        "l5_s1_in_view": True,
        "lumbar": 3,
        "found": 2,
        "named": 1,
        "wrong": {"L3": "L2", "L4": "nothing"},
    }
    assert judge_names(true, true * (true < 26))["l5_s1_in_view"] is False


def test_names_table_counts_bodies_and_films() -> None:
    good = {"l5_s1_in_view": True, "lumbar": 5, "found": 5, "named": 5}
    table = names_table(
        [good, {**good, "named": 3}, {**good, "l5_s1_in_view": False, "lumbar": 4, "found": 4, "named": 4}]
    )
    assert "| L5-S1 in view | 2 | 10 of 10 | 8 of 10 | 1 (50.0 %) |" in table
    assert "| all | 3 | 14 of 14 | 12 of 14 | 2 (66.7 %) |" in table


def test_measures_of_a_shifted_film_are_those_of_the_mask_and_misnamed_bodies_are_left_out(tmp_path: Path) -> None:
    synthesize(tmp_path / "data", 2, seed=21, kind="healthy", height_px=384, workers=1, progress=False)
    records = {}
    for number in range(2):
        name = f"film_0000{number}"
        labels = read_label_map(tmp_path / "data" / "labels" / f"{name}.png")
        if number:
            labels[labels == 22] = 15  # L3 is called T8
        film = tmp_path / "data" / "films" / f"{name}.dcm"
        store_result(tmp_path / "out", name, film, labels)
        records[name] = {"film": str(film), "status": "done"}
    (tmp_path / "out" / "manifest.json").write_text(json.dumps({"films": records}), encoding="utf-8")
    run_predicted_bias(tmp_path / "data", tmp_path / "out", tmp_path / "bias")
    with (tmp_path / "bias" / "bias.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))

    def errors(condition: str) -> dict[tuple[str, str, str], float]:
        return {
            (row["film"], row["level"], row["measure"]): float(row["error"])
            for row in rows
            if row["condition"] == condition and row["measure"].startswith(("height", "depth"))
        }

    predicted, true = errors("predicted mask"), errors("true mask")
    assert {key: true[key] for key in predicted} == predicted
    gone = {(film, level) for film, level, _ in set(true) - set(predicted)}
    assert gone == {("film_00001", "L3")}
    assert "| all | 2 | 10 of 10 | 9 of 10 | 1 (50.0 %) |" in (tmp_path / "bias" / "names.md").read_text(
        encoding="utf-8"
    )


def test_film_written_and_read_is_the_same(tmp_path: Path) -> None:
    plan = plan_films(1, 4, height_px=384)[0]
    made = generate_film(4, height_px=384)
    write_film(made, plan, tmp_path)
    film = read_synthetic(tmp_path, plan.name)
    np.testing.assert_array_equal(film.label_map, made.label_map)
    assert (film.kind, film.faces, film.look) == (made.kind, made.faces, made.look)
    for one, other in zip(film.bodies, made.bodies, strict=True):
        assert (one.level, one.deformity, one.grade) == (other.level, other.deformity, other.grade)
        np.testing.assert_allclose(one.corners_xy_px, other.corners_xy_px, atol=5e-4)


def test_run_without_results_is_refused(tmp_path: Path) -> None:
    manifest = {"films": {"a": {"film": "a.png", "status": "failed"}}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ValueError, match="no film was done"):
        run_predicted_bias(tmp_path, tmp_path, tmp_path / "out")
