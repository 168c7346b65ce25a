"""Measures and names on masks that were predicted, against the known truth of synthetic films."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import LABEL_OF_LEVEL, LEVEL_OF_LABEL, LUMBAR_LABELS, S1_LABEL
from cmnet_monai.datasets.synthesize import read_synthetic
from cmnet_monai.engines.manifest import DONE, KEPT, MANIFEST_NAME
from cmnet_monai.evaluation.morphometry_bias import Comparison, GradeComparison, compare_film, write_bias
from cmnet_monai.evaluation.records import commit
from cmnet_monai.io import atomic_write, read_label_map
from cmnet_monai.io.files.results import FilmResult

PREDICTED, TRUE = "predicted mask", "true mask"
_LEAST_DICE = 0.5


def run_predicted_bias(data: str | Path, results_dir: str | Path, folder: str | Path, films: int | None = None) -> Path:
    """Compare measures of predicted label maps, and names, with the truth; returns the file of the tables.

    A body that overlaps the true one of its level with a Dice under 0.5 is misnamed or elsewhere: it is counted as such
    and not measured, since its measures would be another body's.

    Args:
        data: folder of synthetic films (``films``, ``labels``, ``truth``).
        results_dir: output folder of the inference workflow on them.
        folder: gets ``bias.csv``, ``bias.json``, ``bias.md`` (see `write_bias`) and ``names.md``.
        films: how many, in the order of their names; all that were done by default.
    Raises:
        ValueError: no film was done.
    """
    records = json.loads((Path(results_dir) / MANIFEST_NAME).read_text(encoding="utf-8"))["films"]
    done = sorted(name for name, record in records.items() if record["status"] in (DONE, KEPT))[:films]
    if not done:
        raise ValueError(f"{results_dir}: no film was done there")
    comparisons: list[Comparison] = []
    grades: list[GradeComparison] = []
    sides: Counter[tuple[str, str]] = Counter()
    names: list[dict[str, Any]] = []
    not_measured = []
    for name in done:
        film = read_synthetic(Path(data), name)
        labels = read_label_map(FilmResult(Path(results_dir), name).labels_png)
        names.append({"film": name, **judge_names(labels, film.label_map)})
        for condition, shown in ((PREDICTED, _rightly_named(labels, film.label_map)), (TRUE, film.label_map)):
            try:
                found, graded, side = compare_film(film, name, condition, shown)
            except ValueError:
                not_measured.append(f"{name}, {condition}")
                continue
            comparisons, grades = comparisons + found, grades + graded
            sides[condition, side] += 1
    about = {"films": len(done), "commit": commit(), "not_measured": not_measured, "names": names}
    write_bias(folder, comparisons, grades, sides, about)
    with atomic_write(Path(folder) / "names.md") as temporary:
        Path(temporary).write_text(names_table(names) + "\n", encoding="utf-8")
    return Path(folder) / "bias.md"


def _rightly_named(labels: NDArray[np.integer], true: NDArray[np.integer]) -> NDArray[np.integer]:
    kept = labels.copy()
    for label in np.unique(labels[labels > 0]):
        a, b = labels == label, true == label
        if 2 * float((a & b).sum()) < _LEAST_DICE * float(a.sum() + b.sum()):
            kept[a] = 0
    return kept


def judge_names(labels: NDArray[np.integer], true: NDArray[np.integer]) -> dict[str, Any]:
    """Names of a label map against the true one.

    Returns:
        ``l5_s1_in_view``: both are on the film; ``lumbar``: true bodies of L1-L5; ``found``: those most of
        whose pixels bear some body's name; ``named``: their own; ``wrong``: the commonest name of the others.
    """
    present = set(np.unique(true).tolist())
    found, named, wrong = 0, 0, {}
    bodies = [label for label in LUMBAR_LABELS if label in present]
    for label in bodies:
        here = labels[true == label]
        values, counts = np.unique(here, return_counts=True)
        most = int(values[np.argmax(counts)])
        found += most not in (0, S1_LABEL)
        named += most == label
        if most != label:
            wrong[LEVEL_OF_LABEL[label]] = LEVEL_OF_LABEL.get(most, "nothing")
    seen = {LABEL_OF_LEVEL["L5"], S1_LABEL} <= present
    return {"l5_s1_in_view": seen, "lumbar": len(bodies), "found": found, "named": named, "wrong": wrong}


def names_table(names: Sequence[dict[str, Any]]) -> str:
    """Shares of bodies found and named, and of films without a wrong name, as a Markdown table."""
    lines = ["| films | number | L1-L5 found | L1-L5 named rightly | films with every name right |", f"|{'---|' * 5}"]
    groups = {"L5-S1 in view": [n for n in names if n["l5_s1_in_view"]], "all": list(names)}
    for heading, group in ((h, g) for h, g in groups.items() if g):
        bodies, right = sum(n["lumbar"] for n in group), sum(n["named"] == n["lumbar"] for n in group)
        cells = [f"{sum(n[key] for n in group)} of {bodies}" for key in ("found", "named")]
        share = f"{right} ({100 * right / len(group):.1f} %)"
        lines.append(f"| {heading} | {len(group)} | {cells[0]} | {cells[1]} | {share} |")
    return "\n".join(lines)
