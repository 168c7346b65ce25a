"""Sacrum, iliac wings, hips and thigh bones below the lumbar spine."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from cmnet_monai.synthetic.anatomy import Patient
from cmnet_monai.synthetic.projection import FloatArray, Geometry, Material, add_ellipsoid, add_plate, add_tube
from cmnet_monai.synthetic.vertebra import CORTICAL_PER_MM, SPONGY_PER_MM, add_body

# Outline of a right hip bone seen from the side, as fractions of the distance hip to S1 (x to posterior, y down),
# from the front of the crest over its top to the back spine, the notch, the ischium, the pubis and back.
_ILIUM = np.array(
    [
        (-0.62, -0.52), (-0.58, -0.74), (-0.38, -0.98), (-0.08, -1.13), (0.25, -1.12), (0.50, -0.98), (0.66, -0.78),
        (0.62, -0.62), (0.42, -0.50), (0.30, -0.34), (0.34, -0.14), (0.30, 0.10), (0.24, 0.36), (0.08, 0.52),
        (-0.10, 0.44), (-0.16, 0.24), (-0.38, 0.28), (-0.50, 0.14), (-0.36, -0.02), (-0.34, -0.20), (-0.48, -0.34),
    ]
)  # fmt: skip


def hip_centre(patient: Patient) -> tuple[float, float, float]:
    """Middle between the hip joints in the frame of the patient's sacrum, mm."""
    s1 = patient.sacrum[0]
    x, y, z = s1.to_world(0.0, s1.corners_mm[0][1])
    distance = 112.0 * patient.size
    return (
        x - distance * float(np.sin(patient.pelvic_tilt_rad)),
        y + distance * float(np.cos(patient.pelvic_tilt_rad)),
        z,
    )


def add_sacrum(depth: FloatArray, geometry: Geometry, patient: Patient, slices: int, rng: np.random.Generator) -> None:
    """Add S1 to the coccyx: bodies that fade, lateral masses, and the dorsal wall of the canal."""
    cortical = CORTICAL_PER_MM * patient.cortex
    k = patient.size
    for i, segment in enumerate(patient.sacrum):
        fade = max(0.9 - 0.12 * i, 0.4)
        add_body(depth, geometry, segment, patient.bone * fade, patient.cortex * fade, max(slices - 4 * i, 10), rng)
        d, h = 0.5 * segment.depth_mm, segment.height_mm
        spongy = Material(SPONGY_PER_MM * patient.bone * 0.8, cortical, 0.7)
        if i < 4:
            for side in (-1.0, 1.0):
                w = side * (segment.width_mm * 0.5 + 12 * k)
                centre = segment.to_world(0.25 * d, 0.05 * h, w)
                wing = (d * (0.95 if i == 0 else 1.0), 0.62 * h, 17 * k * (1 - 0.17 * i))
                add_ellipsoid(
                    depth, geometry, centre, wing, -segment.tilt_rad, Material(SPONGY_PER_MM * patient.bone * 0.8)
                )
        if i < 5:
            reach = (24 - 4.0 * i) * k
            start, end = segment.to_world(d + reach * 0.85, -0.5 * h), segment.to_world(d + reach * 0.7, 0.5 * h)
            add_tube(depth, geometry, start, end, ((5 - 0.6 * i) * k, (4.4 - 0.6 * i) * k), spongy, flatness=1.6)
    s1 = patient.sacrum[0]
    d, h = 0.5 * s1.depth_mm, s1.height_mm
    dense = Material(SPONGY_PER_MM * patient.bone * 1.6, cortical, 1.3)
    for side in (-16.0 * k, 16.0 * k):
        start, end = s1.to_world(d + 8 * k, -0.1 * h, side), s1.to_world(d + 11 * k, -0.5 * h - 9 * k, side * 1.1)
        add_tube(depth, geometry, start, end, (6.0 * k, 3.6 * k), dense, flatness=1.2)


def add_pelvis(depth: FloatArray, geometry: Geometry, patient: Patient, rng: np.random.Generator) -> None:
    """Add both hip bones, hip joints and thigh bones, each side in its own perspective and slightly turned."""
    hip = hip_centre(patient)
    distance = 112.0 * patient.size
    cortical = CORTICAL_PER_MM * patient.cortex
    base_turn = -patient.pelvic_tilt_rad + float(rng.normal(0.05, 0.08))
    lift = float(rng.normal(0, 5.0))
    for side in (-1.0, 1.0):
        turn = base_turn + float(rng.normal(0, 0.03))
        outline = _ILIUM * rng.uniform(0.96, 1.04, 2) + rng.normal(0, 0.012, _ILIUM.shape)
        closed = np.vstack([outline, outline[:1]])
        smooth = CubicSpline(np.arange(len(closed)), closed, bc_type="periodic")(np.linspace(0, len(outline), 130))
        cos, sin = np.cos(turn), np.sin(turn)
        smooth = smooth @ np.array([[cos, sin], [-sin, cos]])
        at = np.array([hip[0], hip[1] + side * lift]) + rng.normal(0, 3.0, 2)
        z = hip[2] + side * 0.5 * rng.uniform(200, 245) * patient.size
        material = Material(SPONGY_PER_MM * patient.bone, 0.75 * cortical, 0.6)
        plate = (float(rng.uniform(14, 26)), float(rng.uniform(12, 26)), float(rng.uniform(8, 18)))
        add_plate(depth, geometry, at + smooth * distance, z, plate, material)
        _add_hip(depth, geometry, patient, (float(at[0]), float(at[1]), z * 0.2 + 0.8 * (hip[2] + side * 88)), rng)
        # The arcuate line: from the sacro-iliac joint to the socket, a dense ridge.
        s1 = patient.sacrum[0]
        ridge = s1.to_world(-0.2 * s1.depth_mm + rng.normal(0, 4), 0.55 * s1.height_mm, side * 52)
        waist = (0.45 * ridge[0] + 0.55 * at[0] + 12.0, 0.5 * (ridge[1] + at[1]), hip[2] + side * 66)
        for p, q in ((ridge, waist), (waist, (float(at[0]) + 6.0, float(at[1]) - 22.0, hip[2] + side * 74))):
            add_tube(depth, geometry, p, q, (4.0, 4.0), Material(SPONGY_PER_MM, cortical * 0.8, 0.9), flatness=0.7)


def _add_hip(
    depth: FloatArray, geometry: Geometry, patient: Patient, at: tuple[float, float, float], rng: np.random.Generator
) -> None:
    k = patient.size
    cortical = CORTICAL_PER_MM * patient.cortex
    x, y, z = at
    head = Material(SPONGY_PER_MM * patient.bone * 1.5, cortical, 1.2)
    add_ellipsoid(depth, geometry, at, (24 * k, 24 * k, 24 * k), 0.0, head)
    socket = Material(0.0, 0.7 * cortical, 1.6)
    add_ellipsoid(depth, geometry, at, (27.5 * k, 27.5 * k, 22 * k), 0.0, socket)
    flex = float(rng.uniform(-0.15, 0.6))
    shaft = Material(0.0, cortical * 1.1, 6.0)
    knee = (x - 260 * float(np.sin(flex)), y + 260 * float(np.cos(flex)), z)
    add_tube(depth, geometry, (x + 4, y + 24 * k, z), knee, (17 * k, 14 * k), shaft)
    trochanter = Material(SPONGY_PER_MM * patient.bone * 1.2, cortical, 1.5)
    add_tube(depth, geometry, (x + 8, y + 6, z), (x + 6, y + 36 * k, z), (19 * k, 19 * k), trochanter)
