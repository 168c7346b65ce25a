"""The sacrum on the film: fused bodies, pelvic surface, canal, lateral masses and sacro-iliac joints."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.interpolate import CubicSpline

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.synthetic.bodies import Patient, SacrumLook, Vertebra
from cmnet_monai.synthetic.fields import smooth_noise
from cmnet_monai.synthetic.projection import (
    Array,
    Corners,
    FloatArray,
    Geometry,
    Material,
    Rng,
    Tube,
    add_curve,
    add_ellipsoid,
    add_plate,
    add_union,
)
from cmnet_monai.synthetic.vertebra import CORTICAL_PER_MM, SPONGY_PER_MM, add_body

SEGMENTS = 6
"""S1 to S5, and the coccyx as one piece."""

_DEPTH_MM = (34.5, 20.5, 16.0, 13.0, 10.5, 8.5, 6.5)
_HEIGHT_MM = (27.5, 23.5, 20.0, 17.0, 15.0, 24.0)
_WIDTH_MM = (50.0, 42.0, 34.0, 28.0, 22.0, 12.0)


def add_sacrum(depth: FloatArray, geometry: Geometry, patient: Patient, slices: int, rng: Rng) -> None:
    """Add S1 to the coccyx to a map of optical depths, (x, y), in place."""
    spots = [geometry.to_detector_mm(segment.centre_mm) for segment in patient.sacrum]
    xs, ys = [spot[0] for spot in spots], [spot[1] for spot in spots]
    window = geometry.window(min(xs) - 90.0, max(xs) + 75.0, min(ys) - 70.0, max(ys) + 60.0)
    if window is None:
        return
    near, shift = geometry.crop(window)
    moved = tuple(
        replace(v, centre_mm=(v.centre_mm[0] - shift[0], v.centre_mm[1] - shift[1], v.centre_mm[2]))
        for v in patient.sacrum
    )
    patient = replace(patient, sacrum=moved)
    bone = np.zeros(near.shape, np.float32)
    _add_bodies(bone, near, patient, slices, rng)
    _add_front(bone, near, patient, rng)
    _add_canal(bone, near, patient, rng)
    for side in (-1.0, 1.0):
        _add_wing(bone, near, patient, side, rng)
        _add_joint(bone, near, patient, side, rng)
        _add_foramina(bone, near, patient, side, rng)
    _add_facets(bone, near, patient, rng)
    # Coarse trabeculae and the rough dorsal surface, over a few millimetres.
    for size in (1.6, 4.0):
        rough = smooth_noise(near.shape, size / near.spacing_mm, rng, float(rng.uniform(0.7, 1.4)))
        bone *= np.maximum(1 + np.float32(rng.uniform(0.04, 0.2)) * rough, 0)
    depth[window] += bone


def _add_bodies(depth: FloatArray, geometry: Geometry, patient: Patient, slices: int, rng: Rng) -> None:
    """Add the bodies: S1 with its own upper end plate, the others fused, their discs more or less gone."""
    look = patient.sacrum_look
    for i, segment in enumerate(patient.sacrum):
        fade = max(0.55 - 0.06 * i, 0.3)
        upper = 1.2 * look.table if i == 0 else (*look.remnants, 0.8)[i - 1] * 0.8
        lower = (*look.remnants, 0.8, 0.3)[i] * 0.8
        cortex = patient.cortex * (0.9 if i == 0 else 0.75)
        wall = 0.5 if i > 2 else 0.2
        count = max(slices - 4 * i, 10)
        add_body(depth, geometry, segment, patient.bone * fade, cortex, count, rng, (upper, lower), wall)


def _add_front(depth: FloatArray, geometry: Geometry, patient: Patient, rng: Rng) -> None:
    """Add the pelvic surface: one continuous dense line, faint before S1 and sharp from S2 to S5."""
    look, k = patient.sacrum_look, patient.size
    cortical = CORTICAL_PER_MM * patient.cortex * look.front
    s1 = patient.sacrum[0]
    (a0, s0), _, _, (a3, s3) = s1.corners_mm
    promontory = [s1.to_world(a0 + 0.8, s0 + 1.5), s1.to_world(0.5 * (a0 + a3) + 2.2, 0.5 * (s0 + s3))]
    knots = [s1.to_world(a3, s3), *(s.to_world(*s.corners_mm[3]) for s in patient.sacrum[1:5])]
    line = Material(cortical)
    width = float(rng.uniform(0.6, 1.1)) * k
    thin = float(rng.uniform(0.3, 0.9))
    add_curve(depth, geometry, [*promontory, knots[0]], (width, width), line, (2.5 * thin, 6.0 * thin), rng, 8)
    long = float(rng.uniform(10.0, 26.0))
    add_curve(depth, geometry, knots, (width, 0.9 * width), line, (long, 0.5 * long), rng, 26)


def _add_canal(depth: FloatArray, geometry: Geometry, patient: Patient, rng: Rng) -> None:
    """Add the walls of the sacral canal and the median crest behind it."""
    look, k = patient.sacrum_look, patient.size
    cortical = CORTICAL_PER_MM * patient.cortex * look.dorsal
    bodies = patient.sacrum[:5]
    width = float(rng.uniform(13, 20)) * k
    share = np.array([1.0, 0.92, 0.75, 0.55, 0.3])
    front, back, bumps = [], [], []
    for i, segment in enumerate(bodies):
        d = segment.corners_mm[1][0]
        front.append(segment.to_world(d - 0.5, 0.0))
        back.append(segment.to_world(d + width * float(share[i]) + float(rng.normal(0, 0.8)), -0.1 * segment.height_mm))
        reach = float(rng.uniform(3, 9)) * k * float(share[i])
        tip = segment.to_world(d + width * float(share[i]) + reach, float(rng.uniform(0.0, 0.3)) * segment.height_mm)
        bumps.append(Tube(back[-1], tip, (4.6 * k * float(share[i]) + 1, 3.2 * k * float(share[i]) + 1), 0.7))
    last = patient.sacrum[5]
    back.append(last.to_world(0.5 * last.depth_mm, 0.2 * last.height_mm))
    sheet = float(rng.uniform(5.0, 20.0))
    add_curve(depth, geometry, front, (0.8, 0.6), Material(0.7 * cortical), (sheet, 0.5 * sheet), rng, 16)
    radius = float(rng.uniform(0.7, 1.4))
    add_curve(depth, geometry, back, (radius, 0.7 * radius), Material(cortical), (sheet, 0.4 * sheet), rng, 22)
    spongy = SPONGY_PER_MM * (0.5 + 0.5 * patient.bone)
    add_union(depth, geometry, bumps, Material(spongy, cortical, 0.8), hollow=True)
    mass = [Tube(p, q, (6.0 * k, 6.0 * k), 1.2) for p, q in pairwise(back[:4])]
    add_union(depth, geometry, mass, Material(spongy * 0.5, 0.35 * cortical, 0.6), hollow=True)


def _add_wing(depth: FloatArray, geometry: Geometry, patient: Patient, side: float, rng: Rng) -> None:
    """Add a lateral mass, which overlies S1 and the disc above it, and the dense line of its front border.

    The line runs from the facet over the body of S1 to the junction with S2, where the arcuate line goes on.
    """
    look, k = patient.sacrum_look, patient.size
    s1 = patient.sacrum[0]
    d, h = s1.depth_mm, s1.height_mm
    (_, s0), _, _, (a3, s3) = s1.corners_mm
    z = side * float(rng.uniform(34, 44)) * k
    lift = float(rng.normal(0.02, 0.12)) * h
    shift = rng.normal(0, 0.05, 4) * d
    # From the facet forwards over the top, down the front border, along the joint and back.
    rim = np.array(
        [
            (0.62 * d + shift[0], -0.30 * h + lift),
            (0.30 * d + shift[1], -0.62 * h + lift),
            (0.02 * d + shift[2], -0.50 * h + lift),
            (-0.16 * d + shift[3], 0.02 * h),
            (a3 + 0.10 * d, s3 - 0.05 * h),
            (a3 + 0.20 * d, s3 + 0.85 * h),
            (0.15 * d, s3 + 1.9 * h * float(rng.uniform(0.8, 1.2))),
            (0.75 * d, s3 + 0.9 * h),
            (0.95 * d, 0.35 * h),
        ]
    )
    world = np.array([s1.to_world(float(a), float(s), z) for a, s in rim])
    closed = np.vstack([world, world[:1]])
    smooth = CubicSpline(np.arange(len(closed)), closed, bc_type="periodic")(np.linspace(0, len(world), 70)[:-1])
    spongy = SPONGY_PER_MM * (0.4 + 0.6 * patient.bone) * look.wing
    cortical = CORTICAL_PER_MM * patient.cortex * look.wing
    thickness = (float(rng.uniform(14, 26)) * k, float(rng.uniform(2, 8)), float(rng.uniform(4, 9)))
    add_plate(depth, geometry, smooth[:, :2], smooth[:, 2], thickness, Material(spongy, 0.0, 0.8), rng)
    start = (float(rng.uniform(0.05, 0.42)) * d, s0 + float(rng.uniform(-0.12, 0.1)) * h)
    bend = (0.5 * (start[0] + a3) + float(rng.normal(0.03, 0.06)) * d, 0.5 * (start[1] + s3))
    points = [
        s1.to_world(*start, z),
        s1.to_world(*bend, z * 1.05),
        s1.to_world(a3 + float(rng.normal(0.02, 0.05)) * d, s3 + float(rng.normal(0, 0.08)) * h, z * 1.15),
    ]
    radius = float(rng.uniform(0.7, 1.7))
    flat = float(rng.uniform(3.0, 9.0))
    add_curve(depth, geometry, points, (radius, 1.2 * radius), Material(cortical), (flat, flat), rng, 10)


def _add_joint(depth: FloatArray, geometry: Geometry, patient: Patient, side: float, rng: Rng) -> None:
    """Add the dense lines of a sacro-iliac joint: an ear-shaped arc over S1 to S3, and short irregular ridges."""
    s1 = patient.sacrum[0]
    d, h = s1.depth_mm, s1.height_mm
    cortical = CORTICAL_PER_MM * patient.cortex
    for _ in range(int(rng.integers(1, 4))):
        z = side * float(rng.uniform(42, 60))
        start = np.array([rng.uniform(-0.1, 0.9) * d, rng.uniform(-0.4, 0.5) * h])
        heading, bend = rng.uniform(0.3, 2.2), rng.normal(0, 0.9)
        t = np.linspace(0, 1, 6)
        length = rng.uniform(14, 62)
        angles = heading + bend * t
        path = start + np.cumsum(np.stack([np.cos(angles), np.sin(angles)], axis=1) * length / 6, axis=0)
        points = [s1.to_world(float(p[0]), float(p[1]), z) for p in path]
        radius = float(rng.uniform(0.5, 1.8))
        ridge = Material(cortical * float(rng.uniform(0.2, 0.9)))
        add_curve(depth, geometry, points, (radius, 0.7 * radius), ridge, (4.0, 2.0), rng, 8)


def _add_foramina(depth: FloatArray, geometry: Geometry, patient: Patient, side: float, rng: Rng) -> None:
    """Take the foramina of S1 to S4 out of a lateral mass: dark gaps with a dense lower border."""
    strength = float(rng.choice([0.0, rng.uniform(0.3, 1.0)], p=[0.35, 0.65]))
    cortical = CORTICAL_PER_MM * patient.cortex * strength
    for i, segment in enumerate(patient.sacrum[:4]):
        size = (5.5 - 0.7 * i) * patient.size
        a = 0.5 * segment.depth_mm * float(rng.uniform(-0.5, 0.9))
        centre = segment.to_world(a, 0.5 * segment.height_mm + float(rng.normal(0, 1.5)), side * 18.0)
        hole = Material(-SPONGY_PER_MM * patient.bone * strength, 0.4 * cortical, 0.8)
        axes = (size * float(rng.uniform(0.8, 1.6)), size * 0.8, 7.0)
        add_ellipsoid(depth, geometry, centre, axes, -segment.tilt_rad + float(rng.normal(0, 0.4)), hole)


def _add_facets(depth: FloatArray, geometry: Geometry, patient: Patient, rng: Rng) -> None:
    """Add S1's superior articular processes, which meet L5's."""
    s1: Vertebra = patient.sacrum[0]
    k, d, h = patient.size, s1.corners_mm[1][0], s1.height_mm
    dense = Material(SPONGY_PER_MM * (0.5 + 0.5 * patient.bone) * 0.8, CORTICAL_PER_MM * patient.cortex, 0.9)
    for side in (-16.0 * k, 16.0 * k):
        lean = float(rng.normal(0, 1.5))
        start, end = (
            s1.to_world(d + 6 * k, -0.1 * h, side),
            s1.to_world(d + 11 * k + lean, -0.5 * h - 9 * k, side * 1.1),
        )
        parts = [
            Tube(start, end, (6.5 * k, 4.2 * k), 1.3),
            Tube(s1.to_world(d - 3, 0.0, side), start, (8 * k, 7 * k), 0.8),
        ]
        add_union(depth, geometry, parts, dense, hollow=True)


def _curve_deg(rng: Rng) -> Array:
    """Tilt of each segment relative to the sacral slope; positive runs backwards."""
    steps = (
        rng.normal(3, 5),
        rng.normal(13, 8),
        rng.normal(-3, 8),
        -abs(rng.normal(17, 11)),
        -abs(rng.normal(22, 13)),
        -abs(rng.normal(20, 22)),
    )
    return np.asarray(np.cumsum(steps), dtype=np.float64)


def random_look(rng: Rng, transitional: str = "") -> SacrumLook:
    """Draw how clearly the parts of a sacrum show; a sacralised segment has a clear remnant disc below it."""
    clear = float(rng.choice([0.0, 0.25, 0.6, 1.0], p=[0.2, 0.3, 0.3, 0.2]))
    if transitional == "sacralised":
        clear = 1.0
    remnants = clear * rng.uniform(0.7, 1.2), *(rng.uniform(0.0, 0.6, 3) * rng.choice([0.3, 1.0]))
    faint = float(rng.choice([1.0, rng.uniform(0.2, 0.6)], p=[0.75, 0.25]))
    return SacrumLook(
        remnants=tuple(float(v) for v in remnants),  # type: ignore[arg-type]
        front=faint * float(rng.uniform(0.5, 1.3)),
        dorsal=faint * float(rng.uniform(0.4, 1.2)),
        wing=float(rng.uniform(0.25, 1.1)),
        table=float(rng.choice([1.0, rng.uniform(0.2, 0.7)], p=[0.75, 0.25])) * float(rng.uniform(0.7, 1.1)),
    )


def random_sacrum(
    rng: Rng, sacral_slope: float, size: float, transitional: str = "", domed: bool = False
) -> tuple[Vertebra, ...]:
    """Draw S1 to S5 and a coccyx along the sacral curve, the middle of S1's upper end plate at the origin.

    Args:
        sacral_slope: tilt of S1's upper end plate in degrees.
        size: scale of the skeleton.
        transitional: "sacralised" squares S1 and opens the disc below it.
        domed: round off S1's upper end plate, as under a high-grade slip.
    """
    tilts = np.deg2rad(sacral_slope + _curve_deg(rng))
    depths = np.array(_DEPTH_MM) * size * rng.uniform(0.93, 1.07) * rng.uniform(0.96, 1.04, len(_DEPTH_MM))
    heights = np.array(_HEIGHT_MM) * size * rng.uniform(0.9, 1.1, SEGMENTS)
    widths = np.array(_WIDTH_MM) * size
    gaps = np.array([0.0, rng.choice([0.0, rng.uniform(0.5, 4.0)]), *rng.uniform(0.0, 1.2, 3), rng.uniform(0.3, 2.0)])
    taper = float(rng.uniform(0.86, 1.2))
    if transitional == "sacralised":
        depths[1:3] *= (1.35, 1.1)
        gaps[1] = rng.uniform(2.0, 5.0)
        taper = 0.95
    lean = float(rng.uniform(-0.03, 0.15))
    x = y = 0.0
    out = []
    for i in range(SEGMENTS):
        tilt, h = float(tilts[i]), float(heights[i])
        x, y = x + gaps[i] * np.sin(tilt), y + gaps[i] * np.cos(tilt)
        corners = _corners(i, h, depths, taper, lean, float(tilts[0]) - np.deg2rad(sacral_slope))
        cx, cy = x + 0.5 * h * np.sin(tilt), y + 0.5 * h * np.cos(tilt)
        plain = (float(rng.uniform(0.2, 1.8)), 0.3)
        out.append(
            Vertebra(
                level=f"S{i + 1}",
                label=LABEL_OF_LEVEL["S1"] if i == 0 else 0,
                centre_mm=(float(cx), float(cy), 0.0),
                tilt_rad=tilt,
                axial_rad=0.0,
                lateral_rad=float(rng.normal(0, 0.02)) if i == 0 else 0.0,
                corners_mm=corners,
                bowl_mm=(float(rng.uniform(-4.0, -1.5)), 0.3) if domed and i == 0 else plain,
                fracture_bowl_mm=(0.0, 0.0),
                waist_mm=(float(rng.uniform(0.6, 2.2)), 0.3),
                width_mm=float(widths[i]),
            )
        )
        middle = 0.5 * (corners[2][0] + corners[3][0])
        x = cx + 0.5 * h * np.sin(tilt) + middle * np.cos(tilt)
        y = cy + 0.5 * h * np.cos(tilt) - middle * np.sin(tilt)
    return tuple(out)


def _corners(i: int, height: float, depths: Array, taper: float, lean: float, table: float) -> Corners:
    """Body corners of segment ``i``; S1 has its upper end plate turned back by ``table`` and tapers strongly."""
    back = 0.5 * float(depths[i])
    if i > 0:
        low_post = back - 0.1 * float(depths[i])
        low_ant = low_post - 1.05 * float(depths[i + 1])
        return (-back, -0.5 * height), (back, -0.5 * height), (low_post, 0.5 * height), (low_ant, 0.5 * height)
    low_post = back - lean * float(depths[0])
    low_ant = low_post - float(depths[1]) / taper
    # The plate keeps the sacral slope while the body's axis leans further back.
    drop = back * float(np.tan(table))
    return (
        (-back, -0.5 * height - drop),
        (back, -0.5 * height + drop),
        (low_post, 0.34 * height),
        (low_ant, 0.58 * height),
    )
