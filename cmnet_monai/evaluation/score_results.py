"""Tables and pictures of an inference run on films with known label maps."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cmnet_monai.conventions import LUMBAR_LABELS
from cmnet_monai.engines.manifest import FAILED, PENDING
from cmnet_monai.evaluation.film_scores import BodyScore, FilmScore, score_film, summarise
from cmnet_monai.io import atomic_write, read_label_map, write_table
from cmnet_monai.io.files.results import MANIFEST_NAME, FilmResult


def score_results(
    items: Sequence[Mapping[str, Any]], results_dir: str | Path
) -> tuple[list[FilmScore], list[BodyScore]]:
    """Score the results of an inference run.

    Args:
        items: films with ``image`` and ``label``, absolute paths, as `cmnet_monai.datasets.read_datalist` gives them;
            ``confidence`` may hold the reader's trust in each outline by level.
        results_dir: output folder of the inference workflow; a film that failed there scores 0.
    Raises:
        FileNotFoundError: the folder has no manifest, or the result of a finished film is gone.
        ValueError: a film is not in it, or was not come to before the run broke off.
    """
    folder = Path(results_dir)
    status_of, name_of = _statuses(folder)
    films, bodies = [], []
    for item in items:
        name = name_of.get(str(item["image"]))
        if name is None:
            raise ValueError(
                f"{item['image']}: not among the films of {folder / MANIFEST_NAME}; run inference on it first"
            )
        labels = read_label_map(item["label"])
        mask, centres = _result(folder, name, status_of[name], labels.shape)
        film, its_bodies = score_film(name, mask, centres, labels, item.get("confidence"))
        films.append(film)
        bodies += its_bodies
    return films, bodies


def _statuses(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """What became of each film by its name, and the name of each film by its file."""
    films = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))["films"]
    return (
        {name: record["status"] for name, record in films.items()},
        {record["film"]: name for name, record in films.items()},
    )


def _result(folder: Path, name: str, status: str, shape: tuple[int, ...]) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Mask and centres of a film; of a failed one nothing, whatever an earlier run may have left."""
    if status == PENDING:
        raise ValueError(f"{name}: {folder / MANIFEST_NAME} says it is {PENDING}; go on with the inference first")
    if status == FAILED:
        return np.zeros(shape, dtype=bool), []
    result = FilmResult(folder, name)
    centres = json.loads(result.centres.read_text(encoding="utf-8"))["centres"]
    return read_label_map(result.mask_png) > 0, centres


def write_scores(folder: str | Path, films: Sequence[FilmScore], bodies: Sequence[BodyScore], **extra: Any) -> None:
    """Write ``films.csv``, ``bodies.csv`` and ``summary.json`` (with ``extra``), each whole or not at all.

    Figures that there are none of (no body was found, no outline is weak) are ``null`` in the JSON and ``nan`` in CSV.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "films.csv", (asdict(film) for film in films), number=".4f")
    write_table(folder / "bodies.csv", ({**asdict(b), "centre_error": b.centre_error} for b in bodies), number=".4f")
    figures = summarise(films, bodies)
    summary = {**extra, **{key: None if _is_nan(value) else value for key, value in figures.items()}}
    with atomic_write(folder / "summary.json") as temporary:
        Path(temporary).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def draw_results(
    items: Sequence[Mapping[str, Any]], results_dir: str | Path, films: Sequence[FilmScore], folder: str | Path
) -> None:
    """Draw every film with the outline found, the true one and the named centres, as ``<film>.png`` in ``folder``."""
    from cmnet_monai.io import read_film
    from cmnet_monai.visualize import save_overlay

    Path(folder).mkdir(parents=True, exist_ok=True)
    status_of, _ = _statuses(Path(results_dir))
    for item, film in zip(items, films):
        labels = read_label_map(item["label"])
        mask, centres = _result(Path(results_dir), film.film, status_of[film.film], labels.shape)
        title = f"{film.film}: Dice {film.dice:.3f}, {film.named}/{film.bodies} named"
        truth = np.isin(labels, LUMBAR_LABELS)
        pixels = read_film(item["image"]).pixels
        save_overlay(Path(folder) / f"{film.film}.png", pixels, mask, centres, truth, title=title)
