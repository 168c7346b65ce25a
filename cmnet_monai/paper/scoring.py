"""What one test film is, and what a mask of it is worth, in numbers and as a small picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor

from cmnet_monai.conventions import BODY_LABELS, LEVEL_OF_LABEL, LUMBAR, LUMBAR_LABELS
from cmnet_monai.io import atomic_write
from cmnet_monai.io.files.json import read_json
from cmnet_monai.metrics import accuracy, average_precision, confusion_counts, dice, match_centres, precision, recall
from cmnet_monai.metrics.pixels import mask_dice
from cmnet_monai.paper.definitions import ALL_BODIES

THRESHOLDS = 101
"""Points of a precision-recall curve: probability 0, 0.01, ..., 1."""
CENTRE_DISTANCE_PX = 20.0
"""Farther apart, on the grid, a centre is not the true one's."""
MISSED, FALSE, RIGHT = (34, 211, 238), (255, 90, 60), (120, 220, 120)
"""Colours of true pixels outside the mask, of the mask outside the truth, and of both together."""


def film_row(
    name: str, item: Mapping[str, Any], found: Tensor, labels: NDArray[np.integer], truth: str
) -> dict[str, Any]:
    """All that a map (1, x, y) of a film says against its label map (x, y) in VerSe codes."""
    facts = film_facts(item)
    own = {key: value for key, value in facts.items() if key != "facts"}
    row = {"film": name, **own, **pixel_scores(found, np.isin(labels, true_labels(truth)))}
    row["bodies"] = body_rows(found[0].numpy() >= 0.5, labels, truth, facts.get("facts", {}))
    scores = [body["dice"] for body in row["bodies"]]
    return {**row, "body_dice": float(np.mean(scores)) if scores else float("nan")}


def true_labels(truth: str) -> tuple[int, ...]:
    """Label values that are true under `Inference.truth`."""
    return BODY_LABELS if truth == ALL_BODIES else LUMBAR_LABELS


def film_facts(item: Mapping[str, Any]) -> dict[str, Any]:
    """Kind, implant, cement and highest Genant grade of a synthetic film, and grade and findings of each body.

    Empty for a film without ``truth/<film>.json`` beside its ``labels``.
    """
    label = Path(str(item["label"]))
    truth = read_json(label.parent.parent / "truth" / f"{label.stem}.json")
    if truth is None:
        return {}
    lumbar = [body for body in truth["bodies"] if body["level"] in LUMBAR]
    return {
        "kind": truth["kind"],
        "implant": truth["kind"] == "implant" or any("screws" in body["findings"] for body in lumbar),
        "cement": any("cement" in body["findings"] for body in lumbar),
        "grade": max((int(body["grade"]) for body in lumbar), default=0),
        "facts": {body["level"]: (int(body["grade"]), list(body["findings"])) for body in truth["bodies"]},
    }


def pixel_scores(probabilities: Tensor, truth: NDArray[np.bool_], threshold: float = 0.5) -> dict[str, float]:
    """Scores of a probability map (1, x, y) against a true mask (x, y), see `METRICS`."""
    prediction = (probabilities >= threshold)[None]
    true = torch.from_numpy(np.ascontiguousarray(truth))[None, None]
    foreground, background = float(dice(prediction, true)), float(dice(~prediction, ~true))
    return {
        "dice": foreground,
        "dice_classes": (foreground + background) / 2,
        "accuracy": float(accuracy(prediction, true)),
        "precision": float(precision(prediction, true)),
        "recall": float(recall(prediction, true)),
        "average_precision": float(average_precision(probabilities.clamp(0, 1)[None], true, 200)),
        **dict(zip(("tp", "fp", "tn", "fn"), confusion_counts(prediction, true)[0, 0].tolist())),
    }


def curve_counts(probabilities: Tensor, truth: NDArray[np.bool_]) -> NDArray[np.int64]:
    """True and false positives at each of `THRESHOLDS`, (2, 101): pixels whose probability is not below it."""
    values = probabilities[0].numpy()
    steps = np.clip(np.floor(values * (THRESHOLDS - 1) + 1e-6).astype(int), 0, THRESHOLDS - 1)
    counts = np.stack([np.bincount(steps[mask], minlength=THRESHOLDS) for mask in (truth, ~truth)])
    return np.asarray(counts[:, ::-1].cumsum(axis=1)[:, ::-1], dtype=np.int64)


def body_rows(
    mask: NDArray[np.bool_], labels: NDArray[np.integer], truth: str, facts: Mapping[str, Any]
) -> list[dict[str, Any]]:
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
        level = LEVEL_OF_LABEL[label]
        row = {"level": level, "dice": mask_dice(mask & (owner == label), bodies == label)}
        if level in facts:
            grade, findings = facts[level]
            row |= {"grade": grade, "cement": "cement" in findings, "screws": "screws" in findings}
        rows.append(row)
    return rows


def centre_scores(found_xy: NDArray[np.floating], true_xy: NDArray[np.floating]) -> dict[str, float]:
    """How centres found meet the true ones, both (N, 2) on the grid."""
    match = match_centres(found_xy, true_xy, CENTRE_DISTANCE_PX)
    counts = {"centres_missed": float(match.missed), "centres_false": float(match.false)}
    return {**counts, "centre_error_px": match.mean_error_px}


def save_picture(path: Path, film: Tensor, probabilities: Tensor, truth: NDArray[np.bool_], height: int) -> None:
    """A film with what its mask has right, what it missed and what is false, as PNG.

    All three are at the film's own size: the network's grid need not hold all of the film, whose borders are cut off.

    Args:
        path: the file.
        film: (1, x, y), 0 to 1.
        probabilities: vertebra map, (1, x, y).
        truth: true mask, (x, y).
        height: rows of the picture.
    """
    mask = np.asarray(probabilities)[0] >= 0.5
    colours = np.repeat(np.clip(np.asarray(film)[0] * 255, 0, 255)[..., None], 3, axis=2)
    for where, colour in ((truth & ~mask, MISSED), (mask & ~truth, FALSE), (mask & truth, RIGHT)):
        colours[where] = 0.55 * colours[where] + 0.45 * np.array(colour)
    picture = Image.fromarray(colours.transpose(1, 0, 2).astype(np.uint8))
    size = (max(1, round(picture.width * height / picture.height)), height)
    with atomic_write(path) as temporary:
        picture.resize(size, Image.Resampling.BOX).save(temporary)
