"""Pedicles, processes and laminae of the vertebrae, ribs, and gas in a worn disc."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.synthetic.bodies import Patient, Vertebra
from cmnet_monai.synthetic.projection import FloatArray, Geometry, Material, Tube, add_ellipsoid, add_union
from cmnet_monai.synthetic.vertebra import CORTICAL_PER_MM, SPONGY_PER_MM


def add_posterior_elements(
    depth: FloatArray, geometry: Geometry, vertebra: Vertebra, patient: Patient, rng: np.random.Generator
) -> None:
    """Add pedicles, articular and transverse processes, laminae and the spinous process of one vertebra."""
    lumbar = vertebra.level.startswith("L")
    d, h, k = 0.5 * vertebra.depth_mm, vertebra.height_mm, patient.size
    cortical = CORTICAL_PER_MM * patient.cortex
    bone = 0.55 + 0.45 * patient.bone
    slim = 1.0 if lumbar else 0.72

    def tube(p: tuple[float, float, float], q: tuple[float, float, float], r0: float, r1: float, flat: float) -> Tube:
        return Tube(vertebra.to_world(*p), vertebra.to_world(*q), (r0 * k * slim, r1 * k * slim), flat)

    jitter = rng.normal(0, 0.9, (2, 5))
    joint = d + (15.0 if lumbar else 12.0) * k
    for side in (-1.0, 1.0):
        j = jitter[0 if side < 0 else 1]
        w = side * (14.0 if lumbar else 11.0) * k
        up = -0.23 * h + j[3] * 0.4
        # Superior articular process, pars and inferior articular process, which meets the next level's.
        pillar = [
            tube((d - 1, up, w), (joint - 3, up - 0.5, w), 7.0, 6.2, 0.9),
            tube((joint - 3, up + 1, w), (joint - 1 + j[1], -0.5 * h - 5.0 * k, w * 1.15), 5.8, 4.4, 1.5),
            tube((joint - 2, up + 1, w), (joint + 4 * k, 0.36 * h, w * 0.9), 5.4, 5.2, 1.3),
            tube((joint + 4 * k, 0.36 * h, w * 0.9), (joint + 4 * k + j[2], 0.5 * h + 6.0 * k, w), 5.4, 4.0, 1.6),
            tube((joint + 3 * k, 0.05 * h, w * 0.8), (joint + 11 * k, 0.2 * h, side * 4), 4.6, 5.2, 0.6),
        ]
        if "spondylolysis" in vertebra.findings:
            # The pars is broken: the inferior half stays behind while the body slides forwards.
            del pillar[2]
        mass = Material(SPONGY_PER_MM * bone * 1.25, cortical, 0.55 + 0.05 * j[4])
        add_union(depth, geometry, pillar, mass, hollow=True)
        reach = w + side * (24.0 if lumbar else 16.0) * k
        end = (d + (13 if lumbar else 22) * k, up + 1, reach)
        across = [tube((d + 10 * k, up + 2, w), end, 4.8, 3.6, 1.8)]
        if vertebra.level == "L5" and patient.transitional == "lumbarised":
            # Broad transverse processes that reach the lateral mass of the sacrum.
            across += [tube((0.6 * d, 0.1 * h, w), (0.8 * d, 0.55 * h, reach), 9.0, 11.0, 1.2)]
        add_union(depth, geometry, across, Material(SPONGY_PER_MM * bone * 0.7, 0.5 * cortical, 0.4), hollow=True)
    spine = joint + 9 * k
    if lumbar:
        length = (27 if vertebra.level != "L5" else 17) * k
        droop = 0.34 * h + jitter[0, 0]
        process = [
            tube((spine, 0.14 * h, 0), (spine + length, droop - 3 * k, 0), 6.0, 8.5, 0.4),
            tube((spine + 3, 0.3 * h, 0), (spine + length - 1, droop + 4 * k, 0), 5.5, 8.0, 0.4),
        ]
    else:
        process = [tube((spine, 0.1 * h, 0), (spine + 26 * k, 0.1 * h + 20 * k, 0), 5.5, 4.5, 0.5)]
    add_union(depth, geometry, process, Material(SPONGY_PER_MM * bone, cortical, 0.55), hollow=True)


def bears_ribs(vertebra: Vertebra, patient: Patient) -> bool:
    """Whether a body has ribs: the thoracic ones, shifted by one where a transitional vertebra shifts the count.

    Every other patient with a transitional vertebra has his ribs where the count says.
    """
    shift = {"sacralised": 1, "lumbarised": -1}.get(patient.transitional, 0) * (patient.seed % 2)
    return vertebra.label <= LABEL_OF_LEVEL["T12"] + shift


def add_ribs(
    depth: FloatArray, geometry: Geometry, patient: Patient, vertebra: Vertebra, rng: np.random.Generator
) -> None:
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


def add_disc(depth: FloatArray, geometry: Geometry, vertebra: Vertebra, rng: np.random.Generator) -> None:
    """Add the disc below a body: fibrous cartilage, a little denser than the fat and muscle around it."""
    low = 0.5 * (vertebra.corners_mm[2][1] + vertebra.corners_mm[3][1])
    size = (0.52 * vertebra.depth_mm, 5.5, 0.5 * vertebra.width_mm)
    cartilage = Material(0.0016 * float(rng.uniform(0.3, 1.2)))
    add_ellipsoid(depth, geometry, vertebra.to_world(0.0, low + 2.5), size, -vertebra.tilt_rad, cartilage)


def add_disc_vacuum(depth: FloatArray, geometry: Geometry, vertebra: Vertebra) -> None:
    """Take out the gas of a worn disc below a body: a thin dark gap."""
    low = 0.5 * (vertebra.corners_mm[2][1] + vertebra.corners_mm[3][1])
    centre = vertebra.to_world(0.0, low + 2.0)
    size = (0.3 * vertebra.depth_mm, 1.1, 10.0)
    add_ellipsoid(depth, geometry, centre, size, -vertebra.tilt_rad, Material(-0.0195))
