"""How sure a body may be: the confidence calibrated on films with known truth, and how well it holds on others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.decode import Calibration, fit_calibration
from cmnet_monai.engines.manifest import DONE, KEPT, MANIFEST_NAME
from cmnet_monai.evaluation.records import provenance, write_json
from cmnet_monai.io import atomic_write, read_label_map, write_table
from cmnet_monai.io.files.calibration import CALIBRATION_NAME
from cmnet_monai.io.files.results import GIVEN_ENTRY, FilmResult

RIGHT_DICE = 0.8
"""A body is right if its region overlaps the true body of its level with at least this Dice."""
BINS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
_NO_PART = ("levels", "given_centres")
"""Settings that change no score."""


@dataclass(frozen=True)
class JudgedBody:
    """One body that was found.

    Args:
        film: name of the film.
        level: the level that it was given.
        score: 0 to 1, not calibrated.
        uncertainty: see `cmnet_monai.decode.uncertainties`.
        dice: overlap with the true body of that level; 0 where there is none.
    """

    film: str
    level: str
    score: float
    uncertainty: float
    dice: float

    @property
    def right(self) -> bool:
        """Whether name and outline are right."""
        return self.dice >= RIGHT_DICE


def judge_results(items: Sequence[Mapping[str, Any]], results_dir: str | Path) -> list[JudgedBody]:
    """The bodies that an inference run found on films with label maps.

    Args:
        items: films with ``image`` and ``label``, absolute paths; those that the run did not do are left out.
        results_dir: output folder of the inference workflow.
    Raises:
        ValueError: none of the films was done there, or a reader gave centres on one.
    """
    folder = Path(results_dir)
    films = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))["films"]
    name_of = {record["film"]: name for name, record in films.items() if record["status"] in (DONE, KEPT)}
    bodies: list[JudgedBody] = []
    known = [(name_of[str(item["image"])], item) for item in items if str(item["image"]) in name_of]
    if not known:
        raise ValueError(f"{folder}: no result of any of these films; run inference on them first")
    for name, item in known:
        result = FilmResult(folder, name)
        record = json.loads(result.centres.read_text(encoding="utf-8"))
        if record.get(GIVEN_ENTRY):
            raise ValueError(f"{name}: a reader gave centres; a calibration is for films without")
        found, true = read_label_map(result.labels_png), read_label_map(item["label"])
        for centre in record["centres"]:
            dice = _dice(found, true, LABEL_OF_LEVEL[centre["level"]])
            bodies.append(JudgedBody(name, centre["level"], float(centre["score"]), float(centre["uncertainty"]), dice))
    return bodies


def _dice(found: NDArray[np.integer], true: NDArray[np.integer], label: int) -> float:
    a, b = found == label, true == label
    return 2 * float((a & b).sum()) / max(float(a.sum() + b.sum()), 1.0)


def split_films(bodies: Sequence[JudgedBody]) -> tuple[list[JudgedBody], list[JudgedBody]]:
    """Bodies of every other film, in the order of their names, and those of the others."""
    films = {film: number % 2 for number, film in enumerate(sorted({body.film for body in bodies}))}
    return [b for b in bodies if not films[b.film]], [b for b in bodies if films[b.film]]


def confidences(calibration: Calibration, bodies: Sequence[JudgedBody]) -> NDArray[np.floating]:
    """Confidence of each body, (N,)."""
    return calibration(np.array([b.score for b in bodies]), np.array([b.uncertainty for b in bodies]))


def reliability(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> dict[str, Any]:
    """Figures of a reliability table.

    Args:
        confidence: (N,), 0 to 1.
        right: (N,).
    Returns:
        ``bodies``; ``right``, their number; ``mean_confidence``; ``ece``, the expected calibration error over `BINS`
        (Guo et al., ICML 2017); ``brier`` (Brier 1950) and ``brier_of_the_share``, that of saying the share of right
        ones each time; ``auc``, the chance that a right body gets more than a wrong one, NaN without both; and
        ``bins``.
    """
    p, truth = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=bool)
    place = np.clip(np.digitize(p, BINS) - 1, 0, len(BINS) - 2)
    bins = [
        {
            "from": BINS[i],
            "to": BINS[i + 1],
            "bodies": int((place == i).sum()),
            "mean_confidence": float(p[place == i].mean()),
            "share_right": float(truth[place == i].mean()),
        }
        for i in range(len(BINS) - 1)
        if (place == i).any()
    ]
    share = float(truth.mean())
    auc = float("nan")
    if 0 < share < 1:
        auc = float(stats.mannwhitneyu(p[truth], p[~truth]).statistic / (truth.sum() * (~truth).sum()))
    return {
        "bodies": len(p),
        "right": int(truth.sum()),
        "mean_confidence": float(p.mean()),
        "ece": float(sum(b["bodies"] * abs(b["mean_confidence"] - b["share_right"]) for b in bins) / len(p)),
        "brier": float(np.mean((p - truth) ** 2)),
        "brier_of_the_share": share * (1 - share),
        "auc": auc,
        "bins": bins,
    }


def run_calibration(
    fitted_on: tuple[Sequence[Mapping[str, Any]], str | Path],
    folder: str | Path,
    reported_on: Mapping[str, Sequence[tuple[Sequence[Mapping[str, Any]], str | Path]]] | None = None,
    described: str = "",
) -> Path:
    """Fit a calibration on half of the films of an inference run, and say how it does on the other half and elsewhere.

    Args:
        fitted_on: films with label maps and the results on them. No training may have seen them.
        folder: gets ``calibration.json`` (to be put beside the weights), ``bodies.csv`` and ``reliability.md``.
        reported_on: further films and results by a heading, such as real films with the weights of each fold.
        described: what the films are, for the provenance.
    Returns:
        The file of the calibration.
    """
    items, results = fitted_on
    manifest = json.loads((Path(results) / MANIFEST_NAME).read_text(encoding="utf-8"))
    fit, held_out = split_films(judge_results(items, results))
    calibration = fit_calibration([b.score for b in fit], [b.uncertainty for b in fit], [b.right for b in fit])
    groups = {"films it was fitted on": fit, "held-out films": held_out}
    for heading, runs in (reported_on or {}).items():
        groups[heading] = [body for run in runs for body in judge_results(*run)]
    sure = {name: confidences(calibration, bodies) for name, bodies in groups.items()}
    figures = {name: reliability(sure[name], np.array([b.right for b in bodies])) for name, bodies in groups.items()}
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    rows = [
        {"group": name, **asdict(body), "right": body.right, "confidence": float(p)}
        for name, bodies in groups.items()
        for body, p in zip(bodies, sure[name])
    ]
    write_table(target / "bodies.csv", rows, number=".4f")
    with atomic_write(target / "reliability.md") as temporary:
        Path(temporary).write_text(reliability_tables(figures) + "\n", encoding="utf-8")
    made = {key: provenance()[key] for key in ("commit", "version")}
    content = {
        "calibration": calibration.record(),
        "right_means": f"name right and Dice of the body at least {RIGHT_DICE}",
        "weights_sha256": manifest["weights"]["sha256"],
        "settings": {key: value for key, value in manifest["settings"].items() if key not in _NO_PART},
        "provenance": {"films": described, "fitted_on": len({b.film for b in fit}), **made},
        "reliability": {name: {k: v for k, v in found.items() if k != "bins"} for name, found in figures.items()},
    }
    write_json(target / CALIBRATION_NAME, content)
    return target / CALIBRATION_NAME


def reliability_tables(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Figures and bins of each group of films as two Markdown tables."""
    lines = ["| | bodies | right | mean confidence | ECE | Brier | Brier of the share | AUC |", f"|{'---|' * 8}"]
    for name, f in figures.items():
        shares = f"{f['right']} ({f['right'] / f['bodies']:.3f}) | {f['mean_confidence']:.3f} | {f['ece']:.3f}"
        lines.append(
            f"| {name} | {f['bodies']} | {shares} | {f['brier']:.4f} | {f['brier_of_the_share']:.4f} | {f['auc']:.2f} |"
        )
    lines += ["", "| confidence | " + " | ".join(figures) + " |", f"|{'---|' * (len(figures) + 1)}"]
    for low, high in pairwise(BINS):
        cells = []
        for f in figures.values():
            found = next((b for b in f["bins"] if b["from"] == low), None)
            cells.append("-" if found is None else f"{found['share_right']:.3f} right of {found['bodies']}")
        lines.append(f"| {low:g} to {high:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
