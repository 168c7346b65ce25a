"""Smooth random fields and the enlargement of coarse maps."""

from __future__ import annotations

import numpy as np

from cmnet_monai.synthetic.projection import FloatArray, Rng

WATER_PER_MM = 0.0195
"""Attenuation of soft tissue, effective for a lumbar radiograph's filtered beam."""


def smooth_noise(shape: tuple[int, int], scale: float, rng: Rng, anisotropy: float = 1.0) -> FloatArray:
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
