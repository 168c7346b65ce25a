"""The whole way from a film's probability maps to its named bodies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmnet_monai.conventions import CENTRE_CHANNEL, LUMBAR_CHANNEL, S1_CHANNEL, VERTEBRA_CHANNEL
from cmnet_monai.decode.centres import find_centres
from cmnet_monai.decode.confidence import uncertainties
from cmnet_monai.decode.given_centres import GivenCentres, heed_levels, region_at
from cmnet_monai.decode.instances import part_bodies
from cmnet_monai.decode.levels import NamedBody, name_levels
from cmnet_monai.decode.suppression import merge_crowded, uncrowded, with_given


@dataclass(frozen=True)
class VertebraReading:
    """What was read from a film.

    Args:
        bodies: its bodies from top to bottom.
        label_map: the same bodies in VerSe codes, (x, y); S1 is not among them.
        s1: where S1 lies, (x, y); nowhere if it was not found.
    """

    bodies: tuple[NamedBody, ...]
    label_map: NDArray[np.uint8]
    s1: NDArray[np.bool_]


def read_maps(
    maps: NDArray[np.floating],
    threshold: float = 0.5,
    centre_threshold: float = 0.3,
    min_distance_px: int = 8,
    min_area_px: int = 60,
    given: GivenCentres | None = None,
) -> VertebraReading:
    """Read named bodies from probability maps.

    Args:
        maps: probabilities (C, x, y), 0..1: centre, vertebra and, where the network has them, S1 and lumbar.
        threshold: least vertebra (and S1) probability inside a body.
        centre_threshold: least probability of a centre.
        min_distance_px: least distance between two centres.
        min_area_px: least area of a body.
        given: centres that a reader gave, in pixels of the maps. They part bodies as the found ones do, before which
            they go; levels that they are said to be are what the others are counted from (see `name_levels`).
    Returns:
        The bodies and their label map, (x, y). The centre map says how many bodies there are and where they part; a
        body's own centre is the centre of mass of its region, which is what a centre is defined as. Regions too close
        to be two bodies are pieces of one.
    Raises:
        ValueError: the maps do not have 2 to 4 channels.

    >>> maps = np.zeros((3, 40, 120))  # centre, vertebra, S1
    >>> for row in (20, 60):
    ...     maps[0, 17:24, row - 3 : row + 4], maps[1, 10:31, row - 10 : row + 11] = 0.9, 0.8
    >>> maps[2, 10:31, 90:111] = 0.9
    >>> reading = read_maps(maps)
    >>> [(body.level, round(body.centre_xy_px[1], 2), round(body.score, 2)) for body in reading.bodies]  # 0.9 times 0.8
    [('L4', 20.0, 0.72), ('L5', 60.0, 0.72)]
    >>> reading.label_map[20, [20, 60, 100]].tolist(), bool(reading.s1[20, 100])
    ([23, 24, 0], True)
    """
    if maps.ndim != 3 or maps.shape[0] not in (2, 3, 4):
        raise ValueError(f"maps have shape (2 to 4, x, y): centre, vertebra, S1, lumbar; got {maps.shape}")
    maps = heed_levels(maps, given, threshold)
    points, scores = find_centres(maps[CENTRE_CHANNEL], centre_threshold, min_distance_px)
    if given is not None and given.xy_px:
        points, scores = _after_given(points, scores, given, maps[CENTRE_CHANNEL])
    vertebra = maps[VERTEBRA_CHANNEL]
    s1_xy, s1 = None, np.zeros(vertebra.shape, dtype=bool)
    if maps.shape[0] > S1_CHANNEL:
        s1_xy, s1 = _largest_region(maps[S1_CHANNEL], threshold, min_area_px)
        vertebra = np.where(maps[S1_CHANNEL] > vertebra, 0, vertebra)
    regions, _, seeded = part_bodies(vertebra, points, threshold, min_area_px)
    regions, seeded = merge_crowded(regions, seeded)
    count = len(seeded)
    region_scores = _region_scores(regions, vertebra, points, scores, seeded)
    lumbar = None
    if maps.shape[0] > LUMBAR_CHANNEL:
        lumbar = ndimage.mean(maps[LUMBAR_CHANNEL], regions, np.arange(1, count + 1)) if count else []
    centres = _centres_of_mass(regions, vertebra, count)
    blurs = uncertainties(vertebra, regions, count)
    named = _named(regions, centres, region_scores, s1_xy, lumbar, given, min_distance_px)
    bodies = [replace(body, uncertainty=blurs[body.region - 1]) for body in named]
    label_map = np.zeros(regions.shape, dtype=np.uint8)
    for body in bodies:
        label_map[regions == body.region] = body.label
    return VertebraReading(tuple(bodies), label_map, s1 & (label_map == 0))


def _named(
    regions: NDArray[np.int32],
    centres: NDArray[np.floating],
    scores: list[float],
    s1_xy: NDArray[np.floating] | None,
    lumbar: NDArray[np.floating] | list[float] | None,
    given: GivenCentres | None,
    reach_px: float,
) -> list[NamedBody]:
    """Names of the regions. A centre that is said to be a level counts where no body was found, too."""
    if given is None:
        return name_levels(centres, scores, s1_xy, lumbar=lumbar)
    if given.adds and lumbar is not None:
        # What the network had to be told of looks unlike a body: how lumbar it looks says nothing.
        clicked = [region_at(regions, xy, reach_px) for xy in given.xy_px]
        lumbar = [0.5 if region in clicked else float(value) for region, value in enumerate(lumbar, start=1)]
    said: dict[int, str] = {}
    unseen: list[tuple[float, float]] = []
    for level, xy in given.said:
        region = region_at(regions, xy, reach_px)
        said[region - 1 if region else len(centres) + len(unseen)] = level
        unseen += [] if region else [xy]
    every = np.concatenate([centres, np.array(unseen, dtype=np.float64).reshape(-1, 2)])
    if said:
        lumbar = None
    bodies = name_levels(every, [*scores, *([0.0] * len(unseen))], s1_xy, lumbar=lumbar, said=said)
    return [body for body in bodies if body.region <= len(centres)]


def _after_given(
    points: NDArray[np.floating], scores: NDArray[np.floating], given: GivenCentres, centre_map: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Found centres behind given ones, those beside a given one left out, and the map's probability at each."""
    given_xy = np.array(given.xy_px, dtype=np.float64)
    places = np.clip(np.rint(given_xy).astype(int), 0, np.array(centre_map.shape) - 1)
    every, weights = with_given(points, scores, given_xy)
    kept = uncrowded(every, weights)
    return every[kept], np.concatenate([centre_map[tuple(places.T)], scores])[kept]


def _largest_region(
    s1_map: NDArray[np.floating], threshold: float, min_area_px: int
) -> tuple[NDArray[np.floating] | None, NDArray[np.bool_]]:
    """Centre of mass, (2,), and pixels, (x, y), of the largest region; None and no pixel without one."""
    regions, centres, _ = part_bodies(s1_map, np.empty((0, 2)), threshold, min_area_px)
    if not len(centres):
        return None, np.zeros(regions.shape, dtype=bool)
    largest = int(np.argmax(np.bincount(regions.ravel())[1:]))
    return centres[largest], regions == largest + 1


def _centres_of_mass(regions: NDArray[np.int32], vertebra: NDArray[np.floating], count: int) -> NDArray[np.floating]:
    """Centre of mass of each region, (count, 2), pixels weighted by their probability."""
    centres = ndimage.center_of_mass(vertebra, regions, np.arange(1, count + 1)) if count else []
    return np.array(centres, dtype=np.float64).reshape(-1, 2)


def _region_scores(
    regions: NDArray[np.int32],
    vertebra: NDArray[np.floating],
    points: NDArray[np.floating],
    scores: NDArray[np.floating],
    seeded: NDArray[np.bool_],
) -> list[float]:
    """Mean vertebra probability of each region, times its centre's probability where a centre seeded it (else half)."""
    result = []
    for region, has_seed in enumerate(seeded, start=1):
        inside = regions == region
        mean = float(vertebra[inside].mean())
        own = [s for p, s in zip(points, scores) if inside[tuple(np.clip(np.rint(p).astype(int), 0, None))]]
        result.append(mean * (max(own) if has_seed and own else 0.5))
    return result
