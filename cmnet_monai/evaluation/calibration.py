"""How sure a body may be: the confidence calibrated on films with known truth, and how well it holds on others."""

from __future__ import annotations

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
from cmnet_monai.evaluation.records import provenance
from cmnet_monai.evaluation.run_output import read_manifest, read_run
from cmnet_monai.io import read_label_map, write_table
from cmnet_monai.io.files.atomic import write_text
from cmnet_monai.io.files.calibration import CALIBRATION_NAME
from cmnet_monai.io.files.json import write_json
from cmnet_monai.io.files.tables import markdown_table
from cmnet_monai.metrics.pixels import mask_dice

RIGHT_DICE = 0.8
"""A body is right if its region overlaps the true body of its level with at least this Dice."""
BINS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
_NO_PART = ("levels", "given_centres", "anterior", "all_mm", "anonymous_names")
"""Settings that change no score."""
Run = tuple[Sequence[Mapping[str, Any]], str | Path]
"""Films with ``image`` and ``label``, absolute paths, and the output folder of an inference run on them."""


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
    """The bodies that an inference run found on films with label maps; films that the run did not do are left out.

    Raises:
        ValueError: none of the films was done there, or a reader gave centres on one.
    """
    done = {image: output for image, output in read_run(results_dir).items() if output.done}
    known = [(done[str(item["image"])], item) for item in items if str(item["image"]) in done]
    if not known:
        raise ValueError(f"{results_dir}: no result of any of these films; run inference on them first")
    bodies: list[JudgedBody] = []
    for output, item in known:
        if output.guided():
            raise ValueError(f"{output.name}: a reader gave centres; a calibration is for films without")
        found, true = output.labels(), read_label_map(item["label"])
        for centre in output.centres():
            label = LABEL_OF_LEVEL[centre["level"]]
            dice = mask_dice(found == label, true == label) if (found == label).any() else 0.0
            numbers = float(centre["score"]), float(centre["uncertainty"])
            bodies.append(JudgedBody(output.name, centre["level"], *numbers, dice))
    return bodies


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
        for i in np.unique(place).tolist()
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
    fitted_on: Run, folder: str | Path, reported_on: Mapping[str, Sequence[Run]] | None = None, described: str = ""
) -> Path:
    """Fit a calibration on half of the films of an inference run, and say how it does on the other half and elsewhere.

    Args:
        fitted_on: films and the results on them. No training may have seen them.
        folder: gets ``calibration.json`` (to be put beside the weights), ``bodies.csv`` and ``reliability.md``.
        reported_on: further runs by a heading, such as real films with the weights of each fold.
        described: what the films are, for the provenance.
    Returns:
        The file of the calibration.
    """
    manifest = read_manifest(fitted_on[1])
    fit, held_out = split_films(judge_results(*fitted_on))
    calibration = fit_calibration([b.score for b in fit], [b.uncertainty for b in fit], [b.right for b in fit])
    groups = {"films it was fitted on": fit, "held-out films": held_out}
    for heading, runs in (reported_on or {}).items():
        groups[heading] = [body for run in runs for body in judge_results(*run)]
    sure = {name: confidences(calibration, bodies) for name, bodies in groups.items()}
    figures = {name: reliability(sure[name], np.array([b.right for b in bodies])) for name, bodies in groups.items()}
    target = Path(folder)
    rows = [
        {"group": name, **asdict(body), "right": body.right, "confidence": float(p)}
        for name, bodies in groups.items()
        for body, p in zip(bodies, sure[name])
    ]
    write_table(target / "bodies.csv", rows, number=".4f")
    write_text(target / "reliability.md", reliability_tables(figures) + "\n")
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
    rows = []
    for name, f in figures.items():
        right = f"{f['right']} ({f['right'] / f['bodies']:.3f})"
        numbers = [f"{f[key]:.3f}" for key in ("mean_confidence", "ece")]
        scores = [f"{f['brier']:.4f}", f"{f['brier_of_the_share']:.4f}", f"{f['auc']:.2f}"]
        rows.append([name, f["bodies"], right, *numbers, *scores])
    head = ["", "bodies", "right", "mean confidence", "ECE", "Brier", "Brier of the share", "AUC"]
    bins = []
    for low, high in pairwise(BINS):
        found = [next((b for b in f["bins"] if b["from"] == low), None) for f in figures.values()]
        cells = ["-" if b is None else f"{b['share_right']:.3f} right of {b['bodies']}" for b in found]
        bins.append([f"{low:g} to {high:g}", *cells])
    return f"{markdown_table(head, rows)}\n\n{markdown_table(['confidence', *figures], bins)}"
