"""Candidates for grades that readers give: fractures after Genant, slips after Meyerding.

They are arithmetic on measured lengths. A reader decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NONE, WEDGE, BICONCAVE, CRUSH = "none", "wedge", "biconcave", "crush"

GENANT_PERCENT = (20.0, 25.0, 40.0)
"""Loss of height from which on a deformity has grade 1, 2, 3 (Genant et al., J Bone Miner Res 1993;8:1137-48)."""

MEYERDING_PERCENT = (25.0, 50.0, 75.0, 100.0)
"""Slip above which the grade is 2, 3, 4, 5 (Meyerding, Surg Gynecol Obstet 1932;54:371-7; 5 is spondyloptosis)."""


@dataclass(frozen=True)
class Deformity:
    """A body's deformity as its heights suggest it.

    Args:
        kind: "none", "wedge", "biconcave" or "crush".
        grade: Genant grade candidate, 0 to 3.
        loss_percent: the loss of height that the grade is from; of a body without deformity its largest loss.
    """

    kind: str
    grade: int
    loss_percent: float


def genant_grade(loss_percent: float) -> int:
    """Genant grade candidate, 0 to 3, of a loss of height: 20-25 % is 1, over 25 % is 2, over 40 % is 3.

    >>> [genant_grade(loss) for loss in (19.9, 20.0, 30.0, 41.0)]
    [0, 1, 2, 3]
    """
    return sum((loss_percent >= GENANT_PERCENT[0], loss_percent > GENANT_PERCENT[1], loss_percent > GENANT_PERCENT[2]))


def classify_deformity(
    anterior: float, middle: float, posterior: float, neighbours: Sequence[tuple[float, float]] = ()
) -> Deformity:
    """Deformity of a body from its three heights (six-point morphometry) and its neighbours' heights.

    - crush: against the mean of the neighbours, anterior and posterior height have lost 20 % or more on average, and
      each at least 10 % (a low posterior height alone is how L5 is built);
    - wedge: the anterior height has lost at least 20 % against the posterior, and more than the middle one;
    - biconcave: the middle height has, and at least as much as the anterior one.

    Args:
        anterior: Ha, any unit.
        middle: Hm, same unit.
        posterior: Hp, same unit.
        neighbours: (Ha, Hp) of the bodies directly above and below, as far as there are any; without them a crush
            cannot be told from a small body and is never returned.
    Raises:
        ValueError: a height is not positive.

    >>> classify_deformity(anterior=15.0, middle=18.0, posterior=20.0).kind  # 25 % lower in front
    'wedge'
    """
    heights = (anterior, middle, posterior, *(height for pair in neighbours for height in pair))
    if not all(height > 0 for height in heights):
        raise ValueError(f"heights are positive; got {heights}")
    if neighbours:
        expected = [sum(pair[end] for pair in neighbours) / len(neighbours) for end in (0, 1)]
        losses = _loss(anterior, expected[0]), _loss(posterior, expected[1])
        mean = 0.5 * sum(losses)
        if mean >= GENANT_PERCENT[0] and min(losses) >= 0.5 * GENANT_PERCENT[0]:
            return Deformity(CRUSH, genant_grade(mean), mean)
    wedge, biconcave = _loss(anterior, posterior), _loss(middle, posterior)
    loss = max(wedge, biconcave)
    grade = genant_grade(loss)
    kind = NONE if grade == 0 else WEDGE if wedge > biconcave else BICONCAVE
    return Deformity(kind, grade, max(loss, 0.0))


def _loss(height: float, expected: float) -> float:
    """Loss in percent; rounded far below any meaning, so that 8 of 10 is 20 % and not a hair less."""
    return round(100 * (1 - height / expected), 9)


def meyerding_grade(slip_percent: float, least_percent: float = 5.0) -> int:
    """Meyerding grade candidate, 0 to 5, of a slip in either direction.

    Args:
        slip_percent: slip in percent of the depth of the lower body's upper end plate; negative backwards.
        least_percent: a smaller slip gets grade 0: bodies never stand exactly in line, and measuring errs by some
            percent.

    >>> [meyerding_grade(slip) for slip in (3.0, 12.0, -30.0, 60.0)]
    [0, 1, 2, 3]
    """
    size = abs(slip_percent)
    return 0 if size < least_percent else 1 + sum(size > limit for limit in MEYERDING_PERCENT)
