"""Everything that is not bone: trunk, buttocks, lungs and diaphragm, bowel gas, fat and muscle planes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cmnet_monai.synthetic.anatomy import Patient
from cmnet_monai.synthetic.pelvis import hip_centre
from cmnet_monai.synthetic.projection import FloatArray, Geometry

WATER_PER_MM = 0.0195
"""Attenuation of soft tissue, effective for a lumbar radiograph's filtered beam."""

_COARSE = 8


def smooth_noise(shape: tuple[int, int], scale: float, rng: np.random.Generator, anisotropy: float = 1.0) -> FloatArray:
    """Smooth random field, mean 0 and standard deviation 1, features of about ``scale`` pixels."""
    coarse = (max(int(shape[0] / scale) + 4, 4), max(int(shape[1] / (scale * anisotropy)) + 4, 4))
    field = rng.standard_normal(coarse).astype(np.float32)
    out = _cubic(_cubic(field, shape[0], 0), shape[1], 1)
    return np.asarray(out / max(float(out.std()), 1e-6), dtype=np.float32)


def _cubic(knots: FloatArray, count: int, axis: int) -> FloatArray:
    """Uniform cubic B-spline through ``knots`` along an axis, at ``count`` points."""
    at = np.linspace(1, knots.shape[axis] - 2.001, count, dtype=np.float32)
    base = at.astype(np.int64)
    t = (at - base)[:, None] if axis == 0 else (at - base)[None, :]
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    out = knots.take(base - 1, axis) * weights[0]
    for shift in (0, 1, 2):
        out += knots.take(np.minimum(base + shift, knots.shape[axis] - 1), axis) * weights[shift + 1]
    return np.asarray(out * np.float32(1 / 6), dtype=np.float32)


def upsample(coarse: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Bilinear enlargement of a coarse map to ``shape``."""
    x = np.linspace(0, coarse.shape[0] - 1, shape[0], dtype=np.float32)
    y = np.linspace(0, coarse.shape[1] - 1, shape[1], dtype=np.float32)
    ix, iy = np.minimum(x.astype(int), coarse.shape[0] - 2), np.minimum(y.astype(int), coarse.shape[1] - 2)
    fx, fy = (x - ix)[:, None], (y - iy)[None, :]
    rows = coarse[ix] * (1 - fx) + coarse[ix + 1] * fx
    return np.asarray(rows[:, iy] * (1 - fy) + rows[:, iy + 1] * fy, dtype=np.float32)


def _skin(
    patient: Patient, y: npt.NDArray[np.float64], rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], ...]:
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
    buttock = rng.uniform(10, 40) * np.exp(-(((y - (0.4 * s1_y + 0.6 * hip_y)) / 75) ** 2))
    straight = 0.6 * axis + 0.4 * axis.mean()
    posterior = straight + patient.back_mm + buttock
    to_thigh = 1 / (1 + np.exp(-(y - (hip_y + 45)) / 22))
    posterior = posterior * (1 - to_thigh) + np.minimum(posterior, hip_x + 110) * to_thigh
    half = 0.5 * patient.width_mm * (1 + rng.uniform(0.08, 0.35) / (1 + np.exp(-(y - s1_y) / 30)))
    waist = rng.uniform(0.0, 0.14)
    half = half * (1 - waist * np.exp(-(((y - l3[1]) / 70) ** 2)))
    return anterior, posterior, half


def add_trunk(depth: FloatArray, geometry: Geometry, patient: Patient, rng: np.random.Generator) -> None:
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
    power = rng.uniform(2.3, 3.4)
    thickness = 2 * half[None, :] * np.maximum(1 - u**power, 0) ** (1 / power)
    water = thickness * WATER_PER_MM
    # Muscles and organs against fat: broad differences of a few per cent.
    water *= 1 + 0.025 * smooth_noise((nx, ny), 60.0 / (_COARSE * geometry.spacing_mm), rng)
    fine = upsample(water.astype(np.float32), geometry.shape)
    depth += fine
    inside = np.clip(fine / 1.5, 0, 1)
    for size, strength in ((18.0, 0.05), (7.0, 0.035), (2.6, 0.02)):
        field = smooth_noise(geometry.shape, size / geometry.spacing_mm, rng, rng.uniform(0.6, 1.6))
        depth += inside * field * np.float32(strength * rng.uniform(0.5, 2.0))
    _add_lungs(depth, geometry, patient, (x, y, thickness.astype(np.float32)), posterior, rng)
    _add_gas(depth, geometry, patient, fine, rng)


def _add_lungs(
    depth: FloatArray,
    geometry: Geometry,
    patient: Patient,
    grid: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], FloatArray],
    posterior: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    """Take the lungs' air out above two diaphragm domes that slope down to the back."""
    x, y, thickness = grid
    t12 = next(v for v in patient.vertebrae if v.level == "T12")
    pitch = 33.0 * patient.size
    base = t12.centre_mm[1] - (patient.diaphragm - 1.0) * pitch
    half = np.zeros_like(thickness)
    for _ in range(2):
        top = base + rng.normal(0, 7)
        peak = t12.centre_mm[0] - rng.uniform(45, 85)
        bulge = rng.uniform(22, 42)
        away = np.minimum(x - peak, t12.centre_mm[0] + 58 - peak) / 70.0
        dome = top + bulge * (np.where(away > 0, np.abs(away) ** rng.uniform(1.5, 2.2), 0.55 * away**2) - 0.8)
        dome = base + 62 * np.tanh((dome - base) / 62)
        below = dome[:, None] - y[None, :]
        back = np.clip((posterior[None, :] - 0.12 * np.abs(below) - rng.uniform(22, 34) - x[:, None]) / 30, 0, 1)
        path = np.clip(below / 45, 0, 1) ** 0.55 * (below > 0) * back**0.5
        half += (path * rng.uniform(0.28, 0.4)).astype(np.float32)
    air = half * thickness * np.float32(WATER_PER_MM * 0.72)
    air = np.minimum(air, 3.6)
    fine = upsample(air.astype(np.float32), geometry.shape)
    vessels = smooth_noise(geometry.shape, 9.0 / geometry.spacing_mm, rng, 1.6)
    depth -= fine * (1 + np.float32(rng.uniform(0.02, 0.07)) * vessels)


def _add_gas(
    depth: FloatArray, geometry: Geometry, patient: Patient, water: FloatArray, rng: np.random.Generator
) -> None:
    """Take bowel gas out: bubbles in clusters before the spine, and in the rectum."""
    l3 = next(v for v in patient.vertebrae if v.level == "L3").centre_mm
    s3 = patient.sacrum[2].centre_mm
    hip = hip_centre(patient)
    places: list[tuple[float, float, float, float]] = []
    for _ in range(int(rng.integers(2, 9))):
        at = (l3[0] - rng.uniform(15, 110), l3[1] + rng.uniform(-110, 110))
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
        squash = rng.uniform(0.55, 1.4)
        u = ((gx - px) / r) ** 2 * squash + ((gy - py) / r) ** 2 / squash + 0.22 * warp[window]
        chord = np.sqrt(np.maximum(1 - u, 0))
        length = np.minimum(2 * radius * rng.uniform(0.6, 1.3), 34.0) * strength
        depth[window] -= np.minimum(chord * np.float32(length * WATER_PER_MM), 0.5 * np.maximum(water[window], 0))


def _add_stool(depth: FloatArray, geometry: Geometry, l3: tuple[float, float, float], rng: np.random.Generator) -> None:
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
