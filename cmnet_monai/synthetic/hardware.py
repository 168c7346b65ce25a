"""Pedicle screws, rods, interbody cages and bone cement."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from cmnet_monai.synthetic.bodies import Patient, Vertebra
from cmnet_monai.synthetic.implants import add_rare_implants
from cmnet_monai.synthetic.projection import FloatArray, Geometry, Material, Point3, add_ellipsoid, add_tube

TITANIUM_PER_MM = 0.16
CEMENT_PER_MM = 0.055
"""Attenuation above soft tissue; cement carries barium sulphate or zirconia."""


def add_hardware(depth: FloatArray, geometry: Geometry, patient: Patient, rng: np.random.Generator) -> None:
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
    depth: FloatArray,
    geometry: Geometry,
    vertebra: Vertebra,
    size: float,
    side: float,
    metal: Material,
    rng: np.random.Generator,
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
    depth: FloatArray, geometry: Geometry, above: Vertebra, below: Vertebra, metal: Material, rng: np.random.Generator
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


def _add_cement(depth: FloatArray, geometry: Geometry, vertebra: Vertebra, rng: np.random.Generator) -> None:
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


def _add_balloon_cement(
    depth: FloatArray, geometry: Geometry, vertebra: Vertebra, strength: float, rng: np.random.Generator
) -> None:
    """Add the cement of a kyphoplasty: one or two round, sharply bordered lumps where the balloons were."""
    d, h = 0.5 * vertebra.depth_mm, vertebra.height_mm
    middle = 0.25 * sum(s for _, s in vertebra.corners_mm)
    for side in (-1.0, 1.0) if rng.random() < 0.6 else (float(rng.uniform(-0.5, 0.5)),):
        a, s = float(rng.normal(-0.1, 0.15)) * d, middle + float(rng.normal(0, 0.05)) * h
        axes = (float(rng.uniform(0.4, 0.75)) * d, float(rng.uniform(0.25, 0.42)) * h, 8.0)
        add_ellipsoid(
            depth, geometry, vertebra.to_world(a, s, side * 9.0), axes, -vertebra.tilt_rad, Material(1.3 * strength)
        )
