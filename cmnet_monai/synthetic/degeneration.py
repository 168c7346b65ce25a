"""Wear and age on the film: sclerosis and gas about worn discs, Schmorl nodes, bony bridges and flowing ossification.

None of it moves a body's outline: osteophytes and bridges lie outside, nodes and sclerosis inside.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from cmnet_monai.synthetic.anatomy import DISC_MM
from cmnet_monai.synthetic.bodies import Patient, Vertebra
from cmnet_monai.synthetic.projection import FloatArray, Geometry, Material, Tube, add_ellipsoid, add_union
from cmnet_monai.synthetic.vertebra import CORTICAL_PER_MM, SPONGY_PER_MM

_WORN = 0.68
"""Share of a disc's usual height below which it is worn."""

_GAS_PER_MM = -0.0195


def disc_gap_mm(upper: Vertebra, lower: Vertebra) -> float:
    """Distance between the middles of two end plates' rims."""
    a = 0.5 * (np.array(upper.to_world(*upper.corners_mm[2])) + upper.to_world(*upper.corners_mm[3]))
    b = 0.5 * (np.array(lower.to_world(*lower.corners_mm[0])) + lower.to_world(*lower.corners_mm[1]))
    return float(np.hypot(a[0] - b[0], a[1] - b[1]))


def add_degeneration(depth: FloatArray, geometry: Geometry, patient: Patient) -> None:
    """Add what a patient's discs and ligaments show to a map of optical depths, (x, y), in place.

    Follows from the patient alone, so that all films of a patient agree.
    """
    rng = np.random.default_rng([patient.seed, 17])
    bodies = [*patient.vertebrae, patient.sacrum[0]]
    flowing = patient.bone < 0.9 and rng.random() < 0.07
    start = int(rng.integers(3, 12))
    length = int(rng.integers(4, 8))
    for i, (upper, lower) in enumerate(pairwise(bodies)):
        worn = disc_gap_mm(upper, lower) < _WORN * DISC_MM.get(upper.level, DISC_MM["L5"]) * patient.size
        if worn and rng.random() < 0.6:
            _add_sclerosis(depth, geometry, upper, lower, patient, rng)
        if rng.random() < (0.3 if worn else 0.02):
            _add_gas(depth, geometry, upper, rng)
        if (flowing and start <= i < start + length) or rng.random() < (0.14 if worn else 0.015):
            _add_bridge(depth, geometry, upper, lower, flowing, rng)
    share = float(rng.choice([0.0, 0.12, 0.4], p=[0.6, 0.3, 0.1]))
    for body in patient.vertebrae:
        for lower_side in (False, True):
            if rng.random() < share:
                _add_node(depth, geometry, body, lower_side, patient, rng)


def _add_sclerosis(
    depth: FloatArray, geometry: Geometry, upper: Vertebra, lower: Vertebra, patient: Patient, rng: np.random.Generator
) -> None:
    """Add dense bone below the end plates of a worn disc, mostly in front."""
    dense = Material(SPONGY_PER_MM * float(rng.uniform(0.5, 2.2)))
    at = float(rng.uniform(-0.35, 0.2))
    for body, corners, inwards in ((upper, (2, 3), -1.0), (lower, (0, 1), 1.0)):
        edge = 0.5 * (body.corners_mm[corners[0]][1] + body.corners_mm[corners[1]][1])
        thick = float(rng.uniform(2.5, 6.5)) * patient.size
        centre = body.to_world(at * body.depth_mm, edge + inwards * 0.6 * thick)
        size = (float(rng.uniform(0.25, 0.5)) * body.depth_mm, thick, 16.0 * patient.size)
        add_ellipsoid(depth, geometry, centre, size, -body.tilt_rad, dense)


def _add_gas(depth: FloatArray, geometry: Geometry, upper: Vertebra, rng: np.random.Generator) -> None:
    """Take out the gas of a worn disc: a thin dark gap, short or from front to back."""
    low = 0.5 * (upper.corners_mm[2][1] + upper.corners_mm[3][1])
    size = (float(rng.uniform(0.12, 0.42)) * upper.depth_mm, float(rng.uniform(0.6, 1.6)), float(rng.uniform(6, 16)))
    centre = upper.to_world(float(rng.normal(0, 0.12)) * upper.depth_mm, low + float(rng.uniform(1.2, 2.6)))
    add_ellipsoid(depth, geometry, centre, size, -upper.tilt_rad, Material(_GAS_PER_MM))


def _add_bridge(
    depth: FloatArray, geometry: Geometry, upper: Vertebra, lower: Vertebra, flowing: bool, rng: np.random.Generator
) -> None:
    """Add bone that grows from the corner of one body to the next, in front (seldom behind)."""
    front = flowing or rng.random() < 0.9
    sign = -1.0 if front else 1.0
    top, end = upper.corners_mm[3 if front else 2], lower.corners_mm[0 if front else 1]
    bulge = float(rng.uniform(2.0, 7.5)) * (1.0 if front else 0.5)
    root = float(rng.uniform(0.15, 0.5)) * upper.height_mm
    above = upper.to_world(top[0] + sign * 1.0, top[1] - root)
    p, q = upper.to_world(top[0] + sign * bulge, top[1]), lower.to_world(end[0] + sign * bulge, end[1])
    below = lower.to_world(end[0] + sign * 1.0, end[1] + float(rng.uniform(0.15, 0.5)) * lower.height_mm)
    thick = float(rng.uniform(1.2, 3.2))
    flat = float(rng.uniform(2.0, 4.5))
    pieces = [Tube(above, p, (0.7 * thick, thick), flat), Tube(q, below, (thick, 0.7 * thick), flat)]
    if flowing or rng.random() < 0.55:
        pieces.append(Tube(p, q, (thick, thick), flat))
    bone = Material(SPONGY_PER_MM * float(rng.uniform(0.6, 1.6)), CORTICAL_PER_MM * float(rng.uniform(0.5, 1.0)), 0.6)
    add_union(depth, geometry, pieces, bone, hollow=True)


def _add_node(
    depth: FloatArray,
    geometry: Geometry,
    body: Vertebra,
    lower_side: bool,
    patient: Patient,
    rng: np.random.Generator,
) -> None:
    """Add a Schmorl node: a pit of disc in the end plate with a dense rim."""
    corners, inwards = ((2, 3), -1.0) if lower_side else ((0, 1), 1.0)
    edge = 0.5 * (body.corners_mm[corners[0]][1] + body.corners_mm[corners[1]][1])
    pit = float(rng.uniform(1.4, 3.6))
    wide = float(rng.uniform(3.5, 8.5))
    centre = body.to_world(float(rng.normal(0.05, 0.15)) * body.depth_mm, edge + inwards * (1.8 + 0.6 * pit))
    rim = Material(-SPONGY_PER_MM * patient.bone, CORTICAL_PER_MM * float(rng.uniform(0.1, 0.45)), 1.3)
    add_ellipsoid(depth, geometry, centre, (wide, pit, 8.0), -body.tilt_rad, rim)
