"""Hounsfield units for a volume of vertebra labels whose CT is not at hand: simulated bone in plain soft tissue."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cmnet_monai.synthetic.projection import FloatArray

TISSUE_HU = 40.0
SPONGIOSA_HU = 180.0
CORTEX_HU = 700.0
_CORTEX_MM = 1.0
_TEXTURE_HU = 60.0
_TEXTURE_MM = (3.0, 1.5, 6.0)
"""Right, anterior, superior: trabeculae run up and down."""


def simulate_ct(labels: npt.NDArray[np.integer], affine: npt.NDArray[np.floating], seed: int = 0) -> FloatArray:
    """Fill vertebrae with spongiosa under a cortex, everything else with soft tissue.

    The shapes are real, the grey values are not: cancellous bone of an adult at some 180 HU, a wall of 700 HU that is
    as thin as 1 mm but at least half a voxel, and trabeculae as noise that is longest from top to bottom.

    Args:
        labels: whole vertebrae, 0 elsewhere, (i, j, k), any orientation.
        affine: voxel indices to mm, right, anterior, superior, (4, 4).
        seed: of the trabeculae.
    Returns:
        Hounsfield units, (i, j, k), float32.
    Raises:
        ValueError: the labels are not a volume, or hold no vertebra.

    >>> labels = np.zeros((20, 30, 24), np.uint8)
    >>> labels[5:15, 5:25, 4:20] = 22
    >>> hu = simulate_ct(labels, np.diag([1.0, 1.0, 1.0, 1.0]))
    >>> float(hu[0, 0, 0]), float(hu[5, 15, 12]), bool(100 < hu[8:12, 10:20, 8:16].mean() < 260)  # around, wall, inside
    (40.0, 700.0, True)
    """
    labels = np.asarray(labels)
    if labels.ndim != 3 or not (labels > 0).any():
        raise ValueError(f"labels must be a volume that holds a vertebra; got the shape {labels.shape}")
    voxel_mm = np.linalg.norm(np.asarray(affine, dtype=np.float64)[:3, :3], axis=0)
    hu = np.full(labels.shape, TISSUE_HU, np.float32)
    grain = _texture(labels.shape, affine, voxel_mm, seed)
    for label, window in enumerate(ndimage.find_objects(labels.astype(np.int32)), 1):
        if window is None:
            continue
        around = tuple(slice(max(w.start - 1, 0), w.stop + 1) for w in window)
        bone = labels[around] == label
        # A volume's own border is no wall: a vertebra that it cuts shows its inside there.
        depth = ndimage.distance_transform_edt(np.pad(bone, 1, mode="edge"), sampling=voxel_mm)[1:-1, 1:-1, 1:-1]
        wall = depth <= max(_CORTEX_MM, 1.01 * float(voxel_mm.min()))
        values = np.where(wall, np.float32(CORTEX_HU), np.float32(SPONGIOSA_HU) + grain[around])
        hu[around] = np.where(bone, values, hu[around])
    return hu


def _texture(
    shape: tuple[int, ...], affine: npt.NDArray[np.floating], voxel_mm: npt.NDArray[np.floating], seed: int
) -> FloatArray:
    """Smooth noise of the patient's trabeculae, longest along the patient's axis, on the volume's own axes."""
    nearest = np.argmax(np.abs(np.asarray(affine)[:3, :3]), axis=0)
    sigma = [0.5 * _TEXTURE_MM[int(axis)] / float(size) for axis, size in zip(nearest, voxel_mm)]
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32), sigma)
    return np.asarray(noise * (_TEXTURE_HU / max(float(noise.std()), 1e-9)), dtype=np.float32)
