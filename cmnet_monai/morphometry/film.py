"""Heights, deformities, discs, lordosis and slips of a film from its label map.

Six-point morphometry (Genant et al., J Bone Miner Res 1993;8:1137-48): four corners and the middles of both end plates
of each body. Disc heights after Frobin et al. (Clin Biomech 1997;12 Suppl 1:S1-63), angles after Cobb. Lengths are in
pixels of the film; millimetres, ratios and angles allow for pixels that are not square.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import LABEL_OF_LEVEL, LEVEL_OF_LABEL, S1_LABEL
from cmnet_monai.morphometry.anterior import facing_of, turn_deg
from cmnet_monai.morphometry.corners import LEFT, RIGHT, BodyPoints
from cmnet_monai.morphometry.grades import classify_deformity, meyerding_grade
from cmnet_monai.morphometry.measures import BodyMorphometry, DiscMorphometry, FilmMorphometry, Length
from cmnet_monai.morphometry.scale import FilmScale
from cmnet_monai.morphometry.spine import cut_labels, find_film_points, find_regions, levels_between, shown_area

Array = NDArray[np.floating]
_UNKNOWN_SIDE = "the patient's front is on neither side for certain: give anterior as left or right"


def measure_film(
    label_map: NDArray[np.integer],
    anterior: str | None = None,
    scale: FilmScale | None = None,
    valid_area: NDArray[np.bool_] | None = None,
    least_slip_percent: float = 5.0,
) -> FilmMorphometry:
    """Measure the bodies of a label map.

    Args:
        label_map: (x, y), VerSe codes, at the size that lengths in pixels shall refer to.
        anterior: "left" or "right", where the patient's front is; None finds it by `facing_of`.
        scale: the pixels of the label map; None is for unknown spacing: square pixels, no millimetres.
        valid_area: (x, y), False where there is no film.
        least_slip_percent: see `meyerding_grade`.
    Raises:
        ValueError: the label map does not have two axes, or the side is not given and cannot be found.

    >>> labels = np.zeros((80, 120), dtype=np.uint8)
    >>> labels[20:60, 10:40], labels[20:60, 50:80], labels[20:60, 90:118] = 22, 23, 24  # L3, L4, L5
    >>> found = measure_film(labels, anterior="left")
    >>> [(body.level, round(body.middle.px)) for body in found.bodies]
    [('L3', 30), ('L4', 30), ('L5', 28)]
    """
    if label_map.ndim != 2:
        raise ValueError(f"a label map has shape (x, y); got {label_map.shape}")
    scale = scale or FilmScale()
    regions = find_regions(label_map)
    points, failed = find_film_points(regions, scale.aspect_yx)
    evidence = "given"
    if anterior is None:
        facing = facing_of(points, scale.aspect_yx)
        anterior, evidence = facing.side, facing.evidence
    if anterior not in (LEFT, RIGHT):
        raise ValueError(_UNKNOWN_SIDE if evidence != "given" else f'anterior is "left" or "right"; got {anterior!r}')
    if anterior == RIGHT:
        points = {label: found.turned() for label, found in points.items()}
    return measure_points(
        points,
        anterior,
        scale,
        cut=cut_labels(regions, shown_area(valid_area, label_map)),
        least_slip_percent=least_slip_percent,
        evidence=evidence,
        unmeasured=tuple((LEVEL_OF_LABEL[label], reason) for label, reason in failed.items()),
    )


def measure_points(
    points: dict[int, BodyPoints],
    anterior: str,
    scale: FilmScale,
    cut: list[int] | tuple[int, ...] = (),
    least_slip_percent: float = 5.0,
    evidence: str = "given",
    unmeasured: tuple[tuple[str, str], ...] = (),
) -> FilmMorphometry:
    """Measure bodies whose corners and middles are known, from whatever source.

    Args:
        points: by label, from head to feet.
        anterior: "left" or "right".
        scale: the film's pixels.
        cut: labels of bodies that the film's edge cuts.
        least_slip_percent: see `meyerding_grade`.
        evidence: what the side was found by.
        unmeasured: level and reason of regions without points.

    >>> corners = np.array([[10.0, 20.0], [40.0, 20.0], [40.0, 50.0], [10.0, 50.0]])
    >>> plates, walls = np.array([[25.0, 20.0], [25.0, 50.0]]), np.array([[10.0, 35.0], [40.0, 35.0]])
    >>> l4 = BodyPoints(corners, plates, walls, 0.0)
    >>> l5 = l4.shifted((3.0, 38.0))  # 3 px to the back, its upper end plate 8 px below the lower one of L4
    >>> (disc,) = measure_points({23: l4, 24: l5}, "left", FilmScale()).discs
    >>> disc.upper, disc.lower, disc.middle.px, disc.slip.px, disc.slip_percent, disc.meyerding
    ('L4', 'L5', 8.0, 3.0, 10.0, 1)
    """
    labels = list(points)
    pairs = [(a, b) for a, b in itertools.pairwise(labels) if not levels_between(a, b, labels)]
    above = {b: a for a, b in pairs if b != S1_LABEL}
    below = {a: b for a, b in pairs if b != S1_LABEL}
    heights = {label: _walls(p, scale) for label, p in points.items()}
    bodies = []
    for label in (label for label in labels if label != S1_LABEL):
        # A neighbour that the film's edge cuts is no measure of what a height should be.
        near = {side: n.get(label) for side, n in (("above", above), ("below", below))}
        walls = {side: heights[n] for side, n in near.items() if n is not None and n not in cut}
        bodies.append(_measure_body(label, points[label], walls, label in cut, anterior, scale))
    return FilmMorphometry(
        bodies=tuple(bodies),
        discs=tuple(_measure_disc(a, b, points, anterior, scale, least_slip_percent) for a, b in pairs),
        s1=points.get(S1_LABEL),
        lordosis_l1_l5_deg=_lordosis(points, "L5", anterior, scale),
        lordosis_l1_s1_deg=_lordosis(points, "S1", anterior, scale),
        anterior=anterior,
        anterior_evidence=evidence,
        scale=scale,
        unmeasured=unmeasured,
    )


def _walls(points: BodyPoints, scale: FilmScale) -> tuple[float, float]:
    """Ha and Hp on square pixels."""
    sa, sp, ip, ia = points.corners_xy_px
    return Length.between(sa, ia, scale).square, Length.between(sp, ip, scale).square


def _measure_body(
    label: int,
    points: BodyPoints,
    walls: dict[str, tuple[float, float]],
    cut_off: bool,
    anterior: str,
    scale: FilmScale,
) -> BodyMorphometry:
    sa, sp, ip, ia = points.corners_xy_px
    front, middle, back = (
        Length.between(a, b, scale) for a, b in ((sa, ia), (points.plates_xy_px[0], points.plates_xy_px[1]), (sp, ip))
    )
    return BodyMorphometry(
        level=LEVEL_OF_LABEL[label],
        points=points,
        anterior=front,
        middle=middle,
        posterior=back,
        depth_upper=Length.between(sa, sp, scale),
        depth_middle=Length.between(points.walls_xy_px[0], points.walls_xy_px[1], scale),
        depth_lower=Length.between(ia, ip, scale),
        tilt_upper_deg=_tilt(sp - sa, anterior, scale),
        tilt_lower_deg=_tilt(ip - ia, anterior, scale),
        hp_above_ratio=back.square / walls["above"][1] if "above" in walls else None,
        hp_below_ratio=back.square / walls["below"][1] if "below" in walls else None,
        deformity=None if cut_off else classify_deformity(front.square, middle.square, back.square, (*walls.values(),)),
        cut_off=cut_off,
    )


def _tilt(backwards_xy_px: Array, anterior: str, scale: FilmScale) -> float:
    """How far a step from front to back rises on the film, degrees."""
    level = np.array([1.0 if anterior == LEFT else -1.0, 0.0])
    return turn_deg(level, scale.square(backwards_xy_px)) * (1 if anterior == LEFT else -1)


def _measure_disc(
    upper: int, lower: int, points: dict[int, BodyPoints], anterior: str, scale: FilmScale, least_slip_percent: float
) -> DiscMorphometry:
    _, _, ip, ia = points[upper].corners_xy_px
    sa, sp, _, _ = points[lower].corners_xy_px
    first, second = _unit(scale.square(ip - ia)), _unit(scale.square(sp - sa))
    mid_line = _unit(first + second)
    down = np.array([-mid_line[1], mid_line[0]]) * (1.0 if anterior == LEFT else -1.0)
    back_to_front = scale.square(ip - sp) @ -second
    slip_percent = 100 * float(back_to_front) / Length.between(sa, sp, scale).square
    signed = turn_deg(first, second) * (1 if anterior == LEFT else -1)
    return DiscMorphometry(
        upper=LEVEL_OF_LABEL[upper],
        lower=LEVEL_OF_LABEL[lower],
        anterior=_along(sa - ia, down, scale, least=0.0),
        middle=_along(points[lower].plates_xy_px[0] - points[upper].plates_xy_px[1], down, scale, least=0.0),
        posterior=_along(sp - ip, down, scale, least=0.0),
        angle_deg=signed,
        slip=_along(ip - sp, -second, scale),
        slip_percent=slip_percent,
        meyerding=meyerding_grade(slip_percent, least_slip_percent),
    )


def _unit(step: Array) -> Array:
    return step / np.linalg.norm(step)


def _along(step_xy_px: Array, direction: Array, scale: FilmScale, least: float = -np.inf) -> Length:
    """The part of a step along a direction (a unit vector on square pixels), with its sign."""
    part = max(float(scale.square(step_xy_px) @ direction), least)
    way = part * direction / np.array([1.0, scale.aspect_yx])
    sign = -1.0 if part < 0 else 1.0
    mm = scale.mm(way)
    return Length(sign * float(np.linalg.norm(way)), part, None if mm is None else sign * mm)


def _lordosis(points: dict[int, BodyPoints], lowest: str, anterior: str, scale: FilmScale) -> float | None:
    first, last = LABEL_OF_LEVEL["L1"], LABEL_OF_LEVEL[lowest]
    if first not in points or last not in points:
        return None
    upper, lower = points[first].corners_xy_px, points[last].corners_xy_px
    plate = lower[1] - lower[0] if last == S1_LABEL else lower[2] - lower[3]
    turn = turn_deg(scale.square(upper[1] - upper[0]), scale.square(plate))
    return turn if anterior == LEFT else -turn
