"""From end plates and corners to outlines.

**Body.** The outline of a body with four corners is the quadrilateral through them. Real walls and end plates are
concave and real rims stick out, so it is a stand-in: against 80 bodies (L1-L5) outlined by hand, the quadrilateral
through each outline's own corners had a median area of 0.99 (tenth and ninetieth percentile 0.93 and 1.07) of the
outline's and a Dice of 0.94 with it.

**S1 from its upper end plate.** Measured from the anterior end of the plate, in lengths of the plate, along it
backwards and away from L5: the lower anterior corner is (0.5, 0.9), the lower posterior one (1.0, 0.8). So the
posterior wall is square to the plate and the anterior one runs down and back from the promontory, to a lower edge half
as long as the plate. The numbers are the rounded medians of 16 hand outlines of S1, (0.48, 0.94) and (1.03, 0.78).

**Names from below.** Vertebrae without names are named by their count alone: five are L1-L5, six are L1-S1; any other
number stays nameless. That is a guess: five may as well be L2-S1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cmnet_monai.conventions import LUMBAR_LABELS, S1_LABEL
from cmnet_monai.datasets.adapters.records import UNKNOWN_LEVEL, Points

S1_LOWER_ANTERIOR = (0.5, 0.9)
S1_LOWER_POSTERIOR = (1.0, 0.8)


def quadrilateral(corners_xy: Points) -> Points:
    """The four corners of a body in an order that goes round it, whatever order they come in.

    They are sorted by their angle about their mean, which gives a polygon that never crosses itself: for any order,
    a film facing left or right, and bodies tilted so much that "the two upper corners" are not those of the upper end
    plate.

    Args:
        corners_xy: (4, 2), (x, y) in pixels.
    Returns:
        (4, 2), clockwise as seen on the film (x to the right, y down), starting in the upper left quadrant.
    Raises:
        ValueError: there are not four finite corners, or they enclose no area.
    """
    corners = np.asarray(corners_xy, dtype=np.float64)
    if corners.shape != (4, 2) or not np.isfinite(corners).all():
        raise ValueError(f"a body has four corners (x, y), got shape {corners.shape}")
    offsets = corners - corners.mean(axis=0)
    ring = corners[np.argsort(np.arctan2(offsets[:, 1], offsets[:, 0]), kind="stable")]
    extent = float(np.ptp(corners, axis=0).max())
    if polygon_area(ring) <= 1e-3 * extent**2:
        raise ValueError("the four corners of a body enclose no area")
    return ring


def polygon_area(points_xy: Points) -> float:
    """Area of a polygon (N, 2) that does not cross itself, in square pixels."""
    x, y = np.asarray(points_xy, dtype=np.float64).T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def s1_below_plate(anterior_xy: Points, posterior_xy: Points, above_xy: Points) -> Points:
    """Outline of S1 from its upper end plate; the rule stands at the head of this module.

    Args:
        anterior_xy: anterior end of the plate, (2,).
        posterior_xy: posterior end of the plate, (2,).
        above_xy: a point on the other side of the plate, such as the centre of L5, (2,).
    Returns:
        (4, 2): anterior and posterior end of the plate, lower posterior and lower anterior corner.
    Raises:
        ValueError: the plate has no length, or the point above lies on its line.
    """
    anterior, posterior, above = (np.asarray(p, dtype=np.float64) for p in (anterior_xy, posterior_xy, above_xy))
    along = posterior - anterior
    length = float(np.hypot(*along))
    away = np.array([-along[1], along[0]])
    side = float(away @ (above - anterior))
    if length == 0 or abs(side) < 1e-3 * length**2:
        raise ValueError("the upper end plate of S1 has no length or lies on L5")
    away = away if side < 0 else -away
    lower = [anterior + u * along + v * away for u, v in (S1_LOWER_POSTERIOR, S1_LOWER_ANTERIOR)]
    return np.stack([anterior, posterior, *lower])


def names_from_below(count: int) -> Sequence[int]:
    """Labels of `count` nameless vertebrae from top to bottom by the rule at the head of this module."""
    named = {5: LUMBAR_LABELS, 6: (*LUMBAR_LABELS, S1_LABEL)}
    return named.get(count, (UNKNOWN_LEVEL,) * count)
