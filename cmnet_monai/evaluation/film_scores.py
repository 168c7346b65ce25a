"""What a film's exported mask and named centres are worth against an outlined label map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import BODY_LABELS, LABEL_OF_LEVEL, LEVEL_OF_LABEL, LUMBAR_LABELS, S1_LABEL
from cmnet_monai.decode import part_bodies
from cmnet_monai.metrics.pixels import mask_dice

Labels = NDArray[np.integer]
WEAK_CONFIDENCE = 0.5
"""Bodies whose outline a reader trusts no more than this are reported apart."""


@dataclass(frozen=True)
class BodyScore:
    """One true body of L1-L5.

    Args:
        film: name of the film.
        level: true level.
        confidence: the reader's trust in the outline, 0 to 1; NaN where none is given.
        dice: overlap of the region that bears this level's name with the true body; 0 where no region does.
        found: a predicted centre, of whatever name, lies inside the body.
        named: the predicted centre of this very level lies inside the body.
        centre_error_px: distance of the nearest predicted centre inside the body from the true one; NaN if not found.
        width_px: antero-posterior extent of the body, square to the spine.
    """

    film: str
    level: str
    confidence: float
    dice: float
    found: bool
    named: bool
    centre_error_px: float
    width_px: float

    @property
    def centre_error(self) -> float:
        """Centre error as a share of the body's width."""
        return self.centre_error_px / self.width_px


@dataclass(frozen=True)
class FilmScore:
    """One film: the exported mask against the union of the true L1-L5.

    Args:
        film: its name.
        dice: overlap of the masks.
        precision: share of the exported mask that is L1-L5; 0 if there is no mask though there are bodies.
        recall: share of L1-L5 that is in the exported mask.
        bodies: number of true L1-L5 bodies.
        found: how many of them hold a predicted centre.
        named: how many hold the predicted centre of their own level.
        false: predicted centres that lie in S1, or in no outlined body at all.
    """

    film: str
    dice: float
    precision: float
    recall: float
    bodies: int
    found: int
    named: int
    false: int


def score_film(
    film: str,
    mask: NDArray[np.bool_],
    centres: Sequence[Mapping[str, Any]],
    labels: Labels,
    confidence: Mapping[str, float] | None = None,
) -> tuple[FilmScore, list[BodyScore]]:
    """Compare a film's result with its label map, at the film's own size.

    Args:
        film: name of the film.
        mask: exported mask of L1-L5, (x, y).
        centres: exported centres, records with ``level``, ``x_px``, ``y_px``, pixels of the film.
        labels: true label map in VerSe codes, (x, y).
        confidence: the reader's trust in each outline, by level.
    Raises:
        ValueError: mask and label map differ in size.

    >>> labels = np.zeros((40, 80), dtype=np.uint8)  # (x, y)
    >>> labels[10:30, 10:30], labels[10:30, 40:60] = 23, 24  # L4, L5
    >>> mask = np.zeros(labels.shape, dtype=bool)
    >>> mask[10:30, 10:30] = mask[10:30, 40:50] = True  # of L5 the upper half
    >>> centres = [{"level": "L4", "x_px": 19.5, "y_px": 19.5}, {"level": "L3", "x_px": 19.5, "y_px": 44.5}]
    >>> film, bodies = score_film("a", mask, centres, labels)
    >>> round(film.dice, 3), film.recall, film.found, film.named  # 2 * 600 / (600 + 800); L5 bears a wrong name
    (0.857, 0.75, 2, 1)
    >>> [(body.level, body.dice, body.named, body.centre_error) for body in bodies]  # 5 px of a width of 20 px
    [('L4', 1.0, True, 0.0), ('L5', 0.0, False, 0.25)]
    """
    mask, labels = np.asarray(mask, dtype=bool), np.asarray(labels)
    if mask.shape != labels.shape or mask.ndim != 2:
        raise ValueError(f"{film}: the mask is (x, y) = {mask.shape}, the label map {labels.shape}")
    truth = np.isin(labels, LUMBAR_LABELS)
    overlap = float((mask & truth).sum())
    points = np.array([(c["x_px"], c["y_px"]) for c in centres], dtype=float).reshape(-1, 2)
    hits = [_label_at(labels, point) for point in points]
    bodies = _score_bodies(film, mask, centres, points, hits, labels, confidence or {})
    return (
        FilmScore(
            film=film,
            dice=mask_dice(mask, truth),
            precision=_share(overlap, float(mask.sum())) if mask.any() else float(not truth.any()),
            recall=_share(overlap, float(truth.sum())),
            bodies=len(bodies),
            found=sum(body.found for body in bodies),
            named=sum(body.named for body in bodies),
            false=sum(hit not in BODY_LABELS for hit in hits),
        ),
        bodies,
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float(part == whole)


def _label_at(labels: Labels, point_xy: NDArray[np.floating]) -> int:
    x, y = (int(v) for v in np.floor(point_xy + 0.5))
    inside = 0 <= x < labels.shape[0] and 0 <= y < labels.shape[1]
    return int(labels[x, y]) if inside else 0


def _score_bodies(
    film: str,
    mask: NDArray[np.bool_],
    centres: Sequence[Mapping[str, Any]],
    points: NDArray[np.floating],
    hits: Sequence[int],
    labels: Labels,
    confidence: Mapping[str, float],
) -> list[BodyScore]:
    true_xy = {label: np.argwhere(labels == label).mean(axis=0) for label in _present(labels)}
    regions = _regions_by_level(mask, centres, points)
    scores = []
    for label in (label for label in LUMBAR_LABELS if label in true_xy):
        level, body = LEVEL_OF_LABEL[label], labels == label
        inside = [point for point, hit in zip(points, hits) if hit == label]
        names = [str(c["level"]) for c, hit in zip(centres, hits) if hit == label]
        error = min((float(np.hypot(*(p - true_xy[label]))) for p in inside), default=float("nan"))
        region = regions.get(level, np.zeros_like(mask))
        scores.append(
            BodyScore(
                film=film,
                level=level,
                confidence=float(confidence.get(level, float("nan"))),
                dice=mask_dice(region, body),
                found=bool(inside),
                named=level in names,
                centre_error_px=error,
                width_px=_width(body, label, true_xy),
            )
        )
    return scores


def _present(labels: Labels) -> list[int]:
    return [int(label) for label in np.unique(labels) if label in BODY_LABELS or label == S1_LABEL]


def _regions_by_level(
    mask: NDArray[np.bool_], centres: Sequence[Mapping[str, Any]], points: NDArray[np.floating]
) -> dict[str, NDArray[np.bool_]]:
    """The exported mask parted by its centres: the region of each level.

    A region that holds no centre (a curved body's may lie outside it) bears the name of the nearest centre that lies in
    no other region, and none if there is no such centre.
    """
    regions, found_xy, seeded = part_bodies(mask.astype(np.float32), points)
    apart = np.hypot(*np.moveaxis(found_xy[:, None] - points[None], -1, 0))  # (regions, centres)
    taken = {int(row.argmin()) for row, has_centre in zip(apart, seeded) if has_centre}
    for number in taken:
        apart[~seeded, number] = np.inf
    result: dict[str, NDArray[np.bool_]] = {}
    for number, row in enumerate(apart, start=1):
        if np.isfinite(row).any():
            level = str(centres[int(row.argmin())]["level"])
            result[level] = result.get(level, np.zeros_like(mask)) | (regions == number)
    return result


def _width(body: NDArray[np.bool_], label: int, true_xy: Mapping[int, NDArray[np.floating]]) -> float:
    """Extent of a body square to the line through its neighbours, in pixels."""
    above, below = true_xy.get(label - 1, true_xy[label]), true_xy.get(label + 1, true_xy[label])
    if label == LABEL_OF_LEVEL["L5"]:
        below = true_xy.get(S1_LABEL, true_xy[label])
    axis = below - above
    if not np.hypot(*axis) > 0:
        axis = np.array([0.0, 1.0])
    across = np.array([axis[1], -axis[0]]) / np.hypot(*axis)
    reach = np.argwhere(body) @ across
    return float(reach.max() - reach.min() + 1)


def summarise(films: Sequence[FilmScore], bodies: Sequence[BodyScore]) -> dict[str, Any]:
    """The figures of a table: means over films, medians and shares over bodies, weak outlines apart.

    >>> films = [FilmScore("a", 0.9, 0.95, 0.85, 2, 2, 1, 0), FilmScore("b", 0.8, 1.0, 0.7, 1, 1, 1, 1)]
    >>> bodies = [
    ...     BodyScore("a", "L4", 1.0, 0.9, True, True, 2.0, 40.0),
    ...     BodyScore("a", "L5", 0.5, 0.0, True, False, 6.0, 40.0),  # the reader does not trust its outline
    ...     BodyScore("b", "L5", 1.0, 0.8, True, True, 4.0, 40.0),
    ... ]
    >>> table = summarise(films, bodies)
    >>> {name: round(table[name], 3) for name in ("mean_dice", "mean_body_dice", "median_centre_error_of_width")}
    {'mean_dice': 0.85, 'mean_body_dice': 0.85, 'median_centre_error_of_width': 0.1}
    >>> table["bodies_named"], table["weak_bodies"], table["films_all_named"]
    (2, 1, 1)
    """
    firm = [body for body in bodies if not body.confidence <= WEAK_CONFIDENCE]
    weak = [body for body in bodies if body.confidence <= WEAK_CONFIDENCE]
    dice = np.array([film.dice for film in films])
    errors = np.array([body.centre_error for body in bodies])
    return {
        "films": len(films),
        "mean_dice": float(dice.mean()),
        "median_dice": float(np.median(dice)),
        "lowest_dice": float(dice.min()),
        "films_under_0.85": int((dice < 0.85).sum()),
        "mean_precision": float(np.mean([film.precision for film in films])),
        "mean_recall": float(np.mean([film.recall for film in films])),
        "bodies": len(bodies),
        "bodies_found": sum(body.found for body in bodies),
        "bodies_named": sum(body.named for body in bodies),
        "films_all_named": sum(film.named == film.bodies for film in films),
        "false_centres": sum(film.false for film in films),
        "median_centre_error_of_width": float(np.nanmedian(errors)) if np.isfinite(errors).any() else float("nan"),
        "mean_body_dice": float(np.mean([body.dice for body in firm])) if firm else float("nan"),
        "weak_bodies": len(weak),
        "mean_weak_body_dice": float(np.mean([body.dice for body in weak])) if weak else float("nan"),
        "body_dice_by_level": {
            level: float(np.mean([body.dice for body in bodies if body.level == level]))
            for level in sorted({body.level for body in bodies})
        },
    }
