"""Vertebral bodies in a labelled CT: whole vertebrae minus their posterior elements."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import ndimage, stats

from cmnet_monai.conventions import BODY_LABELS, S1_LABEL
from cmnet_monai.synthetic.projection import Array, FloatArray, Labels, Mask

# TotalSegmentator v2, task "total": 26 is S1, 27-31 are L5-L1, 32-43 are T12-T1; its 25 is the whole sacrum.
_TOTALSEGMENTATOR = {26: S1_LABEL, **{27 + i: 24 - i for i in range(5)}, **{32 + i: 19 - i for i in range(12)}}
CODES = MappingProxyType(
    {"verse": {label: label for label in (*BODY_LABELS, S1_LABEL)}, "totalsegmentator": _TOTALSEGMENTATOR}
)
"""For each naming scheme the VerSe label of each of its values; other values are no thoracic or lumbar vertebrae."""

_FRONT_MM = 15.0
_START_MM = 12.0
_CANAL_MM = 4.0
_DEEPEST_MM = 48.0
_USUAL_DEPTH_MM = 34.0
_HALF_SLAB_MM = 5.0
_STEEPEST = 0.3
_TALLEST_S1_MM = 50.0
_PASSES = 3

TISSUE_HU = 40.0
SPONGIOSA_HU = 180.0
CORTEX_HU = 700.0
_CORTEX_MM = 1.0
_TEXTURE_HU = 60.0
_TEXTURE_MM = (3.0, 1.5, 6.0)
"""Right, anterior, superior: trabeculae run up and down."""


def to_verse(labels: npt.NDArray[np.integer], codes: str) -> Labels:
    """Labels in VerSe codes; whatever is no thoracic or lumbar vertebra and not S1 becomes 0.

    Raises:
        ValueError: there is no such naming scheme.
    """
    if codes not in CODES:
        raise ValueError(f"unknown label codes {codes!r}: choose one of {', '.join(CODES)}")
    table = np.zeros(256, np.uint8)
    for value, label in CODES[codes].items():
        table[value] = label
    known = (labels >= 0) & (labels < 256)
    return table[np.where(known, labels, 0).astype(np.uint8)]


def split_bodies(labels: Labels, affine: Array) -> Labels:
    """Keep the bodies of labelled vertebrae and drop pedicles, arches and processes.

    A vertebra's frame is: upwards, along the line through the centroids; forwards, the patient's anterior at
    a right angle to it; the mid-sagittal slab is 10 mm thick at its centroid. In the slab and the middle 60 % of the
    body's height each row is followed backwards from 12 mm behind the front; the first gap of 4 mm is the spinal canal
    (or the end of the bone, where there is no arch), and its anterior border is the posterior wall. A plane through
    these borders (slope by Theil-Sen) is the next "upwards". The third such plane cuts the vertebra; the largest
    connected part before it, no wider than its front half by more than 2 mm on each side, is the body.

    Args:
        labels: VerSe codes of whole vertebrae, (i, j, k).
        affine: voxel indices to mm, right, anterior, superior, (4, 4).
    Returns:
        VerSe codes of the bodies, same shape. A sacrum in one piece (taller than 50 mm) is left out.
    """
    bodies = np.zeros_like(labels)
    windows = {v: w for v, w in enumerate(ndimage.find_objects(labels), 1) if w is not None}
    where = {v: np.argwhere(labels[w] == v) + [s.start for s in w] for v, w in windows.items()}
    points = {v: index @ affine[:3, :3].T + affine[:3, 3] for v, index in where.items()}
    centroids = {v: p.mean(axis=0) for v, p in points.items()}
    order = sorted(points, key=lambda v: -float(centroids[v][2]))
    ups = _tangents(np.array([centroids[v] for v in order]))
    for label, up in zip(order, ups):
        if label == S1_LABEL and np.ptp(points[label][:, 2]) > _TALLEST_S1_MM:
            continue
        for _ in range(_PASSES):
            frame = _frame(up)
            local = (points[label] - centroids[label]) @ frame.T
            offset, slope = posterior_wall(local, np.abs(frame @ affine[:3, :3]).max(axis=1))
            up = frame[2] + slope * frame[1]
        index = where[label][_body_part(local, offset, slope)]
        window = tuple(slice(int(a), int(b) + 1) for a, b in zip(index.min(axis=0), index.max(axis=0)))
        mask = np.zeros([w.stop - w.start for w in window], bool)
        mask[tuple((index - index.min(axis=0)).T)] = True
        parts, count = ndimage.label(mask)
        if count > 1:
            mask = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
        bodies[window][mask] = label
    return bodies


def _tangents(centroids: Array) -> Array:
    """Directions of the spine, upwards, at centroids from top to bottom, (N, 3); a bend goes on to both ends."""
    if len(centroids) < 2:
        return np.array([[0.0, 0.0, 1.0]])
    between = centroids[:-1] - centroids[1:]
    between /= np.linalg.norm(between, axis=1, keepdims=True)
    inner = 0.5 * (between[:-1] + between[1:])
    if not len(inner):
        return np.repeat(between, 2, axis=0)
    return np.vstack([1.5 * between[0] - 0.5 * between[1], inner, 1.5 * between[-1] - 0.5 * between[-2]])


def _frame(up: Array) -> Array:
    """Rows: right, anterior and up of a vertebra, in patient axes (right, anterior, superior)."""
    length = float(np.linalg.norm(up))
    up = up / length if length > 1e-6 else np.array([0.0, 0.0, 1.0])
    forwards = np.array([0.0, 1.0, 0.0]) - up[1] * up
    forwards = forwards / np.linalg.norm(forwards)
    return np.stack([np.cross(forwards, up), forwards, up])


def _body_part(points_mm: Array, offset_mm: float, slope: float) -> Mask:
    """Points before the posterior wall, no further aside than the front half of the body, plus 2 mm."""
    depth = points_mm[:, 1] - (offset_mm + slope * points_mm[:, 2])
    front = points_mm[depth > 0.5 * depth.max(), 0]
    return np.asarray((depth >= 0) & (points_mm[:, 0] >= front.min() - 2) & (points_mm[:, 0] <= front.max() + 2))


def posterior_wall(points_mm: Array, voxel_mm: Array) -> tuple[float, float]:
    """Plane of the posterior wall of one vertebra: anterior = offset + slope * up.

    Args:
        points_mm: voxel centres of the whole vertebra, (N, 3): right, anterior, up, from its centroid.
        voxel_mm: size of a voxel along these axes, (3,).
    Returns:
        Offset in mm and slope.
    """
    slab = points_mm[np.abs(points_mm[:, 0]) <= max(_HALF_SLAB_MM, 0.75 * voxel_mm[0])]
    slab = slab if len(slab) else points_mm
    front = float(np.percentile(slab[:, 1], 99.5))
    body = slab[slab[:, 1] > front - _FRONT_MM]
    low, high = np.percentile(body[:, 2], [5, 95])
    margin = 0.2 * (high - low)
    step = max(2.0, 1.01 * float(voxel_mm[2]))
    gap = max(_CANAL_MM, 2.2 * float(voxel_mm[1]))
    walls = []
    for up in np.arange(low + margin, high - margin + 1e-6, step):
        row = np.sort(slab[np.abs(slab[:, 2] - up) <= 0.5 * step, 1])[::-1]
        row = row[row < front - _START_MM]
        if not row.size:
            continue
        gaps = np.flatnonzero(-np.diff(row) > gap)
        wall = row[gaps[0]] if gaps.size else row[-1]
        if front - wall <= _DEEPEST_MM:
            walls.append((up, wall))
    half = 0.5 * float(voxel_mm[1])
    if not walls:
        return front - _USUAL_DEPTH_MM, 0.0
    up_mm, wall_mm = np.array(walls).T
    slope = float(stats.theilslopes(wall_mm, up_mm)[0]) if len(walls) > 3 else 0.0
    slope = float(np.clip(slope, -_STEEPEST, _STEEPEST))
    return float(np.median(wall_mm - slope * up_mm)) - half, slope


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
