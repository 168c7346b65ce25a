"""Hip bones, hips and thigh bones beside and below the sacrum."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from cmnet_monai.synthetic.bodies import Patient
from cmnet_monai.synthetic.fields import WATER_PER_MM
from cmnet_monai.synthetic.projection import (
    Array,
    FloatArray,
    Geometry,
    Material,
    Point3,
    Rng,
    Tube,
    add_curve,
    add_ellipsoid,
    add_plate,
    add_tube,
    add_union,
)
from cmnet_monai.synthetic.vertebra import CORTICAL_PER_MM, SPONGY_PER_MM

# A hip bone seen from the side, as fractions of the distance from the hip to S1's end plate, in the frame in which
# that line is upright: x to posterior, y down, and how far out it lies (1 = the width of the crest). From the anterior
# superior spine over the crest to the posterior spines, the sciatic notch, the ischium and the pubis, and back.
_CREST = ((-0.66, -0.24, 1.0), (-0.65, -0.50, 1.05), (-0.57, -0.78, 1.1), (-0.42, -0.99, 1.08), (-0.20, -1.17, 1.0),
          (0.03, -1.27, 0.88), (0.28, -1.25, 0.72), (0.49, -1.13, 0.5), (0.60, -0.96, 0.4))  # fmt: skip
_BELOW = ((0.47, -0.71, 0.45), (0.25, -0.63, 0.5), (0.13, -0.44, 0.58), (0.25, -0.2, 0.62), (0.42, -0.05, 0.55),
          (0.38, 0.2, 0.6), (0.46, 0.42, 0.55), (0.26, 0.56, 0.5), (0.05, 0.44, 0.45), (-0.14, 0.38, 0.35),
          (-0.38, 0.48, 0.1), (-0.48, 0.36, 0.12), (-0.31, 0.12, 0.45), (-0.31, -0.06, 0.75),
          (-0.48, -0.10, 0.85))  # fmt: skip
_HIP_MM = 112.0


def hip_centre(patient: Patient) -> Point3:
    """Middle between the hip joints in the frame of the patient's sacrum, mm."""
    s1 = patient.sacrum[0]
    x, y, z = s1.to_world(0.0, s1.corners_mm[0][1])
    distance = _HIP_MM * patient.size
    return (
        x - distance * float(np.sin(patient.pelvic_tilt_rad)),
        y + distance * float(np.cos(patient.pelvic_tilt_rad)),
        z,
    )


def _outline(rng: Rng, height: float, reach: float) -> Array:
    """Smooth outline of a hip bone, (130, 3): posterior, down, out; the crest ``height`` times as high as usual."""
    crest, below = np.array(_CREST), np.array(_BELOW)
    crest[:, 1] = -0.24 + (crest[:, 1] + 0.24) * height
    crest[:, 0] = 0.1 + (crest[:, 0] - 0.1) * reach
    points = np.vstack([crest, below])
    points[:, :2] += rng.normal(0, 0.012, (len(points), 2))
    closed = np.vstack([points, points[:1]])
    spline = CubicSpline(np.arange(len(closed)), closed, bc_type="periodic")
    return np.asarray(spline(np.linspace(0, len(points), 131)[:-1]), dtype=np.float64)


def add_pelvis(depth: FloatArray, geometry: Geometry, patient: Patient, rng: Rng) -> None:
    """Add both hip bones, hip joints and thigh bones, each side in its own perspective and slightly turned."""
    hip = hip_centre(patient)
    unit = _HIP_MM * patient.size
    turn = -patient.pelvic_tilt_rad + float(rng.normal(0.0, 0.07))
    lift = float(rng.normal(0, 5.0))
    height, reach = float(rng.uniform(0.8, 1.1)), float(rng.uniform(0.88, 1.1))
    wide = float(rng.uniform(108, 132)) * patient.size
    flex = float(rng.choice([rng.uniform(-0.15, 0.35), rng.uniform(0.35, 1.2)], p=[0.65, 0.35]))
    strength = float(rng.uniform(0.5, 1.25))
    for side in (-1.0, 1.0):
        shape = _outline(rng, height * float(rng.uniform(0.97, 1.03)), reach)
        angle = turn + float(rng.normal(0, 0.025))
        cos, sin = np.cos(angle), np.sin(angle)
        at = np.array([hip[0], hip[1] + side * lift]) + rng.normal(0, 2.5, 2)
        flat = at + shape[:, :2] @ np.array([[cos, sin], [-sin, cos]]) * unit
        z = hip[2] + side * wide * shape[:, 2]
        _add_wing_of_ilium(depth, geometry, patient, flat, z, strength, rng)
        centre = (float(at[0]), float(at[1]), hip[2] + side * 88 * patient.size)
        _add_hip(depth, geometry, patient, centre, flex + float(rng.normal(0, 0.08)), rng)
        _add_arcuate_line(depth, geometry, patient, centre, side, rng)


def _add_wing_of_ilium(
    depth: FloatArray, geometry: Geometry, patient: Patient, outline: Array, z_mm: Array, strength: float, rng: Rng
) -> None:
    """Add a hip bone: two thin tables, a thick rim, and the crest as a dense line."""
    cortical = CORTICAL_PER_MM * patient.cortex * strength
    spongy = SPONGY_PER_MM * (0.4 + 0.6 * patient.bone)
    thickness = (float(rng.uniform(10, 34)), float(rng.uniform(3, 10)), float(rng.uniform(4, 14)))
    add_plate(depth, geometry, outline, z_mm, thickness, Material(1.2 * spongy, 0.5 * cortical, 0.9), rng)
    # Crest: from the anterior spine to the posterior one; notch and back of the ischium: towards the spine's base.
    count = len(outline)
    spans = ((0.0, 8.5, rng.uniform(0.6, 3.2)), (9.2, 14.5, rng.uniform(0.6, 4.0)))
    for first, last, flat in spans:
        index = np.linspace(first, last, 9) * count / (len(_CREST) + len(_BELOW))
        points = [(float(outline[int(i), 0]), float(outline[int(i), 1]), float(z_mm[int(i)])) for i in index]
        radius = float(rng.uniform(0.6, 1.4))
        add_curve(depth, geometry, points, (radius, radius), Material(cortical), (float(flat), float(flat)), rng)


def _add_arcuate_line(
    depth: FloatArray, geometry: Geometry, patient: Patient, hip: Point3, side: float, rng: Rng
) -> None:
    """Add the dense ridge from the sacro-iliac joint, in front of S1 and S2, to the roof of the hip joint."""
    s1 = patient.sacrum[0]
    a3, s3 = s1.corners_mm[3]
    start = s1.to_world(
        a3 + float(rng.normal(0.03, 0.06)) * s1.depth_mm, s3 + float(rng.normal(0, 0.1)) * s1.height_mm, side * 48
    )
    goal = (hip[0] + float(rng.uniform(-12, 8)), hip[1] - 26 * patient.size, hip[2])
    bow = float(rng.normal(4, 5))
    middle = (0.5 * (start[0] + goal[0]) + bow, 0.5 * (start[1] + goal[1]) + 0.5 * bow, 0.5 * (start[2] + goal[2]))
    radius = float(rng.uniform(0.9, 2.4))
    strength = CORTICAL_PER_MM * patient.cortex * float(rng.uniform(0.2, 0.75))
    flat = float(rng.uniform(1.5, 3.5))
    add_curve(depth, geometry, [start, middle, goal], (radius, 1.3 * radius), Material(strength), (flat, flat), rng)


def _add_hip(depth: FloatArray, geometry: Geometry, patient: Patient, at: Point3, flex: float, rng: Rng) -> None:
    """Add a hip joint and its thigh bone, bent forwards by ``flex`` radians."""
    k = patient.size
    cortical = CORTICAL_PER_MM * patient.cortex
    x, y, z = at
    head = Material(SPONGY_PER_MM * patient.bone * 0.8, 0.7 * cortical, 0.8)
    add_ellipsoid(depth, geometry, at, (24 * k, 24 * k, 24 * k), 0.0, head)
    socket = Material(0.0, 0.5 * cortical, 1.4)
    add_ellipsoid(depth, geometry, at, (27.5 * k, 27.5 * k, 22 * k), 0.0, socket)
    shaft = Material(0.0, cortical * 0.7, 5.0)
    along, across = np.array([-np.sin(flex), np.cos(flex)]), np.array([np.cos(flex), np.sin(flex)])

    def point(down: float, back: float) -> Point3:
        spot = np.array([x, y]) + down * along + back * across
        return float(spot[0]), float(spot[1]), z

    add_tube(depth, geometry, point(24 * k, 4), point(260, 0), (17 * k, 14 * k), shaft)
    if flex > 0.35:
        # A bent thigh leaves the trunk's outline: its soft tissue goes with it.
        soft = Material(WATER_PER_MM * 0.35)
        add_tube(depth, geometry, point(40, 0), point(320, 0), (84 * k, 68 * k), soft, flatness=0.8)
    trochanter = Material(SPONGY_PER_MM * patient.bone * 0.7, cortical * 0.7, 1.0)
    parts = [Tube(point(6, 8), point(36 * k, 6), (19 * k, 19 * k)), Tube(point(-6, 14), point(20, 12), (9 * k, 12 * k))]
    add_union(depth, geometry, parts, trochanter, hollow=True)
