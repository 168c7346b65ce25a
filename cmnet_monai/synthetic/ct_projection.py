"""Attenuation from Hounsfield units, its perspective projection, and the silhouettes of bodies."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from cmnet_monai.synthetic.fields import WATER_PER_MM
from cmnet_monai.synthetic.projection import FloatArray, Geometry, Labels, Mask, Point3

_RAYS = 10_000


def attenuation(hu: FloatArray, bone_gain: float = 1.5, water_per_mm: float = WATER_PER_MM) -> FloatArray:
    """Linear attenuation per mm: water * (1 + HU / 1000), and steeper by ``bone_gain`` above 100 HU.

    Bone weighs more on a film than on a CT, whose beam is harder.
    """
    values = np.clip(hu, -1000, 3000)
    bone = np.maximum(values - 100, 0)
    return np.asarray(water_per_mm * (1 + (values + (bone_gain - 1) * bone) / 1000), dtype=np.float32)


def project(values: FloatArray, origin_mm: Point3, voxel_mm: float, geometry: Geometry) -> FloatArray:
    """Line integrals of a volume (zero outside of it) from the source to each pixel, by nanodrr.

    Args:
        values: attenuation per mm, (x, y, z).
        origin_mm: world position of voxel (0, 0, 0): x and y along the film, z above the detector.
        voxel_mm: edge of a cubic voxel.
    Returns:
        Optical depths on the detector, (x, y).
    Raises:
        ImportError: nanodrr is not installed.
    """
    import torch

    render, subject = _subject(values, origin_mm, voxel_mm, geometry)
    cx, cy = geometry.central_xy_mm
    out = np.zeros(geometry.shape, np.float32)
    window = _footprint(values.shape, origin_mm, voxel_mm, geometry)
    if window is None:
        return out
    x_mm, y_mm = (torch.from_numpy(axis.ravel()) for axis in geometry.axes_mm(window))
    samples = int(1.1 * values.shape[2]) + 2
    part = np.empty((len(x_mm), len(y_mm)), np.float32)
    columns = max(_RAYS // len(y_mm), 1)
    eye, origin, source = (
        torch.eye(4)[None],
        torch.zeros(1, 1, 3),
        torch.tensor([geometry.source_mm], dtype=torch.float32),
    )
    for start in range(0, len(x_mm), columns):
        x, y = torch.meshgrid(x_mm[start : start + columns] - cx, y_mm - cy, indexing="ij")
        ends = torch.stack([x, y, torch.full_like(x, geometry.source_mm)], dim=-1).reshape(1, -1, 3).float()
        with torch.no_grad():
            depth = render(
                subject, eye[:, :3, :3], eye, source, *x.shape, samples, src=origin, tgt=ends, backend="torch"
            )
        part[start : start + columns] = depth[0, 0].numpy()
    out[window] = part
    return out


def _subject(values: FloatArray, origin_mm: Point3, voxel_mm: float, geometry: Geometry) -> tuple[Any, Any]:
    """nanodrr's `render`, and the volume in the frame of its camera, which looks from the source along z."""
    import torch

    render, subject_class = _nanodrr()
    cx, cy = geometry.central_xy_mm
    to_camera = np.diag([voxel_mm, voxel_mm, -voxel_mm, 1.0])
    to_camera[:3, 3] = origin_mm[0] - cx, origin_mm[1] - cy, geometry.source_mm - origin_mm[2]
    image = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 1, 0)))[None, None]
    subject = subject_class(
        image,
        torch.zeros(1, 1, 1, 1, 1),
        torch.from_numpy(to_camera).float(),
        torch.from_numpy(np.linalg.inv(to_camera)).float(),
        subject_class._make_voxel_to_grid(image.shape),
        torch.zeros(3),
        max_label=0,
        convert_to_mu=False,
    )
    return render, subject


def _nanodrr() -> tuple[Any, Any]:
    try:
        from nanodrr.data import Subject
        from nanodrr.drr import render
    except ImportError as error:
        raise ImportError(f'films from CT need nanodrr: pip install "cmnet-monai[ct]" ({error})') from error
    return render, Subject


def _footprint(
    shape: tuple[int, ...], origin_mm: Point3, voxel_mm: float, geometry: Geometry
) -> tuple[slice, slice] | None:
    """Pixel window that a box of voxels casts its shadow on."""
    ends = [(o - voxel_mm, o + n * voxel_mm) for o, n in zip(origin_mm, shape)]
    corners = [geometry.to_detector_mm((x, y, z)) for x in ends[0] for y in ends[1] for z in ends[2]]
    xs, ys = [c[0] for c in corners], [c[1] for c in corners]
    return geometry.window(min(xs), max(xs), min(ys), max(ys))


def silhouettes(bodies: Labels, origin_mm: Point3, voxel_mm: float, geometry: Geometry) -> dict[int, Mask]:
    """Shadow of each body on the detector: every sagittal slice in its own magnification, and their union.

    Args:
        bodies: labels, (x, y, z).
        origin_mm: world position of voxel (0, 0, 0), as for `project`.
        voxel_mm: edge of a cubic voxel.
    Returns:
        For each label a mask of the detector, (x, y).
    """
    out = {}
    for label, found in enumerate(ndimage.find_objects(bodies), 1):
        if found is None:
            continue
        around = tuple(slice(max(s.start - 2, 0), s.stop + 2) for s in found)
        solid = np.asarray(bodies[around] == label, dtype=np.float32)
        solid = ndimage.gaussian_filter(solid, (0.7, 0.7, 0), mode="nearest")
        corner = [o + s.start * voxel_mm for o, s in zip(origin_mm, around)]
        window = _footprint(solid.shape, (corner[0], corner[1], corner[2]), voxel_mm, geometry)
        mask = np.zeros(geometry.shape, bool)
        if window is not None:
            mask[window] = _shadow(solid, corner, voxel_mm, geometry, window) >= 0.5
        out[label] = mask
    return out


def middle_third(bodies: Labels) -> Labels:
    """Of each body the sagittal slices within a sixth of its width from its middle, (x, y, z)."""
    out = np.zeros_like(bodies)
    for label, found in enumerate(ndimage.find_objects(bodies), 1):
        if found is None:
            continue
        solid = bodies[found] == label
        z = np.arange(solid.shape[2])
        weight = solid.sum(axis=(0, 1))
        middle = float((z * weight).sum() / weight.sum())
        out[found][solid & (np.abs(z - middle) <= max(solid.shape[2] / 6, 0.5))] = label
    return out


def _shadow(
    solid: FloatArray, corner_mm: list[float], voxel_mm: float, geometry: Geometry, window: tuple[slice, slice]
) -> FloatArray:
    shape = tuple(w.stop - w.start for w in window)
    shadow = np.zeros(shape, np.float32)
    for k in range(solid.shape[2]):
        if not solid[..., k].any():
            continue
        scale = geometry.magnification(corner_mm[2] + k * voxel_mm)
        step = geometry.spacing_mm / (scale * voxel_mm)
        first = [
            (c + (w.start * geometry.spacing_mm - c) / scale - o) / voxel_mm
            for c, w, o in zip(geometry.central_xy_mm, window, corner_mm)
        ]
        layer = ndimage.affine_transform(solid[..., k], [step, step], first, shape, order=1)
        np.maximum(shadow, layer, out=shadow)
    return shadow
