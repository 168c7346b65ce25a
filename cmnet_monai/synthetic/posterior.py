"""Pedicles, processes and laminae of the vertebrae, ribs and discs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.synthetic.bodies import Patient, Vertebra
from cmnet_monai.synthetic.fields import smooth_noise
from cmnet_monai.synthetic.projection import (
    FloatArray,
    Geometry,
    Material,
    Point3,
    Rng,
    Tube,
    add_curve,
    add_ellipsoid,
    add_union,
)
from cmnet_monai.synthetic.vertebra import CORTICAL_PER_MM, SPONGY_PER_MM


def add_posterior_elements(
    depth: FloatArray, geometry: Geometry, vertebra: Vertebra, patient: Patient, rng: Rng
) -> None:
    """Add pedicles, articular and transverse processes, laminae and the spinous process of one vertebra."""
    x, y, z = vertebra.centre_mm
    ends = [geometry.to_detector_mm((x + dx, y + dy, z)) for dx, dy in ((-15.0, -65.0), (95.0, 65.0))]
    window = geometry.window(ends[0][0], ends[1][0], ends[0][1], ends[1][1])
    if window is None:
        return
    near, shift = geometry.crop(window)
    moved = replace(vertebra, centre_mm=(x - shift[0], y - shift[1], z))
    bone = np.zeros(near.shape, np.float32)
    for side in (-1.0, 1.0):
        _add_arch(bone, near, moved, patient, side, rng)
    _add_spinous_process(bone, near, moved, patient, rng)
    # Processes are rough: their thickness and density vary over a few millimetres.
    rough = smooth_noise(near.shape, float(rng.uniform(2.0, 4.5)) / near.spacing_mm, rng)
    depth[window] += bone * np.maximum(1 + np.float32(rng.uniform(0.1, 0.35)) * rough, 0)


def _add_arch(
    bone: FloatArray, geometry: Geometry, vertebra: Vertebra, patient: Patient, side: float, rng: Rng
) -> None:
    """Add one half of a neural arch: pedicle, articular and transverse processes, lamina, and the foramen's border."""
    lumbar = vertebra.level.startswith("L")
    d, h, k = 0.5 * vertebra.depth_mm, vertebra.height_mm, patient.size
    cortical = CORTICAL_PER_MM * patient.cortex
    spongy = SPONGY_PER_MM * (0.55 + 0.45 * patient.bone)
    slim = 1.0 if lumbar else 0.72
    joint = d + (15.0 if lumbar else 12.0) * k + float(rng.normal(0, 1.0))
    j = rng.normal(0, 1.0, 6)
    w = side * (14.0 if lumbar else 11.0) * k
    up = -0.23 * h + j[3] * 0.6

    def tube(p: Point3, q: Point3, r0: float, r1: float, flat: float) -> Tube:
        return Tube(vertebra.to_world(*p), vertebra.to_world(*q), (r0 * k * slim, r1 * k * slim), flat)

    # Superior articular process, pars and inferior articular process, which meets the next level's.
    pillar = [
        tube((d - 1, up, w), (joint - 3, up - 0.5, w), 6.8, 5.8, 0.9),
        tube((joint - 3, up + 1, w), (joint - 1 + j[1], -0.5 * h - 5.0 * k, w * 1.15), 5.6, 3.9, 1.5),
        tube((joint - 2, up + 1, w), (joint + 4 * k + j[0], 0.36 * h, w * 0.9), 5.0, 4.8, 1.3),
        tube((joint + 4 * k + j[0], 0.36 * h, w * 0.9), (joint + 4 * k + j[2], 0.5 * h + 6.0 * k, w), 5.2, 3.6, 1.6),
        tube((joint + 3 * k, 0.05 * h, w * 0.8), (joint + 11 * k, 0.2 * h, side * 4), 4.4, 5.2, 0.6),
    ]
    broken = "spondylolysis" in vertebra.findings
    if broken:
        # The inferior half stays behind while the body slides forwards.
        del pillar[2]
    add_union(bone, geometry, pillar, Material(spongy * 1.25, cortical, 0.5 + 0.1 * abs(j[4])), hollow=True)
    reach = w + side * (24.0 if lumbar else 16.0) * k
    end = (d + (13 if lumbar else 22) * k, up + 1 + 2 * j[5], reach)
    across = [tube((d + 10 * k, up + 2, w), end, 4.8, 3.4, 1.8)]
    if vertebra.level == "L5" and patient.transitional == "lumbarised":
        # Broad transverse processes that reach the lateral mass of the sacrum.
        across += [tube((0.6 * d, 0.1 * h, w), (0.8 * d, 0.55 * h, reach), 9.0, 11.0, 1.2)]
    add_union(bone, geometry, across, Material(spongy * 0.7, 0.5 * cortical, 0.4), hollow=True)
    _add_borders(bone, geometry, vertebra, (joint, up, w), cortical, broken, rng)


def _add_borders(
    bone: FloatArray, geometry: Geometry, vertebra: Vertebra, at: Point3, cortical: float, broken: bool, rng: Rng
) -> None:
    """Add the thin dense lines along an arch: pedicle above and below, front of the facet, joint space."""
    joint, up, w = at
    d, h = 0.5 * vertebra.depth_mm, vertebra.height_mm
    below = [(d - 0.5, up + 0.24 * h, w), (d + 4.5, up + 0.2 * h, w), (joint - 5.5, up + 0.28 * h, w)]
    if not broken:
        below += [(joint - 3.0, 0.28 * h, w), (joint - 1.0, 0.52 * h, w)]
    above = [(d, up - 0.24 * h, w), (d + 5.0, up - 0.2 * h, w), (joint - 6.0, up - 0.28 * h, w)]
    above += [(joint - 5.0, -0.5 * h - 3.0, w)]
    facet = [(joint + 1.5, 0.22 * h, w), (joint + 2.0, 0.42 * h, w), (joint + 4.0, 0.62 * h, w)]
    for line in (below, above, facet):
        jitter = rng.normal(0, 0.5, (len(line), 2))
        points = [vertebra.to_world(a + u, s + v, z) for (a, s, z), (u, v) in zip(line, jitter)]
        radius, flat = float(rng.uniform(0.4, 0.9)), float(rng.uniform(2.0, 8.0))
        add_curve(bone, geometry, points, (radius, radius), Material(cortical), (flat, flat), rng, 8)


def _add_spinous_process(bone: FloatArray, geometry: Geometry, vertebra: Vertebra, patient: Patient, rng: Rng) -> None:
    """Add the spinous process: a tall plate on a lumbar body, a rod that points down on a thoracic one."""
    d, h, k = 0.5 * vertebra.depth_mm, vertebra.height_mm, patient.size
    cortical = CORTICAL_PER_MM * patient.cortex
    spongy = SPONGY_PER_MM * (0.55 + 0.45 * patient.bone)
    lumbar = vertebra.level.startswith("L")
    start = d + (24.0 if lumbar else 21.0) * k

    def tube(p: tuple[float, float], q: tuple[float, float], r0: float, r1: float, flat: float) -> Tube:
        return Tube(vertebra.to_world(*p), vertebra.to_world(*q), (r0 * k, r1 * k), flat)

    if lumbar:
        length = (27 if vertebra.level != "L5" else 17) * k * float(rng.uniform(0.8, 1.15))
        droop = 0.34 * h + float(rng.normal(0, 1.5))
        process = [
            tube((start, 0.14 * h), (start + length, droop - 3 * k), 6.0, float(rng.uniform(6.5, 9.0)), 0.4),
            tube((start + 3, 0.3 * h), (start + length - 1, droop + 4 * k), 5.5, float(rng.uniform(6.5, 9.0)), 0.4),
        ]
    else:
        process = [tube((start, 0.1 * h), (start + 26 * k, 0.1 * h + 20 * k), 4.0, 3.3, 0.5)]
    add_union(bone, geometry, process, Material(spongy, cortical, 0.5), hollow=True)


def bears_ribs(vertebra: Vertebra, patient: Patient) -> bool:
    """Whether a body has ribs: the thoracic ones, shifted by one where a transitional vertebra shifts the count.

    Every other patient with a transitional vertebra has his ribs where the count says.
    """
    shift = {"sacralised": 1, "lumbarised": -1}.get(patient.transitional, 0) * (patient.seed % 2)
    return vertebra.label <= LABEL_OF_LEVEL["T12"] + shift


def add_ribs(depth: FloatArray, geometry: Geometry, patient: Patient, vertebra: Vertebra, rng: Rng) -> None:
    """Add a thoracic vertebra's pair of ribs: back from the body to the angle, then forwards and down the flank."""
    number = vertebra.label - LABEL_OF_LEVEL["T1"] + 1
    material = Material(SPONGY_PER_MM * patient.bone * 0.8, CORTICAL_PER_MM * patient.cortex, 0.9)
    length = {13: 0.2, 12: 0.38, 11: 0.62}.get(number, 0.95) * float(rng.uniform(0.8, 1.1))
    half = 0.40 * patient.width_mm
    front = min(0.85 * patient.belly_mm, 120.0)
    drop = float(rng.uniform(85, 140))
    back = float(rng.uniform(26, 40))
    x0, y0, z0 = vertebra.to_world(0.5 * vertebra.depth_mm - 2, -0.2 * vertebra.height_mm)
    for side in (-1.0, 1.0):
        u = np.linspace(0, 1, 17) * length
        # Seen from above: out and back to the angle at u = 0.2, then a quarter of an ellipse to the front.
        to_angle = np.clip(u / 0.2, 0, 1)
        onward = np.clip((u - 0.2) / 0.8, 0, 1)
        x = x0 + back * np.sin(0.5 * np.pi * to_angle) - (front + back) * (1 - np.cos(0.5 * np.pi * onward**0.85))
        z = z0 + side * (14 + 0.55 * half * to_angle + (0.45 * half - 14) * np.sin(np.pi * np.clip(onward, 0, 0.8)))
        y = y0 + drop * u * (0.6 + 0.4 * u) + float(rng.normal(0, 2)) * u
        y = y - np.clip((onward - 0.72) / 0.28, 0, 1) ** 2 * 28
        points = [(float(p), float(q), float(r)) for p, q, r in zip(x, y, z)]
        tubes = [Tube(p, q, (4.8, 4.8), 0.75) for p, q in pairwise(points)]
        add_union(depth, geometry, tubes, material, hollow=True)


def add_disc(depth: FloatArray, geometry: Geometry, vertebra: Vertebra, rng: Rng) -> None:
    """Add the disc below a body: fibrous cartilage, a little denser than the fat and muscle around it."""
    low = 0.5 * (vertebra.corners_mm[2][1] + vertebra.corners_mm[3][1])
    size = (0.52 * vertebra.depth_mm, 5.5, 0.5 * vertebra.width_mm)
    cartilage = Material(0.0016 * float(rng.uniform(0.3, 1.2)))
    add_ellipsoid(depth, geometry, vertebra.to_world(0.0, low + 2.5), size, -vertebra.tilt_rad, cartilage)
