"""Vertebral bodies on the detector, slice by slice, and their outlines."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cmnet_monai.synthetic.bodies import Vertebra
from cmnet_monai.synthetic.projection import Array, FloatArray, Geometry, Mask, Material, Rng, Tube, Window, add_union

CORTICAL_PER_MM = 0.032
SPONGY_PER_MM = 0.0058
"""Attenuation of bone above soft tissue at the mean energy of a lumbar radiograph."""

_ROUND_MM = 2.5
_OUTLINE_BOWL = 0.6
_FRACTURE_BOWL = 0.85
"""How much of a dished and of a broken end plate the outline follows."""


def _line(at: FloatArray, start: float, end: float, low: float, high: float) -> FloatArray:
    """Straight line through (start, low) and (end, high), evaluated at ``at``."""
    return low + (at - start) * ((high - low) / (end - start))


def section_distance(
    vertebra: Vertebra, a: FloatArray, s: FloatArray, lateral: float, bowls_mm: tuple[float, float]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Distance in mm inside the border of a sagittal section of a body, negative outside.

    Args:
        vertebra: the body.
        a: posterior body coordinates, mm.
        s: inferior body coordinates, mm.
        lateral: position of the section, -1 to 1 of the body's half width.
        bowls_mm: how deep the upper and lower end plates are dished.
    Returns:
        distance with rounded corners (at most 2.5 mm), distance to the upper and to the lower end plate.
    """
    (a0, s0), (a1, s1), (a2, s2), (a3, s3) = vertebra.corners_mm
    v = min(abs(lateral), 1.0)
    front = (1 - v**2.3) ** (1 / 2.3)
    back = (1 - v**4.0) ** 0.25 - 0.06 * (1 - v * v)
    # The outline's mid section shall keep its full depth.
    back += 0.06 * (1 - v) ** 4
    mid_s, half_height = 0.25 * (s0 + s1 + s2 + s3), 0.25 * (s3 - s0 + s2 - s1)
    inside = 1 - np.minimum(((s - mid_s) / half_height) ** 2, 1)
    middle = 0.25 * (a0 + a1 + a2 + a3)
    anterior = a - (middle + (_line(s, s0, s3, a0, a3) - middle) * front) - vertebra.waist_mm[0] * inside
    posterior = middle + (_line(s, s1, s2, a1, a2) - middle) * back - a - vertebra.waist_mm[1] * inside
    bowl = np.clip(1 - ((a - middle) / (0.5 * vertebra.depth_mm)) ** 2 - v * v, 0, 1)
    bowl *= 2 - bowl
    superior = s - _line(a, a0, a1, s0, s1) - bowls_mm[0] * bowl
    inferior = _line(a, a3, a2, s3, s2) - s - bowls_mm[1] * bowl
    wall, plate = np.minimum(anterior, posterior), np.minimum(superior, inferior)
    distance = np.float32(_ROUND_MM) - np.hypot(
        np.maximum(_ROUND_MM - wall, 0), np.maximum(_ROUND_MM - plate, 0), dtype=np.float32
    )
    return distance, superior, inferior


def _body_window(vertebra: Vertebra, geometry: Geometry, margin_mm: float = 6.0) -> Window | None:
    half = 0.5 * vertebra.width_mm
    points = [
        geometry.to_detector_mm(vertebra.to_world(a, s, w))[:2]
        for a, s in vertebra.corners_mm
        for w in (-half, 0.0, half)
    ]
    xs, ys = zip(*points)
    return geometry.window(min(xs) - margin_mm, max(xs) + margin_mm, min(ys) - margin_mm, max(ys) + margin_mm)


def _body_coordinates(
    vertebra: Vertebra, geometry: Geometry, window: Window, lateral_mm: float
) -> tuple[FloatArray, FloatArray, float]:
    """Body coordinates (a, s) of the pixels of a window for one sagittal slice, and the slice's magnification."""
    x, y = geometry.axes_mm(window)
    centre = vertebra.to_world(0.0, 0.0, lateral_mm)
    scale = geometry.magnification(centre[2])
    cx, cy = geometry.central_xy_mm
    dx = (x - cx) / scale + (cx - centre[0])
    dy = (y - cy) / scale + (cy - centre[1])
    cos, sin = np.float32(np.cos(vertebra.tilt_rad)), np.float32(np.sin(vertebra.tilt_rad))
    return dx * cos - dy * sin, dx * sin + dy * cos, scale


def add_body(
    depth: FloatArray,
    geometry: Geometry,
    vertebra: Vertebra,
    bone: float,
    cortex: float,
    slices: int,
    rng: Rng,
    plates: tuple[float, float] = (1.0, 1.0),
    wall: float = 0.7,
) -> None:
    """Add one vertebral body: spongy bone inside a thin shell, denser below the end plates.

    Args:
        vertebra: the body, in world coordinates.
        bone: relative attenuation of spongy bone.
        cortex: relative thickness of the shell.
        slices: number of sagittal slices across its width.
        plates: relative density of the upper and lower end plate.
        wall: relative density of the wall.
    """
    window = _body_window(vertebra, geometry)
    if window is None:
        return
    bowls = (vertebra.bowl_mm[0] + vertebra.fracture_bowl_mm[0], vertebra.bowl_mm[1] + vertebra.fracture_bowl_mm[1])
    step = vertebra.width_mm / slices
    total = np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start), np.float32)
    spongy = np.zeros_like(total)
    # A collapsed body is compacted: about the same mineral in less height.
    packed = bone * (1 + 0.35 * vertebra.grade)
    upper, lower = (plate * _unevenness(rng, vertebra, geometry, window) for plate in plates)
    for lateral in (np.arange(slices) + 0.5) * (2 / slices) - 1:
        a, s, scale = _body_coordinates(vertebra, geometry, window, 0.5 * float(lateral) * vertebra.width_mm)
        pixel = geometry.spacing_mm / scale
        distance, superior, inferior = section_distance(vertebra, a, s, float(lateral), bowls)
        inside = np.clip(distance / pixel + 0.5, 0, 1)
        dense = np.clip((1.4 * cortex - superior) / (1.4 * cortex), 0, 1) * upper
        dense += np.clip((1.4 * cortex - inferior) / (1.4 * cortex), 0, 1) * lower
        dense += np.clip(1.5 - (distance - 0.16 * cortex) / pixel, 0, 1) * np.float32(wall)
        shell = inside * dense
        total += shell
        spongy += inside * (1.0 if abs(lateral) < 0.9 else 1.8)
    grain = 1 + _trabeculae(rng, vertebra, geometry, window)
    total *= step * CORTICAL_PER_MM
    total += spongy * grain * (step * SPONGY_PER_MM * packed)
    depth[window] += total
    _add_osteophytes(depth, geometry, vertebra, cortex)


def _unevenness(rng: Rng, vertebra: Vertebra, geometry: Geometry, window: Window) -> FloatArray:
    """Relative density of an end plate from front to back, for the pixels of a window: about 0.5 to 1.3."""
    a, _, _ = _body_coordinates(vertebra, geometry, window, 0.0)
    knots = rng.uniform(0.45, 1.25, 7) if rng.random() < 0.6 else rng.uniform(0.8, 1.15, 7)
    at = np.linspace(-0.5, 0.5, 7) * vertebra.depth_mm
    return np.asarray(np.interp(a, at, knots), dtype=np.float32)


def _trabeculae(rng: Rng, vertebra: Vertebra, geometry: Geometry, window: Window) -> FloatArray:
    """Texture of trabeculae, which mostly run along the body's axis: a relative change, mean about 0."""
    a, s, _ = _body_coordinates(vertebra, geometry, window, 0.0)
    stretch = float(rng.uniform(1.5, 5.0))
    knots = rng.standard_normal((96, 48)).astype(np.float32)
    at = np.stack([a / np.float32(0.9) + 48, s / np.float32(0.9 * stretch) + 24])
    texture = ndimage.map_coordinates(knots, at, order=1, mode="mirror")
    return np.asarray(texture * np.float32(rng.uniform(0.03, 0.11)), dtype=np.float32)


def _add_osteophytes(depth: FloatArray, geometry: Geometry, vertebra: Vertebra, cortex: float) -> None:
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    for (a, s), size, (out, down) in zip(vertebra.corners_mm, vertebra.osteophytes_mm, signs):
        if size <= 0:
            continue
        length = size * (1.0 if out < 0 else 0.5)
        start = vertebra.to_world(a - 3.0 * out, s - 3.0 * down)
        tip = vertebra.to_world(a + length * out, s + down * 0.35 * length)
        material = Material(SPONGY_PER_MM * 0.8, CORTICAL_PER_MM, 0.5 * cortex)
        add_union(depth, geometry, [Tube(start, tip, (3.0, 0.9), 3.0)], material)


def outline_mask(vertebra: Vertebra, geometry: Geometry) -> tuple[Window, Mask] | None:
    """Silhouette of a body as a reader outlines it.

    The mid-sagittal section in the perspective of the body's mid plane: the outer cortical edge, the middle between
    rim and floor of the dished end plates (which the film shows as two lines), osteophytes left out.

    Returns:
        window and mask in it, (x, y), or None outside the detector.
    """
    window = _body_window(vertebra, geometry)
    if window is None:
        return None
    a, s, _ = _body_coordinates(vertebra, geometry, window, 0.0)
    return window, section_distance(vertebra, a, s, 0.0, _outline_bowls(vertebra))[0] > 0


def outline_area_px(vertebra: Vertebra, geometry: Geometry) -> float:
    """Area of a body's outline in pixels, whether it lies on the detector or not."""
    step = 0.25
    a = np.arange(-40 + step / 2, 40, step, dtype=np.float32)[:, None]
    s = np.arange(-40 + step / 2, 40, step, dtype=np.float32)[None, :]
    inside = section_distance(vertebra, a, s, 0.0, _outline_bowls(vertebra))[0] > 0
    pixel = geometry.spacing_mm / geometry.magnification(vertebra.centre_mm[2])
    return float(inside.sum()) * (step / pixel) ** 2


def _outline_bowls(vertebra: Vertebra) -> tuple[float, float]:
    upper, lower = (
        _OUTLINE_BOWL * dish + _FRACTURE_BOWL * broken
        for dish, broken in zip(vertebra.bowl_mm, vertebra.fracture_bowl_mm)
    )
    return upper, lower


def corners_px(vertebra: Vertebra, geometry: Geometry) -> Array:
    """Projected corners, (4, 2) in px: superior-anterior, superior-posterior, inferior-posterior, inferior-anterior."""
    return np.array([geometry.project_px(vertebra.to_world(a, s)) for a, s in vertebra.corners_mm])


def plates_px(vertebra: Vertebra, geometry: Geometry) -> Array:
    """Projected middles of the upper and the lower end plate as the outline follows them, (2, 2) in px."""
    (a0, s0), (a1, s1), (a2, s2), (a3, s3) = vertebra.corners_mm
    upper, lower = _outline_bowls(vertebra)
    middles = (0.5 * (a0 + a1), 0.5 * (s0 + s1) + upper), (0.5 * (a2 + a3), 0.5 * (s2 + s3) - lower)
    return np.array([geometry.project_px(vertebra.to_world(a, s)) for a, s in middles])
