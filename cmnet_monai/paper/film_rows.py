"""What one test film is, and what a mask of it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from cmnet_monai.conventions import BODY_LABELS, LEVEL_OF_LABEL, LUMBAR_LABELS
from cmnet_monai.evaluation.records import read_json
from cmnet_monai.metrics import accuracy, average_precision, confusion_counts, dice, match_centres, precision, recall
from cmnet_monai.paper.definitions import ALL_BODIES

THRESHOLDS = 101
"""Points of a precision-recall curve: probability 0, 0.01, ..., 1."""
CENTRE_DISTANCE_PX = 20.0
"""Farther apart, on the grid, a centre is not the true one's."""

Labels = NDArray[np.integer]


def true_labels(truth: str) -> tuple[int, ...]:
    """Label values that are true under `Asking.truth`."""
    return BODY_LABELS if truth == ALL_BODIES else LUMBAR_LABELS


def film_facts(item: Mapping[str, Any]) -> dict[str, Any]:
    """Kind, implant, cement and highest Genant grade of a synthetic film, and grade and findings of each body.

    Empty for a film without ``truth/<film>.json`` beside its ``labels``.
    """
    label = Path(str(item["label"]))
    truth = read_json(label.parent.parent / "truth" / f"{label.stem}.json")
    if truth is None:
        return {}
    bodies = {body["level"]: body for body in truth["bodies"]}
    lumbar = [bodies[LEVEL_OF_LABEL[label]] for label in LUMBAR_LABELS if LEVEL_OF_LABEL[label] in bodies]
    return {
        "kind": truth["kind"],
        "implant": truth["kind"] == "implant" or any("screws" in body["findings"] for body in lumbar),
        "cement": any("cement" in body["findings"] for body in lumbar),
        "grade": max((int(body["grade"]) for body in lumbar), default=0),
        "facts": {level: (int(body["grade"]), list(body["findings"])) for level, body in bodies.items()},
    }


def pixel_scores(probabilities: Tensor, truth: NDArray[np.bool_], threshold: float = 0.5) -> dict[str, float]:
    """Scores of a probability map (1, x, y) against a true mask (x, y), see `METRICS`."""
    prediction = (probabilities >= threshold)[None]
    true = torch.from_numpy(np.ascontiguousarray(truth))[None, None]
    background = dice(~prediction, ~true)
    foreground = dice(prediction, true)
    tp, fp, tn, fn = confusion_counts(prediction, true)[0, 0].tolist()
    return {
        "dice": float(foreground),
        "dice_classes": float(foreground + background) / 2,
        "accuracy": float(accuracy(prediction, true)),
        "precision": float(precision(prediction, true)),
        "recall": float(recall(prediction, true)),
        "average_precision": float(average_precision(probabilities.clamp(0, 1)[None], true, 200)),
        "tp": tp,
        "fp": fp,
        "tn": tn,
        "fn": fn,
    }


def curve_counts(probabilities: Tensor, truth: NDArray[np.bool_]) -> NDArray[np.int64]:
    """True and false positives at each of `THRESHOLDS`, (2, 101): pixels whose probability is not below it."""
    values = probabilities[0].numpy()
    steps = np.clip(np.floor(values * (THRESHOLDS - 1) + 1e-6).astype(int), 0, THRESHOLDS - 1)
    counts = np.stack([np.bincount(steps[mask], minlength=THRESHOLDS) for mask in (truth, ~truth)])
    return np.asarray(counts[:, ::-1].cumsum(axis=1)[:, ::-1], dtype=np.int64)


def body_rows(mask: NDArray[np.bool_], labels: Labels, truth: str, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Dice of each true body with the part of the mask that lies nearer to it than to any other true body.

    Args:
        mask: predicted, (x, y).
        labels: VerSe codes, (x, y).
        truth: see `true_labels`.
        facts: grade and findings by level, see `film_facts`.
    Returns:
        One record a body: ``level``, ``dice`` and, where known, ``grade``, ``cement`` and ``screws``.
    """
    wanted = [label for label in true_labels(truth) if (labels == label).any()]
    if not wanted:
        return []
    bodies = np.where(np.isin(labels, wanted), labels, 0)
    nearest = ndimage.distance_transform_edt(bodies == 0, return_distances=False, return_indices=True)
    owner = bodies[tuple(nearest)]
    rows = []
    for label in wanted:
        part, body = mask & (owner == label), bodies == label
        level = LEVEL_OF_LABEL[label]
        row = {"level": level, "dice": 2.0 * float((part & body).sum()) / float(part.sum() + body.sum())}
        if level in facts:
            grade, findings = facts[level]
            row |= {"grade": grade, "cement": "cement" in findings, "screws": "screws" in findings}
        rows.append(row)
    return rows


def centre_scores(found_xy: NDArray[np.floating], true_xy: NDArray[np.floating]) -> dict[str, float]:
    """How centres found meet the true ones, both (N, 2) on the grid."""
    match = match_centres(found_xy, true_xy, CENTRE_DISTANCE_PX)
    return {
        "centres_missed": float(match.missed),
        "centres_false": float(match.false),
        "centre_error_px": match.mean_error_px,
    }
