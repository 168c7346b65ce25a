"""The whole way from a film's probability maps to its named bodies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import CENTRE_CHANNEL, LABEL_OF_LEVEL, LUMBAR_CHANNEL, VERTEBRA_CHANNEL
from cmnet_monai.decode.candidates import Candidates, find_candidates
from cmnet_monai.decode.centres import find_centres
from cmnet_monai.decode.chain_model import LEVELS
from cmnet_monai.decode.confidence import uncertainties
from cmnet_monai.decode.given_centres import MOST_GIVEN, SAID_BY_USER, GivenCentres, heed_levels, region_at
from cmnet_monai.decode.naming import CERTAIN, UPWARDS, Naming, NamingModel, name_candidates, shipped_model
from cmnet_monai.decode.suppression import uncrowded, with_given

Array = NDArray[np.floating]

FROM_S1 = "counted from S1"
FROM_LOWEST = "lowest body taken for L5"
FROM_LUMBAR = "counted from what looks lumbar"
_PAINTED_PX, _LEAST_PEAK = 5, 0.5


@dataclass(frozen=True)
class NamedBody:
    """A body with its level.

    Args:
        region: its number among the film's bodies, from 1.
        level: its name.
        centre_xy_px: (x, y) in pixels of the maps.
        score: 0 to 1, not calibrated.
        evidence: what the level rests on.
        uncertainty: see `cmnet_monai.decode.uncertainties`.
        probability: that the name is right, if it is a body.
    """

    region: int
    level: str
    centre_xy_px: tuple[float, float]
    score: float
    evidence: str
    uncertainty: float
    probability: float

    @property
    def label(self) -> int:
        """VerSe code of the level."""
        return LABEL_OF_LEVEL[self.level]


@dataclass(frozen=True)
class VertebraReading:
    """What was read from a film.

    Args:
        bodies: its bodies from top to bottom.
        label_map: the same bodies in VerSe codes, (x, y); S1 is not among them.
        s1: where S1 lies, (x, y); nowhere if it was not found.
        probability: that the names of L1-L5 are right, calibrated.
        runner_up: what else the bodies may be called, from top to bottom; "" for one that is none then.
        levels_uncertain: the two namings are close.
    """

    bodies: tuple[NamedBody, ...]
    label_map: NDArray[np.uint8]
    s1: NDArray[np.bool_]
    probability: float = 1.0
    runner_up: tuple[str, ...] = ()
    levels_uncertain: bool = False


def read_maps(
    maps: Array,
    threshold: float = 0.5,
    centre_threshold: float = 0.3,
    min_area_px: int = 60,
    given: GivenCentres | None = None,
    film_box: Array | None = None,
    model: NamingModel | None = None,
) -> VertebraReading:
    """Read named bodies from probability maps.

    Everything that may be a body is a candidate; the likeliest chain of candidates with levels is the reading
    (`cmnet_monai.decode.chain_model`): in it candidates may be false, bodies missing, pieces one body.

    Args:
        maps: probabilities (C, x, y), 0..1: centre, vertebra and, where the network has them, S1, lumbar and level.
        threshold: least vertebra (and S1) probability inside a body.
        centre_threshold: least probability of a centre; centres of half of it part bodies still.
        min_area_px: least area of a body.
        given: centres that a reader gave, in pixels of the maps. Each is a body's, and found ones beside it go; levels
            that they are said to be are certain.
        film_box: least and greatest (x, y) of the film on the grid, (2, 2); the whole grid by default.
        model: fitted numbers of the naming; the shipped ones by default.
    Returns:
        The bodies and their label map, (x, y). A body's centre is the centre of mass of its region.
    Raises:
        ValueError: the maps do not have 2 to 5 channels.

    >>> maps = np.zeros((3, 40, 120))  # centre, vertebra, S1
    >>> for row in (20, 55):
    ...     maps[0, 17:24, row - 3 : row + 4], maps[1, 5:36, row - 12 : row + 13] = 0.9, 0.8
    >>> maps[2, 5:36, 78:103] = 0.9
    >>> reading = read_maps(maps)
    >>> [(body.level, round(body.centre_xy_px[1], 2), round(body.score, 2)) for body in reading.bodies]  # 0.9 times 0.8
    [('L4', 20.0, 0.72), ('L5', 55.0, 0.72)]
    >>> reading.label_map[20, [20, 55, 90]].tolist(), bool(reading.s1[20, 90])
    ([23, 24, 0], True)
    """
    told = given if given is not None and given.xy_px else None
    found, maps, discs = _found(maps, threshold, centre_threshold, min_area_px, told, film_box)
    if found is None:
        return VertebraReading((), np.zeros(discs.shape, dtype=np.uint8), discs)
    if told is not None and told.adds:
        found = _unlike_a_body(found, told)
    naming = name_candidates(found, model or shipped_model(), None if told is None else _demands(found, told))
    return _reading(found, naming, maps, _evidence(naming, told, len(maps)), discs)


def candidates_of(maps: Array, film_box: Array | None = None) -> Candidates | None:
    """Candidates that `read_maps` chooses from, with its defaults; None if there is not one."""
    return _found(maps, 0.5, 0.3, 60, None, film_box)[0]


def _found(
    maps: Array,
    threshold: float,
    centre_threshold: float,
    min_area_px: int,
    given: GivenCentres | None,
    film_box: Array | None,
) -> tuple[Candidates | None, Array, NDArray[np.bool_]]:
    """Candidates, the maps that they were found in, and the discs painted for said levels, (x, y)."""
    if maps.ndim != 3 or not 2 <= maps.shape[0] <= 5:
        raise ValueError(f"maps have shape (2 to 5, x, y): centre, vertebra, S1, lumbar, level; got {maps.shape}")
    maps = heed_levels(_inside(maps, film_box), given, threshold)
    discs = np.zeros(maps.shape[1:], dtype=bool)
    points, scores = find_centres(maps[CENTRE_CHANNEL], 0.5 * centre_threshold, min_distance_px=6)
    if given is not None:
        points, scores = _after_given(points, scores, given, maps[CENTRE_CHANNEL])
        maps, discs = _painted(maps, given, threshold)
    return find_candidates(maps, points, scores, threshold, min_area_px, film_box), maps, discs


def _inside(maps: Array, film_box: Array | None) -> Array:
    """Maps that are 0 outside of the film."""
    if film_box is None:
        return maps
    (left, top), (right, bottom) = np.rint(film_box).astype(int)
    result = np.zeros_like(maps)
    film = (slice(None), slice(left, right + 1), slice(top, bottom + 1))
    result[film] = maps[film]
    return result


def _after_given(points: Array, scores: Array, given: GivenCentres, centre_map: Array) -> tuple[Array, Array]:
    """Found centres behind given ones, those beside a given one left out, and the map's probability at each."""
    given_xy = np.array(given.xy_px, dtype=np.float64)
    places = np.clip(np.rint(given_xy).astype(int), 0, np.array(centre_map.shape) - 1)
    every, weights = with_given(points, scores, given_xy)
    kept = uncrowded(every, weights)
    return every[kept], np.concatenate([centre_map[tuple(places.T)], scores])[kept]


def _demands(found: Candidates, given: GivenCentres) -> Array:
    """What a reader's centres add to the score of each candidate at each level, (N, LEVELS).

    One of the candidates that hold a given centre is in the chain, at the level that it is said to be; none that holds
    two given centres is.
    """
    held = np.zeros((len(found), len(given.xy_px)), dtype=bool)
    demands = np.zeros((len(found), LEVELS))
    for number, (xy, level) in enumerate(zip(given.xy_px, given.levels)):
        piece = region_at(found.pieces, xy, _PAINTED_PX)
        held[:, number] = found.members[:, piece - 1] if piece else False
        wanted = np.full(LEVELS, CERTAIN)
        if level:
            wanted[:] = -CERTAIN
            wanted[UPWARDS.index(level)] = 2 * CERTAIN
        demands[held[:, number]] += wanted
    demands[held.sum(axis=1) > 1] = -CERTAIN * MOST_GIVEN
    return demands


def _unlike_a_body(found: Candidates, given: GivenCentres) -> Candidates:
    """What the network had to be told of looks unlike a body: how lumbar it looks says nothing."""
    told = np.zeros(len(found), dtype=bool)
    for xy in given.xy_px:
        piece = region_at(found.pieces, xy, _PAINTED_PX)
        told |= found.members[:, piece - 1] if piece else False
    return replace(found, lumbar=np.where(told, 0.5 * found.bone, found.lumbar))


def _painted(maps: Array, given: GivenCentres, threshold: float) -> tuple[Array, NDArray[np.bool_]]:
    """Maps with a small disc for each said level where nothing was found, and those discs, (x, y)."""
    x, y = np.indices(maps.shape[1:])
    discs = np.zeros(maps.shape[1:], dtype=bool)
    body = (maps[VERTEBRA_CHANNEL] >= threshold).astype(np.int32)
    for _, (left, top) in given.said:
        if not region_at(body, (left, top), _PAINTED_PX):
            discs |= (x - left) ** 2 + (y - top) ** 2 <= _PAINTED_PX**2
    painted = maps.copy()
    painted[VERTEBRA_CHANNEL][discs] = threshold
    return painted, discs


def _reading(
    found: Candidates, naming: Naming, maps: Array, evidence: str, discs: NDArray[np.bool_]
) -> VertebraReading:
    regions = np.zeros(maps.shape[1:], dtype=np.int32)
    s1 = np.zeros(maps.shape[1:], dtype=bool)
    kept = []
    for number, (candidate, level) in enumerate(naming.members):
        mask = found.mask(candidate)
        if level == "S1":
            s1 = mask
        elif not (mask & discs).any():
            kept.append(number)
            regions[mask] = len(kept)
    blurs = uncertainties(maps[VERTEBRA_CHANNEL], regions, len(kept))
    label_map = np.zeros(regions.shape, dtype=np.uint8)
    bodies = []
    for region, (number, blur) in enumerate(zip(kept, blurs), start=1):
        candidate, level = naming.members[number]
        x, y = (float(v) for v in found.centre_xy[candidate])
        score = float(found.bone[candidate] * max(found.peak[candidate], _LEAST_PEAK))
        body = NamedBody(region, level, (x, y), score, evidence, blur, naming.probabilities[number])
        bodies.append(body)
        label_map[regions == region] = body.label
    runner_up = tuple(naming.runner_up[number] for number in kept) if naming.runner_up else ()
    return VertebraReading(tuple(bodies), label_map, s1, naming.probability, runner_up, naming.uncertain)


def _evidence(naming: Naming, given: GivenCentres | None, channels: int) -> str:
    """What the names rest on."""
    if given is not None and given.said:
        return SAID_BY_USER
    if any(level == "S1" for _, level in naming.members):
        return FROM_S1
    return FROM_LUMBAR if channels > LUMBAR_CHANNEL else FROM_LOWEST
