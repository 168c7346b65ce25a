"""Results of experiments as JSON and CSV, collected from measurements on disk."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cmnet_monai.evaluation.records import number, read_json, write_json
from cmnet_monai.io import write_table
from cmnet_monai.paper.definitions import FULL, MEASURED, QUICK, REAL, Experiment, Variant
from cmnet_monai.paper.measuring import MeasureRun
from cmnet_monai.paper.nnunet import NnunetRun
from cmnet_monai.paper.workspace import Bench

DONE, NOT_YET, NOT_RUN = "done", "not run yet", "not run"
NOT_IN_ROWS = ("films", "curve", "title")


def results_folder(work: Path, bed: str) -> Path:
    """Where the results of a test bed lie."""
    return work / "results" / bed


def write_results(experiments: Iterable[Experiment], bench: Bench, seeds: Sequence[int]) -> None:
    """Write ``<experiment>.json`` (all there is), ``.csv`` (one row a variant and seed) and ``_films.csv``."""
    folder = results_folder(bench.work, bench.bed)
    for experiment in experiments:
        rows, films = [], []
        for variant in experiment.rows(bench.bed, bench.scale.name == "quick"):
            for seed in seeds:
                row, its_films = _row(variant, bench, seed)
                rows.append(row | _costs(experiment, variant, bench))
                films += [{"variant": variant.name, "seed": seed, **film} for film in its_films]
        content: dict[str, Any] = {"experiment": experiment.name, "bed": bench.bed, "scale": bench.scale.name}
        content |= {"command": command(experiment, bench, seeds), "rows": rows}
        write_content(folder, experiment.name, {**content, "films": films})


def write_content(folder: Path, name: str, content: Mapping[str, Any]) -> None:
    """Write an experiment's results: all of them as JSON, its rows and its films as CSV."""
    write_json(folder / f"{name}.json", content, indent=None)
    write_table(folder / f"{name}.csv", content["rows"], number=".6g")
    write_table(folder / f"{name}_films.csv", content["films"], number=".6g")


def command(experiment: Experiment, bench: Bench, seeds: Sequence[int]) -> str:
    """The command that makes the results again, with folders of the reader's own."""
    parts = ["cmnet-monai experiments run", experiment.name, "--work runs/experiments"]
    parts += ["--bed real --real data/real"] if bench.bed == REAL else []
    if bench.scale.name == QUICK.name:
        return " ".join([*parts, "--quick"])
    parts += [f"--seeds {','.join(map(str, seeds))}"]
    if bench.scale.training_films != FULL.training_films:
        parts += [f"--films {bench.scale.training_films}"]
    settings = (f"{name}={json.dumps(value, separators=(',', ':'))}" for name, value in bench.settings.items())
    return " ".join([*parts, *(f"--set {shlex.quote(setting)}" for setting in settings)])


def _row(variant: Variant, bench: Bench, seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    head = {"variant": variant.name, "seed": seed, "bed": bench.bed, "scale": bench.scale.name}
    if variant.unavailable:
        return {**head, "status": NOT_RUN, "reason": variant.unavailable}, []
    record: dict[str, Any] | None
    if variant.external:
        run = NnunetRun(bench, variant.training, variant.asking, seed, variant.external == "nnunet_full")
        record, reason = run.record(), run.why_not()
        if record is None and reason:
            return {**head, "status": NOT_RUN, "reason": reason}, []
    else:
        record = _record(MeasureRun(bench, variant.training, variant.asking, seed), variant)
    if record is None:
        return {**head, "status": NOT_YET}, []
    films = record["films"]
    row = {**head, "status": DONE, "films": len(films), **means(films)}
    row |= {key: value for key, value in record.items() if key not in NOT_IN_ROWS and key != "seconds"}
    row |= {"measuring_seconds": record["seconds"], "training_hash": " ".join(record["training_hash"])}
    return {**row, "curve": record["curve"], "pictures": record.get("pictures", [])}, films


def _record(run: MeasureRun, variant: Variant) -> dict[str, Any] | None:
    from cmnet_monai.paper.costs import costs_file
    from cmnet_monai.paper.definitions import Training

    if variant.training.same_time:
        needed = (variant.training, Training(films=variant.training.films))
        if not all(costs_file(run.bench, training).is_file() for training in needed):
            return None  # how many epochs it has is not known yet
    record = run.record()
    if record is None:
        return None
    pictures = sorted(run.file.with_suffix("").glob("*.png"))
    return {**record, "pictures": [str(file.relative_to(run.bench.work)) for file in pictures]}


def _costs(experiment: Experiment, variant: Variant, bench: Bench) -> dict[str, Any]:
    from cmnet_monai.paper.costs import costs_file

    if not experiment.costs or variant.external or variant.unavailable:
        return {}
    found = read_json(costs_file(bench, variant.training)) or {}
    names = ("parameters", "train_seconds", "film_seconds", "train_peak_mb", "film_peak_mb")
    return {f"cost_{name}": found[name] for name in names if name in found}


def means(films: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Mean of each number over the films that have it, and the Dice of all films together."""
    found = {}
    for name in MEASURED:
        values = np.array([number(film.get(name)) for film in films])
        values = values[np.isfinite(values)]
        if len(values):
            found[name] = float(values.mean())
    if films and all("tp" in film for film in films):
        tp, fp, fn = (sum(number(film[key]) for film in films) for key in ("tp", "fp", "fn"))
        found["dice_pooled"] = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn > 0 else 1.0
    return found
