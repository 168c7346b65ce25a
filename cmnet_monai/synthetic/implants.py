"""Less common implants: plates, interspinous spacers, disc prostheses, hooks, hip prostheses, leads and filters."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from cmnet_monai.synthetic.bodies import Patient, Vertebra
from cmnet_monai.synthetic.pelvis import hip_centre
from cmnet_monai.synthetic.projection import (
    FloatArray,
    Geometry,
    Material,
    Tube,
    add_ellipsoid,
    add_tube,
    add_union,
)

_CHROME_PER_MM = 0.22


def add_rare_implants(
    depth: FloatArray, geometry: Geometry, patient: Patient, metal: Material, rng: np.random.Generator
) -> None:
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


def _pair(patient: Patient, rng: np.random.Generator) -> tuple[Vertebra, Vertebra]:
    """Two neighbours between L2 and S1."""
    bodies = [*patient.vertebrae[-4:], patient.sacrum[0]]
    i = int(rng.integers(0, len(bodies) - 1))
    return bodies[i], bodies[i + 1]


def _add_plate(
    depth: FloatArray, geometry: Geometry, patient: Patient, metal: Material, rng: np.random.Generator
) -> None:
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


def _add_spacer(
    depth: FloatArray, geometry: Geometry, patient: Patient, metal: Material, rng: np.random.Generator
) -> None:
    """Add a spacer between two spinous processes."""
    upper, _ = _pair(patient, rng)
    at = 0.5 * upper.depth_mm + 30.0 * patient.size
    top, end = upper.to_world(at, 0.42 * upper.height_mm), upper.to_world(at, 0.95 * upper.height_mm)
    add_tube(depth, geometry, top, end, (float(rng.uniform(3, 6)),) * 2, metal, flatness=float(rng.uniform(0.5, 1.5)))
    for spot in (top, end):
        wing = (spot[0] + float(rng.uniform(8, 14)), spot[1], spot[2])
        add_tube(depth, geometry, spot, wing, (2.0, 2.0), metal)


def _add_disc_prosthesis(
    depth: FloatArray, geometry: Geometry, patient: Patient, metal: Material, rng: np.random.Generator
) -> None:
    """Add the two metal end plates of an artificial disc, with their keels."""
    upper, lower = _pair(patient, rng)
    for body, corners, sign in ((upper, (2, 3), -1.0), (lower, (0, 1), 1.0)):
        s = 0.5 * (body.corners_mm[corners[0]][1] + body.corners_mm[corners[1]][1]) - sign * 0.8
        half = 0.38 * body.depth_mm
        add_tube(depth, geometry, body.to_world(-half, s), body.to_world(half, s), (1.3, 1.3), metal, flatness=6.0)
        keel = float(rng.uniform(3, 7))
        ends = body.to_world(-0.3 * half, s + sign * keel), body.to_world(0.5 * half, s + sign * keel)
        add_tube(depth, geometry, *ends, (keel, 0.6 * keel), Material(0.3 * metal.core), flatness=0.3)


def _add_hooks(
    depth: FloatArray, geometry: Geometry, patient: Patient, metal: Material, rng: np.random.Generator
) -> None:
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


def _add_hip_prosthesis(
    depth: FloatArray, geometry: Geometry, patient: Patient, metal: Material, rng: np.random.Generator
) -> None:
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


def _add_lead(
    depth: FloatArray, geometry: Geometry, patient: Patient, metal: Material, rng: np.random.Generator
) -> None:
    """Add a stimulator's lead in the canal, and its electrodes."""
    lower = int(rng.integers(11, 15))
    points = [v.to_world(0.5 * v.depth_mm + 9.0, 0.0) for v in patient.vertebrae[lower - 5 : lower]]
    for p, q in pairwise(points):
        add_tube(depth, geometry, p, q, (0.7, 0.7), metal)
    top, below = np.array(points[0]), np.array(points[1])
    for i in range(4):
        a, b = ([float(v) for v in top + (below - top) * share] for share in (0.2 * i, 0.2 * i + 0.1))
        add_tube(depth, geometry, (a[0], a[1], a[2]), (b[0], b[1], b[2]), (1.3, 1.3), metal)


def _add_filter(
    depth: FloatArray, geometry: Geometry, patient: Patient, metal: Material, rng: np.random.Generator
) -> None:
    """Add a caval filter or a stent before L2 and L3: a basket of thin wires."""
    body = patient.vertebrae[-4]
    front = -0.5 * body.depth_mm - float(rng.uniform(8, 26))
    tip = body.to_world(front, -0.6 * body.height_mm)
    for leg in range(6):
        foot = body.to_world(front + float(rng.uniform(-11, 11)), 0.9 * body.height_mm, (leg - 2.5) * 4.0)
        add_tube(depth, geometry, tip, foot, (0.5, 0.5), metal)
