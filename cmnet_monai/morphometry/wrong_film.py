"""Signs in a label map that its film may be no lateral lumbar one, or lie wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import LUMBAR_LABELS, S1_LABEL
from cmnet_monai.morphometry.spine import Region, centres_of, cut_labels, levels_between

Array = NDArray[np.floating]

_LEAST_BODIES, _MOST_BODIES = 4, 9
_UNEVEN_STEPS = 1.9
_STRAY = 0.3
_STEEP_DEG = 45.0
_ODD_SIZE = 2.0
"""A body has an odd size where it is so many times larger or smaller than the film's median body."""
_ODD_SHARE = 0.25
_UNSEEN_STEPS = 3.0
"""A lumbar spine leaves the film at its upper edge: so much film above the uppermost body is too much."""
_LOW_STEPS = 0.5


def not_lateral_reason(
    regions: Mapping[int, Region], valid_area: NDArray[np.bool_], aspect_yx: float = 1.0, expects_s1: bool = False
) -> str | None:
    """Why a label map does not look like that of a lateral lumbar film, in words; None if it does.

    Every limit is a count, a share or a multiple of the film's own median step or body, so that one crumb of a body, or
    two that were found as one, is not enough.

    Args:
        regions: `find_regions` of the label map.
        valid_area: (x, y), False where the film shows nothing; bodies that its edge cuts are not compared in size.
        aspect_yx: height of a pixel divided by its width.
        expects_s1: S1 was looked for, so that it is a sign if it was not found.
    """
    bodies = [label for label in regions if label != S1_LABEL]
    if len(bodies) < _LEAST_BODIES:
        return f"only {len(bodies)} vertebral bodies were found"
    if len(bodies) > _MOST_BODIES:
        return f"{len(bodies)} vertebral bodies were found, more than a lumbar film shows"
    if not any(label in LUMBAR_LABELS for label in bodies):
        return "no lumbar body was found"
    if expects_s1 and S1_LABEL not in regions:
        return "the sacrum, from which levels are counted, was not found"
    centres = centres_of(regions[label] for label in bodies)
    return (
        _uneven_course(centres * np.array([1.0, aspect_yx]), bodies)
        or _wrong_place(centres, regions, bodies, valid_area)
        or _odd_sizes(regions, bodies, valid_area)
    )


def _uneven_course(centres: Array, bodies: list[int]) -> str | None:
    steps = np.diff(centres, axis=0)
    missing = np.array([1 + len(levels_between(a, b, bodies)) for a, b in pairwise(bodies)])
    lengths = np.linalg.norm(steps, axis=1) / missing
    if float(lengths.max() / max(lengths.min(), 1e-9)) > _UNEVEN_STEPS:
        return "the bodies do not follow each other at even steps"
    down = float(np.degrees(np.arctan2(abs(centres[-1, 0] - centres[0, 0]), centres[-1, 1] - centres[0, 1])))
    if down > _STEEP_DEG:
        return "the spine does not run down the film"
    if _stray(centres) > _STRAY * float(np.median(lengths)):
        return "the bodies do not lie along a smooth curve"
    return None


def _stray(centres: Array) -> float:
    """Greatest distance of a centre from a smooth curve through all of them, a cubic at most."""
    along = centres[:, 1]
    degree = min(3, len(centres) - 2)
    middle, half = float(along.mean()), max(float(np.ptp(along)) / 2, 1e-9)
    t = (along - middle) / half
    return float(np.abs(centres[:, 0] - np.polyval(np.polyfit(t, centres[:, 0], degree), t)).max())


def _wrong_place(
    centres: Array, regions: Mapping[int, Region], bodies: list[int], valid_area: NDArray[np.bool_]
) -> str | None:
    """A lumbar spine comes in at the upper edge of its film, and ends on a sacrum with more film below it."""
    rows = np.flatnonzero(valid_area.any(axis=0))
    if not rows.size:
        return None
    heights = centres[:, 1]
    lowest = regions[S1_LABEL].centre_xy_px[1] if S1_LABEL in regions else heights[-1]
    missing = sum(len(levels_between(a, b, bodies)) for a, b in pairwise(bodies))
    step = (heights[-1] - heights[0]) / (len(bodies) - 1 + missing)
    above, below = (heights[0] - rows[0]) / step, (rows[-1] - lowest) / step
    if above > _UNSEEN_STEPS:
        return "no body was found in its upper part"
    if above > below + _LOW_STEPS:
        return "the spine lies at its lower edge"
    return None


def _odd_sizes(regions: Mapping[int, Region], bodies: list[int], valid_area: NDArray[np.bool_]) -> str | None:
    cut = cut_labels(regions, valid_area)
    areas = np.array([regions[label].area_px for label in bodies if label not in cut] or [1], dtype=np.float64)
    times = areas / np.median(areas)
    if float(((times > _ODD_SIZE) | (times < 1 / _ODD_SIZE)).mean()) > _ODD_SHARE:
        return "too many bodies differ much in size"
    return None
