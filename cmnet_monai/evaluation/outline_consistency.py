"""Measures from readers' polygons against those from the label maps that were filled from them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import LABEL_OF_LEVEL, S1_LABEL
from cmnet_monai.evaluation.morphometry_bias import Comparison, GradeComparison, compare_measures, write_bias
from cmnet_monai.io import read_label_map
from cmnet_monai.morphometry import (
    BodyPoints,
    FilmScale,
    find_anterior,
    fit_body_points,
    measure_film,
    measure_points,
    polygon_outline,
)
from cmnet_monai.morphometry.spine import CHAIN, centres_of, directions_down, find_regions


def run_outline_consistency(outlines: str | Path, labels: str | Path, folder: str | Path) -> Path:
    """Measure films from polygons and from label maps, and write what the two differ by as `run_bias` does.

    Grades are those from the label map beside those from the polygon.

    Args:
        outlines: folder of ``<film>.json`` with ``anterior`` and ``vertebrae``, each with ``level`` and ``outline``,
            points (x, y) in pixels.
        labels: folder of ``<film>.png``, label maps in VerSe codes.
        folder: gets ``bias.csv``, ``bias.json`` and ``bias.md``.
    Raises:
        FileNotFoundError: there are no outlines.
    """
    comparisons: list[Comparison] = []
    grades: list[GradeComparison] = []
    sides: Counter[tuple[str, str]] = Counter()
    files = sorted(Path(outlines).glob("*.json"))
    if not files:
        raise FileNotFoundError(f"{outlines}: no outlines (*.json) there")
    for file in files:
        content = json.loads(file.read_text(encoding="utf-8"))
        label_map = read_label_map(Path(labels) / f"{file.stem}.png")
        side = str(content["anterior"])
        measured = measure_film(label_map, side)
        drawn = measure_points(_polygon_points(content, label_map), side, FilmScale())
        comparisons += compare_measures(file.stem, "label map", measured, drawn)
        of_polygon = {body.level: body.deformity for body in drawn.bodies}
        for body in measured.bodies:
            goal, found = of_polygon.get(body.level), body.deformity
            if goal is None or found is None:
                continue
            kinds = (goal.kind, found.kind, goal.grade, found.grade)
            grades.append(GradeComparison(file.stem, "label map", body.level, *kinds))
        facing = find_anterior(label_map).side
        sides["label map", "unknown" if facing == "unknown" else "right" if facing == side else "wrong"] += 1
    return write_bias(folder, comparisons, grades, sides, {"films": len(files)})


def _polygon_points(content: dict[str, Any], label_map: NDArray[np.integer]) -> dict[int, BodyPoints]:
    polygons = {LABEL_OF_LEVEL[str(body["level"])]: body["outline"] for body in content["vertebrae"]}
    labels = [label for label in CHAIN if label in polygons]
    regions = find_regions(label_map)
    downs = directions_down(centres_of(regions[label] for label in labels))
    points = {}
    for label, down in zip(labels, downs):
        try:
            points[label] = fit_body_points(polygon_outline(polygons[label]), str(content["anterior"]), down)
        except ValueError:
            if label != S1_LABEL:
                raise
    return points
