"""Names for bodies: counted upwards from the sacrum, checked against what looks lumbar."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import LABEL_OF_LEVEL, LUMBAR, THORACIC
from cmnet_monai.decode.given_centres import SAID_BY_USER

Array = NDArray[np.floating]

FROM_S1 = "counted from S1"
FROM_LOWEST = "lowest body taken for L5"
FROM_LUMBAR = "counted from what looks lumbar"
UPWARDS = (*reversed(LUMBAR), *reversed(THORACIC))

_SHIFTS = range(-2, 4)
_S1_TRUST = 2.5
_LOWEST_TRUST = 1.0
_SURE = 0.95


@dataclass(frozen=True)
class NamedBody:
    """A body with its level.

    Args:
        region: its number in the parted map.
        level: its name.
        centre_xy_px: (x, y) in pixels of that map.
        score: 0 to 1, not calibrated.
        evidence: what the level rests on.
        uncertainty: see `cmnet_monai.decode.uncertainties`; NaN where nobody looked.
    """

    region: int
    level: str
    centre_xy_px: tuple[float, float]
    score: float
    evidence: str
    uncertainty: float = math.nan

    @property
    def label(self) -> int:
        """VerSe code of the level."""
        return LABEL_OF_LEVEL[self.level]


def name_levels(
    centres_xy: Array,
    scores: Sequence[float] | Array,
    s1_xy: Array | None = None,
    gap: float = 1.55,
    lumbar: Sequence[float] | Array | None = None,
    said: Mapping[int, str] | None = None,
) -> list[NamedBody]:
    """Name bodies from below: the first one above S1 is L5.

    Without S1 the lowest body is taken for L5, and the evidence says so. A step between neighbours of more than `gap`
    times the step expected there leaves a level out: a missed body is a gap, never a renumbering. Centres below S1 are
    left out.

    Where it is known how lumbar each body looks, that is weighed against the count: of all names shifted up or down,
    those are chosen whose log-likelihood is highest, each level of shift costing 2.5 where S1 was found and 1 where it
    was not. So one body that surely belongs on the other side of T12/L1 or L5/S1 outvotes S1, and doubtful ones do not.
    A lowest body that comes out as S1 is left out.

    Where a reader says which level some bodies are, nothing else is weighed: the others are counted from the nearest of
    these below them, those below all of these from the lowest. What would be counted past the next of them is left out.

    Args:
        centres_xy: body centres, (N, 2), pixels, in the order of the regions 1..N.
        scores: a score for each body, (N,).
        s1_xy: centre of S1, (2,), same pixels, or None if it was not found.
        gap: ratio of a step to the expected step from which on a level is taken to be missing.
        lumbar: probability that a body is one of L1-L5, (N,), or None if nothing says so.
        said: level of each body that a reader named, by its index in ``centres_xy``.
    Returns:
        Named bodies from top to bottom.

    >>> centres = np.array([[50.0, 100.0], [50.0, 140.0], [50.0, 220.0]])  # one is missing before the last
    >>> [body.level for body in name_levels(centres, [0.9, 0.9, 0.9], s1_xy=np.array([50.0, 260.0]))]
    ['L2', 'L3', 'L5']
    """
    centres = np.asarray(centres_xy, dtype=np.float64).reshape(-1, 2)
    order = [int(i) for i in np.argsort(-centres[:, 1], kind="stable")]
    if s1_xy is not None:
        order = [i for i in order if centres[i, 1] < float(s1_xy[1])]
    steps = [float(np.linalg.norm(centres[a] - centres[b])) for a, b in itertools.pairwise(order)]
    climbs = (_levels_passed(step, _expected(steps, rank), gap) for rank, step in enumerate(steps))
    levels = list(itertools.accumulate(climbs, initial=_first_level(centres, order, steps, s1_xy, gap)))
    evidence = FROM_LOWEST if s1_xy is None else FROM_S1
    anchors = {rank: UPWARDS.index(said[i]) for rank, i in enumerate(order) if i in said} if said else {}
    if anchors:
        levels, evidence = _counted_from(levels, anchors), SAID_BY_USER
    elif lumbar is not None and order:
        trust = _LOWEST_TRUST if s1_xy is None else _S1_TRUST
        shift = _likeliest_shift(levels, np.asarray(lumbar, dtype=np.float64)[order], trust)
        levels = [level + shift for level in levels]
        evidence = FROM_LUMBAR if shift else evidence
    named = []
    for i, level in zip(order, levels):
        if 0 <= level < len(UPWARDS):
            x, y = (float(v) for v in centres[i])
            named.append(NamedBody(i + 1, UPWARDS[level], (x, y), float(scores[i]), evidence))
    return named[::-1]


def _counted_from(levels: list[int], anchors: Mapping[int, int]) -> list[int]:
    """Levels moved so that those at the anchors' ranks are the anchors'; -1 where that runs into the next anchor."""
    ranks = sorted(anchors)
    result = []
    for rank, level in enumerate(levels):
        start = max((r for r in ranks if r <= rank), default=ranks[0])
        counted = level - levels[start] + anchors[start]
        limit = min((anchors[r] for r in ranks if r > rank), default=len(UPWARDS))
        result.append(counted if counted < limit else -1)
    return result


def _likeliest_shift(levels: list[int], lumbar: Array, trust: float) -> int:
    """By how many levels to move all names so that the lumbar ones look lumbar and the others do not."""
    sure = np.clip(lumbar, 1 - _SURE, _SURE)

    def likelihood(shift: int) -> float:
        moved = np.asarray(levels) + shift
        is_lumbar = (moved >= 0) & (moved < len(LUMBAR))
        return float(np.where(is_lumbar, np.log(sure), np.log1p(-sure)).sum()) - trust * abs(shift)

    # Only the lowest body can be S1 itself.
    possible = [shift for shift in _SHIFTS if levels[0] + shift >= -1]
    return max(sorted(possible, key=abs), key=likelihood)


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
