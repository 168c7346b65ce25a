"""The curve of the spine: tilts in the sagittal plane, scoliosis, rotation and slips, and the bodies stacked on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cmnet_monai.synthetic.bodies import Vertebra
from cmnet_monai.synthetic.projection import Rng

_LORDOSIS_SHARE = {"L5": 0.34, "L4": 0.22, "L3": 0.20, "L2": 0.16, "L1": 0.08}
_KYPHOSIS_DEG = {"T12": 0.8, "T11": 2.0, "T3": 2.5, "T2": 2.0, "T1": 1.5}
_LEAST_GAP_MM = 0.8


@dataclass(frozen=True)
class Scoliosis:
    """A sideways wave along the spine, with the rotation that comes with it; angles in radians.

    ``bend_rad`` is the greatest lateral tilt, ``twist_rad`` the greatest axial rotation, ``phase_rad`` the wave's phase
    at the lowest body and ``step_rad`` its change from body to body.
    """

    bend_rad: float
    twist_rad: float
    phase_rad: float
    step_rad: float = 0.42

    def at(self, index: int) -> float:
        """The wave at body ``index``, counted from below: -1 to 1."""
        return float(np.sin(self.phase_rad + index * self.step_rad))

    def offset_mm(self, index: int) -> float:
        """How far body ``index`` lies beside the lowest one: the integral of the tilt, some 30 mm a level."""
        return self.bend_rad * 30.0 * (self.at(index) - self.at(0))


def random_scoliosis(rng: Rng) -> Scoliosis:
    """Draw a scoliosis: mostly slight, in one patient in four enough to split every end plate in two.

    The greatest tilts make curves of up to some 30 degrees between the end vertebrae.
    """
    severity = float(rng.choice([0.02, 0.07, 0.16, 0.28], p=[0.42, 0.34, 0.16, 0.08]))
    return Scoliosis(
        bend_rad=severity * float(rng.uniform(-1, 1)),
        twist_rad=float(rng.normal(0, 0.04 + severity)),
        phase_rad=float(rng.uniform(0, 2 * np.pi)),
        step_rad=float(rng.uniform(0.3, 0.6)),
    )


def sagittal_tilts(
    rng: Rng, levels: tuple[str, ...], sacral_slope: float, stiff: dict[str, bool], transitional: str = ""
) -> dict[str, float]:
    """Sagittal tilt of every body in degrees, positive where the anterior end is lower.

    Args:
        levels: the bodies from top to bottom, the last is L5.
        sacral_slope: tilt of S1's upper end plate in degrees.
        stiff: levels whose disc below is worn, which take a smaller part in the lordosis.
        transitional: "lumbarised" sets L5 nearly in line with the sacrum.
    """
    lordosis = float(np.clip(0.72 * sacral_slope + rng.normal(23, 10), 4, 80))
    shares = {level: share * rng.uniform(0.6, 1.4) for level, share in _LORDOSIS_SHARE.items()}
    for level in shares:
        shares[level] *= 0.4 if stiff.get(level) else 1.0
    if transitional == "lumbarised":
        shares["L5"] *= 0.4
        shares["L4"] *= 1.6
    total = sum(shares.values())
    tilts, tilt = {}, sacral_slope
    for level in reversed([level for level in levels if level in shares]):
        tilt -= lordosis * shares[level] / total
        tilts[level] = tilt
    # The thorax bends back until T1 leans forwards again by some 22 degrees.
    rise = float(np.clip(rng.normal(22, 9), 0, 42)) - tilt
    thoracic = [level for level in levels if level not in shares]
    steps = {level: max(rng.normal(_KYPHOSIS_DEG.get(level, 3.4), 1.3), 0.0) for level in reversed(thoracic)}
    for level, step in steps.items():
        tilt += step * float(np.clip(rise / max(sum(steps.values()), 1.0), 0.2, 2.2))
        tilts[level] = tilt
    return tilts


def stack(
    rng: Rng,
    shapes: dict[str, Vertebra],
    sacral_slope: float,
    tilts: dict[str, float],
    discs: dict[str, float],
    scoliosis: Scoliosis,
    slips: dict[str, float],
) -> tuple[Vertebra, ...]:
    """Put the bodies on top of each other, from S1's upper end plate upwards.

    Args:
        shapes: the bodies by level, from top to bottom.
        sacral_slope: tilt of S1's upper end plate in degrees.
        tilts: sagittal tilts by level in degrees.
        discs: height of the disc below each level in mm, between the middles of the end plates' rims; a disc is made
            higher where the end plates would cut each other.
        scoliosis: sideways tilt and rotation.
        slips: how far each level has slipped forwards on the one below, mm.
    """
    spot = np.zeros(2)
    below_tilt = below_plate = float(np.deg2rad(sacral_slope))
    kyphosis = 0.0
    placed = []
    for i, level in enumerate(reversed(list(shapes))):
        shape = shapes[level]
        tilt = float(np.deg2rad(tilts[level])) + kyphosis
        (a0, s0), (a1, s1), (a2, s2), (a3, s3) = shape.corners_mm
        plate = tilt - float(np.arctan2(s2 - s3, a2 - a3))
        mean = 0.5 * (tilt + below_tilt)
        least = _LEAST_GAP_MM + 0.5 * (a2 - a3) * abs(float(np.tan(plate - below_plate)))
        gap, slip = max(discs[level], least), slips.get(level, 0.0)
        low = spot - gap * np.array([np.sin(mean), np.cos(mean)]) - slip * np.array([np.cos(mean), -np.sin(mean)])
        turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
        centre = low - turn @ (0.5 * (a2 + a3), 0.5 * (s2 + s3))
        placed.append(
            replace(
                shape,
                centre_mm=(float(centre[0]), float(centre[1]), scoliosis.offset_mm(i)),
                tilt_rad=tilt,
                lateral_rad=scoliosis.bend_rad * scoliosis.at(i) + float(rng.normal(0, 0.02)),
                axial_rad=scoliosis.twist_rad * scoliosis.at(i) + float(rng.normal(0, 0.02)),
                slip_mm=slip,
            )
        )
        spot = centre + turn @ (0.5 * (a0 + a1), 0.5 * (s0 + s1))
        below_tilt, below_plate = tilt, tilt - float(np.arctan2(s1 - s0, a1 - a0))
        if shape.deformity == "wedge":
            kyphosis += 0.5 * max(float(np.arctan2(s0 - s1, shape.depth_mm)), 0.0)
    return tuple(reversed(placed))
