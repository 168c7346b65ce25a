"""Which side of a film the patient's front is on, from the shape of the spine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import LABEL_OF_LEVEL, S1_LABEL
from cmnet_monai.morphometry.corners import LEFT, RIGHT, BodyPoints
from cmnet_monai.morphometry.spine import find_film_points, find_regions

Array = NDArray[np.floating]

UNKNOWN = "unknown"
_LUMBAR_PART = tuple(LABEL_OF_LEVEL[level] for level in ("L1", "L2", "L3", "L4", "L5", "L6", "S1"))
_THORACIC_PART = tuple(LABEL_OF_LEVEL[f"T{i}"] for i in range(2, 12))


@dataclass(frozen=True)
class Facing:
    """The side of the patient's front.

    Args:
        side: "left", "right" or "unknown".
        bend_deg: lordosis plus kyphosis if the patient faced left; negative where they face right.
        evidence: what was used, in words.
    """

    side: str
    bend_deg: float
    evidence: str


def find_anterior(label_map: NDArray[np.integer], aspect_yx: float = 1.0, least_deg: float = 10.0) -> Facing:
    """The side of the patient's front on a film, from its label map.

    See `facing_of`; labels must be right as to lumbar, thoracic and S1, or nearly so.

    >>> labels = np.zeros((80, 160), dtype=np.uint8)
    >>> x, y = np.mgrid[0:80, 0:160]
    >>> for label, row, slope in ((22, 30, 0.2), (23, 75, 0.0), (24, 120, -0.2)):  # L3 to L5, wider apart at the left
    ...     labels[(abs(x - 40) < 16) & (abs(y - row - slope * (x - 40)) < 14)] = label
    >>> found = find_anterior(labels)
    >>> found.side, round(found.bend_deg), find_anterior(labels[::-1]).side  # 2 atan(0.2); the mirrored film
    ('left', 23, 'right')
    """
    return facing_of(find_film_points(find_regions(label_map), aspect_yx)[0], aspect_yx, least_deg)


def facing_of(points: Mapping[int, BodyPoints], aspect_yx: float = 1.0, least_deg: float = 10.0) -> Facing:
    """The side of the patient's front, from the end plates.

    The lumbar spine is lordotic and the thoracic spine kyphotic, so the angle from the highest lumbar upper end plate
    to the upper end plate of S1 (or the lower one of the lowest lumbar body) has one sign, that of T2 to T11 the other.
    Their difference says which way the patient faces, however the film is turned; where it is less than `least_deg` the
    side is unknown.

    Args:
        points: points by label, as `find_film_points` gives them (as if the patient faced left).
        aspect_yx: height of a pixel divided by its width.
        least_deg: least angle.
    """
    lordosis = _bend(points, _LUMBAR_PART, aspect_yx)
    kyphosis = _bend(points, _THORACIC_PART, aspect_yx)
    if lordosis is None and kyphosis is None:
        return Facing(UNKNOWN, 0.0, "too few bodies")
    bend = (lordosis or 0.0) - (kyphosis or 0.0)
    found = (("lordosis", lordosis), ("kyphosis", kyphosis))
    evidence = " and ".join(name for name, angle in found if angle is not None)
    side = UNKNOWN if abs(bend) < least_deg else LEFT if bend > 0 else RIGHT
    return Facing(side, bend, evidence)


def _bend(points: Mapping[int, BodyPoints], part: tuple[int, ...], aspect_yx: float) -> float | None:
    """Angle in degrees by which the lowest end plate of a part of the spine is turned against its highest."""
    present = [label for label in part if label in points]
    if len(present) < 2:
        return None
    lowest = points[present[-1]].corners_xy_px
    upper = points[present[0]].corners_xy_px
    low = (lowest[0], lowest[1]) if present[-1] == S1_LABEL else (lowest[3], lowest[2])
    square = np.array([1.0, aspect_yx])
    return turn_deg((upper[1] - upper[0]) * square, (low[1] - low[0]) * square)


def turn_deg(first: Array, second: Array) -> float:
    """Angle from one direction to another, degrees, positive against the clock as seen on the film (y runs down)."""
    across = float(first[1] * second[0] - first[0] * second[1])
    return float(np.degrees(np.arctan2(across, float(first @ second))))
