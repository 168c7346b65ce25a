"""Results of experiments: written as JSON and CSV from measurements on disk, and taken over from other machines."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cmnet_monai.io import write_table
from cmnet_monai.io.files.json import read_json, write_json
from cmnet_monai.paper.definitions import FULL, MEASURED, Experiment, Training, Variant
from cmnet_monai.paper.measuring import MeasureRun
from cmnet_monai.paper.training import COSTS, costs_file
from cmnet_monai.paper.workspace import Workspace

COMMAND = "python -m cmnet_monai.paper"
DONE, NOT_YET, NOT_RUN = "done", "not run yet", "not run"


def write_results(experiments: Iterable[Experiment], space: Workspace, seeds: Sequence[int]) -> None:
    """Write ``<experiment>.json`` (all there is), ``.csv`` (one row a variant and seed) and ``_films.csv``."""
    for experiment in experiments:
        rows, films = [], []
        for variant in experiment.rows(space.test_set, space.scale.quick):
            for seed in seeds:
                row, its_films = _row(variant, space, seed)
                rows.append(row | (_costs(variant, space) if "costs" in experiment.parts else {}))
                films += [{"variant": variant.name, "seed": seed, **film} for film in its_films]
        head = {"experiment": experiment.name, "test_set": space.test_set, "scale": space.scale.name}
        content = {**head, "command": command(experiment, space, seeds), "rows": rows, "films": films}
        _write(space.results / experiment.name, content)


def _write(stem: Path, content: Mapping[str, Any]) -> None:
    write_json(stem.with_suffix(".json"), content, indent=None)
    write_table(stem.with_suffix(".csv"), content["rows"], number=".6g")
    write_table(stem.with_name(f"{stem.name}_films.csv"), content["films"], number=".6g")


def command(experiment: Experiment, space: Workspace, seeds: Sequence[int]) -> str:
    """The command that makes the results again, with folders of the reader's own."""
    parts = [COMMAND, "run", experiment.name, "--work runs/paper"]
    parts += ["--test-set real --real data/real"] if space.on_real else []
    if space.scale.quick:
        return " ".join([*parts, "--quick"])
    parts += [f"--seeds {','.join(map(str, seeds))}"]
    if space.scale.training_films != FULL.training_films:
        parts += [f"--films {space.scale.training_films}"]
    settings = (f"{name}={json.dumps(value, separators=(',', ':'))}" for name, value in space.settings.items())
    return " ".join([*parts, *(f"--set {shlex.quote(setting)}" for setting in settings)])


def _row(variant: Variant, space: Workspace, seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A row and its films, as far as they were measured."""
    head = {"variant": variant.name, "seed": seed, "test_set": space.test_set, "scale": space.scale.name}
    record, reason = None, variant.unavailable
    if variant.external:
        record = read_json(space.work / "external" / f"{variant.name}.json")
        reason = "" if record else f"made by {variant.external}"
    elif not reason:
        record = _record(MeasureRun(space, variant.training, variant.inference, seed))
    if record is None:
        return {**head, **({"status": NOT_RUN, "reason": reason} if reason else {"status": NOT_YET})}, []
    films = record.pop("films")
    row = {**head, "status": DONE, "films": len(films), **means(films)}
    row |= {"measuring_seconds": record.pop("seconds"), "training_hash": " ".join(record.pop("training_hash"))}
    return {**row, **{key: value for key, value in record.items() if key != "title"}}, films


def _record(run: MeasureRun) -> dict[str, Any] | None:
    needed = (run.training, Training(films=run.training.films)) if run.training.same_time else ()
    if not all(costs_file(run.space, training).is_file() for training in needed):
        return None  # how many epochs it has is not known yet
    record = run.record()
    pictures = sorted(run.file.with_suffix("").glob("*.png"))
    return record and {**record, "pictures": [str(file.relative_to(run.space.work)) for file in pictures]}


def _costs(variant: Variant, space: Workspace) -> dict[str, Any]:
    measured = not variant.external and not variant.unavailable
    found = (read_json(costs_file(space, variant.training)) or {}) if measured else {}
    return {f"cost_{name}": found[name] for name in COSTS if name in found}


def number(value: Any) -> float:
    """A number of a JSON file; null is NaN."""
    return float("nan") if value is None else float(value)


def means(films: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Mean of each number over the films that have it, and the Dice of all films together."""
    found = {}
    for name in MEASURED:
        values = np.array([number(film.get(name)) for film in films])
        if np.isfinite(values).any():
            found[name] = float(values[np.isfinite(values)].mean())
    if films and all("tp" in film for film in films):
        tp, fp, fn = (sum(number(film[key]) for film in films) for key in ("tp", "fp", "fn"))
        found["dice_pooled"] = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn > 0 else 1.0
    return found


def collect_results(sources: Sequence[Path], work: Path) -> dict[str, int]:
    """Take finished rows of other work folders into the results of one.

    A row that is finished here stays as it is. Nothing but rows of the same settings and of the same test films comes
    together; trainings and weights stay where they are, so that `run` here would train such rows anew. It also writes
    the results of its own trainings alone: collect last.

    Args:
        sources: work folders, with ``results/<test set>/<experiment>.json``.
        work: the work folder that takes them in.
    Returns:
        Number of rows taken, by ``<test set>/<experiment>``.
    Raises:
        FileNotFoundError: a source has no results.
        ValueError: results of other settings or of other test films; nothing of any source is taken.
    """
    merged: dict[str, dict[str, Any]] = {}
    taken: dict[str, int] = {}
    pictures: list[tuple[Path, str]] = []
    for source in sources:
        files = sorted((source / "results").glob("*/*.json"))
        if not files:
            raise FileNotFoundError(f"{source}: no results/<test set>/<experiment>.json there; give a work folder")
        for file in files:
            name = f"{file.parent.name}/{file.stem}"
            ours = merged.get(name) or read_json(work / "results" / f"{name}.json")
            merged[name], rows = _merge(ours, read_json(file), file)
            taken[name] = taken.get(name, 0) + len(rows)
            pictures += [(source, picture) for row in rows for picture in row.get("pictures", [])]
    for name, content in merged.items():
        _write(work / "results" / name, content)
    for source, picture in pictures:
        inside = (work / picture).resolve().is_relative_to(work.resolve())  # the names are another machine's
        if inside and (source / picture).is_file() and not (work / picture).exists():
            (work / picture).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / picture, work / picture)
    return taken


def _merge(ours: dict[str, Any] | None, theirs: dict[str, Any], file: Path) -> tuple[dict[str, Any], list[Any]]:
    """Our results with their finished rows where ours are not, and these rows."""
    if ours is None:
        return theirs, [row for row in theirs["rows"] if row["status"] == DONE]
    _check_alike(ours, theirs, file)
    rows = {_key(row): row for row in ours["rows"]}
    new = [r for r in theirs["rows"] if r["status"] == DONE and rows.get(_key(r), {}).get("status") != DONE]
    rows |= {_key(row): row for row in new}
    order, keys = list(rows), {_key(row) for row in new}
    films = [film for film in ours["films"] if _key(film) not in keys]
    films += [film for film in theirs["films"] if _key(film) in keys]
    films.sort(key=lambda film: order.index(_key(film)))
    found = (re.search(r"--seeds (\S+)", content["command"]) for content in (ours, theirs))
    seeds = sorted({int(seed) for match in found if match for seed in match.group(1).split(",")})
    renewed = re.sub(r"--seeds \S+", f"--seeds {','.join(map(str, seeds))}", ours["command"])
    return {**ours, "command": renewed, "rows": list(rows.values()), "films": films}, new


def _check_alike(ours: dict[str, Any], theirs: dict[str, Any], file: Path) -> None:
    commands = [re.sub(r" --seeds \S+", "", content["command"]) for content in (ours, theirs)]
    if commands[0] != commands[1]:
        raise ValueError(f"{file}: other settings than here: {commands[1]!r} instead of {commands[0]!r}")
    hashes: dict[str, str] = {}
    for row in [*ours["rows"], *theirs["rows"]]:
        found = row.get("test_hash", "")
        if row["status"] == DONE and hashes.setdefault(row["variant"], found) != found:
            raise ValueError(f"{file}: row {row['variant']!r} was measured on other test films than here")


def _key(record: Mapping[str, Any]) -> tuple[str, int]:
    return str(record["variant"]), int(record["seed"])
