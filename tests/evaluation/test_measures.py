from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cmnet_monai.evaluation.measures import (
    Comparison,
    bias_table,
    compare_film,
    mirror_film,
    run_bias,
    summarise_errors,
    true_points,
    turn_labels,
    unreached_levels,
)
from cmnet_monai.synthetic import generate_film


def test_bias_and_limits_by_hand() -> None:
    errors = (-1.0, 0.0, 4.0)
    comparisons = [Comparison("a", "640 px", "L1", "wedge", "height_anterior", 1, 1, e) for e in errors]
    rows = summarise_errors(comparisons)
    assert [row["group"] for row in rows] == ["all", "corners in the map", "wedge"]
    assert rows[0]["bias"] == pytest.approx(1.0)
    assert rows[0]["sd"] == pytest.approx(np.sqrt(7.0))  # (4 + 1 + 9) / 2
    assert rows[0]["upper_limit"] == pytest.approx(1 + 1.96 * np.sqrt(7.0))
    assert "| height_anterior | % of the true length | +1.00 (-4.2 to +6.2) |" in bias_table(rows)


def test_measures_of_true_masks_lie_near_the_truth() -> None:
    film = generate_film(11, height_px=640)
    found, grades, side = compare_film(film, "film", "640 px")
    heights = [c.error for c in found if c.measure.startswith("height")]
    assert len(heights) >= 15
    assert abs(np.mean(heights)) < 2  # percent; the project's target is under 1 on many films
    assert np.max(np.abs(heights)) < 12
    assert side == "right"
    assert {g.level for g in grades} <= {b.level for b in film.bodies}


def test_corner_that_the_map_does_not_reach_is_noticed() -> None:
    film = generate_film(11, height_px=400)
    points, labels = true_points(film), film.label_map.copy()
    assert unreached_levels(labels, points) == set()
    y = np.argwhere(labels == 22)[:, 1]
    tip = (labels == 22) & (np.arange(labels.shape[1]) < y.min() + 0.4 * np.ptp(y))[None]
    labels[tip] = 0
    assert unreached_levels(labels, points) == {"L3"}


def test_turned_map_and_points_stay_together() -> None:
    film = generate_film(11, height_px=400)
    straight = {(c.level, c.measure): c.measured for c in compare_film(film, "a", "x")[0]}
    for c in compare_film(film, "a", "x", turn_deg=25.0)[0]:
        if c.measure == "height_middle":
            assert c.measured == pytest.approx(straight[c.level, c.measure], abs=1.0)  # a pixel
            assert c.truth == pytest.approx(straight[c.level, c.measure], abs=1.5)


def test_turn_keeps_every_region() -> None:
    labels = np.zeros((60, 90), np.uint8)
    labels[5:20, 70:88] = 20
    turned = turn_labels(labels, 30.0)
    assert (turned == 20).sum() == pytest.approx(15 * 18, rel=0.05)
    # Clockwise as seen on the film (y down): what was low moves to the left.
    assert np.argwhere(turned == 20)[:, 0].mean() - (turned.shape[0] - 1) / 2 < 12.0 - 29.5


def test_mirrored_film_has_mirrored_truth() -> None:
    film = generate_film(4, height_px=256, faces="left")
    mirrored = mirror_film(film)
    assert mirrored.faces == "right"
    np.testing.assert_array_equal(mirrored.label_map[::-1], film.label_map)
    for label, points in true_points(film).items():
        back = true_points(mirrored)[label].corners_xy_px * (-1, 1) + (film.pixels.shape[0] - 1, 0)
        np.testing.assert_allclose(back, points.corners_xy_px)


def test_run_writes_all_three_files(tmp_path: Path) -> None:
    table = run_bias(tmp_path, films=1, seed=3, heights_px=(256,), turns_deg=(10.0,))
    rows = list(csv.DictReader((tmp_path / "bias.csv").open()))
    assert {row["condition"] for row in rows} == {"256 px", "256 px, turned +10", "256 px, mirrored"}
    content = json.loads((tmp_path / "bias.json").read_text())
    assert (content["films"], content["seed"]) == (1, 3)
    assert "height_posterior" in table.read_text()
    # Mirroring is exact.
    values = {(r["level"], r["measure"], r["condition"]): float(r["measured"]) for r in rows}
    for (level, measure, condition), value in values.items():
        if condition == "256 px, mirrored":
            assert value == pytest.approx(values[level, measure, "256 px"], abs=1e-3)
