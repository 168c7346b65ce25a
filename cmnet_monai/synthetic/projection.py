"""Perspective X-ray projection of simple solids onto a map of line integrals.

World coordinates are millimetres: x runs from anterior to posterior of a patient who faces left, y downwards and z
from the detector (z = 0) towards the source. The detector map has MONAI's axis order (x, y); its values are optical
depths (attenuation times path length), to which Beer-Lambert's law is applied by the detector model. A function whose
name begins with "add" changes such a map, `depth`, in place; `geometry` is that of source and detector, `rng` draws
whatever is random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.interpolate import CubicSpline
from skimage import draw

Rng = np.random.Generator
FloatArray = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.uint8]
Window = tuple[slice, slice]
Point3 = tuple[float, float, float]
Corners = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Geometry:
    """A point source above a flat detector.

    Args:
        shape: detector size in pixels, (x, y).
        spacing_mm: edge of a square detector pixel in mm.
        source_mm: distance from source to detector in mm; ``inf`` gives a parallel projection.
        central_xy_mm: where the central ray meets the detector, in mm from the centre of pixel (0, 0).
    """

    shape: tuple[int, int]
    spacing_mm: float
    source_mm: float
    central_xy_mm: tuple[float, float]

    def magnification(self, z_mm: float) -> float:
        """Scale of a plane ``z_mm`` above the detector: SID / (SID - z).

        Raises:
            ValueError: the plane is not between detector and source.
        """
        if np.isinf(self.source_mm):
            return 1.0
        if z_mm >= self.source_mm:
            raise ValueError(f"plane at {z_mm} mm is not below the source at {self.source_mm} mm")
        return self.source_mm / (self.source_mm - z_mm)

    def to_detector_mm(self, point: Point3) -> Point3:
        """Project a world point; returns its detector x and y in mm and its magnification."""
        scale = self.magnification(point[2])
        cx, cy = self.central_xy_mm
        return cx + (point[0] - cx) * scale, cy + (point[1] - cy) * scale, scale

    def project_px(self, point: Point3) -> tuple[float, float]:
        """Project a world point; returns (x, y) in pixels, pixel centres at integers."""
        x, y, _ = self.to_detector_mm(point)
        return x / self.spacing_mm, y / self.spacing_mm

    def window(self, x0: float, x1: float, y0: float, y1: float) -> Window | None:
        """Pixel window that covers a box given in detector mm, or None outside the detector."""
        ix0, ix1 = max(int(x0 / self.spacing_mm) - 1, 0), min(int(x1 / self.spacing_mm) + 3, self.shape[0])
        iy0, iy1 = max(int(y0 / self.spacing_mm) - 1, 0), min(int(y1 / self.spacing_mm) + 3, self.shape[1])
        if ix0 >= ix1 or iy0 >= iy1:
            return None
        return slice(ix0, ix1), slice(iy0, iy1)

    def crop(self, window: Window) -> tuple[Geometry, tuple[float, float]]:
        """The part of the detector in a window, and what to take off the x and y of world points for it, in mm."""
        shift = window[0].start * self.spacing_mm, window[1].start * self.spacing_mm
        shape = window[0].stop - window[0].start, window[1].stop - window[1].start
        central = self.central_xy_mm[0] - shift[0], self.central_xy_mm[1] - shift[1]
        return Geometry(shape, self.spacing_mm, self.source_mm, central), shift

    def axes_mm(self, window: Window) -> tuple[FloatArray, FloatArray]:
        """Detector coordinates of a window in mm, (n, 1) and (1, m)."""
        x = np.arange(window[0].start, window[0].stop, dtype=np.float32)[:, None] * np.float32(self.spacing_mm)
        y = np.arange(window[1].start, window[1].stop, dtype=np.float32)[None, :] * np.float32(self.spacing_mm)
        return x, y


@dataclass(frozen=True)
class Material:
    """A solid with a shell: attenuation above that of soft tissue, per mm, and the shell's thickness in mm."""

    core: float
    shell: float = 0.0
    shell_mm: float = 0.0


def add_tube(
    depth: FloatArray,
    geometry: Geometry,
    start: Point3,
    end: Point3,
    radii: tuple[float, float],
    material: Material,
    flatness: float = 1.0,
) -> None:
    """Add a tapered round tube with spherical ends to a map of optical depths, in place.

    Args:
        start: one end of the axis, world mm.
        end: the other end.
        radii: radius at start and end, mm.
        flatness: extent along the rays relative to a round tube.
    """
    x0, y0, m0 = geometry.to_detector_mm(start)
    x1, y1, m1 = geometry.to_detector_mm(end)
    r0, r1 = radii[0] * m0, radii[1] * m1
    window = geometry.window(min(x0 - r0, x1 - r1), max(x0 + r0, x1 + r1), min(y0 - r0, y1 - r1), max(y0 + r0, y1 + r1))
    if window is None:
        return
    x, y = geometry.axes_mm(window)
    dx, dy = x1 - x0, y1 - y0
    length2 = dx * dx + dy * dy
    if length2 > 1e-9:
        t = np.clip(((x - x0) * (dx / length2)) + ((y - y0) * (dy / length2)), 0, 1)
    else:
        t = np.zeros((1, 1), np.float32)
    dist2 = (x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2
    radius = r0 + t * (r1 - r0)
    slant = np.sqrt(1 + min((start[2] - end[2]) ** 2 / max(length2, 1.0), 9.0))
    scale = 2 * flatness * slant / (0.5 * (m0 + m1))
    outer = np.sqrt(np.maximum(radius * radius - dist2, 0))
    if material.shell > 0:
        inner_radius = np.maximum(radius - material.shell_mm * m0, 0)
        inner = np.sqrt(np.maximum(inner_radius * inner_radius - dist2, 0))
        depth[window] += (material.shell * scale) * (outer - inner) + (material.core * scale) * inner
    else:
        depth[window] += (material.core * scale) * outer


@dataclass(frozen=True)
class Tube:
    """A tapered round tube with spherical ends: world points, radii and its extent along the rays relative to round."""

    start: Point3
    end: Point3
    radii: tuple[float, float]
    flatness: float = 1.0


def add_union(
    depth: FloatArray, geometry: Geometry, tubes: list[Tube], material: Material, hollow: bool = False
) -> None:
    """Add tubes that make up one bone: where they overlap, the longest path counts once.

    Args:
        tubes: the parts of the bone.
        hollow: False takes the outer ``3 * shell_mm`` of each path as shell, which is quick and gives a steep border;
            True takes a shell ``shell_mm`` thick, which shows as a bright line along the border.
    """
    boxes = [_tube_box(geometry, tube) for tube in tubes]
    window = geometry.window(
        min(box[0] for box in boxes),
        max(box[1] for box in boxes),
        min(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )
    if window is None:
        return
    chord = np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start), np.float32)
    inner = np.zeros_like(chord) if hollow else None
    for tube, box in zip(tubes, boxes):
        x0, y0, m0 = geometry.to_detector_mm(tube.start)
        x1, y1, m1 = geometry.to_detector_mm(tube.end)
        r0, r1 = tube.radii[0] * m0, tube.radii[1] * m1
        part = geometry.window(*box)
        if part is None:
            continue
        dist2, radius = _tube_distance2(geometry.axes_mm(part), (x0, y0), (x1, y1), (r0, r1))
        scale = np.float32(4 * tube.flatness / (m0 + m1))
        at = (
            slice(part[0].start - window[0].start, part[0].stop - window[0].start),
            slice(part[1].start - window[1].start, part[1].stop - window[1].start),
        )
        np.maximum(chord[at], _half_chord(dist2, radius) * scale, out=chord[at])
        if inner is not None:
            hole = np.maximum(radius - np.float32(material.shell_mm * m0), 0)
            np.maximum(inner[at], _half_chord(dist2, hole) * scale, out=inner[at])
    if inner is None:
        inner = np.maximum(chord - np.float32(3 * material.shell_mm), 0)
    depth[window] += (material.core - material.shell) * inner + material.shell * chord


def _tube_box(geometry: Geometry, tube: Tube) -> tuple[float, float, float, float]:
    """Smallest and largest x, then y, of a tube's shadow, detector mm."""
    x0, y0, m0 = geometry.to_detector_mm(tube.start)
    x1, y1, m1 = geometry.to_detector_mm(tube.end)
    r0, r1 = tube.radii[0] * m0, tube.radii[1] * m1
    return min(x0 - r0, x1 - r1), max(x0 + r0, x1 + r1), min(y0 - r0, y1 - r1), max(y0 + r0, y1 + r1)


def _tube_distance2(
    axes: tuple[FloatArray, FloatArray],
    start: tuple[float, float],
    end: tuple[float, float],
    radii: tuple[float, float],
) -> tuple[FloatArray, FloatArray]:
    """Squared distance from a tube's axis and the tube's radius there, in detector mm."""
    x, y = axes
    dx, dy = end[0] - start[0], end[1] - start[1]
    length2 = max(dx * dx + dy * dy, 1e-9)
    u, v = x - start[0], y - start[1]
    t = np.clip(u * np.float32(dx / length2) + v * np.float32(dy / length2), 0, 1)
    dist2 = (u - t * np.float32(dx)) ** 2 + (v - t * np.float32(dy)) ** 2
    radius = np.float32(radii[0]) + t * np.float32(radii[1] - radii[0])
    return np.asarray(dist2, dtype=np.float32), np.asarray(radius, dtype=np.float32)


def _half_chord(dist2: FloatArray, radius: FloatArray) -> FloatArray:
    """Half the path through a round tube on the detector, in detector mm."""
    return np.asarray(np.sqrt(np.maximum(radius * radius - dist2, 0)), dtype=np.float32)


def add_ellipsoid(
    depth: FloatArray, geometry: Geometry, centre: Point3, semi_axes: Point3, angle_rad: float, material: Material
) -> None:
    """Add an ellipsoid, optionally with a shell, to a map of optical depths, in place.

    Args:
        centre: world mm.
        semi_axes: in the image plane along the turned x and y, then along z; mm.
        angle_rad: turn of the first axis from x towards y.
    """
    cx, cy, scale = geometry.to_detector_mm(centre)
    reach = max(semi_axes[0], semi_axes[1]) * scale
    window = geometry.window(cx - reach, cx + reach, cy - reach, cy + reach)
    if window is None:
        return
    x, y = geometry.axes_mm(window)
    cos, sin = float(np.cos(angle_rad)), float(np.sin(angle_rad))
    u = ((x - cx) * cos + (y - cy) * sin) / scale
    v = ((y - cy) * cos - (x - cx) * sin) / scale
    a, b, c = semi_axes
    outer = 2 * c * np.sqrt(np.maximum(1 - (u / a) ** 2 - (v / b) ** 2, 0))
    if material.shell > 0:
        t = material.shell_mm
        ai, bi, ci = max(a - t, 0.1), max(b - t, 0.1), max(c - t, 0.1)
        inner = 2 * ci * np.sqrt(np.maximum(1 - (u / ai) ** 2 - (v / bi) ** 2, 0))
        depth[window] += material.shell * np.maximum(outer - inner, 0) + material.core * inner
    else:
        depth[window] += material.core * outer


def add_plate(
    depth: FloatArray,
    geometry: Geometry,
    outline: Array,
    z_mm: float | Array,
    thickness_mm: Point3,
    material: Material,
    rng: Rng,
) -> None:
    """Add a plate seen face on, thicker at its border, to a map of optical depths, in place.

    Args:
        outline: corners of its outline, (N, 2), world mm.
        z_mm: height of the plate above the detector, one number or one for each corner, (N,).
        thickness_mm: thickness inside, extra thickness at the border, and the border's width.
        material: attenuation of core and of the shell, which the border's rim shows.
    """
    heights = np.broadcast_to(np.asarray(z_mm, dtype=np.float64), (len(outline),))
    scales = np.array([geometry.magnification(float(z)) for z in heights])
    scale = float(scales.mean())
    corners = np.asarray(geometry.central_xy_mm) + (outline - np.asarray(geometry.central_xy_mm)) * scales[:, None]
    low, high = corners.min(axis=0), corners.max(axis=0)
    window = geometry.window(low[0], high[0], low[1], high[1])
    if window is None:
        return
    step = 3
    origin = np.array([window[0].start, window[1].start])
    size = (window[0].stop - window[0].start, window[1].stop - window[1].start)
    coarse = (size[0] // step + 2, size[1] // step + 2)
    mask = draw.polygon2mask((coarse[0] + 2, coarse[1] + 2), (corners / geometry.spacing_mm - origin) / step + 1)
    inside = ndimage.distance_transform_edt(mask)[1:-1, 1:-1].astype(np.float32) * np.float32(
        step * geometry.spacing_mm / scale
    )
    base, extra, width = thickness_mm
    soft = np.clip(inside / 1.5, 0, 1)
    border = np.clip(1 - inside / width, 0, 1)
    plate = material.core * soft * (base + extra * border)
    plate += material.shell * soft * np.clip(1.5 - inside / max(material.shell_mm, 0.3), 0, 1) * extra
    coarse_noise = rng.standard_normal((plate.shape[0] // 24 + 4, plate.shape[1] // 24 + 4)).astype(np.float32)
    uneven = ndimage.zoom(coarse_noise, 24, order=1)[: plate.shape[0], : plate.shape[1]]
    plate *= 1 + np.float32(rng.uniform(0.05, 0.35)) * uneven
    plate = ndimage.gaussian_filter(plate, 0.8, truncate=2.0)
    fine = ndimage.zoom(plate, step, order=1, grid_mode=True, mode="nearest")
    depth[window] += fine[: size[0], : size[1]]


def add_curve(
    depth: FloatArray,
    geometry: Geometry,
    points: list[Point3],
    radius_mm: tuple[float, float],
    material: Material,
    flatness: tuple[float, float],
    rng: Rng,
    count: int = 18,
) -> None:
    """Add a bony ridge through points: uneven, and fading out at both ends.

    Args:
        points: at least two world points in mm.
        radius_mm: half its width on the film at both ends.
        flatness: extent along the rays over its width at both ends.
        count: number of straight pieces.
    """
    knots = np.asarray(points, dtype=np.float64)
    step = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1) + 1e-6)])
    share = np.linspace(0, 1, count + 1)
    path = CubicSpline(step, knots)(share * step[-1])
    marks = np.linspace(0, 1, 8)
    for axis in (0, 1):
        path[:, axis] += np.interp(share, marks, rng.normal(0, 0.35, 8))
    radii = radius_mm[0] + share * (radius_mm[1] - radius_mm[0])
    flat = (flatness[0] + share * (flatness[1] - flatness[0])) * np.interp(share, marks, rng.uniform(0.4, 1.25, 8))
    flat *= np.clip(np.minimum(share, 1 - share) / 0.2, 0.05, 1)
    tubes = [
        Tube(_point(path[i]), _point(path[i + 1]), (float(radii[i]), float(radii[i + 1])), float(flat[i]))
        for i in range(count)
    ]
    add_union(depth, geometry, tubes, material)


def _point(row: Array) -> Point3:
    return float(row[0]), float(row[1]), float(row[2])
