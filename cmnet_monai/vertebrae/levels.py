"""Names for bodies, counted upwards from the sacrum."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import LABEL_OF_LEVEL, LUMBAR, THORACIC

Array = NDArray[np.floating]

FROM_S1 = "counted from S1"
FROM_LOWEST = "lowest body taken for L5"
UPWARDS = (*reversed(LUMBAR), *reversed(THORACIC))


@dataclass(frozen=True)
class NamedBody:
    """A body with its level: `region` is its number in the parted map, `centre_xy_px` in pixels of that map."""

    region: int
    level: str
    centre_xy_px: tuple[float, float]
    score: float
    evidence: str

    @property
    def label(self) -> int:
        """VerSe code of the level."""
        return LABEL_OF_LEVEL[self.level]


def name_levels(
    centres_xy: Array, scores: Sequence[float] | Array, s1_xy: Array | None = None, gap: float = 1.55
) -> list[NamedBody]:
    """Name bodies from below: the first one above S1 is L5.

    Without S1 the lowest body is taken for L5, and the evidence says so. A step between neighbours of more than `gap`
    times the step expected there leaves a level out: a missed body is a gap, never a renumbering. Centres below S1 are
    left out.

    Args:
        centres_xy: body centres, (N, 2), pixels, in the order of the regions 1..N.
        scores: a score for each body, (N,).
        s1_xy: centre of S1, (2,), same pixels, or None if it was not found.
        gap: ratio of a step to the expected step from which on a level is taken to be missing.
    Returns:
        Named bodies from top to bottom.
    """
    centres = np.asarray(centres_xy, dtype=np.float64).reshape(-1, 2)
    order = [int(i) for i in np.argsort(-centres[:, 1], kind="stable")]
    if s1_xy is not None:
        order = [i for i in order if centres[i, 1] < float(s1_xy[1])]
    steps = [float(np.linalg.norm(centres[a] - centres[b])) for a, b in itertools.pairwise(order)]
    level, named = _first_level(centres, order, steps, s1_xy, gap), []
    for rank, i in enumerate(order):
        if rank > 0:
            level += _levels_passed(steps[rank - 1], _expected(steps, rank - 1), gap)
        if level >= len(UPWARDS):
            break
        x, y = (float(v) for v in centres[i])
        evidence = FROM_LOWEST if s1_xy is None else FROM_S1
        named.append(NamedBody(i + 1, UPWARDS[level], (x, y), float(scores[i]), evidence))
    return named[::-1]


def _first_level(centres: Array, order: list[int], steps: list[float], s1_xy: Array | None, gap: float) -> int:
    if s1_xy is None or not steps:
        return 0
    step = float(np.linalg.norm(centres[order[0]] - np.asarray(s1_xy, dtype=np.float64)))
    return _levels_passed(step, float(np.median(steps)), gap) - 1


def _expected(steps: list[float], i: int) -> float:
    """The step expected at position i: the median of its nearest neighbours, itself left out."""
    around = steps[max(i - 2, 0) : i] + steps[i + 1 : i + 3]
    return float(np.median(around)) if around else steps[i]


def _levels_passed(step: float, expected: float, gap: float) -> int:
    """How many levels a step climbs: 1, or more where bodies are missing between its ends."""
    return 1 if step < gap * expected else max(2, round(step / expected))
