"""Centres that a reader gives on a film, and what they say against the network's maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmnet_monai.conventions import LABEL_OF_LEVEL, LEVEL_OF_LABEL, LUMBAR, S1_CHANNEL, THORACIC, VERTEBRA_CHANNEL

Array = NDArray[np.floating]

MOST_GIVEN = 32
"""So many centres may be given on one film; a spine has fewer vertebrae."""
SAID_BY_USER = "user"
"""Evidence of a level that a reader said, or that was counted from one."""
_CHAIN = (*THORACIC, *LUMBAR)


@dataclass(frozen=True)
class GivenCentres:
    """Centres that a reader gave on one film.

    Args:
        xy_px: (x, y) of each, in pixels of one grid.
        levels: the level that each is said to be, T1-T12 or L1-L5; "" where nothing is said.
        adds: whether they are added to the centres that the network finds, each in place of the found one beside it,
            or are all that there are.
    Raises:
        ValueError: there are too many, numbers of points and levels differ, a coordinate is not finite, a level is
            none of these, or the levels do not run down the film.

    >>> given = GivenCentres(((10.0, 35.0), (12.0, 60.0)), ("", "L5"))
    >>> given.moved(np.diag([0.5, 2.0, 1.0])).records()[1]  # on a grid of half the columns and twice the rows
    {'x_px': 6.0, 'y_px': 120.0, 'level': 'L5', 'adds': False}
    >>> GivenCentres(((10.0, 35.0), (12.0, 60.0)), ("L5", "L3"))
    Traceback (most recent call last):
        ...
    ValueError: L5 cannot lie above L3: rows 35 and 60
    """

    xy_px: tuple[tuple[float, float], ...]
    levels: tuple[str, ...]
    adds: bool = False

    def __post_init__(self) -> None:
        if len(self.xy_px) != len(self.levels) or len(self.xy_px) > MOST_GIVEN:
            raise ValueError(f"{len(self.xy_px)} centres and {len(self.levels)} levels; at most {MOST_GIVEN} of each")
        if not np.isfinite(np.array(self.xy_px, dtype=np.float64)).all():
            raise ValueError("a centre has finite coordinates")
        unknown = [level for level in self.levels if level and level not in _CHAIN]
        if unknown:
            raise ValueError(f"a centre's level is one of T1-T12 and L1-L5; got {unknown[0]!r}")
        for (upper, above), (lower, below) in pairwise(sorted(self.said, key=lambda one: one[1][1])):
            if _CHAIN.index(upper) >= _CHAIN.index(lower):
                raise ValueError(f"{upper} cannot lie above {lower}: rows {above[1]:g} and {below[1]:g}")

    @property
    def said(self) -> list[tuple[str, tuple[float, float]]]:
        """Level and (x, y) of each centre whose level is said."""
        return [(level, xy) for level, xy in zip(self.levels, self.xy_px) if level]

    def moved(self, affine: Array) -> GivenCentres:
        """The same on another grid: ``affine`` is (3, 3), from the pixels of this one to that one's."""
        points = np.array(self.xy_px, dtype=np.float64).reshape(-1, 2) @ affine[:2, :2].T + affine[:2, 2]
        return replace(self, xy_px=tuple((float(x), float(y)) for x, y in points))

    def records(self) -> list[dict[str, Any]]:
        """One record a centre: ``x_px``, ``y_px``, ``level`` (None where nothing is said) and ``adds``."""
        return [
            {"x_px": x, "y_px": y, "level": level or None, "adds": self.adds}
            for (x, y), level in zip(self.xy_px, self.levels)
        ]

    def rows(self) -> NDArray[np.float64]:
        """As an array that collates, (`MOST_GIVEN`, 4): x, y, VerSe code or 0, adds; NaN behind the last centre."""
        rows = np.full((MOST_GIVEN, 4), np.nan)
        for row, (x, y), level in zip(rows, self.xy_px, self.levels):
            row[:] = x, y, LABEL_OF_LEVEL[level] if level else 0, self.adds
        return rows

    @classmethod
    def from_rows(cls, rows: Array) -> GivenCentres:
        """The inverse of `rows`."""
        kept = [row for row in np.asarray(rows, dtype=np.float64) if np.isfinite(row).all()]
        levels = tuple(LEVEL_OF_LABEL[int(row[2])] if row[2] else "" for row in kept)
        return cls(tuple((float(row[0]), float(row[1])) for row in kept), levels, any(bool(row[3]) for row in kept))


def heed_levels(maps: Array, given: GivenCentres | None, threshold: float = 0.5) -> Array:
    """Maps in which nothing is S1 that lies above, or is, a body whose level the reader said.

    Args:
        maps: probabilities (C, x, y); returned as they are without an S1 channel, or if no level is said.
        given: in pixels of the maps.
        threshold: least probability of S1.
    Returns:
        Maps whose S1 regions of that kind have become vertebra.

    >>> maps = np.zeros((3, 20, 60))  # centre, vertebra, S1
    >>> maps[1, 5:15, 10:20], maps[2, 5:15, 30:40] = 0.9, 0.8
    >>> heeded = heed_levels(maps, GivenCentres(((10.0, 35.0),), ("L5",)))  # what looked like S1 is L5, says the reader
    >>> heeded[:, 10, 35].tolist()
    [0.0, 0.8, 0.0]
    """
    said = [] if given is None else given.said
    if maps.shape[0] <= S1_CHANNEL or not said:
        return maps
    regions, count = ndimage.label(maps[S1_CHANNEL] >= threshold)
    lowest = max(y for _, (_, y) in said)
    clicked = {region_at(regions, xy, 0) for _, xy in said}
    rows = ndimage.center_of_mass(regions > 0, regions, np.arange(1, count + 1)) if count else []
    wrong = [number for number, (_, y) in enumerate(rows, start=1) if number in clicked or y <= lowest]
    here = np.isin(regions, wrong)
    heeded = maps.copy()
    heeded[VERTEBRA_CHANNEL][here] = np.maximum(maps[VERTEBRA_CHANNEL], maps[S1_CHANNEL])[here]
    heeded[S1_CHANNEL][here] = 0
    return heeded


def region_at(regions: NDArray[np.integer], xy_px: Sequence[float], reach_px: float) -> int:
    """Number of the region that holds a point, or of the nearest one within ``reach_px``; 0 if there is none."""
    x, y = (round(float(v)) for v in xy_px)
    if 0 <= x < regions.shape[0] and 0 <= y < regions.shape[1] and regions[x, y]:
        return int(regions[x, y])
    pad = int(np.ceil(reach_px))
    left, top = max(x - pad, 0), max(y - pad, 0)
    window = regions[left : max(x + pad + 1, 0), top : max(y + pad + 1, 0)]
    places = np.argwhere(window > 0)
    if not len(places):
        return 0
    distances = np.hypot(*(places + np.array([left, top]) - np.asarray(xy_px, dtype=np.float64)).T)
    nearest = int(np.argmin(distances))
    return int(window[tuple(places[nearest])]) if distances[nearest] <= reach_px else 0
