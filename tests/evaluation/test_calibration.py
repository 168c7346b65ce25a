from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored_results import store_result

from cmnet_monai.evaluation.calibration import judge_results, reliability, run_calibration, split_films
from cmnet_monai.film_result import GivenCentre
from cmnet_monai.io import write_label_png


def test_reliability_by_hand() -> None:
    # Bins 0-0.5: 0.2 and 0.4, one of two right; 0.8-0.9: 0.85 twice, both right.
    found = reliability(np.array([0.2, 0.4, 0.85, 0.85]), np.array([False, True, True, True]))
    assert found["ece"] == pytest.approx((2 * abs(0.3 - 0.5) + 2 * 0.15) / 4)
    assert found["brier"] == pytest.approx((0.04 + 0.36 + 2 * 0.0225) / 4)
    assert found["brier_of_the_share"] == pytest.approx(0.75 * 0.25) and found["auc"] == 1.0
    assert [(b["from"], b["bodies"], b["share_right"]) for b in found["bins"]] == [(0.0, 2, 0.5), (0.8, 2, 1.0)]


def test_ties_count_half_and_nothing_wrong_has_no_auc() -> None:
    assert reliability(np.full(4, 0.9), np.array([True, False, True, False]))["auc"] == 0.5
    alone = reliability(np.array([1.0, 0.5]), np.array([True, True]))
    assert np.isnan(alone["auc"]) and [b["from"] for b in alone["bins"]] == [0.5, 0.99]


def results(folder: Path, films: int) -> list[dict[str, Any]]:
    """Films with L2 and L3; of every third film L3 was found at half its place, with a low score."""
    items, records = [], {}
    for number in range(films):
        name, film = f"film_{number:02d}", folder / f"film_{number:02d}.png"
        film.write_bytes(b"film")
        true = np.zeros((40, 90), np.uint8)
        true[5:35, 10:30], true[5:35, 40:60] = 21, 22
        found, poor = true.copy(), number % 3 == 0
        if poor:
            found[5:20, 40:60] = 0
        write_label_png(folder / f"{name}_true.png", true)
        centres = [
            {"level": "L2", "score": 0.9, "uncertainty": 0.05},
            {"level": "L3", "score": 0.6 if poor else 0.9, "uncertainty": 0.2 if poor else 0.05},
        ]
        store_result(folder / "out", name, film, found, centres)
        items.append({"image": str(film), "label": str(folder / f"{name}_true.png")})
        records[name] = {"film": str(film), "status": "done"}
    settings = {"mirror": True, "levels": ["L1"], "given_centres": ""}
    manifest = {"films": records, "weights": {"sha256": "ab"}, "settings": settings}
    (folder / "out" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return items


def test_bodies_are_judged_by_name_and_outline(tmp_path: Path) -> None:
    items = results(tmp_path, 2)
    bodies = judge_results(items, tmp_path / "out")
    # Half of a body of n pixels overlaps it with 2 n/2 / (n/2 + n) = 2/3.
    assert [(b.film, b.level, b.dice, b.right) for b in bodies] == [
        ("film_00", "L2", 1.0, True),
        ("film_00", "L3", pytest.approx(2 / 3), False),
        ("film_01", "L2", 1.0, True),
        ("film_01", "L3", 1.0, True),
    ]
    with pytest.raises(ValueError, match="no result of any"):
        judge_results([{"image": "other.png", "label": "x"}], tmp_path / "out")


def test_films_never_part_between_the_halves(tmp_path: Path) -> None:
    first, second = split_films(judge_results(results(tmp_path, 7), tmp_path / "out"))
    assert {b.film for b in first} == {f"film_0{i}" for i in (0, 2, 4, 6)}
    assert {b.film for b in second} == {f"film_0{i}" for i in (1, 3, 5)}


def test_calibration_is_written_with_its_provenance_and_tables(tmp_path: Path) -> None:
    items = results(tmp_path, 24)
    again = {"others": [(items[:3], tmp_path / "out")]}
    made = run_calibration((items, tmp_path / "out"), tmp_path / "calibrated", again, "boxes")
    content = json.loads(made.read_text(encoding="utf-8"))
    assert content["weights_sha256"] == "ab" and content["settings"] == {"mirror": True}
    assert content["provenance"]["films"] == "boxes" and content["provenance"]["fitted_on"] == 12
    assert content["reliability"]["held-out films"]["bodies"] == 24 and content["reliability"]["others"]["bodies"] == 6
    with (tmp_path / "calibrated" / "bodies.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    low = {row["confidence"] for row in rows if row["right"] == "False"}
    high = {row["confidence"] for row in rows if row["right"] == "True"}
    assert len(rows) == 54 and max(map(float, low)) < 0.3 and min(map(float, high)) > 0.9
    table = (tmp_path / "calibrated" / "reliability.md").read_text(encoding="utf-8")
    assert "| held-out films | 24 | 20 (0.833) |" in table


def test_guided_films_are_refused(tmp_path: Path) -> None:
    items = results(tmp_path, 1)
    film = tmp_path / "film_00.png"
    store_result(tmp_path / "out", "film_00", film, np.zeros((40, 90)), given=[GivenCentre(1.0, 2.0, None, False)])
    with pytest.raises(ValueError, match="a reader gave centres"):
        judge_results(items, tmp_path / "out")
