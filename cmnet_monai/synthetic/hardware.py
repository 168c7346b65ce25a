"""Pedicle screws, rods, interbody cages and bone cement."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from cmnet_monai.synthetic.bodies import Patient, Vertebra
from cmnet_monai.synthetic.pelvis import hip_centre
from cmnet_monai.synthetic.projection import (
    FloatArray,
    Geometry,
    Material,
    Point3,
    Rng,
    Tube,
    add_ellipsoid,
    add_tube,
    add_union,
)

TITANIUM_PER_MM = 0.16
CEMENT_PER_MM = 0.055
"""Attenuation above soft tissue; cement carries barium sulphate or zirconia."""

_CHROME_PER_MM = 0.22


def add_hardware(depth: FloatArray, geometry: Geometry, patient: Patient, rng: Rng) -> None:
    """Add what the patient's findings name to a map of optical depths, (x, y), in place."""
    heads: dict[float, list[Point3]] = {-1.0: [], 1.0: []}
    metal = Material(TITANIUM_PER_MM * float(rng.uniform(0.7, 1.6)))
    for i, vertebra in enumerate(patient.vertebrae):
        if "screws" in vertebra.findings:
            for side in (-1.0, 1.0):
                heads[side].append(_add_screw(depth, geometry, vertebra, patient.size, side, metal, rng))
        if vertebra.cage:
            below = patient.vertebrae[i + 1] if i + 1 < len(patient.vertebrae) else patient.sacrum[0]
            _add_cage(depth, geometry, vertebra, below, metal, rng)
        if "cement" in vertebra.findings:
            _add_cement(depth, geometry, vertebra, rng)
    s1 = patient.sacrum[0]
    if "screws" in s1.findings:
        for side in (-1.0, 1.0):
            heads[side].append(_add_screw(depth, geometry, s1, patient.size, side, metal, rng))
    thick = float(rng.uniform(2.2, 3.4))
    one_sided = rng.random() < 0.08
    for side in (-1.0, 1.0):
        # Screws of the upper and lower neighbours are joined by a rod, which overhangs both ends a little.
        joints = heads[side]
        if len(joints) < 2 or (one_sided and side > 0):
            continue
        joints = [_beyond(joints[1], joints[0], 7.0), *joints, _beyond(joints[-2], joints[-1], 7.0)]
        for p, q in pairwise(joints):
            add_tube(depth, geometry, p, q, (thick, thick), metal)
    if len(heads[1.0]) > 1 and rng.random() < 0.25:
        # A cross-link between the rods, seen end on.
        at = [np.mean([heads[side][0], heads[side][1]], axis=0) for side in (-1.0, 1.0)]
        ends = [(float(p[0]), float(p[1]), float(p[2])) for p in at]
        add_tube(depth, geometry, ends[0], ends[1], (3.0, 3.0), Material(0.4 * metal.core))
    add_rare_implants(depth, geometry, patient, metal, rng)


def _beyond(start: Point3, end: Point3, by_mm: float) -> Point3:
    """The point ``by_mm`` past ``end`` on the line from ``start``."""
    p, q = np.asarray(start), np.asarray(end)
    out = q + (q - p) * (by_mm / max(float(np.linalg.norm(q - p)), 1e-6))
    return float(out[0]), float(out[1]), float(out[2])


def _add_screw(
    depth: FloatArray, geometry: Geometry, vertebra: Vertebra, size: float, side: float, metal: Material, rng: Rng
) -> Point3:
    """Add one pedicle screw with its head; returns where the rod runs, world mm."""
    d, h = 0.5 * vertebra.depth_mm, vertebra.height_mm
    aim = float(rng.normal(0, 0.06)) * h
    level = -0.22 * h + float(rng.normal(0, 1.0))
    wide = 14.0 * size * side
    tip = (d - 2 * d * float(rng.uniform(0.68, 0.88)), level + aim, wide * float(rng.uniform(0.45, 0.75)))
    entry = (d + 17 * size, level - 0.4 * aim, wide * 1.15)
    thread = 0.5 * float(rng.uniform(5.5, 7.2))
    pieces = 13
    radii = [thread * (0.80 if i % 2 else 1.0) for i in range(pieces)]
    radii[0] = thread * 0.5
    steps = np.linspace(tip, entry, pieces + 1)
    for radius, p, q in zip(radii, steps[:-1], steps[1:]):
        ends = vertebra.to_world(*map(float, p)), vertebra.to_world(*map(float, q))
        add_tube(depth, geometry, ends[0], ends[1], (radius, radius), Material(metal.core / 2))
    head = vertebra.to_world(entry[0] + 6.5, entry[1], entry[2] * 1.05)
    add_tube(depth, geometry, vertebra.to_world(*entry), head, (5.8, 6.4), metal)
    return head


def _add_cage(
    depth: FloatArray, geometry: Geometry, above: Vertebra, below: Vertebra, metal: Material, rng: Rng
) -> None:
    """Add a radiolucent interbody cage with its metal markers, or a metal one."""
    upper = above.to_world(0.0, 0.5 * (above.corners_mm[2][1] + above.corners_mm[3][1]))
    lower = below.to_world(0.0, 0.5 * (below.corners_mm[0][1] + below.corners_mm[1][1]))
    gap = max(float(np.hypot(lower[0] - upper[0], lower[1] - upper[1])), 3.0)
    middle = tuple(0.5 * (p + q) for p, q in zip(upper, lower))
    tilt = 0.5 * (above.tilt_rad + below.tilt_rad)
    cos, sin = float(np.cos(tilt)), float(np.sin(tilt))
    reach = 0.5 * above.depth_mm * float(rng.uniform(0.5, 0.75))
    shift = float(rng.normal(0, 2.5))
    solid = rng.random() < 0.35
    for place in (-1.0, 1.0):
        at = (place * reach + shift) * cos, -(place * reach + shift) * sin
        centre = middle[0] + at[0], middle[1] + at[1]
        half = 0.42 * gap
        top = (centre[0] - half * sin, centre[1] - half * cos, middle[2])
        end = (centre[0] + half * sin, centre[1] + half * cos, middle[2])
        add_tube(depth, geometry, top, end, (0.7, 0.7), metal, flatness=5.0)
    if solid:
        flat = Material(metal.core * 0.3)
        add_ellipsoid(depth, geometry, (middle[0], middle[1], middle[2]), (reach, 0.45 * gap, 9.0), -tilt, flat)


def _add_cement(depth: FloatArray, geometry: Geometry, vertebra: Vertebra, rng: Rng) -> None:
    """Add cement: clouds of overlapping drops inside the body, now and then a leak in front or into the disc."""
    d, h = 0.5 * vertebra.depth_mm, vertebra.height_mm
    strength = CEMENT_PER_MM * float(rng.uniform(0.6, 1.5))
    middle = 0.25 * sum(s for _, s in vertebra.corners_mm)
    if rng.random() < 0.35:
        _add_balloon_cement(depth, geometry, vertebra, strength, rng)
        return
    for side in (-1.0, 1.0) if rng.random() < 0.7 else (float(rng.choice([-0.5, 0.5])),):
        at = np.array([float(rng.normal(-0.15, 0.15)) * d, middle + float(rng.normal(0, 0.06)) * h])
        for _ in range(int(rng.integers(7, 16))):
            spot = at + rng.normal(0, 1, 2) * (0.26 * d, 0.13 * h)
            size = float(rng.uniform(0.10, 0.30)) * h
            axes = (size * float(rng.uniform(0.8, 2.0)), size, size)
            centre = vertebra.to_world(float(spot[0]), float(spot[1]), side * 9.0)
            add_ellipsoid(depth, geometry, centre, axes, float(rng.uniform(-0.6, 0.6)), Material(strength))
    if rng.random() < 0.2:
        leak = vertebra.to_world(-d - 2.0, float(rng.uniform(-0.5, 0.5)) * h)
        away = vertebra.to_world(-d - 3.0, float(rng.uniform(-0.9, 0.9)) * h)
        add_tube(depth, geometry, leak, away, (1.8, 1.0), Material(strength))


def _add_balloon_cement(depth: FloatArray, geometry: Geometry, vertebra: Vertebra, strength: float, rng: Rng) -> None:
    """Add the cement of a kyphoplasty: one or two round, sharply bordered lumps where the balloons were."""
    d, h = 0.5 * vertebra.depth_mm, vertebra.height_mm
    middle = 0.25 * sum(s for _, s in vertebra.corners_mm)
    for side in (-1.0, 1.0) if rng.random() < 0.6 else (float(rng.uniform(-0.5, 0.5)),):
        a, s = float(rng.normal(-0.1, 0.15)) * d, middle + float(rng.normal(0, 0.05)) * h
        axes = (float(rng.uniform(0.4, 0.75)) * d, float(rng.uniform(0.25, 0.42)) * h, 8.0)
        add_ellipsoid(
            depth, geometry, vertebra.to_world(a, s, side * 9.0), axes, -vertebra.tilt_rad, Material(1.3 * strength)
        )


def add_rare_implants(depth: FloatArray, geometry: Geometry, patient: Patient, metal: Material, rng: Rng) -> None:
    """Add, to some of the patients, implants that are not part of a screw and rod construct, in place."""
    spine = "screws" in {name for v in patient.vertebrae for name in v.findings}
    for chance, add in (
        (0.12 if spine else 0.012, _add_plate),
        (0.08 if spine else 0.015, _add_spacer),
        (0.05 if spine else 0.01, _add_disc_prosthesis),
        (0.1 if spine else 0.0, _add_hooks),
        (0.05, _add_hip_prosthesis),
        (0.03, _add_lead),
        (0.015, _add_filter),
    ):
        if rng.random() < chance:
            add(depth, geometry, patient, metal, rng)


def _pair(patient: Patient, rng: Rng) -> tuple[Vertebra, Vertebra]:
    """Two neighbours between L2 and S1."""
    bodies = [*patient.vertebrae[-4:], patient.sacrum[0]]
    i = int(rng.integers(0, len(bodies) - 1))
    return bodies[i], bodies[i + 1]


def _add_plate(depth: FloatArray, geometry: Geometry, patient: Patient, metal: Material, rng: Rng) -> None:
    """Add a plate on the anterior walls of two neighbours, with a screw or two in each."""
    upper, lower = _pair(patient, rng)
    ends = []
    for body, corner, sign in ((upper, 3, -1.0), (lower, 0, 1.0)):
        a, s = body.corners_mm[corner]
        at = s + sign * float(rng.uniform(6, 11))
        ends.append(body.to_world(a - 1.5, at))
        for lateral in (-7.0, 7.0):
            length = float(rng.uniform(0.55, 0.85)) * body.depth_mm
            tip = body.to_world(a + length, at + float(rng.normal(0, 1.5)), lateral)
            add_tube(depth, geometry, body.to_world(a - 1.0, at, lateral), tip, (2.2, 1.4), Material(metal.core / 2))
    add_tube(depth, geometry, ends[0], ends[1], (1.3, 1.3), metal, flatness=float(rng.uniform(4, 8)))


def _add_spacer(depth: FloatArray, geometry: Geometry, patient: Patient, metal: Material, rng: Rng) -> None:
    """Add a spacer between two spinous processes."""
    upper, _ = _pair(patient, rng)
    at = 0.5 * upper.depth_mm + 30.0 * patient.size
    top, end = upper.to_world(at, 0.42 * upper.height_mm), upper.to_world(at, 0.95 * upper.height_mm)
    add_tube(depth, geometry, top, end, (float(rng.uniform(3, 6)),) * 2, metal, flatness=float(rng.uniform(0.5, 1.5)))
    for spot in (top, end):
        wing = (spot[0] + float(rng.uniform(8, 14)), spot[1], spot[2])
        add_tube(depth, geometry, spot, wing, (2.0, 2.0), metal)


def _add_disc_prosthesis(depth: FloatArray, geometry: Geometry, patient: Patient, metal: Material, rng: Rng) -> None:
    """Add the two metal end plates of an artificial disc, with their keels."""
    upper, lower = _pair(patient, rng)
    for body, corners, sign in ((upper, (2, 3), -1.0), (lower, (0, 1), 1.0)):
        s = 0.5 * (body.corners_mm[corners[0]][1] + body.corners_mm[corners[1]][1]) - sign * 0.8
        half = 0.38 * body.depth_mm
        add_tube(depth, geometry, body.to_world(-half, s), body.to_world(half, s), (1.3, 1.3), metal, flatness=6.0)
        keel = float(rng.uniform(3, 7))
        ends = body.to_world(-0.3 * half, s + sign * keel), body.to_world(0.5 * half, s + sign * keel)
        add_tube(depth, geometry, *ends, (keel, 0.6 * keel), Material(0.3 * metal.core), flatness=0.3)


def _add_hooks(depth: FloatArray, geometry: Geometry, patient: Patient, metal: Material, rng: Rng) -> None:
    """Add laminar hooks, joined by a wire, to a row of bodies."""
    first = int(rng.integers(8, 13))
    row = patient.vertebrae[first : first + int(rng.integers(2, 5))]
    previous = None
    for body in row:
        at = 0.5 * body.depth_mm + 16.0 * patient.size
        grip = [(at, 0.1, 10.0), (at - 5.0, 0.25, 10.0), (at - 6.0, 0.05, 10.0)]
        points = [body.to_world(a, s * body.height_mm, z) for a, s, z in grip]
        tubes = [Tube(p, q, (2.4, 1.6)) for p, q in pairwise(points)]
        add_union(depth, geometry, tubes, metal)
        if previous is not None:
            add_tube(depth, geometry, previous, points[0], (1.6, 1.6), metal)
        previous = points[0]


def _add_hip_prosthesis(depth: FloatArray, geometry: Geometry, patient: Patient, metal: Material, rng: Rng) -> None:
    """Add a hip prosthesis on one side: cup, head and stem."""
    x, y, z = hip_centre(patient)
    z += float(rng.choice([-88.0, 88.0])) * patient.size
    chrome = Material(_CHROME_PER_MM * float(rng.uniform(0.6, 1.3)))
    head = float(rng.uniform(14, 19))
    add_ellipsoid(depth, geometry, (x, y, z), (head, head, head), 0.0, chrome)
    add_ellipsoid(depth, geometry, (x, y - 2, z), (27, 26, 24), 0.0, Material(0.0, 0.1, 3.0))
    flex = float(rng.uniform(-0.15, 0.5))
    knee = (x + 6 - 150 * float(np.sin(flex)), y + 150 * float(np.cos(flex)), z)
    add_tube(depth, geometry, (x + 4, y + 18, z), knee, (9.0, 5.0), chrome)


def _add_lead(depth: FloatArray, geometry: Geometry, patient: Patient, metal: Material, rng: Rng) -> None:
    """Add a stimulator's lead in the canal, and its electrodes."""
    lower = int(rng.integers(11, 15))
    points = [v.to_world(0.5 * v.depth_mm + 9.0, 0.0) for v in patient.vertebrae[lower - 5 : lower]]
    for p, q in pairwise(points):
        add_tube(depth, geometry, p, q, (0.7, 0.7), metal)
    top, below = np.array(points[0]), np.array(points[1])
    for i in range(4):
        a, b = ([float(v) for v in top + (below - top) * share] for share in (0.2 * i, 0.2 * i + 0.1))
        add_tube(depth, geometry, (a[0], a[1], a[2]), (b[0], b[1], b[2]), (1.3, 1.3), metal)


def _add_filter(depth: FloatArray, geometry: Geometry, patient: Patient, metal: Material, rng: Rng) -> None:
    """Add a caval filter or a stent before L2 and L3: a basket of thin wires."""
    body = patient.vertebrae[-4]
    front = -0.5 * body.depth_mm - float(rng.uniform(8, 26))
    tip = body.to_world(front, -0.6 * body.height_mm)
    for leg in range(6):
        foot = body.to_world(front + float(rng.uniform(-11, 11)), 0.9 * body.height_mm, (leg - 2.5) * 4.0)
        add_tube(depth, geometry, tip, foot, (0.5, 0.5), metal)
