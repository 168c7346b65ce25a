"""Lungs above the diaphragm, with vessels and heart, and the shoulders."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from cmnet_monai.synthetic.bodies import Patient
from cmnet_monai.synthetic.fields import WATER_PER_MM, smooth_noise, upsample
from cmnet_monai.synthetic.projection import FloatArray, Geometry, Material, Tube, add_tube, add_union
from cmnet_monai.synthetic.vertebra import CORTICAL_PER_MM, SPONGY_PER_MM

_STEP = 3
_WALL_MM = 22.0


def add_lungs(
    depth: FloatArray,
    geometry: Geometry,
    patient: Patient,
    thickness_mm: FloatArray,
    posterior_mm: FloatArray,
    rng: np.random.Generator,
) -> None:
    """Take the air of both lungs out of a map of optical depths, (x, y), in place.

    Each lung ends below in a dome that falls off steeply to the sulcus behind the spine; its path grows like that
    through a sphere above the dome's edge, which makes the edge sharp.

    Args:
        depth: optical depths.
        geometry: source and detector.
        patient: a placed patient.
        thickness_mm: the trunk's thickness along the rays on a coarse grid that spans the detector, (n, m).
        posterior_mm: position of the skin of the back in the coarse grid's rows, world mm, (m,).
        rng: draws the domes, how much air the lungs hold, vessels and heart.
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


def _dome(u: FloatArray, edge_mm: float, rng: np.random.Generator) -> FloatArray:
    """Depth of a diaphragm dome in mm below its top, by distance behind the spine's axis; it ends at ``edge_mm``."""
    top = np.float32(-rng.uniform(30, 75))
    sulcus = np.float32(rng.uniform(55, 110))
    back = np.clip((u - top) / (np.float32(edge_mm) - top), 0, 1.02) ** np.float32(rng.uniform(2.0, 3.2))
    front = np.clip((top - u) / 100, 0, 1.2) ** 2 * np.float32(rng.uniform(15, 60))
    return np.asarray(back * sulcus + front, dtype=np.float32)


def _beside_heart(u: FloatArray, below_mm: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Share of a lung's path that the heart leaves, by position."""
    wide, high = float(rng.uniform(42, 62)), float(rng.uniform(38, 55))
    at = -float(rng.uniform(70, 110)), -float(rng.uniform(30, 55))
    r2 = ((u - at[0]) / wide) ** 2 + ((below_mm[None, :] - at[1]) / high) ** 2
    return np.asarray(1 - 0.65 * np.sqrt(np.clip(1 - r2, 0, 1)), dtype=np.float32)


def add_shoulders(depth: FloatArray, geometry: Geometry, patient: Patient, rng: np.random.Generator) -> None:
    """Add the shoulders over T1 to T4, the raised arms before them, and take out the air of the windpipe.

    Args:
        depth: optical depths, (x, y), changed in place.
        geometry: source and detector.
        patient: a placed patient.
        rng: draws how high the shoulders are and how far apart.
    """
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


def _vessels(shape: tuple[int, int], spacing_mm: float, rng: np.random.Generator) -> FloatArray:
    """Lung markings: thin branching lines, as the zero crossings of smooth random fields; relative, 0 to about 0.3."""
    lines = np.zeros(shape, np.float32)
    for size, width in ((26.0, 0.10), (12.0, 0.16)):
        field = smooth_noise(shape, size / spacing_mm, rng, float(rng.uniform(0.7, 1.8)))
        # A second field breaks the lines, which would otherwise close to rings.
        share = np.clip(0.4 + 0.8 * smooth_noise(shape, 1.4 * size / spacing_mm, rng), 0, 1)
        lines += share * np.maximum(1 - np.abs(field) * np.float32(1 / width), 0)
    fog = smooth_noise(shape, 9.0 / spacing_mm, rng, 1.4)
    return np.asarray(lines * np.float32(rng.uniform(0.02, 0.10)) + fog * np.float32(0.03), dtype=np.float32)
