"""Scores as Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cmnet_monai.conventions import LUMBAR
from cmnet_monai.evaluation.film_scores import WEAK_CONFIDENCE, BodyScore, FilmScore, summarise


def summary_table(columns: Mapping[str, tuple[Sequence[FilmScore], Sequence[BodyScore]]]) -> str:
    """One row a figure, one column a model.

    Args:
        columns: for each model its films and bodies, by the heading of its column.
    """
    found = {name: summarise(*scores) for name, scores in columns.items()}
    rows: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("films", lambda s: f"{s['films']}"),
        ("mean Dice of L1-L5", lambda s: f"**{s['mean_dice']:.3f}**"),
        ("median, lowest", lambda s: f"{s['median_dice']:.3f}, {s['lowest_dice']:.3f}"),
        ("films under 0.85", lambda s: f"{s['films_under_0.85']}"),
        ("mean precision, recall", lambda s: f"{s['mean_precision']:.3f}, {s['mean_recall']:.3f}"),
        ("bodies found", lambda s: f"{s['bodies_found']} of {s['bodies']}"),
        ("bodies named rightly", lambda s: f"{s['bodies_named']} of {s['bodies']}"),
        ("films with every name right", lambda s: f"{s['films_all_named']}"),
        ("centres in S1 or in no body", lambda s: f"{s['false_centres']}"),
        ("median centre error, share of body width", lambda s: f"{100 * s['median_centre_error_of_width']:.1f} %"),
        ("mean Dice of single bodies", lambda s: _number(s["mean_body_dice"])),
        (
            f"the same, outlines of confidence {WEAK_CONFIDENCE} or less",
            lambda s: f"{_number(s['mean_weak_body_dice'])} ({s['weak_bodies']} bodies)",
        ),
        *((f"mean Dice of {level}", _level(level)) for level in LUMBAR),
    ]
    lines = [_line(["", *columns]), _line(["---"] * (len(columns) + 1))]
    return "\n".join(lines + [_line([title, *(text(found[name]) for name in columns)]) for title, text in rows])


def comparison_table(rows: Mapping[str, tuple[Sequence[FilmScore], Sequence[BodyScore]]]) -> str:
    """One row a model, or a way of using it, with the figures that decide between them.

    Args:
        rows: for each its films and bodies, by the heading of its row.
    """
    head = ["", "mean Dice", "median", "lowest", "bodies found", "named", "false centres", "centre error"]
    lines = [_line(head), _line(["---"] * len(head))]
    for name, scores in rows.items():
        s = summarise(*scores)
        dice = (f"{s['mean_dice']:.3f}", f"{s['median_dice']:.3f}", f"{s['lowest_dice']:.3f}")
        bodies = (f"{s['bodies_found']} of {s['bodies']}", f"{s['bodies_named']} of {s['bodies']}")
        error = f"{100 * s['median_centre_error_of_width']:.1f} %"
        lines.append(_line([name, *dice, *bodies, f"{s['false_centres']}", error]))
    return "\n".join(lines)


def film_table(films: Sequence[FilmScore], bodies: Sequence[BodyScore]) -> str:
    """One row a film: Dice, precision, recall, names, and the Dice of each level."""
    head = ["film", "Dice", "precision", "recall", "found", "named", *LUMBAR]
    lines = [_line(head), _line(["---"] * len(head))]
    for film in sorted(films, key=lambda film: film.film):
        dice = {body.level: body.dice for body in bodies if body.film == film.film}
        values = (f"{film.dice:.3f}", f"{film.precision:.3f}", f"{film.recall:.3f}")
        counts = (f"{film.found}/{film.bodies}", f"{film.named}/{film.bodies}")
        lines.append(_line([film.film, *values, *counts, *(_number(dice.get(level)) for level in LUMBAR)]))
    return "\n".join(lines)


def _level(level: str) -> Callable[[dict[str, Any]], str]:
    return lambda summary: _number(summary["body_dice_by_level"].get(level))


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.2f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
