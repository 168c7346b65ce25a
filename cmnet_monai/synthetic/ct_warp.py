"""Random smooth deformation of a CT and its labels, sampled on a grid that is aligned with the film.

Film coordinates of a patient who faces left are millimetres: x to posterior, y downwards, z towards the source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from cmnet_monai.synthetic.projection import Array, FloatArray, Labels, Point3, Rng

_KNOT_MM = 45.0
_NODE_MM = 6.0
_FADE_MM = 30.0
_MOST_VOXELS = 2.4e7


@dataclass(frozen=True)
class Warp:
    """Where a point of the film's frame comes from: rotation, scale, bend, random displacement, in this order.

    Args:
        rotation: film axes to the patient's, (3, 3), near to the identity: obliquity and tilt on the table.
        scale: stretch along x, y and z.
        bend_mm: shift along x and z at 100 mm above and below the middle: curvature and scoliosis.
        sway_mm: shift along x that changes sign with y.
        knots_mm: random displacement at knots 45 mm apart, (3, nx, ny, nz), the middle knot at the origin.
    """

    rotation: Array
    scale: Point3 = (1.0, 1.0, 1.0)
    bend_mm: tuple[float, float] = (0.0, 0.0)
    sway_mm: float = 0.0
    knots_mm: Array | None = None

    def source_of(self, points_mm: Array) -> Array:
        """Undeformed positions of points of the film's frame, (3, ...) in mm."""
        x, y, z = np.tensordot(self.rotation, points_mm, axes=1) / np.reshape(self.scale, (3,) + (1,) * 3)
        t = y / 100.0
        out = np.stack([x + self.bend_mm[0] * t**2 + self.sway_mm * (t**3 - t), y, z + self.bend_mm[1] * t**2])
        if self.knots_mm is not None:
            middle = (np.array(self.knots_mm.shape[1:]).reshape(3, 1, 1, 1) - 1) / 2
            at = points_mm / _KNOT_MM + middle
            out += np.stack([ndimage.map_coordinates(k, at, order=3, mode="nearest") for k in self.knots_mm])
        return out


def random_warp(rng: Rng, size_mm: Point3) -> Warp:
    """Draw a deformation for a volume of ``size_mm`` (x, y, z)."""
    angles = np.deg2rad([rng.normal(0, 2.0), rng.normal(0, 2.5), rng.normal(0, 5.0)])
    counts = [2 * int(np.ceil(0.5 * s / _KNOT_MM)) + 3 for s in size_mm]
    overall = float(rng.normal(1, 0.06))
    x, y, z = (float(np.clip(overall * rng.normal(1, 0.05), 0.8, 1.25)) for _ in range(3))
    return Warp(
        rotation=_rotation(angles),
        scale=(x, y, z),
        bend_mm=(float(rng.normal(0, 6.0)), float(rng.normal(0, 3.0))),
        sway_mm=float(rng.normal(0, 3.0)),
        knots_mm=rng.normal(0, 1, (3, *counts)) * np.array([2.2, 2.2, 1.5]).reshape(3, 1, 1, 1),
    )


def _rotation(angles_rad: Array) -> Array:
    out = np.eye(3)
    for axis, angle in enumerate(angles_rad):
        turn = np.eye(3)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        out = out @ turn
    return out


@dataclass(frozen=True)
class FilmVolume:
    """A CT on a grid aligned with the film, patient facing left.

    Args:
        hu: Hounsfield units, (x, y, z), float32; beyond the CT its border values go on.
        share: 1 inside the CT, falling smoothly to 0 within 30 mm of its borders, same shape.
        bodies: VerSe codes of the bodies, uint8, same shape.
        origin_mm: centre of voxel (0, 0, 0).
        voxel_mm: edge of a cubic voxel.
    """

    hu: FloatArray
    share: FloatArray
    bodies: Labels
    origin_mm: Point3
    voxel_mm: float


def warp_volume(hu: FloatArray, bodies: Labels, to_index: Array, box_mm: Array, warp: Warp) -> FilmVolume:
    """Sample a CT (linear) and its bodies (nearest) in the film's frame.

    Args:
        hu: Hounsfield units, (i, j, k).
        bodies: VerSe codes, same shape.
        to_index: undeformed film coordinates in mm to voxel indices, (4, 4).
        box_mm: least and greatest film coordinates to sample, (2, 3).
        warp: the deformation.
    """
    size = box_mm[1] - box_mm[0]
    voxel = max(1.0, float(np.prod(size) / _MOST_VOXELS) ** (1 / 3))
    shape = np.maximum(np.ceil(size / voxel).astype(int) + 1, 2)
    nodes = [np.linspace(0, (n - 1) * voxel, max(int(n * voxel / _NODE_MM), 1) + 1) for n in shape]
    grid = np.stack(np.meshgrid(*(o + a for o, a in zip(box_mm[0], nodes)), indexing="ij"))
    source = warp.source_of(grid)
    index = np.tensordot(to_index[:3, :3], source, axes=1) + to_index[:3, 3].reshape(3, 1, 1, 1)
    dense = functional.interpolate(
        torch.from_numpy(index.astype(np.float32))[None], tuple(shape), mode="trilinear", align_corners=True
    )[0]
    pitch = 1 / np.linalg.norm(to_index[:3, :3], axis=1)
    beyond = torch.zeros(tuple(shape))
    for axis, (count, mm) in enumerate(zip(hu.shape, pitch)):
        outside = torch.maximum(-dense[axis], dense[axis] - (count - 1)).clamp_(min=0) * float(mm)
        beyond += outside**2
        dense[axis] = (2 * dense[axis] + 1) / count - 1
    beyond = beyond.sqrt_()
    at = dense.flip(0).permute(1, 2, 3, 0)[None]
    share = 0.5 + 0.5 * torch.cos(torch.pi * (beyond / _FADE_MM).clamp(max=1))
    values = functional.grid_sample(torch.from_numpy(hu)[None, None], at, padding_mode="border", align_corners=False)
    codes = torch.from_numpy(bodies.astype(np.float32))[None, None]
    labels = functional.grid_sample(codes, at, mode="nearest", padding_mode="zeros", align_corners=False)
    return FilmVolume(
        values[0, 0].numpy(),
        share.numpy(),
        labels[0, 0].numpy().astype(np.uint8),
        (float(box_mm[0, 0]), float(box_mm[0, 1]), float(box_mm[0, 2])),
        voxel,
    )
