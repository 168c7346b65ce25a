"""Tables and pictures of an inference run on films with known label maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cmnet_monai.conventions import LUMBAR, LUMBAR_LABELS
from cmnet_monai.evaluation.film_scores import WEAK_CONFIDENCE, BodyScore, FilmScore, score_film, summarise
from cmnet_monai.evaluation.run_output import read_run
from cmnet_monai.io import read_label_map, write_table
from cmnet_monai.io.files.json import write_json
from cmnet_monai.io.files.results import MANIFEST_NAME
from cmnet_monai.io.files.tables import markdown_table

Scores = tuple[Sequence[FilmScore], Sequence[BodyScore]]


def score_results(
    items: Sequence[Mapping[str, Any]], results_dir: str | Path, pictures: str | Path | None = None
) -> tuple[list[FilmScore], list[BodyScore]]:
    """Score the results of an inference run.

    Args:
        items: films with ``image`` and ``label``, absolute paths, as `cmnet_monai.datasets.read_datalist` gives them;
            ``confidence`` may hold the reader's trust in each outline by level.
        results_dir: output folder of the inference workflow; a film that failed there scores 0.
        pictures: folder for ``<film>.png``, each film with the outline found, the true one and the named centres.
    Raises:
        FileNotFoundError: the folder has no manifest, or the result of a finished film is gone.
        ValueError: a film is not in it, or was not come to before the run broke off.
    """
    found = read_run(results_dir)
    films, bodies = [], []
    for item in items:
        output = found.get(str(item["image"]))
        if output is None:
            where = Path(results_dir) / MANIFEST_NAME
            raise ValueError(f"{item['image']}: not among the films of {where}; run inference on it first")
        labels = read_label_map(item["label"])
        mask, centres = output.mask_and_centres(labels.shape)
        film, its_bodies = score_film(output.name, mask, centres, labels, item.get("confidence"))
        films.append(film)
        bodies += its_bodies
        if pictures is not None:
            _draw(Path(pictures) / f"{output.name}.png", item, film, mask, centres, labels)
    return films, bodies


def _draw(file: Path, item: Mapping[str, Any], film: FilmScore, mask: Any, centres: Any, labels: Any) -> None:
    from cmnet_monai.io import read_film
    from cmnet_monai.visualize import save_overlay

    title = f"{film.film}: Dice {film.dice:.3f}, {film.named}/{film.bodies} named"
    truth = np.isin(labels, LUMBAR_LABELS)
    save_overlay(file, read_film(item["image"]).pixels, mask, centres, truth, title=title)


def write_scores(folder: str | Path, films: Sequence[FilmScore], bodies: Sequence[BodyScore], **extra: Any) -> None:
    """Write ``films.csv``, ``bodies.csv`` and ``summary.json`` (with ``extra``), each whole or not at all.

    Figures that there are none of (no body was found, no outline is weak) are ``null`` in the JSON and ``nan`` in CSV.
    """
    folder = Path(folder)
    write_table(folder / "films.csv", (asdict(film) for film in films), number=".4f")
    write_table(folder / "bodies.csv", ({**asdict(b), "centre_error": b.centre_error} for b in bodies), number=".4f")
    write_json(folder / "summary.json", {**extra, **summarise(films, bodies)})


_FIGURES: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "films": lambda s: f"{s['films']}",
    "mean Dice of L1-L5": lambda s: f"**{s['mean_dice']:.3f}**",
    "median, lowest": lambda s: f"{s['median_dice']:.3f}, {s['lowest_dice']:.3f}",
    "films under 0.85": lambda s: f"{s['films_under_0.85']}",
    "mean precision, recall": lambda s: f"{s['mean_precision']:.3f}, {s['mean_recall']:.3f}",
    "bodies found": lambda s: f"{s['bodies_found']} of {s['bodies']}",
    "bodies named rightly": lambda s: f"{s['bodies_named']} of {s['bodies']}",
    "films with every name right": lambda s: f"{s['films_all_named']}",
    "centres in S1 or in no body": lambda s: f"{s['false_centres']}",
    "median centre error, share of body width": lambda s: f"{100 * s['median_centre_error_of_width']:.1f} %",
    "mean Dice of single bodies": lambda s: _number(s["mean_body_dice"]),
    f"the same, outlines of confidence {WEAK_CONFIDENCE} or less": lambda s: (
        f"{_number(s['mean_weak_body_dice'])} ({s['weak_bodies']} bodies)"
    ),
}
_DECIDING = ("bodies found", "bodies named rightly", "centres in S1 or in no body")


def summary_table(columns: Mapping[str, Scores]) -> str:
    """One row a figure, one column a model: its films and bodies, by the heading of its column."""
    found = [summarise(*scores) for scores in columns.values()]
    rows = [[title, *map(text, found)] for title, text in _FIGURES.items()]
    rows += [[f"mean Dice of {v}", *(_number(s["body_dice_by_level"].get(v)) for s in found)] for v in LUMBAR]
    return markdown_table(["", *columns], rows)


def comparison_table(rows: Mapping[str, Scores]) -> str:
    """One row a model, or a way of using it, with the figures that decide between them."""
    lines = []
    for name, scores in rows.items():
        s = summarise(*scores)
        dice = [f"{s[figure]:.3f}" for figure in ("mean_dice", "median_dice", "lowest_dice")]
        error = f"{100 * s['median_centre_error_of_width']:.1f} %"
        lines.append([name, *dice, *(_FIGURES[figure](s) for figure in _DECIDING), error])
    head = ["", "mean Dice", "median", "lowest", "bodies found", "named", "false centres", "centre error"]
    return markdown_table(head, lines)


def film_table(films: Sequence[FilmScore], bodies: Sequence[BodyScore]) -> str:
    """One row a film: Dice, precision, recall, names, and the Dice of each level."""
    rows = []
    for film in sorted(films, key=lambda film: film.film):
        dice = {body.level: body.dice for body in bodies if body.film == film.film}
        shares = [f"{value:.3f}" for value in (film.dice, film.precision, film.recall)]
        counts = [f"{count}/{film.bodies}" for count in (film.found, film.named)]
        rows.append([film.film, *shares, *counts, *(_number(dice.get(level)) for level in LUMBAR)])
    return markdown_table(["film", "Dice", "precision", "recall", "found", "named", *LUMBAR], rows)


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.2f}"
