"""Heights, deformities, discs, lordosis and slips of a film from its label map.

Six-point morphometry (Genant et al., J Bone Miner Res 1993;8:1137-48): four corners and the middles of both end plates
of each body. Disc heights after Frobin et al. (Clin Biomech 1997;12 Suppl 1:S1-63), angles after Cobb. Lengths are in
pixels of the film; millimetres, ratios and angles allow for pixels that are not square.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import LABEL_OF_LEVEL, LEVEL_OF_LABEL, S1_LABEL
from cmnet_monai.vertebrae.chain import cut_labels, find_film_points, levels_between
from cmnet_monai.vertebrae.corners import LEFT, RIGHT, BodyPoints
from cmnet_monai.vertebrae.facing import facing_of, turn_deg
from cmnet_monai.vertebrae.grades import Deformity, classify_deformity, meyerding_grade
from cmnet_monai.vertebrae.scale import FilmScale

Array = NDArray[np.floating]
Record = dict[str, Any]
_UNKNOWN_SIDE = "the patient's front is on neither side for certain: give anterior as left or right"


@dataclass(frozen=True)
class Length:
    """A length in pixels of the film, in units of a pixel's width, and in millimetres where these may be given.

    ``square`` equals ``px`` where pixels are square; ratios are taken from it.
    """

    px: float
    square: float
    mm: float | None

    @staticmethod
    def between(start_xy_px: Array, end_xy_px: Array, scale: FilmScale) -> Length:
        """Distance of two points."""
        step = end_xy_px - start_xy_px
        return Length(float(np.linalg.norm(step)), float(np.linalg.norm(scale.square(step))), scale.mm(step))

    def record(self, name: str) -> Record:
        """The length as columns of a table."""
        return {f"{name}_px": self.px, f"{name}_mm": self.mm}


@dataclass(frozen=True)
class BodyMorphometry:
    """One body.

    Args:
        level: its name.
        points: corners and middles, px.
        anterior: Ha, distance of the two anterior corners.
        middle: Hm, distance of the middles of the end plates.
        posterior: Hp, distance of the two posterior corners.
        depth_upper: depth of the upper end plate, corner to corner.
        depth_middle: distance of the middles of the walls.
        depth_lower: depth of the lower end plate.
        tilt_upper_deg: how far the posterior end of the upper end plate is higher on the film, degrees.
        tilt_lower_deg: the same of the lower end plate.
        hp_above_ratio: Hp divided by that of the body directly above; None where there is none.
        hp_below_ratio: the same for the body below (never S1).
        deformity: kind and Genant grade candidate.
        cut_off: the body reaches the edge of the film, so its measures are too small.
    """

    level: str
    points: BodyPoints
    anterior: Length
    middle: Length
    posterior: Length
    depth_upper: Length
    depth_middle: Length
    depth_lower: Length
    tilt_upper_deg: float
    tilt_lower_deg: float
    hp_above_ratio: float | None
    hp_below_ratio: float | None
    deformity: Deformity
    cut_off: bool

    @property
    def ha_hp_ratio(self) -> float:
        """Ha / Hp."""
        return self.anterior.square / self.posterior.square

    @property
    def hm_hp_ratio(self) -> float:
        """Hm / Hp."""
        return self.middle.square / self.posterior.square

    def record(self) -> Record:
        """The body as a row of a table."""
        row: Record = {"level": self.level, "label": LABEL_OF_LEVEL[self.level]}
        for name, length in (
            ("height_anterior", self.anterior),
            ("height_middle", self.middle),
            ("height_posterior", self.posterior),
            ("depth_upper", self.depth_upper),
            ("depth_middle", self.depth_middle),
            ("depth_lower", self.depth_lower),
        ):
            row |= length.record(name)
        row |= {
            "ha_hp_ratio": self.ha_hp_ratio,
            "hm_hp_ratio": self.hm_hp_ratio,
            "hp_above_ratio": self.hp_above_ratio,
            "hp_below_ratio": self.hp_below_ratio,
            "tilt_upper_deg": self.tilt_upper_deg,
            "tilt_lower_deg": self.tilt_lower_deg,
            "deformity_candidate": self.deformity.kind,
            "genant_candidate": self.deformity.grade,
            "loss_percent": self.deformity.loss_percent,
            "cut_off": self.cut_off,
            "fit_residual_px": self.points.residual_px,
        }
        return row


@dataclass(frozen=True)
class DiscMorphometry:
    """The disc between two neighbours, and how the upper one stands on the lower.

    Args:
        upper: level above.
        lower: level below, S1 for the last.
        anterior: height between the anterior corners of the end plates, square to the disc's mid line.
        middle: the same between the middles of the end plates.
        posterior: the same between the posterior corners. A height below 0 (end plates that cross) is 0.
        angle_deg: angle of the end plates, positive if the disc is open to the front.
        slip: how far the upper body's lower posterior corner lies before the lower body's upper posterior corner, along
            that body's upper end plate; below 0 behind it.
        slip_percent: slip in percent of that end plate's depth.
        meyerding: grade candidate, 0 to 5.
    """

    upper: str
    lower: str
    anterior: Length
    middle: Length
    posterior: Length
    angle_deg: float
    slip: Length
    slip_percent: float
    meyerding: int

    def record(self) -> Record:
        """The disc as a row of a table."""
        direction = "none" if self.meyerding == 0 else "anterolisthesis" if self.slip_percent > 0 else "retrolisthesis"
        return {
            "upper": self.upper,
            "lower": self.lower,
            **self.anterior.record("disc_anterior"),
            **self.middle.record("disc_middle"),
            **self.posterior.record("disc_posterior"),
            "disc_angle_deg": self.angle_deg,
            **self.slip.record("slip"),
            "slip_percent": self.slip_percent,
            "slip_candidate": direction,
            "meyerding_candidate": self.meyerding,
        }


@dataclass(frozen=True)
class FilmMorphometry:
    """All measures of a film.

    Args:
        bodies: from head to feet, S1 left out.
        discs: from head to feet; between neighbours alone, never across a gap.
        s1: corners and middles of S1, or None; only its upper end plate is used.
        lordosis_l1_l5_deg: Cobb angle from the upper end plate of L1 to the lower one of L5, positive if lordotic; or
            None.
        lordosis_l1_s1_deg: the same to the upper end plate of S1.
        anterior: "left" or "right".
        anterior_evidence: "given", or what the side was found by.
        scale: the film's pixels.
        unmeasured: level and reason of each region that could not be measured.
    """

    bodies: tuple[BodyMorphometry, ...]
    discs: tuple[DiscMorphometry, ...]
    s1: BodyPoints | None
    lordosis_l1_l5_deg: float | None
    lordosis_l1_s1_deg: float | None
    anterior: str
    anterior_evidence: str
    scale: FilmScale
    unmeasured: tuple[tuple[str, str], ...]

    def to_records(self) -> dict[str, list[Record]]:
        """Rows of three tables, ``film`` (one row), ``bodies`` and ``discs``; keys end in their unit.

        Every row ends with the pixel spacing and its provenance; millimetres that may not be given are None.
        """
        spacing = self.scale.records()
        film = {
            "lordosis_l1_l5_deg": self.lordosis_l1_l5_deg,
            "lordosis_l1_s1_deg": self.lordosis_l1_s1_deg,
            "anterior": self.anterior,
            "anterior_evidence": self.anterior_evidence,
            "assumption": self.scale.assumption,
            "unmeasured": "; ".join(f"{level}: {reason}" for level, reason in self.unmeasured),
        }
        return {
            "film": [film | spacing],
            "bodies": [body.record() | spacing for body in self.bodies],
            "discs": [disc.record() | spacing for disc in self.discs],
        }


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
    """
    if label_map.ndim != 2:
        raise ValueError(f"a label map has shape (x, y); got {label_map.shape}")
    scale = scale or FilmScale()
    points, failed = find_film_points(label_map, scale.aspect_yx)
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
        cut=cut_labels(label_map, valid_area),
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
        deformity=classify_deformity(front.square, middle.square, back.square, tuple(walls.values())),
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
