"""The bodies of a label map as a chain from the head to the feet, and the points of each."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmnet_monai.conventions import LABEL_OF_LEVEL, LUMBAR, THORACIC
from cmnet_monai.morphometry.corners import LEFT, BodyPoints, find_body_points

Array = NDArray[np.floating]

CHAIN = tuple(LABEL_OF_LEVEL[level] for level in (*THORACIC, "T13", *LUMBAR, "L6", "S1"))
"""Every label from head to feet; T13 and L6 are there in few patients."""
_SOMETIMES = frozenset((LABEL_OF_LEVEL["T13"], LABEL_OF_LEVEL["L6"]))


def chain_labels(label_map: NDArray[np.integer]) -> list[int]:
    """Labels of the bodies that a label map shows, from head to feet."""
    present = set(np.unique(label_map).tolist())
    return [label for label in CHAIN if label in present]


def levels_between(upper: int, lower: int, present: Iterable[int] = ()) -> list[int]:
    """Labels that belong between two of a chain; T13 and L6 only if they are among those present."""
    shown = set(present)
    between = CHAIN[CHAIN.index(upper) + 1 : CHAIN.index(lower)]
    return [label for label in between if label not in _SOMETIMES or label in shown]


def chain_centres(label_map: NDArray[np.integer], labels: list[int]) -> Array:
    """Centroids of regions, (N, 2) as (x, y) px."""
    if not labels:
        return np.empty((0, 2))
    return np.array(ndimage.center_of_mass(label_map > 0, label_map, labels), dtype=np.float64).reshape(-1, 2)


def directions_down(centres_xy: Array) -> Array:
    """Direction of the spine at each centre of a chain, from the one above to the one below, (N, 2), not normed."""
    count = len(centres_xy)
    if count < 2:
        return np.tile([0.0, 1.0], (count, 1))
    above = np.clip(np.arange(count) - 1, 0, None)
    below = np.clip(np.arange(count) + 1, None, count - 1)
    return centres_xy[below] - centres_xy[above]


def find_film_points(
    label_map: NDArray[np.integer], aspect_yx: float = 1.0
) -> tuple[dict[int, BodyPoints], dict[int, str]]:
    """Corners and middles of every body of a label map, as if the patient faced left.

    Args:
        label_map: (x, y), VerSe codes.
        aspect_yx: height of a pixel divided by its width.
    Returns:
        Points by label, from head to feet; and for bodies without them the reason, by label.
    """
    labels = chain_labels(label_map)
    downs = directions_down(chain_centres(label_map, labels))
    boxes = ndimage.find_objects(label_map)
    points: dict[int, BodyPoints] = {}
    failed: dict[int, str] = {}
    for label, down in zip(labels, downs):
        box = boxes[label - 1]
        try:
            found = find_body_points(label_map[box] == label, LEFT, down, aspect_yx)
        except ValueError as error:
            failed[label] = str(error)
        else:
            points[label] = found.shifted((box[0].start, box[1].start))
    return points, failed


def cut_labels(
    label_map: NDArray[np.integer], valid_area: NDArray[np.bool_] | None = None, margin_px: int = 1
) -> list[int]:
    """Labels of bodies that reach the film's edge, or the edge of its valid area.

    Args:
        label_map: (x, y), VerSe codes.
        valid_area: (x, y), False where the collimator or padding covers the film.
        margin_px: a body that comes as near as this is taken to reach it.
    """
    inside = np.ones(label_map.shape, dtype=bool) if valid_area is None else np.asarray(valid_area, dtype=bool)
    core = ndimage.binary_erosion(inside, iterations=max(margin_px, 1), border_value=0)
    reached = set(np.unique(label_map[~core]).tolist())
    return [label for label in CHAIN if label in reached]
