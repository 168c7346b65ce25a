"""Sacrum, iliac wings, hips and thigh bones below the lumbar spine."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.interpolate import CubicSpline

from cmnet_monai.synthetic.anatomy import Patient
from cmnet_monai.synthetic.projection import (
    FloatArray,
    Geometry,
    Material,
    Tube,
    add_ellipsoid,
    add_plate,
    add_tube,
    add_union,
)
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
    """Add S1 to the coccyx: fused bodies that fade, lateral masses, and the dorsal wall of the canal."""
    cortical = CORTICAL_PER_MM * patient.cortex
    k = patient.size
    bone = 0.5 + 0.5 * patient.bone
    remnant = float(rng.choice([0.1, rng.uniform(0.1, 0.9)]))
    dorsal, wings = [], []
    for i, segment in enumerate(patient.sacrum):
        fade = max(0.55 - 0.06 * i, 0.3)
        plates = (0.9 if i == 0 else remnant * fade, remnant * fade * (0.8 if i < 2 else 0.5))
        cortex = patient.cortex * (0.9 if i == 0 else 0.75)
        add_body(
            depth, geometry, segment, bone * fade, cortex, max(slices - 4 * i, 10), rng, plates, 0.7 if i > 2 else 0.25
        )
        d, h = 0.5 * segment.depth_mm, segment.height_mm
        if i < 4:
            size = (d * 1.35, 0.95 * h, 22 * k * (1 - 0.15 * i))
            wings += [(segment, side, size) for side in (-1.0, 1.0)]
        if i < 5:
            reach = (27 - 4.0 * i) * k
            start, end = segment.to_world(d + reach * 0.8, -0.5 * h), segment.to_world(d + reach * 0.68, 0.5 * h)
            bump = segment.to_world(d + reach * 1.05, 0.1 * h)
            r = (5 - 0.6 * i) * k
            dorsal += [Tube(start, end, (r, r * 0.9), 1.7), Tube(start, bump, (r, r * 0.9), 0.6)]
        # The front wall is one continuous dense line.
        front = [segment.to_world(*corner) for corner in (segment.corners_mm[0], segment.corners_mm[3])]
        line = Material(0.0, cortical, 0.55)
        inset = (np.array(segment.to_world(0.0, 0.0)) - np.array(front[0])) * 0.05
        ends = [tuple(float(c) for c in np.array(p) + inset) for p in front]
        add_union(depth, geometry, [Tube(ends[0], ends[1], (0.9, 0.9), 5.0)], line)  # type: ignore[arg-type]
    add_union(depth, geometry, dorsal, Material(SPONGY_PER_MM * bone * 0.8, cortical, 0.55))
    for segment, side, size in wings:
        for _ in range(2):
            off = rng.normal(0, 4.0, 2) * k
            at = (0.25 * size[0] + float(off[0]), 0.1 * size[1] + float(off[1]))
            centre = segment.to_world(*at, side * (segment.width_mm * 0.5 + 8 * k))
            axes = (size[0] * float(rng.uniform(0.8, 1.15)), size[1] * float(rng.uniform(0.8, 1.2)), size[2])
            lean = -segment.tilt_rad + float(rng.normal(0, 0.3))
            wing = Material(SPONGY_PER_MM * bone * 0.22, cortical * 0.15, 0.5)
            add_ellipsoid(depth, geometry, centre, axes, lean, wing)
    _add_ridges(depth, geometry, patient, rng)
    s1 = patient.sacrum[0]
    d, h = 0.5 * s1.depth_mm, s1.height_mm
    dense = Material(SPONGY_PER_MM * bone * 1.5, cortical, 0.7)
    for side in (-16.0 * k, 16.0 * k):
        start, end = s1.to_world(d + 6 * k, 0.0, side), s1.to_world(d + 12 * k, -0.5 * h - 8 * k, side * 1.1)
        parts = [
            Tube(start, end, (7.0 * k, 4.6 * k), 1.4),
            Tube(s1.to_world(d - 3, 0.0, side), start, (8 * k, 8 * k), 0.8),
        ]
        add_union(depth, geometry, parts, dense)


def _add_ridges(depth: FloatArray, geometry: Geometry, patient: Patient, rng: np.random.Generator) -> None:
    """Add the dense lines that cross the sacrum: borders of sacro-iliac joints, lateral masses and notches."""
    s1 = patient.sacrum[0]
    d, h = s1.depth_mm, s1.height_mm
    for _ in range(int(rng.integers(2, 7))):
        side = float(rng.choice([-1.0, 1.0])) * float(rng.uniform(35, 60))
        start = np.array([rng.uniform(-0.7, 0.9) * d, rng.uniform(-0.7, 0.4) * h])
        heading = rng.uniform(-0.5, 2.2)
        length, bend = rng.uniform(20, 70), rng.normal(0, 0.5)
        t = np.linspace(0, 1, 6)
        angles = heading + bend * t
        path = start + np.cumsum(np.stack([np.cos(angles), np.sin(angles)], axis=1) * length / 6, axis=0)
        points = [s1.to_world(float(p[0]), float(p[1]), side) for p in path]
        radius = float(rng.uniform(0.8, 2.2))
        tubes = [Tube(p, q, (radius, radius), 2.5) for p, q in pairwise(points)]
        add_union(depth, geometry, tubes, Material(0.0, CORTICAL_PER_MM * float(rng.uniform(0.3, 1.0)), 1.0))


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
        plate = (float(rng.uniform(6, 16)), float(rng.uniform(16, 34)), float(rng.uniform(5, 12)))
        add_plate(depth, geometry, at + smooth * distance, z, plate, material, rng)
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
    head = Material(SPONGY_PER_MM * patient.bone * 0.8, 0.7 * cortical, 0.8)
    add_ellipsoid(depth, geometry, at, (24 * k, 24 * k, 24 * k), 0.0, head)
    socket = Material(0.0, 0.5 * cortical, 1.4)
    add_ellipsoid(depth, geometry, at, (27.5 * k, 27.5 * k, 22 * k), 0.0, socket)
    flex = float(rng.uniform(-0.15, 0.6))
    shaft = Material(0.0, cortical * 0.7, 5.0)
    knee = (x - 260 * float(np.sin(flex)), y + 260 * float(np.cos(flex)), z)
    add_tube(depth, geometry, (x + 4, y + 24 * k, z), knee, (17 * k, 14 * k), shaft)
    trochanter = Material(SPONGY_PER_MM * patient.bone * 0.7, cortical * 0.7, 1.0)
    add_tube(depth, geometry, (x + 8, y + 6, z), (x + 6, y + 36 * k, z), (19 * k, 19 * k), trochanter)
