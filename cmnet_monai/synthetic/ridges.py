"""Dense lines of bone: crests, walls and joint borders."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from cmnet_monai.synthetic.projection import FloatArray, Geometry, Material, Point3, Tube, add_union

Path = npt.NDArray[np.float64]


def add_curve(
    depth: FloatArray,
    geometry: Geometry,
    points: list[Point3],
    radius_mm: tuple[float, float],
    material: Material,
    flatness: tuple[float, float],
    rng: np.random.Generator,
    count: int = 18,
) -> None:
    """Add a bony ridge through points: uneven, and fading out at both ends.

    Args:
        depth: optical depths, (x, y), changed in place.
        geometry: source and detector.
        points: at least two world points in mm.
        radius_mm: half its width on the film at both ends.
        material: attenuation of core and shell.
        flatness: extent along the rays over its width at both ends.
        rng: draws its unevenness.
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


def _point(row: Path) -> Point3:
    return float(row[0]), float(row[1]), float(row[2])
