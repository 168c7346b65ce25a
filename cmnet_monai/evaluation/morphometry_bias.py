"""How far measures of a label map lie from the known truth: bias and limits of agreement on synthetic films."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmnet_monai.conventions import LEVEL_OF_LABEL
from cmnet_monai.io import atomic_write, write_table
from cmnet_monai.morphometry import BodyPoints, FilmMorphometry, FilmScale, find_anterior, measure_film, measure_points
from cmnet_monai.synthetic import SyntheticFilm, generate_film

Array = NDArray[np.floating]
Labels = NDArray[np.integer]

LENGTHS = ("height_anterior", "height_middle", "height_posterior", "depth_upper", "depth_lower")
DISCS = ("disc_anterior", "disc_middle", "disc_posterior")
UNITS = {
    **dict.fromkeys(LENGTHS, "% of the true length"),
    **dict.fromkeys(DISCS, "% of the upper body's posterior height"),
    "slip": "% of the end plate's depth",
    "lordosis_l1_l5": "degrees",
    "lordosis_l1_s1": "degrees",
}
"""Measures and the unit of their errors."""

REACHED = "corners in the map"
_REACH = 0.1
"""A corner that lies farther from its region than this share of the body's depth is not in the map."""


@dataclass(frozen=True)
class Comparison:
    """One measure against the truth.

    Args:
        film: its name.
        condition: what was done to the film, such as "1280 px, turned 15".
        level: the body, the disc ("L4/L5") or "film".
        deformity: true deformity of the body, of discs and films "none".
        measure: one of `UNITS`.
        measured: as measured, px or the error's unit.
        truth: the same from the true corners.
        error: measured minus true, in the unit that `UNITS` gives.
        reached: whether the label map reaches the true corners of the body. Those of synthetic bodies are sharp and
            those of their outlines rounded with a radius of 2.5 mm, which takes away the thin horns of broken bodies.
    """

    film: str
    condition: str
    level: str
    deformity: str
    measure: str
    measured: float
    truth: float
    error: float
    reached: bool = True


@dataclass(frozen=True)
class GradeComparison:
    """Deformity and Genant grade candidates of one body against the truth."""

    film: str
    condition: str
    level: str
    true_kind: str
    kind: str
    true_grade: int
    grade: int


def true_points(film: SyntheticFilm) -> dict[int, BodyPoints]:
    """The points of every body of a film that are known, and the middles of its walls' chords."""
    points = {}
    for body in film.bodies:
        sa, sp, ip, ia = body.corners_xy_px
        plates = body.plates_xy_px
        if plates is None:
            raise ValueError("the middles of the end plates are not known on films from a CT")
        points[body.label] = BodyPoints(body.corners_xy_px, plates, 0.5 * np.array([sa + ia, sp + ip]), 0.0)
    return points


def unreached_levels(labels: Labels, points: dict[int, BodyPoints]) -> set[str]:
    """Levels with a true corner that lies farther from the body's region than a tenth of its depth."""
    unreached = set()
    for label, body in points.items():
        corners = body.corners_xy_px
        inside = np.argwhere(labels == label)
        depth = 0.5 * float(np.linalg.norm(corners[1] - corners[0]) + np.linalg.norm(corners[2] - corners[3]))
        gaps = [float(np.hypot(*(inside - corner).T).min(initial=np.inf)) for corner in corners]
        if max(gaps) > _REACH * depth:
            unreached.add(LEVEL_OF_LABEL[label])
    return unreached


def compare_measures(
    name: str,
    condition: str,
    measured: FilmMorphometry,
    truth: FilmMorphometry,
    kinds: dict[str, str] | None = None,
    unreached: Collection[str] = (),
) -> list[Comparison]:
    """Measures of a film against true ones; bodies that the film's edge cuts are left out.

    Args:
        name: the film's name.
        condition: see `Comparison`.
        measured: from a label map.
        truth: from the true points, by the same formulas.
        kinds: true deformity by level.
        unreached: levels whose true corners the label map does not reach.
    """
    kinds = kinds or {}
    found: list[Comparison] = []

    def add(level: str, measure: str, value: float, goal: float, unit: float = 1.0) -> None:
        error = (value - goal) / unit
        reached = level not in unreached
        found.append(Comparison(name, condition, level, kinds.get(level, "none"), measure, value, goal, error, reached))

    true_bodies = {body.level: body for body in truth.bodies}
    cut = {body.level for body in measured.bodies if body.cut_off}
    for body in (b for b in measured.bodies if b.level in true_bodies and b.level not in cut):
        row, goal = body.record(), true_bodies[body.level].record()
        for measure in LENGTHS:
            add(body.level, measure, row[f"{measure}_px"], goal[f"{measure}_px"], goal[f"{measure}_px"] / 100)
    true_discs = {(disc.upper, disc.lower): disc.record() for disc in truth.discs}
    for disc in measured.discs:
        if (disc.upper, disc.lower) not in true_discs or {disc.upper, disc.lower} & cut:
            continue
        row, goal, level = disc.record(), true_discs[disc.upper, disc.lower], f"{disc.upper}/{disc.lower}"
        unit = true_bodies[disc.upper].posterior.px / 100
        for measure in DISCS:
            add(level, measure, row[f"{measure}_px"], goal[f"{measure}_px"], unit)
        add(level, "slip", disc.slip_percent, goal["slip_percent"])
    for measure in ("lordosis_l1_l5", "lordosis_l1_s1"):
        value, goal = (getattr(m, f"{measure}_deg") for m in (measured, truth))
        if value is not None and goal is not None:
            add("film", measure, value, goal)
    return found


def compare_film(
    film: SyntheticFilm, name: str, condition: str, labels: Labels | None = None, turn_deg: float = 0.0
) -> tuple[list[Comparison], list[GradeComparison], str]:
    """Compare the measures of a synthetic film's label map with those of its true corners.

    Args:
        film: the film.
        name: its name.
        condition: see `Comparison`.
        labels: label map (x, y) to measure; None takes the true one.
        turn_deg: turn the label map and the true points by so much first.
    Returns:
        comparisons of measures and of grades, and whether the side of the patient's front was found from the label map:
        "right", "wrong" or "unknown".
    """
    true_labels: NDArray[Any] = film.label_map
    labels = true_labels if labels is None else labels
    points, valid = true_points(film), film.valid_area
    if turn_deg:
        points = {label: _turned_points(p, labels.shape, turn_deg) for label, p in points.items()}
        true_labels, labels = turn_labels(true_labels, turn_deg), turn_labels(labels, turn_deg)
        valid = turn_labels(valid.astype(np.uint8), turn_deg) > 0
    facing = find_anterior(labels)
    side = "unknown" if facing.side == "unknown" else "right" if facing.side == film.faces else "wrong"
    measured = measure_film(labels, film.faces, valid_area=valid)
    truth = measure_points(points, film.faces, FilmScale())
    kinds = {body.level: (body.deformity, body.grade) for body in film.bodies}
    grades = [
        GradeComparison(
            name, condition, b.level, kinds[b.level][0], b.deformity.kind, kinds[b.level][1], b.deformity.grade
        )
        for b in measured.bodies
        if b.level in kinds and b.deformity is not None
    ]
    only_kinds = {level: kind for level, (kind, _) in kinds.items()}
    unreached = unreached_levels(true_labels, points)
    return compare_measures(name, condition, measured, truth, only_kinds, unreached), grades, side


def turn_labels(labels: Labels, degrees: float) -> Labels:
    """A label map turned about its middle, clockwise on the film, by the nearest pixel; the grid grows to hold it."""
    turn, half, shape = _turn(labels.shape, degrees)
    offset = half - turn.T @ (0.5 * (np.array(shape) - 1))
    turned = ndimage.affine_transform(labels, turn.T, offset=offset, output_shape=shape, order=0)
    return np.asarray(turned, dtype=labels.dtype)


def _turn(shape: tuple[int, ...], degrees: float) -> tuple[Array, Array, tuple[int, int]]:
    """The turn as a matrix for (x, y), the middle of the old grid, and the size of the new one."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    size = np.abs(turn) @ np.array(shape, dtype=np.float64)
    return turn, 0.5 * (np.array(shape) - 1), (int(np.ceil(size[0])), int(np.ceil(size[1])))


def _turned_points(points: BodyPoints, shape: tuple[int, ...], degrees: float) -> BodyPoints:
    turn, half, new = _turn(shape, degrees)
    middle = 0.5 * (np.array(new) - 1)
    corners, plates, walls = (
        (p - half) @ turn.T + middle for p in (points.corners_xy_px, points.plates_xy_px, points.walls_xy_px)
    )
    return BodyPoints(corners, plates, walls, points.residual_px)


def run_bias(
    folder: str | Path,
    films: int = 60,
    seed: int = 5000,
    heights_px: Sequence[int] = (1280, 640, 320),
    turns_deg: Sequence[float] = (-20.0, 20.0),
) -> Path:
    """Measure synthetic films' true label maps and write errors, their summary and a table; returns the table's file.

    Every film is measured at each height; at the first height it is also turned by each angle, and mirrored. Half of
    the patients have fractures.

    Args:
        folder: gets ``bias.csv``, ``bias.json`` and ``bias.md``.
        films: number of patients.
        seed: seed of the first.
        heights_px: heights of the films.
        turns_deg: angles, clockwise on the film.
    """
    comparisons: list[Comparison] = []
    grades: list[GradeComparison] = []
    sides: Counter[tuple[str, str]] = Counter()
    for number in range(seed, seed + films):
        kind = "compression_fracture" if number % 2 else None
        for height in heights_px:
            film = generate_film(number, kind=kind, height_px=height)
            tries = [(film, f"{height} px", 0.0)]
            if height == heights_px[0]:
                tries += [(film, f"{height} px, turned {turn:+g}", turn) for turn in turns_deg]
                tries.append((mirror_film(film), f"{height} px, mirrored", 0.0))
            for shown, condition, turn in tries:
                found = compare_film(shown, f"film_{number}", condition, turn_deg=turn)
                comparisons += found[0]
                grades += found[1]
                sides[condition, found[2]] += 1
    about = {"films": films, "seed": seed, "heights_px": list(heights_px), "turns_deg": list(turns_deg)}
    return write_bias(folder, comparisons, grades, sides, about)


def mirror_film(film: SyntheticFilm) -> SyntheticFilm:
    """A film, its label map and truth mirrored, so that the patient faces the other way."""

    def flipped(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return points * (-1, 1) + (film.pixels.shape[0] - 1, 0)

    bodies = tuple(
        replace(
            body,
            centre_xy_px=(film.pixels.shape[0] - 1 - body.centre_xy_px[0], body.centre_xy_px[1]),
            corners_xy_px=flipped(body.corners_xy_px),
            plates_xy_px=None if body.plates_xy_px is None else flipped(body.plates_xy_px),
        )
        for body in film.bodies
    )
    arrays = {name: getattr(film, name)[::-1] for name in ("pixels", "label_map", "valid_area")}
    return replace(film, bodies=bodies, faces="right" if film.faces == "left" else "left", **arrays)


def summarise_errors(comparisons: Iterable[Comparison]) -> list[dict[str, Any]]:
    """Bias, SD and 95 % limits of agreement (Bland and Altman, Lancet 1986;327:307-10) by condition, group and measure.

    Groups are "all" and, of bodies, those whose true corners are in the map, and each deformity; errors of bodies of
    one film are taken as independent.
    """
    groups: dict[tuple[str, str, str], list[float]] = {}
    for c in comparisons:
        groups.setdefault((c.condition, "all", c.measure), []).append(c.error)
        if c.measure in LENGTHS and c.reached:
            groups.setdefault((c.condition, REACHED, c.measure), []).append(c.error)
        if c.measure in LENGTHS:
            groups.setdefault((c.condition, c.deformity, c.measure), []).append(c.error)
    rows = []
    for (condition, group, measure), errors in groups.items():
        e = np.array(errors)
        bias, sd = float(e.mean()), float(e.std(ddof=1)) if len(e) > 1 else 0.0
        rows.append(
            {
                "condition": condition,
                "group": group,
                "measure": measure,
                "unit": UNITS[measure],
                "n": len(e),
                "bias": bias,
                "sd": sd,
                "lower_limit": bias - 1.96 * sd,
                "upper_limit": bias + 1.96 * sd,
                "largest": float(np.abs(e).max()),
            }
        )
    return rows


def bias_table(rows: Sequence[dict[str, Any]]) -> str:
    """Summary rows of all bodies as a Markdown table: measures down, conditions across, bias and limits in a cell."""
    return _cross_table([r for r in rows if r["group"] == "all"], "condition")


def deformity_table(rows: Sequence[dict[str, Any]]) -> str:
    """The same of the first condition's bodies by their deformity."""
    first = rows[0]["condition"] if rows else ""
    return _cross_table([r for r in rows if r["condition"] == first and r["group"] not in ("all", REACHED)], "group")


def reached_table(rows: Sequence[dict[str, Any]]) -> str:
    """The same as `bias_table` of the bodies alone whose true corners are in the map."""
    return _cross_table([r for r in rows if r["group"] == REACHED], "condition")


def _cross_table(rows: Sequence[dict[str, Any]], across: str) -> str:
    columns = list(dict.fromkeys(r[across] for r in rows))
    cells = {(r["measure"], r[across]): r for r in rows}
    lines = [f"| measure | error in | {' | '.join(columns)} |", f"|{'---|' * (len(columns) + 2)}"]
    for measure in dict.fromkeys(r["measure"] for r in rows):
        found = [cells.get((measure, column)) for column in columns]
        lines.append(f"| {measure} | {UNITS[measure]} | {' | '.join(_cell(r) for r in found)} |")
    counts = {c: max(r["n"] for r in rows if r[across] == c) for c in columns}
    lines.append(f"| most values (n) | | {' | '.join(str(counts[c]) for c in columns)} |")
    return "\n".join(lines)


def _cell(row: dict[str, Any] | None) -> str:
    return "-" if row is None else f"{row['bias']:+.2f} ({row['lower_limit']:+.1f} to {row['upper_limit']:+.1f})"


def grade_table(grades: Sequence[GradeComparison]) -> str:
    """True deformity and grade against the candidates, counts, as a Markdown table."""
    names = sorted({(g.true_kind, g.true_grade) for g in grades} | {(g.kind, g.grade) for g in grades})
    counts = Counter(((g.true_kind, g.true_grade), (g.kind, g.grade)) for g in grades)
    titles = [f"{kind} {grade}" for kind, grade in names]
    lines = [f"| true \\ candidate | {' | '.join(titles)} |", f"|{'---|' * (len(names) + 1)}"]
    for true, title in zip(names, titles):
        if any(counts[true, found] for found in names):
            lines.append(f"| {title} | {' | '.join(str(counts[true, found]) for found in names)} |")
    return "\n".join(lines)


def write_bias(
    folder: str | Path,
    comparisons: Sequence[Comparison],
    grades: Sequence[GradeComparison],
    sides: Counter[tuple[str, str]],
    about: dict[str, Any],
) -> Path:
    """Write ``bias.csv``, ``bias.json`` and ``bias.md``, each whole or not at all; returns the last."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = summarise_errors(comparisons)
    write_table(folder / "bias.csv", map(asdict, comparisons), list(Comparison.__dataclass_fields__), ".4f")
    front = {f"{condition}: {verdict}": count for (condition, verdict), count in sorted(sides.items())}
    content = {**about, "summary": rows, "front": front, "grades": [asdict(g) for g in grades]}
    with atomic_write(folder / "bias.json") as temporary:
        Path(temporary).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    first = [g for g in grades if g.condition == grades[0].condition]
    sides_found = "\n".join(f"- {k} {v}" for k, v in front.items())
    text = "\n\n".join([bias_table(rows), reached_table(rows), deformity_table(rows), grade_table(first), sides_found])
    with atomic_write(folder / "bias.md") as temporary:
        Path(temporary).write_text(text + "\n", encoding="utf-8")
    return folder / "bias.md"
