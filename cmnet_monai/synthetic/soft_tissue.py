"""Everything that is not bone: trunk, buttocks, lungs and diaphragm, bowel gas, fat and muscle planes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage

from cmnet_monai.synthetic.bodies import Patient
from cmnet_monai.synthetic.fields import WATER_PER_MM, smooth_noise, upsample
from cmnet_monai.synthetic.pelvis import hip_centre
from cmnet_monai.synthetic.projection import (
    Array,
    FloatArray,
    Geometry,
    Material,
    Point3,
    Rng,
    Tube,
    add_tube,
    add_union,
)
from cmnet_monai.synthetic.vertebra import CORTICAL_PER_MM, SPONGY_PER_MM

_COARSE = 4

_STEP = 3
_WALL_MM = 22.0


def _skin(patient: Patient, y: Array, rng: Rng) -> tuple[Array, ...]:
    """Anterior and posterior skin and half width for rows ``y`` (world mm)."""
    spine = sorted((v.centre_mm[1], v.centre_mm[0]) for v in patient.vertebrae + patient.sacrum[:3])
    ys, xs = np.array([p[0] for p in spine]), np.array([p[1] for p in spine])
    axis = np.interp(y, ys, xs)
    axis = ndimage.gaussian_filter1d(axis, 25.0 / max(y[1] - y[0], 1e-3), mode="nearest")
    hip_x, hip_y, _ = hip_centre(patient)
    s1_y = patient.sacrum[0].centre_mm[1]
    l3 = next(v for v in patient.vertebrae if v.level == "L3").centre_mm
    sag = rng.uniform(0, 0.35)
    anterior = l3[0] - patient.belly_mm - sag * 60 * np.exp(-(((y - l3[1] - 50) / 60) ** 2))
    anterior = anterior + 12 * np.sin((y - l3[1]) / 90 + rng.uniform(0, 6.28))
    to_hip = 1 / (1 + np.exp(-(y - (hip_y - 25)) / 18))
    anterior = anterior * (1 - to_hip) + (hip_x - rng.uniform(70, 105)) * to_hip
    buttock = rng.uniform(0, 30) * np.exp(-(((y - (0.4 * s1_y + 0.6 * hip_y)) / 75) ** 2))
    # Above T9 chest and back follow the spine more closely.
    t9 = next(v for v in patient.vertebrae if v.level == "T9").centre_mm
    chest = 1 / (1 + np.exp(np.clip((y - t9[1]) / 28, -40, 40)))
    anterior = anterior * (1 - chest) + (0.5 * axis + 0.5 * t9[0] - rng.uniform(120, 160)) * chest
    straight = 0.6 * axis + 0.4 * axis.mean()
    posterior = straight + patient.back_mm + buttock
    posterior = posterior * (1 - chest) + (axis + rng.uniform(58, 78)) * chest
    # Over the sacrum there is little but skin and fat.
    over = 1 / (1 + np.exp(np.clip(-(y - s1_y) / 18, -40, 40)))
    sacral = patient.sacrum[2].centre_mm[0] + rng.uniform(50, 95) + buttock
    posterior = posterior * (1 - over) + np.minimum(posterior, sacral) * over
    to_thigh = 1 / (1 + np.exp(-(y - (hip_y + 45)) / 22))
    posterior = posterior * (1 - to_thigh) + np.minimum(posterior, hip_x + 110) * to_thigh
    half = 0.5 * patient.width_mm * (1 + rng.uniform(0.08, 0.35) / (1 + np.exp(-(y - s1_y) / 30)))
    waist = rng.uniform(0.0, 0.14)
    half = half * (1 - waist * np.exp(-(((y - l3[1]) / 70) ** 2)))
    return anterior, posterior, half


def add_trunk(depth: FloatArray, geometry: Geometry, patient: Patient, rng: Rng) -> None:
    """Add the trunk's soft tissue: an elliptical cross section whose borders follow spine, belly and buttocks."""
    z = patient.vertebrae[-1].centre_mm[2]
    scale = geometry.magnification(z)
    nx, ny = geometry.shape[0] // _COARSE + 2, geometry.shape[1] // _COARSE + 2
    cx, cy = geometry.central_xy_mm
    x = (np.linspace(0, geometry.shape[0] - 1, nx) * geometry.spacing_mm - cx) / scale + cx
    y = (np.linspace(0, geometry.shape[1] - 1, ny) * geometry.spacing_mm - cy) / scale + cy
    anterior, posterior, half = _skin(patient, y, rng)
    middle, reach = 0.5 * (anterior + posterior), 0.5 * (posterior - anterior)
    u = np.abs(x[:, None] - middle[None, :]) / reach[None, :]
    # The trunk is boxy before the spine; behind the sacrum it thins out towards the cleft.
    power, behind = rng.uniform(2.3, 3.4), rng.uniform(1.2, 2.2)
    below = 1 / (1 + np.exp(np.clip((patient.sacrum[0].centre_mm[1] - y) / 20, -40, 40)))
    rows = np.where(x[:, None] > middle[None, :], power + (behind - power) * below[None, :], power)
    thickness = 2 * half[None, :] * np.maximum(1 - u**rows, 0) ** (1 / rows)
    water = thickness * WATER_PER_MM
    # Muscles and organs against fat: broad differences of a few per cent.
    water += _muscle(patient, x, y) * WATER_PER_MM * rng.uniform(0.0, 1.0)
    water *= 1 + 0.018 * smooth_noise((nx, ny), 60.0 / (_COARSE * geometry.spacing_mm), rng)
    fine = upsample(water.astype(np.float32), geometry.shape)
    depth += fine
    inside = np.clip(fine / 1.5, 0, 1)
    depth += inside * _texture(geometry.shape, geometry.spacing_mm, rng)
    add_lungs(depth, geometry, patient, thickness.astype(np.float32), posterior.astype(np.float32), rng)
    _add_gas(depth, geometry, patient, fine, rng)


def _muscle(patient: Patient, x: Array, y: Array) -> Array:
    """Extra path through psoas and erector muscles along the spine over the fat around them, mm of water, (n, m)."""
    spine = np.array([(v.centre_mm[1], v.centre_mm[0]) for v in patient.vertebrae + patient.sacrum[:1]])
    u = x[:, None] - np.interp(y, spine[:, 0], spine[:, 1])[None, :]
    return 14.0 * np.exp(-(((u + 9) / 34) ** 4)) + 9.0 * np.exp(-(((u - 52) / 24) ** 4))


def _texture(shape: tuple[int, int], spacing_mm: float, rng: Rng) -> FloatArray:
    """Fine structure of fat, muscle and bowel wall: mottle and thin septa; optical depths, mean about 0."""
    out = np.zeros(shape, np.float32)
    for size, strength in ((18.0, 0.03), (7.0, 0.03), (2.6, 0.018)):
        field = smooth_noise(shape, size / spacing_mm, rng, float(rng.uniform(0.5, 2.0)))
        out += field * np.float32(strength * rng.uniform(0.4, 1.6))
        if size > 5:
            width = float(rng.uniform(0.06, 0.2))
            septa = np.maximum(1 - np.abs(field - np.float32(rng.normal(0, 0.5))) * np.float32(1 / width), 0)
            out += septa * np.float32(rng.uniform(-0.02, 0.035))
    return out


def _add_gas(depth: FloatArray, geometry: Geometry, patient: Patient, water: FloatArray, rng: Rng) -> None:
    """Take bowel gas out: bubbles in clusters before the spine, and in the rectum."""
    l3 = next(v for v in patient.vertebrae if v.level == "L3").centre_mm
    s3 = patient.sacrum[2].centre_mm
    hip = hip_centre(patient)
    places: list[tuple[float, float, float, float]] = []
    for _ in range(int(rng.integers(2, 9))):
        at = (l3[0] - rng.uniform(2, 110), l3[1] + rng.uniform(-110, 110))
        places += [
            (at[0] + rng.normal(0, 24), at[1] + rng.normal(0, 20), float(rng.uniform(3, 13)), 12.0)
            for _ in range(int(rng.integers(2, 14)))
        ]
    for _ in range(int(rng.integers(0, 4))):
        mix = rng.uniform(0.2, 0.8)
        spot = (s3[0] * (1 - mix) + hip[0] * mix + rng.normal(0, 15), s3[1] * (1 - mix) + hip[1] * mix)
        places.append((spot[0], spot[1] + rng.normal(0, 15), float(rng.uniform(7, 19)), 26.0))
    _add_stool(depth, geometry, (l3[0], l3[1], l3[2]), rng)
    warp = smooth_noise(geometry.shape, 8.0 / geometry.spacing_mm, rng)
    strength = rng.uniform(0.4, 1.2)
    for x, y, radius, _ in places:
        px, py, scale = geometry.to_detector_mm((float(x), float(y), l3[2] + float(rng.uniform(-60, 60))))
        r = radius * scale
        window = geometry.window(px - 1.6 * r, px + 1.6 * r, py - 1.6 * r, py + 1.6 * r)
        if window is None:
            continue
        gx, gy = geometry.axes_mm(window)
        squash, uneven = rng.uniform(0.55, 1.4), np.float32(rng.uniform(0.12, 0.5))
        u = ((gx - px) / r) ** 2 * squash + ((gy - py) / r) ** 2 / squash + uneven * warp[window]
        chord = np.sqrt(np.maximum(1 - u, 0))
        length = np.minimum(2 * radius * rng.uniform(0.6, 1.3), 34.0) * strength
        depth[window] -= np.minimum(chord * np.float32(length * WATER_PER_MM), 0.5 * np.maximum(water[window], 0))


def _add_stool(depth: FloatArray, geometry: Geometry, l3: Point3, rng: Rng) -> None:
    """Mottle patches of the colon with small bubbles of gas."""
    for _ in range(int(rng.integers(0, 4))):
        x, y, scale = geometry.to_detector_mm((l3[0] - rng.uniform(-10, 90), l3[1] + rng.uniform(-70, 130), l3[2]))
        reach = float(rng.uniform(18, 45)) * scale
        window = geometry.window(x - reach, x + reach, y - reach, y + reach)
        if window is None:
            continue
        gx, gy = geometry.axes_mm(window)
        patch = np.maximum(1 - ((gx - x) ** 2 + (gy - y) ** 2) / reach**2, 0)
        shape = (patch.shape[0], patch.shape[1])
        spots = np.clip(smooth_noise(shape, float(rng.uniform(2.5, 5.0)) / geometry.spacing_mm, rng), 0, 2)
        depth[window] -= patch * spots * np.float32(rng.uniform(0.04, 0.2))


def add_lungs(
    depth: FloatArray,
    geometry: Geometry,
    patient: Patient,
    thickness_mm: FloatArray,
    posterior_mm: FloatArray,
    rng: Rng,
) -> None:
    """Take the air of both lungs out of a map of optical depths, (x, y), in place.

    Each lung ends below in a dome that falls off steeply to the sulcus behind the spine; its path grows like that
    through a sphere above the dome's edge, which makes the edge sharp.

    Args:
        thickness_mm: the trunk's thickness along the rays on a coarse grid that spans the detector, (n, m).
        posterior_mm: position of the skin of the back in the coarse grid's rows, world mm, (m,).
    """
    t12 = next(v for v in patient.vertebrae if v.level == "T12")
    base = t12.centre_mm[1] - (patient.diaphragm - 0.5) * 31.0 * patient.size
    scale = geometry.magnification(t12.centre_mm[2])
    (cx, cy), (nx, ny) = geometry.central_xy_mm, geometry.shape
    lowest = int(((base + 165 - cy) * scale + cy) / geometry.spacing_mm)
    ny = min(max(lowest, 0), ny)
    if ny < 2 * _STEP:
        return
    x = (np.arange(0, nx + _STEP, _STEP, dtype=np.float32) * np.float32(geometry.spacing_mm) - cx) / scale + cx
    y = (np.arange(0, ny + _STEP, _STEP, dtype=np.float32) * np.float32(geometry.spacing_mm) - cy) / scale + cy
    rows = np.minimum(
        np.arange(len(y)) * _STEP * (thickness_mm.shape[1] - 1) / geometry.shape[1], posterior_mm.size - 1
    )
    columns = np.minimum(np.arange(len(x)) * _STEP * (thickness_mm.shape[0] - 1) / nx, thickness_mm.shape[0] - 1)
    trunk = thickness_mm[np.rint(columns).astype(int)][:, np.rint(rows).astype(int)]
    back = np.interp(rows, np.arange(posterior_mm.size), posterior_mm).astype(np.float32)
    spine = np.interp(y, [v.centre_mm[1] for v in patient.vertebrae], [v.centre_mm[0] for v in patient.vertebrae])
    u = x[:, None] - spine[None, :].astype(np.float32)
    half = np.maximum(0.5 * trunk - np.float32(_WALL_MM + rng.uniform(16, 26)), 0)
    behind = np.clip((back[None, :] - np.float32(rng.uniform(24, 36)) - x[:, None]) / 26, 0, 1) ** 0.5
    filled = WATER_PER_MM * float(rng.uniform(0.45, 0.78))
    air = np.zeros(u.shape, np.float32)
    for side in range(2):
        edge, slope = float(rng.uniform(48, 66)), np.float32(rng.uniform(0.05, 0.3))
        dome = base + _dome(u, edge, rng) + np.float32(rng.normal(0, 9))
        above = np.maximum(dome - y[None, :], 0)
        path = np.sqrt(above * (2 * np.float32(rng.uniform(55, 95)) + above))
        path = (
            np.minimum(path, half)
            * behind
            * np.clip((edge + 3 - slope * np.maximum(y - base, 0) - u) * np.float32(1 / 7), 0, 1)
        )
        if side:
            path *= _beside_heart(u, y - base, rng)
        air += path * np.float32(filled)
    most = np.float32(rng.uniform(1.1, 3.2))
    air = most * np.tanh(air / most)
    fine = upsample(air, (nx, ny))
    depth[:, :ny] -= fine * (1 - _vessels((nx, ny), geometry.spacing_mm, rng))


def _dome(u: FloatArray, edge_mm: float, rng: Rng) -> FloatArray:
    """Depth of a diaphragm dome in mm below its top, by distance behind the spine's axis; it ends at ``edge_mm``."""
    top = np.float32(-rng.uniform(30, 75))
    sulcus = np.float32(rng.uniform(55, 110))
    back = np.clip((u - top) / (np.float32(edge_mm) - top), 0, 1.02) ** np.float32(rng.uniform(2.0, 3.2))
    front = np.clip((top - u) / 100, 0, 1.2) ** 2 * np.float32(rng.uniform(15, 60))
    return np.asarray(back * sulcus + front, dtype=np.float32)


def _beside_heart(u: FloatArray, below_mm: FloatArray, rng: Rng) -> FloatArray:
    """Share of a lung's path that the heart leaves, by position."""
    wide, high = float(rng.uniform(42, 62)), float(rng.uniform(38, 55))
    at = -float(rng.uniform(70, 110)), -float(rng.uniform(30, 55))
    r2 = ((u - at[0]) / wide) ** 2 + ((below_mm[None, :] - at[1]) / high) ** 2
    return np.asarray(1 - 0.65 * np.sqrt(np.clip(1 - r2, 0, 1)), dtype=np.float32)


def add_shoulders(depth: FloatArray, geometry: Geometry, patient: Patient, rng: Rng) -> None:
    """Add the shoulders over T1 to T4, the raised arms before them, and take out the air of the windpipe."""
    by_level = {v.level: v for v in patient.vertebrae}
    x, y, z = by_level["T2"].centre_mm
    k = patient.size
    lift = float(rng.normal(-5, 22))
    bone = Material(SPONGY_PER_MM * patient.bone * 0.8, CORTICAL_PER_MM * patient.cortex, 2.0)
    soft = Material(WATER_PER_MM * float(rng.uniform(0.35, 0.7)))
    raised = float(rng.uniform(0.5, 1.6))
    for side in (-1.0, 1.0):
        joint = (x - float(rng.uniform(0, 30)), y + lift + float(rng.normal(0, 10)), z + side * 150 * k)
        elbow = (joint[0] - 230 * float(np.sin(raised)), joint[1] - 120 * float(np.cos(raised)), joint[2])
        add_tube(depth, geometry, joint, elbow, (52.0, 38.0), soft)
        add_union(depth, geometry, [Tube(joint, elbow, (20.0 * k, 12.0 * k))], bone, hollow=True)
        # The shoulder blade, seen along its plane: a long thin dense stripe behind the spine.
        blade = (joint[0] + 55 * k, joint[1] + 20, joint[2] * 0.3 + 0.7 * (z + side * 110))
        tip = (x + float(rng.uniform(15, 60)), y + lift + 130 * k, z + side * 95)
        add_tube(
            depth, geometry, blade, tip, (4.0, 2.5), Material(CORTICAL_PER_MM), flatness=float(rng.uniform(0.6, 2))
        )
    windpipe = [body.to_world(-body.depth_mm - 14.0, 0.0) for body in patient.vertebrae[:5:2]]
    for p, q in pairwise(windpipe):
        add_tube(depth, geometry, p, q, (8.5 * k, 8.5 * k), Material(-0.8 * WATER_PER_MM))


def _vessels(shape: tuple[int, int], spacing_mm: float, rng: Rng) -> FloatArray:
    """Lung markings: thin branching lines, as the zero crossings of smooth random fields; relative, 0 to about 0.3."""
    lines = np.zeros(shape, np.float32)
    for size, width in ((26.0, 0.10), (12.0, 0.16)):
        field = smooth_noise(shape, size / spacing_mm, rng, float(rng.uniform(0.7, 1.8)))
        # A second field breaks the lines, which would otherwise close to rings.
        share = np.clip(0.4 + 0.8 * smooth_noise(shape, 1.4 * size / spacing_mm, rng), 0, 1)
        lines += share * np.maximum(1 - np.abs(field) * np.float32(1 / width), 0)
    fog = smooth_noise(shape, 9.0 / spacing_mm, rng, 1.4)
    return np.asarray(lines * np.float32(rng.uniform(0.02, 0.10)) + fog * np.float32(0.03), dtype=np.float32)
