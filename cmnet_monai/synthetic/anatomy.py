"""Random lumbar spines: from a seed to the sizes, positions and deformities of the vertebrae.

Patient coordinates are millimetres for a patient who faces left: x to posterior, y downwards, z lateral. The origin
is the middle of the upper end plate of S1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cmnet_monai.conventions import LABEL_OF_LEVEL

LEVELS = ("T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")
KINDS = ("healthy", "compression_fracture", "implant", "cement")
GENANT_LOSS = ((0.0, 0.0), (0.20, 0.25), (0.25, 0.40), (0.40, 0.62))
"""Relative loss of height for the grades 0 to 3 (Genant et al., 1993)."""

_DEPTH_MM = {"T8": 28.0, "T9": 29.0, "T10": 30.0, "T11": 30.8, "T12": 31.5, "L1": 32.2, "L2": 33.6, "L3": 34.6}
_HEIGHT_MM = {"T8": 22.0, "T9": 23.0, "T10": 24.3, "T11": 25.6, "T12": 27.0, "L1": 28.4, "L2": 28.9, "L3": 28.6}
_DISC_MM = {"T8": 3.2, "T9": 3.3, "T10": 3.5, "T11": 3.8, "T12": 4.4, "L1": 4.4, "L2": 5.0, "L3": 5.6}
_LORDOSIS_SHARE = {"L5": 0.38, "L4": 0.21, "L3": 0.19, "L2": 0.15, "L1": 0.07}


@dataclass(frozen=True)
class Vertebra:
    """One vertebral (or sacral) body and what is attached to it.

    ``corners_mm`` are body coordinates (posterior, inferior) of superior-anterior, superior-posterior,
    inferior-posterior and inferior-anterior corners; ``bowl_mm`` is how deep the upper and lower end plates are
    dished, of which ``fracture_bowl_mm`` comes from a fracture.
    """

    level: str
    label: int
    centre_mm: tuple[float, float, float]
    tilt_rad: float
    axial_rad: float
    lateral_rad: float
    corners_mm: tuple[tuple[float, float], ...]
    bowl_mm: tuple[float, float]
    fracture_bowl_mm: tuple[float, float]
    waist_mm: tuple[float, float]
    width_mm: float
    osteophytes_mm: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    deformity: str = "none"
    grade: int = 0
    findings: tuple[str, ...] = ()
    cage: bool = False

    def to_world(self, posterior: float, inferior: float, lateral: float = 0.0) -> tuple[float, float, float]:
        """World (or patient) position in mm of a point in body coordinates."""
        cos, sin = np.cos(self.tilt_rad), np.sin(self.tilt_rad)
        x = self.centre_mm[0] + posterior * cos + inferior * sin + lateral * np.sin(self.axial_rad)
        y = self.centre_mm[1] - posterior * sin + inferior * cos + lateral * np.sin(self.lateral_rad)
        z = self.centre_mm[2] + lateral - posterior * np.sin(self.axial_rad)
        return float(x), float(y), float(z)

    @property
    def depth_mm(self) -> float:
        """Mean antero-posterior depth."""
        (a0, _), (a1, _), (a2, _), (a3, _) = self.corners_mm
        return 0.5 * (a1 - a0 + a2 - a3)

    @property
    def height_mm(self) -> float:
        """Mean of anterior and posterior height."""
        (_, s0), (_, s1), (_, s2), (_, s3) = self.corners_mm
        return 0.5 * (s3 - s0 + s2 - s1)


@dataclass(frozen=True)
class Patient:
    """A patient: bodies from top to bottom, and the properties of bone and soft tissue.

    ``bone`` scales the attenuation of spongy bone (1 = middle-aged, 0.4 = osteoporotic), ``size`` the skeleton,
    ``width_mm`` is the patient's width along the rays and ``belly_mm`` the distance from L3 to the anterior skin.
    """

    vertebrae: tuple[Vertebra, ...]
    sacrum: tuple[Vertebra, ...]
    size: float
    bone: float
    cortex: float
    width_mm: float
    belly_mm: float
    back_mm: float
    pelvic_tilt_rad: float
    diaphragm: float
    findings: tuple[str, ...]
    seed: int


def _level_value(table: dict[str, float], level: str) -> float:
    return table.get(level, table["L3"])


def _base_corners(rng: np.random.Generator, level: str, size: float) -> tuple[tuple[float, float], ...]:
    depth = _level_value(_DEPTH_MM, level) * size * rng.uniform(0.95, 1.05)
    height = _level_value(_HEIGHT_MM, level) * size * rng.uniform(0.95, 1.05)
    if level == "L5":
        height *= 0.97
    wedge = {"L5": 0.15, "L4": 0.03, "L3": 0.0, "L2": -0.02}.get(level, -0.06) + rng.normal(0, 0.02)
    ant, post = height * (1 + wedge / 2), height * (1 - wedge / 2)
    top, low = depth * rng.uniform(0.94, 0.98), depth * rng.uniform(0.98, 1.03)
    shift = rng.normal(0, 0.4)
    return (
        (-top / 2 + shift, -ant / 2),
        (top / 2 + shift, -post / 2),
        (low / 2, post / 2),
        (-low / 2, ant / 2),
    )


def _deform(rng: np.random.Generator, vertebra: Vertebra, kind: str, grade: int) -> Vertebra:
    """Collapse a body by the loss of height that its grade means."""
    loss = float(rng.uniform(*GENANT_LOSS[grade]))
    (a0, s0), (a1, s1), (a2, s2), (a3, s3) = vertebra.corners_mm
    ant, post = s3 - s0, s2 - s1
    upper = float(rng.uniform(0.6, 1.0))
    fracture_bowl = (0.0, 0.0)
    if kind == "wedge":
        post_loss = loss * float(rng.uniform(0, 0.25))
        goal_ant, goal_post = min(ant, post) * (1 - loss), post * (1 - post_loss * 0.3)
    elif kind == "crush":
        goal_ant, goal_post = ant * (1 - loss * float(rng.uniform(0.95, 1.1))), post * (1 - loss)
    elif kind == "biconcave":
        goal_ant, goal_post = ant * 0.97, post
        both = float(rng.uniform(0.35, 0.65))
        drop = loss * 0.5 * (ant + post)
        fracture_bowl = (drop * both, drop * (1 - both))
    else:
        raise ValueError(f"unknown deformity {kind!r}: choose wedge, biconcave or crush")
    cut_a, cut_p = ant - goal_ant, post - goal_post
    bulge = 0.0 if kind == "biconcave" else loss * 4.0
    corners = (
        (a0 - bulge * float(rng.uniform(0, 1)), s0 + cut_a * upper),
        (a1 + bulge * float(rng.uniform(0, 0.5)), s1 + cut_p * upper),
        (a2, s2 - cut_p * (1 - upper)),
        (a3, s3 - cut_a * (1 - upper)),
    )
    return replace(vertebra, corners_mm=corners, fracture_bowl_mm=fracture_bowl, deformity=kind, grade=grade)


def _fractures(rng: np.random.Generator, kind: str) -> dict[str, tuple[str, int]]:
    """Which levels are fractured, how and how much."""
    if kind == "compression_fracture" or (kind == "cement") or (kind == "implant" and rng.random() < 0.25):
        count = int(rng.choice([1, 2, 3], p=[0.6, 0.28, 0.12]))
        weights = np.array([0.4, 0.5, 0.7, 1.2, 2.6, 2.8, 1.6, 1.2, 1.1, 0.8])
        chosen = rng.choice(len(LEVELS), size=count, replace=False, p=weights / weights.sum())
        if not any(LEVELS[i] in ("T12", "L1", "L2", "L3", "L4", "L5") for i in chosen):
            chosen[0] = LEVELS.index("L1")
        return {
            LEVELS[i]: (str(rng.choice(["wedge", "biconcave", "crush"], p=[0.5, 0.3, 0.2])), int(rng.integers(1, 4)))
            for i in chosen
        }
    return {}


def _tilts(rng: np.random.Generator, sacral_slope: float) -> dict[str, float]:
    """Sagittal tilt of every body in degrees, positive where the anterior end is lower."""
    lordosis = float(np.clip(0.72 * sacral_slope + rng.normal(24, 9), 6, 80))
    shares = {level: share * rng.uniform(0.75, 1.25) for level, share in _LORDOSIS_SHARE.items()}
    total = sum(shares.values())
    tilts, tilt = {}, sacral_slope
    for level in reversed(LEVELS):
        if level in shares:
            tilt -= lordosis * shares[level] / total
        else:
            tilt += {"T12": rng.normal(0, 1.5), "T11": rng.normal(2, 1.5)}.get(level, rng.normal(3.5, 1.5))
        tilts[level] = tilt
    return tilts


def _stack(
    rng: np.random.Generator,
    shapes: dict[str, Vertebra],
    tilts: dict[str, float],
    discs: dict[str, float],
    scoliosis: tuple[float, float, float],
    slips: dict[str, float],
) -> tuple[Vertebra, ...]:
    """Put the bodies on top of each other, from S1's upper end plate upwards."""
    x = y = 0.0
    below, kyphosis = None, 0.0
    bend, phase, twist = scoliosis
    placed = []
    for i, level in enumerate(reversed(LEVELS)):
        shape = shapes[level]
        tilt = np.deg2rad(tilts[level]) + kyphosis
        mean_tilt = tilt if below is None else 0.5 * (tilt + below)
        below = tilt
        x -= discs[level] * np.sin(mean_tilt)
        y -= discs[level] * np.cos(mean_tilt)
        corners = shape.corners_mm
        low, top = 0.5 * (corners[2][1] + corners[3][1]), 0.5 * (corners[0][1] + corners[1][1])
        slip = slips.get(level, 0.0)
        cx, cy = x - low * np.sin(tilt) - slip * np.cos(tilt), y - low * np.cos(tilt) + slip * np.sin(tilt)
        lateral = bend * np.sin(phase + i * 0.42)
        placed.append(
            replace(
                shape,
                centre_mm=(float(cx), float(cy), float(bend * 30 * (np.sin(phase + i * 0.42) - np.sin(phase)))),
                tilt_rad=float(tilt),
                lateral_rad=float(lateral + rng.normal(0, 0.012)),
                axial_rad=float(twist * np.sin(phase + i * 0.42) + rng.normal(0, 0.015)),
            )
        )
        x, y = cx + top * np.sin(tilt), cy + top * np.cos(tilt)
        if shape.deformity == "wedge":
            angle = np.arctan2((corners[0][1] - corners[1][1]), shape.depth_mm)
            kyphosis += 0.5 * max(float(angle), 0.0)
    return tuple(reversed(placed))


def _sacrum(rng: np.random.Generator, sacral_slope: float, size: float) -> tuple[Vertebra, ...]:
    """Segments S1 to S5 and a coccyx, along the sacral curve."""
    curve = float(rng.uniform(0.6, 1.4))
    tilts = np.deg2rad(sacral_slope + np.array([4.0, 18.0, 12.0, -10.0, -40.0, -70.0]) * curve)
    depths = np.array([35.5, 21.0, 16.0, 13.0, 10.0, 8.0, 7.0]) * size * rng.uniform(0.95, 1.05)
    depths[0] *= rng.uniform(0.95, 1.04)
    heights = np.array([27.5, 23.0, 19.0, 16.0, 14.0, 17.0]) * size * rng.uniform(0.94, 1.06)
    widths = np.array([50.0, 42.0, 34.0, 28.0, 22.0, 12.0]) * size
    gaps = np.array([0.0, rng.uniform(0.0, 3.0), 0.3, 0.2, 0.2, 1.0])
    x = y = 0.0
    out = []
    for i in range(6):
        tilt = float(tilts[i])
        x, y = x + gaps[i] * np.sin(tilt), y + gaps[i] * np.cos(tilt)
        h = heights[i]
        ant, post = h * (1.08 if i == 0 else 1.0), h * (0.84 if i == 0 else 1.0)
        # The promontory juts out: the anterior wall runs back, the posterior one hardly moves.
        back = 0.5 * depths[0] if i == 0 else 0.5 * depths[i]
        low_post = back - (0.13 * depths[0] if i == 0 else 0.1 * depths[i])
        low_ant = low_post - depths[i + 1] * 1.05
        cx, cy = x + 0.5 * h * np.sin(tilt), y + 0.5 * h * np.cos(tilt)
        out.append(
            Vertebra(
                level=f"S{i + 1}",
                label=LABEL_OF_LEVEL["S1"] if i == 0 else 0,
                centre_mm=(float(cx), float(cy), 0.0),
                tilt_rad=tilt,
                axial_rad=0.0,
                lateral_rad=0.0,
                corners_mm=(
                    (-back, -0.5 * h),
                    (back, -0.5 * h),
                    (low_post, -0.5 * h + post),
                    (low_ant, -0.5 * h + ant),
                ),
                bowl_mm=(float(rng.uniform(0.3, 1.5)), 0.3),
                fracture_bowl_mm=(0.0, 0.0),
                waist_mm=(1.2, 0.3),
                width_mm=float(widths[i]),
            )
        )
        middle = 0.5 * (low_ant + low_post)
        x = cx + 0.5 * h * np.sin(tilt) + middle * np.cos(tilt)
        y = cy + 0.5 * h * np.cos(tilt) - middle * np.sin(tilt)
    return tuple(out)


def _random_body(rng: np.random.Generator, level: str, size: float, old: bool) -> Vertebra:
    """Draw the shape of one body, at the origin."""
    corners = _base_corners(rng, level, size)
    degenerate = rng.random(4) < (0.3 if old else 0.06)
    return Vertebra(
        level=level,
        label=LABEL_OF_LEVEL[level],
        centre_mm=(0.0, 0.0, 0.0),
        tilt_rad=0.0,
        axial_rad=0.0,
        lateral_rad=0.0,
        corners_mm=corners,
        bowl_mm=(float(rng.uniform(0.8, 3.2)), float(rng.uniform(1.2, 3.8))),
        fracture_bowl_mm=(0.0, 0.0),
        waist_mm=(float(rng.uniform(1.4, 4.2)), float(rng.uniform(0.6, 2.4))),
        width_mm=size * (44.0 if level[0] == "L" else 35.0),
        osteophytes_mm=tuple(float(v) for v in degenerate * rng.uniform(1.5, 7.0, 4)),  # type: ignore[arg-type]
    )


def random_patient(seed: int, kind: str = "healthy") -> Patient:
    """Draw a patient; the same seed and kind give the same patient.

    Args:
        seed: seed of the patient's own random generator.
        kind: one of ``KINDS``.
    Raises:
        ValueError: the kind is unknown.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}: choose one of {', '.join(KINDS)}")
    rng = np.random.default_rng([seed, KINDS.index(kind), 11])
    size = float(np.clip(rng.normal(1.04, 0.07), 0.88, 1.24))
    old = kind != "healthy" or rng.random() < 0.45
    bone = float(rng.uniform(0.35, 0.85) if old else rng.uniform(0.7, 1.4))
    sacral_slope = float(np.clip(rng.normal(44, 10), 14, 68))
    fractures = _fractures(rng, kind)
    shapes = {}
    for level in LEVELS:
        shape = _random_body(rng, level, size, old)
        if level in fractures:
            shape = _deform(rng, shape, *fractures[level])
        shapes[level] = shape
    worn = {level: rng.random() < (0.3 if old else 0.08) for level in LEVELS}
    discs = {
        level: _level_value(_DISC_MM, level)
        * size
        * float(rng.uniform(0.3, 0.7) if worn[level] else rng.uniform(0.85, 1.25))
        for level in LEVELS
    }
    slips = {level: float(rng.normal(0, 0.7)) for level in LEVELS}
    if rng.random() < (0.18 if old else 0.05):
        slips[str(rng.choice(["L4", "L5", "L3"]))] = float(rng.uniform(3, 9))
    severity = float(rng.choice([0.02, 0.07, 0.16], p=[0.55, 0.33, 0.12]))
    scoliosis = (
        severity * float(rng.uniform(-1, 1)),
        float(rng.uniform(0, 6.28)),
        float(rng.normal(0, 0.05 + severity)),
    )
    vertebrae = _stack(rng, shapes, _tilts(rng, sacral_slope), discs, scoliosis, slips)
    vertebrae, findings = _treat(rng, vertebrae, kind)
    width = float(np.clip(rng.normal(325, 40), 250, 430)) * size**0.5
    return Patient(
        vertebrae=vertebrae,
        sacrum=_sacrum(rng, sacral_slope, size),
        size=size,
        bone=bone,
        cortex=float(rng.uniform(0.7, 1.2)) * (0.75 + 0.25 * min(bone, 1.0)),
        width_mm=width,
        belly_mm=float(np.clip(rng.normal(105, 25), 60, 190)),
        back_mm=float(np.clip(rng.normal(95, 14), 70, 135)),
        pelvic_tilt_rad=float(np.deg2rad(np.clip(rng.normal(13, 8), -5, 32))),
        diaphragm=float(rng.uniform(-0.6, 3.2)),
        findings=findings,
        seed=seed,
    )


def _treat(
    rng: np.random.Generator, vertebrae: tuple[Vertebra, ...], kind: str
) -> tuple[tuple[Vertebra, ...], tuple[str, ...]]:
    """Mark which bodies carry screws, cages or cement."""
    found: list[str] = []
    marks: dict[str, list[str]] = {v.level: list(v.findings) for v in vertebrae}
    cages: set[str] = set()
    if kind == "implant":
        count = int(rng.choice([2, 3, 4, 5], p=[0.45, 0.3, 0.15, 0.1]))
        last = int(rng.choice([9, 9, 9, 8, 8, 7, 6]))
        used = range(max(last - count + 1, 3), last + 1)
        for i in used:
            if i in (used[0], used[-1]) or rng.random() < 0.85:
                marks[LEVELS[i]].append("screws")
        if rng.random() < 0.55:
            cages.update(LEVELS[i] for i in used if rng.random() < 0.6)
        found += ["screws", "rods"] + (["cage"] if cages else [])
    if kind == "cement" or (kind == "implant" and rng.random() < 0.12):
        candidates = [v.level for v in vertebrae if v.deformity != "none"] or ["L1", "L2", "L3"]
        for level in candidates:
            if rng.random() < 0.75 or level == candidates[0]:
                marks[level].append("cement")
        found.append("cement")
    found += sorted({v.deformity for v in vertebrae} - {"none"})
    treated = tuple(replace(v, findings=tuple(marks[v.level]), cage=v.level in cages) for v in vertebrae)
    return treated, tuple(found)
