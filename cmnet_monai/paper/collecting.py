"""Finished rows of several machines, or of several work folders, put together in one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cmnet_monai.evaluation.records import read_json
from cmnet_monai.paper.results import DONE, results_folder, write_content


def collect_results(sources: Sequence[Path], work: Path) -> dict[str, int]:
    """Take finished rows of other work folders into the results of one.

    A row that is finished here stays as it is. Nothing but rows of the same settings and of the same test films comes
    together; trainings and weights stay where they are, so that ``experiments run`` here would train such rows anew.
    It also writes the results of its own trainings alone: collect last.

    Args:
        sources: work folders, with ``results/<bed>/<experiment>.json``.
        work: the work folder that takes them in.
    Returns:
        Number of rows taken, by ``<bed>/<experiment>``.
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
            raise FileNotFoundError(f"{source}: no results/<bed>/<experiment>.json there; give a work folder of a run")
        for file in files:
            name = f"{file.parent.name}/{file.stem}"
            ours = merged.get(name) or read_json(work / "results" / f"{name}.json")
            merged[name], rows = _merge(ours, read_json(file), file)
            taken[name] = taken.get(name, 0) + len(rows)
            pictures += [(source, picture) for row in rows for picture in row.get("pictures", [])]
    for name, content in merged.items():
        bed, _, experiment = name.partition("/")
        write_content(results_folder(work, bed), experiment, content)
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
    keys = {_key(row) for row in new}
    films = [film for film in ours["films"] if _key(film) not in keys]
    films += [film for film in theirs["films"] if _key(film) in keys]
    order = {key: place for place, key in enumerate(rows)}
    films.sort(key=lambda film: order[_key(film)])
    seeds = sorted({int(seed) for content in (ours, theirs) for seed in _seeds(content["command"])})
    command = re.sub(r"--seeds \S+", f"--seeds {','.join(map(str, seeds))}", ours["command"])
    return {**ours, "command": command, "rows": list(rows.values()), "films": films}, new


def _check_alike(ours: dict[str, Any], theirs: dict[str, Any], file: Path) -> None:
    commands = [re.sub(r" --seeds \S+", "", content["command"]) for content in (ours, theirs)]
    if commands[0] != commands[1]:
        raise ValueError(f"{file}: other settings than here: {commands[1]!r} instead of {commands[0]!r}")
    hashes: dict[str, str] = {}
    for row in [*ours["rows"], *theirs["rows"]]:
        found = row.get("test_hash", "")
        if row["status"] == DONE and hashes.setdefault(row["variant"], found) != found:
            raise ValueError(f"{file}: row {row['variant']!r} was measured on other test films than here")


def _key(record: dict[str, Any]) -> tuple[str, int]:
    return str(record["variant"]), int(record["seed"])


def _seeds(command: str) -> list[str]:
    found = re.search(r"--seeds (\S+)", command)
    return found.group(1).split(",") if found else []
