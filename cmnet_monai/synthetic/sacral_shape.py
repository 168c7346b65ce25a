"""Random sacra: sizes, curve and looks of S1 to the coccyx.

S1 is a trapezoid whose anterior wall runs back below the promontory; the segments below follow the sacral kyphosis,
between straight and strongly curved. Sizes after Peleg et al. (2007) and Abitbol (1989).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.synthetic.bodies import SacrumLook, Vertebra

SEGMENTS = 6
"""S1 to S5, and the coccyx as one piece."""

_DEPTH_MM = (34.5, 20.5, 16.0, 13.0, 10.5, 8.5, 6.5)
_HEIGHT_MM = (27.5, 23.5, 20.0, 17.0, 15.0, 24.0)
_WIDTH_MM = (50.0, 42.0, 34.0, 28.0, 22.0, 12.0)


def _curve_deg(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Tilt of each segment relative to the sacral slope; positive runs backwards."""
    steps = (
        rng.normal(3, 5),
        rng.normal(13, 8),
        rng.normal(-3, 8),
        -abs(rng.normal(17, 11)),
        -abs(rng.normal(22, 13)),
        -abs(rng.normal(20, 22)),
    )
    return np.asarray(np.cumsum(steps), dtype=np.float64)


def random_look(rng: np.random.Generator, transitional: str = "") -> SacrumLook:
    """Draw how clearly the parts of a sacrum show; a sacralised segment has a clear remnant disc below it."""
    clear = float(rng.choice([0.0, 0.25, 0.6, 1.0], p=[0.2, 0.3, 0.3, 0.2]))
    if transitional == "sacralised":
        clear = 1.0
    remnants = clear * rng.uniform(0.7, 1.2), *(rng.uniform(0.0, 0.6, 3) * rng.choice([0.3, 1.0]))
    faint = float(rng.choice([1.0, rng.uniform(0.2, 0.6)], p=[0.75, 0.25]))
    return SacrumLook(
        remnants=tuple(float(v) for v in remnants),  # type: ignore[arg-type]
        front=faint * float(rng.uniform(0.5, 1.3)),
        dorsal=faint * float(rng.uniform(0.4, 1.2)),
        wing=float(rng.uniform(0.25, 1.1)),
        table=float(rng.choice([1.0, rng.uniform(0.2, 0.7)], p=[0.75, 0.25])) * float(rng.uniform(0.7, 1.1)),
    )


def random_sacrum(
    rng: np.random.Generator, sacral_slope: float, size: float, transitional: str = "", domed: bool = False
) -> tuple[Vertebra, ...]:
    """Draw S1 to S5 and a coccyx along the sacral curve, the middle of S1's upper end plate at the origin.

    Args:
        rng: draws everything.
        sacral_slope: tilt of S1's upper end plate in degrees.
        size: scale of the skeleton.
        transitional: "sacralised" squares S1 and opens the disc below it.
        domed: round off S1's upper end plate, as under a high-grade slip.
    """
    tilts = np.deg2rad(sacral_slope + _curve_deg(rng))
    depths = np.array(_DEPTH_MM) * size * rng.uniform(0.93, 1.07) * rng.uniform(0.96, 1.04, len(_DEPTH_MM))
    heights = np.array(_HEIGHT_MM) * size * rng.uniform(0.9, 1.1, SEGMENTS)
    widths = np.array(_WIDTH_MM) * size
    gaps = np.array([0.0, rng.choice([0.0, rng.uniform(0.5, 4.0)]), *rng.uniform(0.0, 1.2, 3), rng.uniform(0.3, 2.0)])
    taper = float(rng.uniform(0.86, 1.2))
    if transitional == "sacralised":
        depths[1:3] *= (1.35, 1.1)
        gaps[1] = rng.uniform(2.0, 5.0)
        taper = 0.95
    lean = float(rng.uniform(-0.03, 0.15))
    x = y = 0.0
    out = []
    for i in range(SEGMENTS):
        tilt, h = float(tilts[i]), float(heights[i])
        x, y = x + gaps[i] * np.sin(tilt), y + gaps[i] * np.cos(tilt)
        corners = _corners(i, h, depths, taper, lean, float(tilts[0]) - np.deg2rad(sacral_slope))
        cx, cy = x + 0.5 * h * np.sin(tilt), y + 0.5 * h * np.cos(tilt)
        plain = (float(rng.uniform(0.2, 1.8)), 0.3)
        out.append(
            Vertebra(
                level=f"S{i + 1}",
                label=LABEL_OF_LEVEL["S1"] if i == 0 else 0,
                centre_mm=(float(cx), float(cy), 0.0),
                tilt_rad=tilt,
                axial_rad=0.0,
                lateral_rad=float(rng.normal(0, 0.02)) if i == 0 else 0.0,
                corners_mm=corners,
                bowl_mm=(float(rng.uniform(-4.0, -1.5)), 0.3) if domed and i == 0 else plain,
                fracture_bowl_mm=(0.0, 0.0),
                waist_mm=(float(rng.uniform(0.6, 2.2)), 0.3),
                width_mm=float(widths[i]),
            )
        )
        middle = 0.5 * (corners[2][0] + corners[3][0])
        x = cx + 0.5 * h * np.sin(tilt) + middle * np.cos(tilt)
        y = cy + 0.5 * h * np.cos(tilt) - middle * np.sin(tilt)
    return tuple(out)


def _corners(
    i: int, height: float, depths: npt.NDArray[np.float64], taper: float, lean: float, table: float
) -> tuple[tuple[float, float], ...]:
    """Body corners of segment ``i``; S1 has its upper end plate turned back by ``table`` and tapers strongly."""
    back = 0.5 * float(depths[i])
    if i > 0:
        low_post = back - 0.1 * float(depths[i])
        low_ant = low_post - 1.05 * float(depths[i + 1])
        return (-back, -0.5 * height), (back, -0.5 * height), (low_post, 0.5 * height), (low_ant, 0.5 * height)
    low_post = back - lean * float(depths[0])
    low_ant = low_post - float(depths[1]) / taper
    # The plate keeps the sacral slope while the body's axis leans further back.
    drop = back * float(np.tan(table))
    return (
        (-back, -0.5 * height - drop),
        (back, -0.5 * height + drop),
        (low_post, 0.34 * height),
        (low_ant, 0.58 * height),
    )
