"""Vertebrae on the detector: bodies slice by slice, posterior elements and ribs as tubes, and the bodies' outlines."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from cmnet_monai.synthetic.anatomy import Patient, Vertebra
from cmnet_monai.synthetic.projection import FloatArray, Geometry, Material, Window, add_ellipsoid, add_tube

CORTICAL_PER_MM = 0.032
SPONGY_PER_MM = 0.0062
"""Attenuation of bone above soft tissue at the mean energy of a lumbar radiograph."""

_ROUND_MM = 2.5
_OUTLINE_BOWL = 0.6


def _line(at: FloatArray, start: float, end: float, low: float, high: float) -> FloatArray:
    """Straight line through (start, low) and (end, high), evaluated at ``at``."""
    return low + (at - start) * ((high - low) / (end - start))


def section_distance(
    vertebra: Vertebra, a: FloatArray, s: FloatArray, lateral: float, bowls_mm: tuple[float, float]
) -> tuple[FloatArray, FloatArray]:
    """Distance in mm inside the border of a sagittal section of a body, negative outside.

    Args:
        vertebra: the body.
        a: posterior body coordinates, mm.
        s: inferior body coordinates, mm.
        lateral: position of the section, -1 to 1 of the body's half width.
        bowls_mm: how deep the upper and lower end plates are dished.
    Returns:
        distance with rounded corners (at most 2.5 mm), and distance to the nearer end plate.
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
    return distance, plate


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
    rng: np.random.Generator,
) -> None:
    """Add one vertebral body: spongy bone inside a thin shell, denser below the end plates.

    Args:
        depth: optical depths, (x, y), changed in place.
        geometry: source and detector.
        vertebra: the body, in world coordinates.
        bone: relative attenuation of spongy bone.
        cortex: relative thickness of the shell.
        slices: number of sagittal slices across its width.
        rng: draws the trabecular texture.
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
    for lateral in (np.arange(slices) + 0.5) * (2 / slices) - 1:
        a, s, scale = _body_coordinates(vertebra, geometry, window, 0.5 * float(lateral) * vertebra.width_mm)
        pixel = geometry.spacing_mm / scale
        distance, plate = section_distance(vertebra, a, s, float(lateral), bowls)
        inside = np.clip(distance / pixel + 0.5, 0, 1)
        shell = inside * np.clip(1.5 - (distance - 0.45 * cortex) / pixel, 0, 1)
        shell += inside * np.clip((1.3 * cortex - plate) / max(1.3 * cortex, 0.2), 0, 1) * 0.8
        total += shell
        spongy += inside * (1.0 if abs(lateral) < 0.9 else 1.8)
    grain = 1 + _trabeculae(rng, vertebra, geometry, window)
    total *= step * CORTICAL_PER_MM
    total += spongy * grain * (step * SPONGY_PER_MM * packed)
    depth[window] += total
    _add_osteophytes(depth, geometry, vertebra, cortex)


def _trabeculae(rng: np.random.Generator, vertebra: Vertebra, geometry: Geometry, window: Window) -> FloatArray:
    """Texture of trabeculae that run along the body's axis: a relative change, mean 0."""
    a, s, _ = _body_coordinates(vertebra, geometry, window, 0.0)
    texture = np.zeros(a.shape, np.float32)
    for _ in range(4):
        wave, drift = rng.uniform(2.0, 5.5), rng.normal(0, 0.12)
        texture += np.sin(a * np.float32(wave) + s * np.float32(drift * wave) + np.float32(rng.uniform(0, 6.28)))
    return texture * np.float32(rng.uniform(0.01, 0.05))


def _add_osteophytes(depth: FloatArray, geometry: Geometry, vertebra: Vertebra, cortex: float) -> None:
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    for (a, s), size, (out, down) in zip(vertebra.corners_mm, vertebra.osteophytes_mm, signs):
        if size <= 0:
            continue
        length = size * (1.0 if out < 0 else 0.5)
        start = vertebra.to_world(a - 2.5 * out, s - 2.5 * down)
        tip = vertebra.to_world(a + length * out, s + down * 0.35 * length)
        material = Material(SPONGY_PER_MM * 0.8, CORTICAL_PER_MM, 0.6 * cortex)
        add_tube(depth, geometry, start, tip, (2.6, 0.9), material, flatness=4.0)


def outline_mask(vertebra: Vertebra, geometry: Geometry) -> tuple[Window, npt.NDArray[np.bool_]] | None:
    """Silhouette of a body as a reader outlines it.

    The mid-sagittal section in the perspective of the body's mid plane: the outer cortical edge, the middle between
    rim and floor of the dished end plates (which the film shows as two lines), osteophytes left out.

    Returns:
        window and mask in it, (x, y), or None outside the detector.
    """
    window = _body_window(vertebra, geometry)
    if window is None:
        return None
    bowls = (
        _OUTLINE_BOWL * vertebra.bowl_mm[0] + 0.85 * vertebra.fracture_bowl_mm[0],
        _OUTLINE_BOWL * vertebra.bowl_mm[1] + 0.85 * vertebra.fracture_bowl_mm[1],
    )
    a, s, _ = _body_coordinates(vertebra, geometry, window, 0.0)
    return window, section_distance(vertebra, a, s, 0.0, bowls)[0] > 0


def corners_px(vertebra: Vertebra, geometry: Geometry) -> npt.NDArray[np.float64]:
    """Projected corners, (4, 2) in px: superior-anterior, superior-posterior, inferior-posterior, inferior-anterior."""
    return np.array([geometry.project_px(vertebra.to_world(a, s)) for a, s in vertebra.corners_mm])


def add_posterior_elements(
    depth: FloatArray, geometry: Geometry, vertebra: Vertebra, patient: Patient, rng: np.random.Generator
) -> None:
    """Add pedicles, articular and transverse processes, laminae and the spinous process of one vertebra."""
    lumbar = vertebra.level.startswith("L")
    d, h, k = 0.5 * vertebra.depth_mm, vertebra.height_mm, patient.size
    cortical = CORTICAL_PER_MM * patient.cortex
    spongy = Material(SPONGY_PER_MM * patient.bone, cortical, 0.9)
    dense = Material(SPONGY_PER_MM * patient.bone * 1.6, cortical, 1.3)

    def tube(
        p: tuple[float, float, float],
        q: tuple[float, float, float],
        radii: tuple[float, float],
        what: Material,
        flat: float = 1.0,
    ) -> None:
        add_tube(depth, geometry, vertebra.to_world(*p), vertebra.to_world(*q), radii, what, flat)

    jitter = rng.normal(0, 0.8, (2, 3))
    for side in (-1.0, 1.0):
        j = jitter[0 if side < 0 else 1]
        w = side * (14.0 if lumbar else 11.0) * k
        up = -0.22 * h
        tube((d - 2, up, w), (d + 9 * k, up - 0.5 + j[0], w), (6.3 * k, 6.0 * k), spongy, 0.8)
        # Superior articular process, pars and inferior articular process, which meets the next level's.
        joint = d + (15.5 if lumbar else 12.5) * k
        tube((joint - 3, up + 1, w), (joint - 1 + j[1], -0.5 * h - 6.0 * k, w * 1.15), (5.2 * k, 3.6 * k), dense, 1.2)
        tube((joint - 2, up + 1, w), (joint + 4 * k, 0.38 * h, w * 0.9), (4.2 * k, 4.4 * k), dense, 1.0)
        tube(
            (joint + 4 * k, 0.38 * h, w * 0.9),
            (joint + 3 * k + j[2], 0.5 * h + 7.5 * k, w),
            (4.4 * k, 3.4 * k),
            dense,
            1.2,
        )
        reach = w + side * (24.0 if lumbar else 16.0) * k
        tube((d + 9 * k, up + 2, w), (d + (12 if lumbar else 22) * k, up + 1, reach), (4.6 * k, 3.0 * k), spongy, 0.35)
        tube((joint + 3 * k, 0.05 * h, w * 0.8), (joint + 12 * k, 0.15 * h, side * 3), (5.5 * k, 6.0 * k), spongy, 0.5)
    spine = joint + 9 * k
    if lumbar:
        length = (29 if vertebra.level != "L5" else 20) * k
        tube((spine, 0.12 * h, 0), (spine + length, 0.3 * h, 0), (7.5 * k, 10.0 * k), spongy, 0.38)
    else:
        tube((spine, 0.1 * h, 0), (spine + 26 * k, 0.1 * h + 20 * k, 0), (5.5 * k, 4.5 * k), spongy, 0.5)


def add_ribs(
    depth: FloatArray, geometry: Geometry, patient: Patient, vertebra: Vertebra, rng: np.random.Generator
) -> None:
    """Add a thoracic vertebra's pair of ribs: back from the body, round the flank and down to the front."""
    number = int(vertebra.level[1:])
    material = Material(SPONGY_PER_MM * patient.bone * 0.9, CORTICAL_PER_MM * patient.cortex, 0.8)
    sweep = {12: 0.42, 11: 0.62}.get(number, 0.92) * rng.uniform(0.85, 1.1)
    half = 0.41 * patient.width_mm
    front = min(patient.belly_mm * 0.95, 125.0)
    drop = rng.uniform(75, 120)
    back = rng.uniform(44, 56)
    x0, y0, z0 = vertebra.to_world(0.5 * vertebra.depth_mm - 3, -0.2 * vertebra.height_mm)
    for side in (-1.0, 1.0):
        t = np.linspace(0, 1, 15) * sweep * rng.uniform(0.96, 1.04)
        # Half an ellipse seen from above: from the body back to the angle, then along the flank to the front.
        phase = -0.55 + t * (np.pi + 0.1)
        x = x0 + 14 + np.where(phase < np.pi / 2, back * 0.62, 0) * np.sin(np.clip(phase + 0.55, 0, np.pi / 2))
        along = np.clip((t - 0.22) / 0.78, 0, 1)
        x = x - along * (front + back * 0.62)
        z = z0 + side * np.clip(12 + half * np.sin(np.clip(t * 2.2, 0, np.pi * 0.75)), 12, half)
        y = y0 + drop * (0.95 * t**1.15) * (1 if number > 9 else 0.9) - 6 * np.sin(np.pi * np.clip(t * 3, 0, 1))
        points = [(float(p), float(q), float(r)) for p, q, r in zip(x, y, z)]
        for p, q in pairwise(points):
            add_tube(depth, geometry, p, q, (4.6, 4.6), material, flatness=0.5)


def add_disc_vacuum(depth: FloatArray, geometry: Geometry, vertebra: Vertebra) -> None:
    """Add gas in the disc below a body: a flat dark gap."""
    low = 0.25 * sum(s for _, s in vertebra.corners_mm[2:]) * 2
    centre = vertebra.to_world(0.0, low + 3.0)
    material = Material(-0.02)
    add_ellipsoid(depth, geometry, centre, (0.3 * vertebra.depth_mm, 1.2, 12.0), -vertebra.tilt_rad, material)
