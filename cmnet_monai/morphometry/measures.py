"""What is measured on a film: lengths, bodies, discs, and the film as a whole, as rows of tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.morphometry.corners import BodyPoints
from cmnet_monai.morphometry.grades import Deformity
from cmnet_monai.morphometry.scale import FilmScale

Array = NDArray[np.floating]
Record = dict[str, Any]


@dataclass(frozen=True)
class Length:
    """A length in pixels of the film, in units of a pixel's width, and in millimetres where these may be given.

    ``square`` equals ``px`` where pixels are square; ratios are taken from it.

    >>> length = Length.between(np.array([10.0, 20.0]), np.array([13.0, 22.0]), FilmScale((0.2, 0.4), "user"))
    >>> round(length.px, 2), length.square, round(length.mm, 2)  # pixels are twice as high as wide
    (3.61, 5.0, 1.0)
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
        deformity: kind and Genant grade candidate; None if the body is cut off.
        cut_off: the body reaches the edge of the film, so its measures are too small.

    >>> from cmnet_monai.morphometry import measure_points
    >>> corners = np.array([[10.0, 20.0], [40.0, 20.0], [40.0, 45.0], [10.0, 39.0]])  # lower in front
    >>> plates, walls = np.array([[25.0, 20.0], [25.0, 42.0]]), np.array([[10.0, 29.5], [40.0, 32.5]])
    >>> (body,) = measure_points({22: BodyPoints(corners, plates, walls, 0.0)}, "left", FilmScale()).bodies
    >>> body.level, body.ha_hp_ratio, body.hm_hp_ratio, body.deformity.kind, body.deformity.loss_percent
    ('L3', 0.76, 0.88, 'wedge', 24.0)
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
    deformity: Deformity | None
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
            "deformity_candidate": None if self.deformity is None else self.deformity.kind,
            "genant_candidate": None if self.deformity is None else self.deformity.grade,
            "loss_percent": None if self.deformity is None else self.deformity.loss_percent,
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

    >>> from cmnet_monai.morphometry import measure_film
    >>> labels = np.zeros((80, 120), dtype=np.uint8)
    >>> labels[20:60, 10:40], labels[20:60, 50:80] = 23, 24  # L4, L5
    >>> tables = measure_film(labels, "left", FilmScale((0.2, 0.4), "user")).to_records()
    >>> [(row["level"], round(row["height_middle_mm"], 1)) for row in tables["bodies"]]  # 30 px of 0.4 mm
    [('L4', 12.0), ('L5', 12.0)]
    >>> [(row["upper"], row["lower"], round(row["disc_middle_mm"], 1)) for row in tables["discs"]]  # 10 px
    [('L4', 'L5', 4.0)]
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
