"""Random lumbar spines: from a seed to the sizes, positions and deformities of the vertebrae.

Patient coordinates are millimetres for a patient who faces left: x to posterior, y downwards, z lateral. The origin
is the middle of the upper end plate of S1.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cmnet_monai.conventions import LABEL_OF_LEVEL, LUMBAR, THORACIC
from cmnet_monai.synthetic.bodies import Patient, Vertebra
from cmnet_monai.synthetic.sacral_shape import random_look, random_sacrum
from cmnet_monai.synthetic.spine_curve import random_scoliosis, sagittal_tilts, stack

LEVELS = (*THORACIC, *LUMBAR)
KINDS = ("healthy", "compression_fracture", "implant", "cement", "six_lumbar")
REGIONS = ("lumbar", "thoracic", "whole")
TRANSITIONAL = ("sacralised", "lumbarised")
VARIANTS = (*TRANSITIONAL, "spondylolysis", "spondylolisthesis", "retrolisthesis")
"""Findings that any kind of patient may have."""

GENANT_LOSS = ((0.0, 0.0), (0.20, 0.25), (0.25, 0.40), (0.40, 0.62))
"""Relative loss of height for the grades 0 to 3 (Genant et al., 1993)."""

_DEPTH_MM = dict(
    zip(LEVELS, (16.5, 17.5, 19, 21, 23, 25, 26.6, 28, 29, 30, 30.8, 31.5, 32.2, 33.6, 34.6, 34.8, 34.6), strict=True)
)
_HEIGHT_MM = dict(
    zip(
        LEVELS,
        (16.5, 17.3, 18, 18.7, 19.4, 20.2, 21, 22, 23, 24.3, 25.6, 27, 28.4, 28.9, 28.6, 28.2, 27.8),
        strict=True,
    )
)
DISC_MM = dict(
    zip(LEVELS, (3.2, 2.8, 2.6, 2.6, 2.7, 2.9, 3.0, 3.2, 3.3, 3.5, 3.8, 4.4, 4.8, 5.6, 6.2, 6.6, 6.0), strict=True)
)
"""Usual height of the disc below a level, between the middles of the end plates' rims."""

_FRACTURE_WEIGHT = {
    "lumbar": dict(zip(LEVELS[7:], (0.4, 0.5, 0.7, 1.2, 2.6, 2.8, 1.6, 1.2, 1.1, 0.8), strict=True)),
    "thoracic": dict(
        zip(LEVELS[3:], (0.4, 0.7, 1.2, 1.8, 1.7, 1.3, 1.2, 1.6, 2.4, 1.6, 0.4, 0.2, 0.1, 0.1), strict=True)
    ),
}
_CEMENTED = {"lumbar": ("L1", "L2", "L3"), "thoracic": ("T7", "T8", "T12")}


def _base_corners(rng: np.random.Generator, level: str, size: float) -> tuple[tuple[float, float], ...]:
    depth = _DEPTH_MM[level] * size * rng.uniform(0.95, 1.05)
    height = _HEIGHT_MM[level] * size * rng.uniform(0.95, 1.05)
    wedge = {"L5": 0.15, "L4": 0.03, "L3": 0.0, "L2": -0.02}.get(level, -0.06)
    wedge += rng.normal(0, 0.06 if level == "L5" else 0.02)
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


def _fractures(rng: np.random.Generator, kind: str, region: str) -> dict[str, tuple[str, int]]:
    """Which levels are fractured, how and how much; at least one of them lies where the region's films show it."""
    region = _treated(region)
    if kind == "compression_fracture" or (kind == "cement") or (kind == "implant" and rng.random() < 0.25):
        count = int(rng.choice([1, 2, 3], p=[0.6, 0.28, 0.12]))
        weights = _FRACTURE_WEIGHT[region]
        shares = np.array(list(weights.values()))
        chosen = [str(level) for level in rng.choice(list(weights), size=count, replace=False, p=shares / shares.sum())]
        shown = ("T12", *LUMBAR) if region == "lumbar" else LEVELS[6:11]
        if not set(chosen) & set(shown):
            chosen[0] = "L1" if region == "lumbar" else "T8"
        return {
            level: (str(rng.choice(["wedge", "biconcave", "crush"], p=[0.5, 0.3, 0.2])), int(rng.integers(1, 4)))
            for level in chosen
        }
    return {}


def _slips(
    rng: np.random.Generator, old: bool, transitional: str
) -> tuple[dict[str, float], tuple[str, ...], dict[str, tuple[str, ...]]]:
    """How far each level slips, the patient's findings from it, and each body's."""
    slips = {level: float(rng.normal(0, 0.7)) for level in LEVELS}
    found: list[str] = []
    marks: dict[str, tuple[str, ...]] = {}
    draw = rng.random()
    if draw < (0.2 if old else 0.06):
        level = str(rng.choice(["L3", "L4", "L5"], p=[0.15, 0.55, 0.3]))
        slips[level] = float(rng.uniform(3, 10))
        found.append("spondylolisthesis")
    elif draw < (0.28 if old else 0.14) and transitional != "lumbarised":
        # A gap in the neural arch lets L5 slide further than a worn joint does, sometimes not at all.
        marks["L5"] = ("spondylolysis",)
        found.append("spondylolysis")
        if rng.random() < 0.8:
            slips["L5"] = float(rng.uniform(3, 10) if rng.random() < 0.7 else rng.uniform(10, 19))
            found.append("spondylolisthesis")
    if rng.random() < (0.12 if old else 0.03):
        level = str(rng.choice([level for level in ("L1", "L2", "L3") if slips[level] < 3]))
        slips[level] = -float(rng.uniform(2.5, 6))
        found.append("retrolisthesis")
    return slips, tuple(found), marks


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


def random_patient(seed: int, kind: str = "healthy", region: str = "lumbar") -> Patient:
    """Draw a patient; the same arguments give the same patient.

    One patient in 16 has a transitional vertebra. Levels are counted from the lowest full disc, as on a film without
    the whole spine: what lies below it is S1. A "sacralised" segment is therefore S1, square and with a clear disc
    below it, under four or five bodies without ribs; a "lumbarised" one is L5, set nearly in line with the sacrum.

    Args:
        seed: seed of the patient's own random generator.
        kind: one of ``KINDS``.
        region: one of ``REGIONS``; where fractures and implants are: on a film of the whole spine as on a lumbar one.
    Raises:
        ValueError: the kind or region is unknown.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}: choose one of {', '.join(KINDS)}")
    if region not in REGIONS:
        raise ValueError(f"unknown region {region!r}: choose one of {', '.join(REGIONS)}")
    rng = np.random.default_rng([seed, KINDS.index(kind), 11, REGIONS.index(region)])
    size = float(np.clip(rng.normal(1.04, 0.07), 0.88, 1.24))
    old = kind != "healthy" or rng.random() < 0.45
    bone = float(rng.uniform(0.3, 0.8) if old else rng.uniform(0.45, 1.15))
    transitional = str(rng.choice(["", *TRANSITIONAL], p=[0.94, 0.03, 0.03]))
    sacral_slope = float(np.clip(rng.normal(40, 12), 14, 70))
    slips, variants, marks = _slips(rng, old, transitional)
    fractures = _fractures(rng, kind, region)
    shapes = {}
    for level in LEVELS:
        shape = _random_body(rng, level, size, old)
        if level == "L5" and transitional == "lumbarised":
            shape = _squared(shape)
        if level in fractures:
            shape = _deform(rng, shape, *fractures[level])
        shapes[level] = replace(shape, findings=marks.get(level, ()))
    worn = {level: rng.random() < _worn_share(level, old) or slips[level] > 5 for level in LEVELS}
    discs = _random_discs(rng, worn, size, transitional)
    tilts = sagittal_tilts(rng, LEVELS, sacral_slope, worn, transitional)
    vertebrae = stack(rng, shapes, sacral_slope, tilts, discs, random_scoliosis(rng), slips)
    vertebrae, findings = _treat(rng, vertebrae, kind, region)
    sacrum = random_sacrum(rng, sacral_slope, size, transitional, domed=slips["L5"] > 9)
    if "screws" in vertebrae[-1].findings and rng.random() < 0.6:
        sacrum = (replace(sacrum[0], findings=("screws",)), *sacrum[1:])
    if kind == "six_lumbar":
        vertebrae = _one_level_lower(vertebrae)
    width = float(np.clip(rng.normal(325, 40), 250, 430)) * size**0.5
    return Patient(
        vertebrae=vertebrae,
        sacrum=sacrum,
        size=size,
        bone=bone,
        cortex=float(rng.uniform(0.55, 1.15)) * (0.75 + 0.25 * min(bone, 1.0)),
        width_mm=width,
        belly_mm=float(np.clip(rng.normal(105, 25), 60, 190)),
        back_mm=float(np.clip(rng.normal(95, 14), 70, 135)),
        pelvic_tilt_rad=float(np.deg2rad(np.clip(rng.normal(15, 9), -6, 38))),
        diaphragm=float(np.clip(rng.normal(1.5, 0.85), -0.4, 3.4)),
        findings=tuple(filter(None, (*findings, *variants, transitional))),
        seed=seed,
        sacrum_look=random_look(rng, transitional),
        transitional=transitional,
    )


def _treated(region: str) -> str:
    """Which region of `REGIONS` decides where fractures and implants are."""
    return "lumbar" if region == "whole" else region


def _one_level_lower(vertebrae: tuple[Vertebra, ...]) -> tuple[Vertebra, ...]:
    """The same bodies named one level lower, T11 as T12 and L5 as L6; there is no T1 left."""
    lower = dict(zip(LEVELS, (*LEVELS[1:], "L6"), strict=True))
    named = (replace(v, level=lower[v.level], label=LABEL_OF_LEVEL[lower[v.level]]) for v in vertebrae)
    return tuple(named)


def _random_discs(rng: np.random.Generator, worn: dict[str, bool], size: float, transitional: str) -> dict[str, float]:
    """Height of the disc below each level in mm."""
    discs = {
        level: DISC_MM[level] * size * float(rng.uniform(0.12, 0.65) if worn[level] else rng.uniform(0.8, 1.3))
        for level in LEVELS
    }
    if transitional == "lumbarised":
        discs["L5"] = DISC_MM["L5"] * size * float(rng.uniform(0.55, 0.9))
    return discs


def _worn_share(level: str, old: bool) -> float:
    """Chance of a worn disc below a level; the two lowest discs wear first."""
    return (0.3 if old else 0.08) + (0.18 if level in ("L4", "L5") else 0.0)


def _squared(body: Vertebra) -> Vertebra:
    """A lumbarised segment: as high behind as in front, and tapering downwards a little."""
    (a0, s0), (a1, s1), (a2, s2), (a3, s3) = body.corners_mm
    half = 0.25 * (s3 - s0 + s2 - s1)
    return replace(body, corners_mm=((a0, -half), (a1, -half), (0.93 * a2, half), (0.93 * a3, half)))


def _treat(
    rng: np.random.Generator, vertebrae: tuple[Vertebra, ...], kind: str, region: str
) -> tuple[tuple[Vertebra, ...], tuple[str, ...]]:
    """Mark which bodies carry screws, cages or cement."""
    region = _treated(region)
    found: list[str] = []
    marks: dict[str, list[str]] = {v.level: list(v.findings) for v in vertebrae}
    cages: set[str] = set()
    if kind == "implant":
        count = int(rng.choice([2, 3, 4, 5], p=[0.45, 0.3, 0.15, 0.1]))
        lowest = ("L5", "L5", "L5", "L4", "L4", "L3", "L2") if region == "lumbar" else ("L1", "T12", "T11", "T9", "T8")
        last = LEVELS.index(str(rng.choice(lowest)))
        used = range(max(last - count + 1, LEVELS.index("T11") if region == "lumbar" else 3), last + 1)
        for i in used:
            if i in (used[0], used[-1]) or rng.random() < 0.85:
                marks[LEVELS[i]].append("screws")
        if rng.random() < 0.55:
            cages.update(LEVELS[i] for i in used if rng.random() < 0.6)
        found += ["screws", "rods"] + (["cage"] if cages else [])
    if kind == "cement" or (kind == "implant" and rng.random() < 0.12):
        candidates = [v.level for v in vertebrae if v.deformity != "none"] or list(_CEMENTED[region])
        for level in candidates:
            if rng.random() < 0.75 or level == candidates[0]:
                marks[level].append("cement")
        found.append("cement")
    found += sorted({v.deformity for v in vertebrae} - {"none"})
    treated = tuple(replace(v, findings=tuple(marks[v.level]), cage=v.level in cages) for v in vertebrae)
    return treated, tuple(found)
