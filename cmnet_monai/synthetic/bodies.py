"""Vertebrae and patients: what the random anatomy fills in and the projection reads.

Patient coordinates are millimetres for a patient who faces left: x to posterior, y downwards, z lateral. The origin
is the middle of the upper end plate of S1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cmnet_monai.synthetic.projection import Corners, Point3


@dataclass(frozen=True)
class Vertebra:
    """One vertebral (or sacral) body and what is attached to it.

    ``corners_mm`` are body coordinates (posterior, inferior) of superior-anterior, superior-posterior,
    inferior-posterior and inferior-anterior corners; ``bowl_mm`` is how deep the upper and lower end plates are
    dished, of which ``fracture_bowl_mm`` comes from a fracture; ``slip_mm`` is how far the body has slipped forwards
    on the one below, along its own end plates.
    """

    level: str
    label: int
    centre_mm: Point3
    tilt_rad: float
    axial_rad: float
    lateral_rad: float
    corners_mm: Corners
    bowl_mm: tuple[float, float]
    fracture_bowl_mm: tuple[float, float]
    waist_mm: tuple[float, float]
    width_mm: float
    osteophytes_mm: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    deformity: str = "none"
    grade: int = 0
    slip_mm: float = 0.0
    findings: tuple[str, ...] = ()
    cage: bool = False

    def to_world(self, posterior: float, inferior: float, lateral: float = 0.0) -> Point3:
        """World (or patient) position in mm of a point in body coordinates."""
        cos, sin = np.cos(self.tilt_rad), np.sin(self.tilt_rad)
        x = self.centre_mm[0] + posterior * cos + inferior * sin + lateral * np.sin(self.axial_rad)
        y = self.centre_mm[1] - posterior * sin + inferior * cos + lateral * np.sin(self.lateral_rad)
        z = self.centre_mm[2] + lateral - posterior * np.sin(self.axial_rad)
        return float(x), float(y), float(z)

    @property
    def depth_mm(self) -> float:
        """Mean antero-posterior depth."""
        (a0, _), (a1, _), (a2, _), (a3, _) = self.corners_mm
        return 0.5 * (a1 - a0 + a2 - a3)

    @property
    def height_mm(self) -> float:
        """Mean of anterior and posterior height."""
        (_, s0), (_, s1), (_, s2), (_, s3) = self.corners_mm
        return 0.5 * (s3 - s0 + s2 - s1)


@dataclass(frozen=True)
class SacrumLook:
    """How clearly the parts of a sacrum show: relative densities, 0 (not at all) to about 1.

    ``remnants`` are the discs S1/S2 to S4/S5, ``front`` the line of the pelvic surface, ``dorsal`` the walls of the
    canal, ``wing`` the lateral masses that overlie S1, ``table`` the upper end plate of S1.
    """

    remnants: tuple[float, float, float, float] = (0.5, 0.3, 0.3, 0.2)
    front: float = 0.8
    dorsal: float = 0.7
    wing: float = 0.6
    table: float = 0.9


@dataclass(frozen=True)
class Patient:
    """A patient: bodies from top to bottom, and the properties of bone and soft tissue.

    ``bone`` scales the attenuation of spongy bone (1 = middle-aged, 0.4 = osteoporotic), ``size`` the skeleton,
    ``width_mm`` is the patient's width along the rays and ``belly_mm`` the distance from L3 to the anterior skin.
    ``transitional`` is "", "sacralised" or "lumbarised", see `random_patient`.
    """

    vertebrae: tuple[Vertebra, ...]
    sacrum: tuple[Vertebra, ...]
    size: float
    bone: float
    cortex: float
    width_mm: float
    belly_mm: float
    back_mm: float
    pelvic_tilt_rad: float
    diaphragm: float
    findings: tuple[str, ...]
    seed: int
    sacrum_look: SacrumLook = SacrumLook()
    transitional: str = ""
