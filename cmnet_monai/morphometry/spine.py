"""The bodies of a label map as a chain from the head to the feet, and the points of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmnet_monai.conventions import LABEL_OF_LEVEL, LUMBAR, THORACIC
from cmnet_monai.morphometry.corners import BodyPoints, fit_outlines
from cmnet_monai.morphometry.outlines import region_outline

Array = NDArray[np.floating]

CHAIN = tuple(LABEL_OF_LEVEL[level] for level in (*THORACIC, "T13", *LUMBAR, "L6", "S1"))
"""Every label from head to feet; T13 and L6 are there in few patients."""
_SOMETIMES = frozenset((LABEL_OF_LEVEL["T13"], LABEL_OF_LEVEL["L6"]))


@dataclass(frozen=True)
class Region:
    """The pixels of one body on a label map.

    Args:
        box: columns and rows of the label map that hold it.
        inside: which pixels of the box are its own, (x, y).
    """

    box: tuple[slice, slice]
    inside: NDArray[np.bool_]

    @property
    def area_px(self) -> int:
        """Number of its pixels."""
        return int(np.count_nonzero(self.inside))

    @property
    def centre_xy_px(self) -> tuple[float, float]:
        """Its centroid."""
        x, y = (
            float(counts @ np.arange(part.start, part.stop) / counts.sum())
            for part, counts in zip(self.box, (self.inside.sum(axis=1), self.inside.sum(axis=0)))
        )
        return x, y


def find_regions(label_map: NDArray[np.integer]) -> dict[int, Region]:
    """Regions of the bodies that a label map shows, by label, from head to feet.

    >>> labels = np.zeros((30, 50), dtype=np.uint8)
    >>> labels[5:15, 10:22], labels[6:9, 30:40] = 24, 19  # L5, T12
    >>> [(label, region.area_px, region.centre_xy_px) for label, region in find_regions(labels).items()]
    [(19, 30, (7.0, 34.5)), (24, 120, (9.5, 15.5))]
    """
    columns, rows = (np.flatnonzero(label_map.max(axis=axis, initial=0)) for axis in (1, 0))
    if not columns.size:
        return {}
    x, y = int(columns[0]), int(rows[0])
    part = label_map[x : columns[-1] + 1, y : rows[-1] + 1]  # a film is mostly empty
    boxes = dict(enumerate(ndimage.find_objects(part), start=1))
    return {
        label: Region((slice(bx.start + x, bx.stop + x), slice(by.start + y, by.stop + y)), part[bx, by] == label)
        for label in CHAIN
        if boxes.get(label) is not None
        for bx, by in [boxes[label]]
    }


def shown_area(valid_area: NDArray | None, label_map: NDArray[np.integer]) -> NDArray[np.bool_]:
    """The valid area, or all of the film where none is given, (x, y)."""
    return np.broadcast_to(np.asarray(True if valid_area is None else valid_area, dtype=bool), label_map.shape)


def levels_between(upper: int, lower: int, present: Iterable[int] = ()) -> list[int]:
    """Labels that belong between two of a chain; T13 and L6 only if they are among those present."""
    shown = set(present)
    between = CHAIN[CHAIN.index(upper) + 1 : CHAIN.index(lower)]
    return [label for label in between if label not in _SOMETIMES or label in shown]


def centres_of(regions: Iterable[Region]) -> Array:
    """Centroids of regions, (N, 2) as (x, y) px."""
    return np.array([region.centre_xy_px for region in regions], dtype=np.float64).reshape(-1, 2)


def directions_down(centres_xy: Array) -> Array:
    """Direction of the spine at each centre of a chain, from the one above to the one below, (N, 2), not normed."""
    count = len(centres_xy)
    if count < 2:
        return np.tile([0.0, 1.0], (count, 1))
    above = np.clip(np.arange(count) - 1, 0, None)
    below = np.clip(np.arange(count) + 1, None, count - 1)
    return centres_xy[below] - centres_xy[above]


def find_film_points(
    regions: Mapping[int, Region], aspect_yx: float = 1.0
) -> tuple[dict[int, BodyPoints], dict[int, str]]:
    """Corners and middles of every body of a label map, as if the patient faced left.

    Args:
        regions: `find_regions` of the label map.
        aspect_yx: height of a pixel divided by its width.
    Returns:
        Points by label, from head to feet; and for bodies without them the reason, by label.
    """
    failed: dict[int, str] = {}
    outlines: dict[int, Array] = {}
    downs = dict(zip(regions, directions_down(centres_of(regions.values()))))
    for label, region in regions.items():
        try:
            outlines[label] = region_outline(region.inside)
        except ValueError as error:
            failed[label] = str(error)
    points: dict[int, BodyPoints] = {}
    found = fit_outlines([*outlines.values()], [downs[label] for label in outlines], aspect_yx)
    for label, result in zip(outlines, found):
        if isinstance(result, ValueError):
            failed[label] = str(result)
        else:
            points[label] = result.shifted([part.start for part in regions[label].box])
    return points, {label: failed[label] for label in regions if label in failed}


def cut_labels(regions: Mapping[int, Region], valid_area: NDArray[np.bool_]) -> list[int]:
    """Labels of bodies that reach the edge of a film's valid area, or come as near to it as a pixel.

    Args:
        regions: `find_regions` of a label map.
        valid_area: (x, y), False where the collimator or padding covers the film.
    """
    return [label for label, region in regions.items() if _is_cut(region, valid_area)]


def _is_cut(region: Region, valid_area: NDArray[np.bool_]) -> bool:
    (x0, x1), (y0, y1) = ((part.start - 1, part.stop + 1) for part in region.box)
    if min(x0, y0) < 0 or x1 > valid_area.shape[0] or y1 > valid_area.shape[1]:
        return True
    around = valid_area[x0:x1, y0:y1]
    core = around[1:-1, 1:-1] & around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return bool((region.inside & ~core).any())
