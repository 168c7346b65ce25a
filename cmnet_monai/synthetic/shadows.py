"""What else throws shadows on a lumbar film: arms, breasts, folds, clothing, calcium, clips, swallowed gas."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from cmnet_monai.synthetic.bodies import Patient
from cmnet_monai.synthetic.fields import WATER_PER_MM, smooth_noise
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
from cmnet_monai.synthetic.vertebra import CORTICAL_PER_MM, SPONGY_PER_MM

_METAL_PER_MM = 0.25


def add_shadows(depth: FloatArray, geometry: Geometry, patient: Patient, rng: Rng) -> None:
    """Add what a patient wears, carries and holds before the spine to a map of optical depths, (x, y), in place."""
    for chance, add in (
        (0.25, _add_breast),
        (0.12, _add_arm),
        (0.3, _add_fold),
        (0.3, _add_aorta),
        (0.25, _add_clothing),
        (0.08, _add_clips),
        (0.35, _add_stomach),
        (0.12, _add_stones),
    ):
        if rng.random() < chance:
            add(depth, geometry, patient, rng)


def _spine_at(patient: Patient, level: str) -> Point3:
    return next(v for v in patient.vertebrae if v.level == level).centre_mm


def _add_breast(depth: FloatArray, geometry: Geometry, patient: Patient, rng: Rng) -> None:
    """Add breasts before the lower chest: broad bright shadows with a sharp lower border."""
    x, y, z = _spine_at(patient, "T11")
    for side in (-1.0, 1.0):
        at = (
            x - patient.belly_mm - float(rng.uniform(-35, 5)),
            y - float(rng.uniform(-10, 60)),
            z + side * float(rng.uniform(60, 95)),
        )
        axes = (float(rng.uniform(35, 70)), float(rng.uniform(40, 75)), float(rng.uniform(25, 45)))
        add_ellipsoid(depth, geometry, at, axes, float(rng.uniform(-0.5, 0.5)), Material(WATER_PER_MM * 0.8))


def _add_arm(depth: FloatArray, geometry: Geometry, patient: Patient, rng: Rng) -> None:
    """Add a forearm or upper arm that was not lifted out of the way."""
    x, y, z = _spine_at(patient, str(rng.choice(["T10", "T12", "L2"])))
    heading = float(rng.uniform(-0.6, 0.9))
    start = (x - float(rng.uniform(40, 140)), y - float(rng.uniform(60, 160)), z + float(rng.choice([-1, 1])) * 130)
    end = (start[0] - 240 * float(np.sin(heading)), start[1] + 240 * float(np.cos(heading)), start[2])
    add_tube(depth, geometry, start, end, (38.0, 32.0), Material(WATER_PER_MM * 0.6))
    bone = Material(SPONGY_PER_MM * patient.bone, CORTICAL_PER_MM * patient.cortex, 2.5)
    add_union(depth, geometry, [Tube(start, end, (10.0, 9.0))], bone, hollow=True)


def _add_fold(depth: FloatArray, geometry: Geometry, patient: Patient, rng: Rng) -> None:
    """Add skin folds of belly, waist or back: a line with a darker and a brighter side."""
    x, y, z = _spine_at(patient, str(rng.choice(["L1", "L3", "L5"])))
    for _ in range(int(rng.integers(1, 4))):
        back = rng.random() < 0.5
        start = (x + (patient.back_mm if back else -patient.belly_mm), y + float(rng.normal(0, 40)), z)
        reach = float(rng.uniform(30, 90)) * (-1 if back else 1)
        end = (start[0] + reach, start[1] + float(rng.normal(0, 14)), z)
        strength = float(rng.choice([-1, 1])) * float(rng.uniform(0.15, 0.6)) * WATER_PER_MM
        add_tube(depth, geometry, start, end, (float(rng.uniform(2, 9)), 0.6), Material(strength), flatness=2.5)


def _add_aorta(depth: FloatArray, geometry: Geometry, patient: Patient, rng: Rng) -> None:
    """Add a calcified aorta: broken lines before L1 to L4, which end at the bifurcation."""
    wide = float(rng.uniform(16, 30))
    tubes: list[Tube] = []
    for offset in (8.0, 8.0 + wide):
        shift = float(rng.uniform(0, 4))
        points = []
        for body in patient.vertebrae[-6:-1]:
            for s in (-0.5, 0.0, 0.5):
                front = -0.5 * body.depth_mm - offset - shift + float(rng.normal(0, 1.2))
                points.append(body.to_world(front, s * body.height_mm, float(rng.normal(6, 4))))
        for p, q in pairwise(points):
            if rng.random() < 0.45:
                radius = float(rng.uniform(0.4, 1.3))
                tubes.append(Tube(p, q, (radius, float(rng.uniform(0.3, 1.0))), float(rng.uniform(1.0, 6.0))))
    if tubes:
        add_union(depth, geometry, tubes, Material(CORTICAL_PER_MM * float(rng.uniform(0.3, 1.0))))


def _add_clothing(depth: FloatArray, geometry: Geometry, patient: Patient, rng: Rng) -> None:
    """Add a waistband or hem (lines across the film), buttons, or a bra's clasp."""
    x, y, z = _spine_at(patient, str(rng.choice(["T11", "L4"])))
    what = rng.choice(["band", "buttons", "folds"])
    if what == "buttons":
        for i in range(int(rng.integers(1, 4))):
            at = (x + float(rng.uniform(-110, 80)), y + 45.0 * i, z - 150)
            add_ellipsoid(depth, geometry, at, (4.5, 4.5, 1.2), 0.0, Material(0.08 * float(rng.uniform(0.3, 2))))
        return
    for _ in range(2 if what == "band" else int(rng.integers(3, 9))):
        tilt = float(rng.normal(0, 0.12)) if what == "band" else float(rng.normal(1.2, 0.3))
        middle = (x + float(rng.uniform(-60, 60)), y + float(rng.normal(30, 40)), z - 160)
        half = 150.0 if what == "band" else float(rng.uniform(20, 70))
        dx, dy = half * float(np.cos(tilt)), half * float(np.sin(tilt))
        ends = (middle[0] - dx, middle[1] - dy, middle[2]), (middle[0] + dx, middle[1] + dy, middle[2])
        radius = float(rng.uniform(0.5, 2.0))
        add_tube(depth, geometry, *ends, (radius, radius), Material(WATER_PER_MM * float(rng.uniform(0.3, 1.6))))


def _add_clips(depth: FloatArray, geometry: Geometry, patient: Patient, rng: Rng) -> None:
    """Add surgical clips, a shunt of metal dots, or a coil in the pelvis."""
    x, y, z = _spine_at(patient, str(rng.choice(["L1", "L3", "L5"])))
    at = np.array([x - rng.uniform(10, 80), y + rng.normal(0, 30)])
    for _ in range(int(rng.integers(1, 9))):
        spot = at + rng.normal(0, 14, 2)
        heading = rng.uniform(0, np.pi)
        end = spot + rng.uniform(1.0, 7.0) * np.array([np.cos(heading), np.sin(heading)])
        ends = (float(spot[0]), float(spot[1]), z), (float(end[0]), float(end[1]), z)
        add_tube(depth, geometry, *ends, (0.8, 0.8), Material(_METAL_PER_MM))


def _add_stomach(depth: FloatArray, geometry: Geometry, patient: Patient, rng: Rng) -> None:
    """Take out the gas of the stomach below the left dome, at times with a fluid level."""
    x, y, z = _spine_at(patient, "T12")
    px, py, scale = geometry.to_detector_mm((x - float(rng.uniform(15, 75)), y + float(rng.uniform(-15, 45)), z + 40))
    wide, high = float(rng.uniform(14, 45)) * scale, float(rng.uniform(8, 26)) * scale
    window = geometry.window(px - 1.4 * wide, px + 1.4 * wide, py - 1.4 * wide, py + 1.4 * wide)
    if window is None:
        return
    gx, gy = geometry.axes_mm(window)
    turn = float(rng.uniform(-0.9, 0.3))
    u = (gx - px) * np.cos(turn) + (gy - py) * np.sin(turn)
    v = (gy - py) * np.cos(turn) - (gx - px) * np.sin(turn)
    shape = (window[0].stop - window[0].start, window[1].stop - window[1].start)
    wavy = 0.25 * smooth_noise(shape, 12.0 / geometry.spacing_mm, rng)
    chord = np.sqrt(np.maximum(1 - (u / wide) ** 2 - (v / high) ** 2 + wavy, 0))
    if rng.random() < 0.35:
        chord *= np.clip((py + 0.3 * high - gy) / 1.0, 0, 1)
    depth[window] -= chord.astype(np.float32) * np.float32(WATER_PER_MM * rng.uniform(8, 34))


def _add_stones(depth: FloatArray, geometry: Geometry, patient: Patient, rng: Rng) -> None:
    """Add gallstones, kidney stones or phleboliths."""
    x, y, z = _spine_at(patient, str(rng.choice(["L1", "L2", "L5"])))
    at = (x - float(rng.uniform(-10, 70)), y + float(rng.normal(0, 30)))
    for _ in range(int(rng.integers(1, 6))):
        spot = (at[0] + float(rng.normal(0, 12)), at[1] + float(rng.normal(0, 12)), z)
        size = float(rng.uniform(1.5, 6.0))
        stone = Material(0.006 * float(rng.uniform(0, 1)), 0.04, 0.8)
        add_ellipsoid(depth, geometry, spot, (size, size * 0.8, size), float(rng.uniform(0, 3)), stone)
