"""How far measures lie from the known truth of synthetic films: of their true label maps, and of predicted ones.

Tables hold bias and 95 % limits of agreement, bias +- 1.96 SD (Bland and Altman, Lancet 1986;327:307-10).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmnet_monai.conventions import LEVEL_OF_LABEL
from cmnet_monai.datasets.synthesize import read_synthetic
from cmnet_monai.evaluation.names import judge_names, names_table
from cmnet_monai.evaluation.records import commit
from cmnet_monai.evaluation.run_output import read_run
from cmnet_monai.io import write_table
from cmnet_monai.io.files.atomic import write_text
from cmnet_monai.io.files.json import write_json
from cmnet_monai.io.files.tables import markdown_table
from cmnet_monai.metrics.pixels import mask_dice
from cmnet_monai.morphometry import BodyPoints, FilmMorphometry, FilmScale, find_anterior, measure_film, measure_points
from cmnet_monai.synthetic import SyntheticFilm, generate_film

Labels = NDArray[np.integer]

LENGTHS = ("height_anterior", "height_middle", "height_posterior", "depth_upper", "depth_lower")
DISCS = ("disc_anterior", "disc_middle", "disc_posterior")
ANGLES = ("lordosis_l1_l5", "lordosis_l1_s1")
UNITS = {
    **dict.fromkeys(LENGTHS, "% of the true length"),
    **dict.fromkeys(DISCS, "% of the upper body's posterior height"),
    "slip": "% of the end plate's depth",
    **dict.fromkeys(ANGLES, "degrees"),
}
"""Measures and the unit of their errors."""

PREDICTED, TRUE = "predicted mask", "true mask"
ALL, REACHED = "all", "corners in the map"
_REACH = 0.1
"""A corner that lies farther from its region than this share of the body's depth is not in the map."""
_LEAST_DICE = 0.5
"""A body that overlaps the true one of its level less is misnamed or elsewhere, and not measured."""


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


class Findings:
    """Comparisons of many films, and how often the patient's front was found; written as tables."""

    def __init__(self) -> None:
        self.measures: list[Comparison] = []
        self.grades: list[GradeComparison] = []
        self.sides: Counter[str] = Counter()

    def add(self, found: tuple[list[Comparison], list[GradeComparison], str], condition: str) -> None:
        """Take what `compare_film` found."""
        self.measures += found[0]
        self.grades += found[1]
        self.sides[f"{condition}: {found[2]}"] += 1

    def write(self, folder: str | Path, about: dict[str, Any]) -> Path:
        """Write ``bias.csv`` (every value), ``bias.json`` (summary) and ``bias.md`` (tables); returns the last."""
        folder, rows = Path(folder), summarise_errors(self.measures)
        write_table(folder / "bias.csv", map(asdict, self.measures), list(Comparison.__dataclass_fields__), ".4f")
        front = dict(sorted(self.sides.items()))
        grades = [asdict(grade) for grade in self.grades]
        write_json(folder / "bias.json", {**about, "summary": rows, "front": front, "grades": grades})
        first = self.measures[0].condition if self.measures else ""
        of_first = [row for row in rows if row["condition"] == first and row["group"] not in (ALL, REACHED)]
        parts = [bias_table(rows), bias_table(rows, REACHED), _cross_table(of_first, "group")]
        parts += [grade_table([grade for grade in self.grades if grade.condition == first])]
        parts += ["\n".join(f"- {verdict} {count}" for verdict, count in front.items())]
        return write_text(folder / "bias.md", "\n\n".join(parts) + "\n")


def true_points(film: SyntheticFilm) -> dict[int, BodyPoints]:
    """The points of every body of a film that are known, and the middles of its walls' chords."""
    points = {}
    for body in film.bodies:
        sa, sp, ip, ia = body.corners_xy_px
        if body.plates_xy_px is None:
            raise ValueError("the middles of the end plates are not known on films from a CT")
        walls = 0.5 * np.array([sa + ia, sp + ip])
        points[body.label] = BodyPoints(body.corners_xy_px, body.plates_xy_px, walls, 0.0)
    return points


def unreached_levels(labels: Labels, points: dict[int, BodyPoints]) -> set[str]:
    """Levels with a true corner that lies farther from the body's region than a tenth of its depth."""
    unreached = set()
    for label, body in points.items():
        sa, sp, ip, ia = corners = body.corners_xy_px
        inside = np.argwhere(labels == label)
        depth = 0.5 * float(np.linalg.norm(sp - sa) + np.linalg.norm(ip - ia))
        gaps = [float(np.hypot(*(inside - corner).T).min(initial=np.inf)) for corner in corners]
        if max(gaps) > _REACH * depth:
            unreached.add(LEVEL_OF_LABEL[label])
    return unreached


def compare_measures(
    name: str,
    condition: str,
    measured: FilmMorphometry,
    truth: FilmMorphometry,
    kinds: dict[str, str],
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
    found: list[Comparison] = []

    def add(level: str, measure: str, value: float, goal: float, unit: float = 1.0) -> None:
        kind, error = kinds.get(level, "none"), (value - goal) / unit
        found.append(Comparison(name, condition, level, kind, measure, value, goal, error, level not in unreached))

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
        for measure in DISCS:
            unit = true_bodies[disc.upper].posterior.px / 100
            add(level, measure, row[f"{measure}_px"], goal[f"{measure}_px"], unit)
        add(level, "slip", disc.slip_percent, goal["slip_percent"])
    for measure in ANGLES:
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
    front = find_anterior(labels).side
    side = "unknown" if front == "unknown" else "right" if front == film.faces else "wrong"
    measured = measure_film(labels, film.faces, valid_area=valid)
    truth = measure_points(points, film.faces, FilmScale())
    true = {body.level: body for body in film.bodies}
    grades = [
        GradeComparison(name, condition, b.level, t.deformity, b.deformity.kind, t.grade, b.deformity.grade)
        for b in measured.bodies
        if b.deformity is not None and (t := true.get(b.level)) is not None
    ]
    kinds = {level: body.deformity for level, body in true.items()}
    unreached = unreached_levels(true_labels, points)
    return compare_measures(name, condition, measured, truth, kinds, unreached), grades, side


def turn_labels(labels: Labels, degrees: float) -> Labels:
    """A label map turned about its middle, clockwise on the film, by the nearest pixel; the grid grows to hold it."""
    turn, half, shape = _turn(labels.shape, degrees)
    offset = half - turn.T @ (0.5 * (np.array(shape) - 1))
    turned = ndimage.affine_transform(labels, turn.T, offset=offset, output_shape=shape, order=0)
    return np.asarray(turned, dtype=labels.dtype)


def _turn(shape: tuple[int, ...], degrees: float) -> tuple[NDArray[Any], NDArray[Any], tuple[int, int]]:
    """The turn as a matrix for (x, y), the middle of the old grid, and the size of the new one."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array([[cos, -sin], [sin, cos]])
    width, height = np.ceil(np.abs(turn) @ np.array(shape, dtype=np.float64)).astype(int)
    return turn, 0.5 * (np.array(shape) - 1), (int(width), int(height))


def _turned_points(points: BodyPoints, shape: tuple[int, ...], degrees: float) -> BodyPoints:
    turn, half, new = _turn(shape, degrees)
    middle = 0.5 * (np.array(new) - 1)
    corners, plates, walls = (
        (p - half) @ turn.T + middle for p in (points.corners_xy_px, points.plates_xy_px, points.walls_xy_px)
    )
    return BodyPoints(corners, plates, walls, points.residual_px)


def mirror_film(film: SyntheticFilm) -> SyntheticFilm:
    """A film, its label map and truth mirrored, so that the patient faces the other way."""

    def flipped(points: Any) -> NDArray[np.float64]:
        return np.asarray(points) * (-1, 1) + (film.pixels.shape[0] - 1, 0)

    bodies = tuple(
        replace(
            body,
            centre_xy_px=tuple(flipped(body.centre_xy_px).tolist()),
            corners_xy_px=flipped(body.corners_xy_px),
            plates_xy_px=None if body.plates_xy_px is None else flipped(body.plates_xy_px),
        )
        for body in film.bodies
    )
    arrays = {name: getattr(film, name)[::-1] for name in ("pixels", "label_map", "valid_area")}
    return replace(film, bodies=bodies, faces="right" if film.faces == "left" else "left", **arrays)


def run_bias(
    folder: str | Path,
    films: int = 60,
    seed: int = 5000,
    heights_px: Sequence[int] = (1280, 640, 320),
    turns_deg: Sequence[float] = (-20.0, 20.0),
) -> Path:
    """Measure synthetic films' true label maps; returns the file of the tables, see `Findings.write`.

    Every film is measured at each height; at the first height it is also turned by each angle, and mirrored. Half of
    the patients have fractures.

    Args:
        folder: gets the tables.
        films: number of patients.
        seed: seed of the first.
        heights_px: heights of the films.
        turns_deg: angles, clockwise on the film.
    """
    findings = Findings()
    for number in range(seed, seed + films):
        kind = "compression_fracture" if number % 2 else None
        for height in heights_px:
            film = generate_film(number, kind=kind, height_px=height)
            tries = [(film, f"{height} px", 0.0)]
            if height == heights_px[0]:
                tries += [(film, f"{height} px, turned {turn:+g}", turn) for turn in turns_deg]
                tries.append((mirror_film(film), f"{height} px, mirrored", 0.0))
            for shown, condition, turn in tries:
                findings.add(compare_film(shown, f"film_{number}", condition, turn_deg=turn), condition)
    about = {"films": films, "seed": seed, "heights_px": list(heights_px), "turns_deg": list(turns_deg)}
    return findings.write(folder, about)


def run_predicted_bias(data: str | Path, results_dir: str | Path, folder: str | Path, films: int | None = None) -> Path:
    """Compare measures of predicted label maps, and names, with the truth; returns the file of the tables.

    Args:
        data: folder of synthetic films (``films``, ``labels``, ``truth``).
        results_dir: output folder of the inference workflow on them.
        folder: gets the tables of `Findings.write`, and ``names.md``.
        films: how many, in the order of their names; all that were done by default.
    Raises:
        ValueError: no film was done.
    """
    done = sorted((film for film in read_run(results_dir).values() if film.done), key=lambda film: film.name)[:films]
    if not done:
        raise ValueError(f"{results_dir}: no film was done there")
    findings, names, not_measured = Findings(), [], []
    for output in done:
        film, labels = read_synthetic(Path(data), output.name), output.labels()
        names.append({"film": output.name, **judge_names(labels, film.label_map)})
        named = labels.copy()
        for label in np.unique(labels[labels > 0]):
            if mask_dice(labels == label, film.label_map == label) < _LEAST_DICE:
                named[labels == label] = 0
        for condition, shown in ((PREDICTED, named), (TRUE, film.label_map)):
            try:
                findings.add(compare_film(film, output.name, condition, shown), condition)
            except ValueError:
                not_measured.append(f"{output.name}, {condition}")
    write_text(Path(folder) / "names.md", names_table(names) + "\n")
    about = {"films": len(done), "commit": commit(), "not_measured": not_measured, "names": names}
    return findings.write(folder, about)


def summarise_errors(comparisons: Iterable[Comparison]) -> list[dict[str, Any]]:
    """Bias, SD and 95 % limits of agreement by condition, group and measure.

    Groups are "all" and, of bodies, those whose true corners are in the map, and each deformity; errors of bodies of
    one film are taken as independent.
    """
    groups: dict[tuple[str, str, str], list[float]] = {}
    for c in comparisons:
        of_bodies = [*([REACHED] if c.reached else []), c.deformity] if c.measure in LENGTHS else []
        for group in (ALL, *of_bodies):
            groups.setdefault((c.condition, group, c.measure), []).append(c.error)
    rows = []
    for (condition, group, measure), errors in groups.items():
        e = np.array(errors)
        bias, sd = float(e.mean()), float(e.std(ddof=1)) if len(e) > 1 else 0.0
        row: dict[str, Any] = {"condition": condition, "group": group, "measure": measure}
        row |= {"unit": UNITS[measure], "n": len(e)}
        limits = {"lower_limit": bias - 1.96 * sd, "upper_limit": bias + 1.96 * sd}
        rows.append({**row, "bias": bias, "sd": sd, **limits, "largest": float(np.abs(e).max())})
    return rows


def bias_table(rows: Sequence[dict[str, Any]], group: str = ALL) -> str:
    """Summary rows of a group as a Markdown table: measures down, conditions across, bias and limits in a cell."""
    return _cross_table([row for row in rows if row["group"] == group], "condition")


def _cross_table(rows: Sequence[dict[str, Any]], across: str) -> str:
    columns = list(dict.fromkeys(row[across] for row in rows))
    cells = {
        (r["measure"], r[across]): f"{r['bias']:+.2f} ({r['lower_limit']:+.1f} to {r['upper_limit']:+.1f})"
        for r in rows
    }
    measures = dict.fromkeys(row["measure"] for row in rows)
    lines = [[name, UNITS[name], *(cells.get((name, column), "-") for column in columns)] for name in measures]
    counts = [max(row["n"] for row in rows if row[across] == column) for column in columns]
    return markdown_table(["measure", "error in", *columns], [*lines, ["most values (n)", "", *counts]])


def grade_table(grades: Sequence[GradeComparison]) -> str:
    """True deformity and grade against the candidates, counts, as a Markdown table."""
    counts = Counter(((g.true_kind, g.true_grade), (g.kind, g.grade)) for g in grades)
    names = sorted({name for pair in counts for name in pair})
    seen = {true for true, _ in counts}
    rows = [[f"{t[0]} {t[1]}", *(counts[t, found] for found in names)] for t in names if t in seen]
    return markdown_table(["true \\ candidate", *(f"{kind} {grade}" for kind, grade in names)], rows)
