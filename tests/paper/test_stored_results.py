from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cmnet_monai.metrics import Interval
from cmnet_monai.paper.catalogue import EXPERIMENTS, find_experiments
from cmnet_monai.paper.definitions import FULL, QUICK, REAL, Experiment, Inference, Variant
from cmnet_monai.paper.results import command
from cmnet_monai.paper.sections import ANCHORS, cell, section, signed
from cmnet_monai.paper.stored_results import Results, unpaired_difference
from cmnet_monai.paper.workspace import Workspace

A = Variant("a", "A", inference=Inference("test_domain_a"))
B = Variant("b", "B", inference=Inference("test_domain_b"), against="a")
C = Variant("c", "C", inference=Inference("test_thoracic"), against="a")
EXPERIMENT = Experiment("e", "", "", "", (A, B, C), ("dice",), parts=("tests",))


def film(variant: str, number: int, dice: float, seed: int = 0, **more: object) -> dict:
    return {"variant": variant, "seed": seed, "film": f"film_{number}", "dice": dice, **more}


def results(films: list[dict], experiment: Experiment = EXPERIMENT) -> Results:
    pairs = dict.fromkeys((f["variant"], f["seed"]) for f in films)
    rows = [{"variant": v, "seed": s, "status": "done", "test_hash": "h", "commit": "c"} for v, s in pairs]
    return Results(experiment, "synthetic", "full", rows, films, Path("nowhere"))


def test_scores_are_means_over_seeds() -> None:
    found = results([film("a", 1, 0.8), film("a", 1, 0.6, seed=1), film("a", 2, 0.5)])
    assert found.scores("a", "dice") == pytest.approx({"film_1": 0.7, "film_2": 0.5})
    assert found.interval("a", "dice").mean == pytest.approx(0.6)


def test_rows_are_compared_over_the_seeds_that_both_have() -> None:
    films = [film("a", i, 0.5 + 0.1 * i + 0.3 * seed, seed) for i in range(4) for seed in (0, 1)]
    found = results([*films, *(film("b", i, 0.6 + 0.1 * i) for i in range(4))])
    assert found.difference(B).mean == pytest.approx(0.1)  # not 0.1 - 0.15, which the second seed of "a" would make
    alone = results([*films, *(film("b", i, 0.6 + 0.1 * i, seed=7) for i in range(4))])
    assert alone.difference(B).mean == pytest.approx(-0.05)
    _, table = section(found).rows
    assert [row[1] for row in table] == ["2: DSC 0.650 to 0.950", "1", "-"]


def test_films_of_the_same_patients_are_paired_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    level = rng.uniform(0.2, 0.9, 30)  # films differ much, each loses 0.1
    films = [film("a", i, v) for i, v in enumerate(level)]
    films += [film(name, i, v - 0.1) for name in "bc" for i, v in enumerate(level)]
    found = results(films)
    paired, unpaired = found.difference(B), found.difference(C)
    assert paired.mean == pytest.approx(-0.1) == pytest.approx(unpaired.mean)
    assert paired.high - paired.low < 1e-9 and unpaired.high - unpaired.low > 0.1


def test_unpaired_interval_is_near_that_of_welch() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.9, 0.05, 60), rng.normal(0.8, 0.1, 50)
    found = unpaired_difference(a.tolist(), b.tolist())
    half = 1.96 * np.sqrt(a.var() / 60 + b.var() / 50)
    assert found.low == pytest.approx(a.mean() - b.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(a.mean() - b.mean() + half, abs=0.1 * half)


def test_strata_take_their_films_and_bodies_alone() -> None:
    def body(level: str, dice: float, grade: int) -> dict:
        return {"level": level, "dice": dice, "grade": grade, "cement": False, "screws": False}

    films = [
        film("a", 1, 0.9, grade=0, bodies=[body("L1", 1.0, 0)]),
        film("a", 2, 0.7, grade=2, bodies=[body("L1", 0.4, 2), body("L2", 0.6, 2), body("L3", 1.0, 0)]),
        film("a", 2, 0.5, grade=2, seed=1, bodies=[body("L1", 0.2, 2), body("L2", 0.4, 2), body("L3", 1.0, 0)]),
    ]
    found = results(films)
    fractured = found.film_stratum("a", lambda f: f["grade"] == 2)
    assert (fractured.mean, fractured.films) == (pytest.approx(0.6), 1)
    interval, bodies = found.body_stratum("a", lambda b: b["grade"] == 2)
    assert (interval.mean, interval.films, bodies) == (pytest.approx(0.4), 1, 2)


def test_cells_say_what_is_known() -> None:
    assert cell(Interval(0.9451, 0.93, 0.9571, 67)) == "0.945 (0.930 to 0.957)"
    assert cell(Interval(0.9451, float("nan"), float("nan"), 1)) == "0.945"
    assert cell(Interval(float("nan"), float("nan"), float("nan"), 0)) == "-"
    assert signed(Interval(-0.012, -0.02, 0.004, 67)) == "-0.012 (-0.020 to +0.004)"


def test_lines_of_rows_compared_with_the_default_go_through_it() -> None:
    for experiment in EXPERIMENTS.values():
        for variant in experiment.variants:
            if variant.x is not None and variant.against == "default":
                assert ANCHORS[variant.group][0] == "default", variant.group
    scaled = {v.group for v in EXPERIMENTS["ablations"].variants if v.training.scaled}
    assert scaled and all(ANCHORS[group][1] == 1.0 for group in scaled)  # once the default's setting


def test_command_of_the_results_has_all_that_was_asked(tmp_path: Path) -> None:
    settings = {"spatial_size": [144, 192], "finetune.max_epochs": 3, "look": "it's"}
    bench = Workspace(tmp_path, tmp_path, REAL, replace(FULL, training_films=400), settings=settings)
    words = shlex.split(command(EXPERIMENT, bench, (0, 2)))
    assert words[:5] == ["python", "-m", "cmnet_monai.paper", "run", "e"]
    options = {name: words[words.index(name) + 1] for name in ("--test-set", "--seeds", "--films")}
    assert options == {"--test-set": "real", "--seeds": "0,2", "--films": "400"}
    assert [words[i + 1] for i, word in enumerate(words) if word == "--set"] == [
        "spatial_size=[144,192]",
        "finetune.max_epochs=3",
        'look="it\'s"',
    ]
    assert "--films" not in command(EXPERIMENT, Workspace(tmp_path, tmp_path), (0,))
    assert command(EXPERIMENT, Workspace(tmp_path, tmp_path, scale=QUICK), (0,)).endswith("--quick")


def test_networks_in_another_order_than_the_papers_are_said_to_be() -> None:
    (table1,) = find_experiments(["table1"])

    def text(unet: float, modified: float, cmnet: float) -> str:
        means = {"unet": unet, "modified_unet": modified, "cmnet": cmnet}
        films = [film(name, i, value + 0.01 * i) for name, value in means.items() for i in range(3)]
        return str((section(results(films, table1)).published or {})["order"])

    assert "CM-Net > Modified U-Net > U-Net: the paper's order" in text(0.7, 0.8, 0.9)
    assert "Modified U-Net > U-Net > CM-Net: not the paper's order" in text(0.8, 0.9, 0.7)
    assert "two networks are even" in text(0.8, 0.9, 0.9)
