"""One synthetic lateral lumbar radiograph with its truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cmnet_monai.conventions import LUMBAR, THORACIC
from cmnet_monai.synthetic import (
    chest,
    degeneration,
    detector,
    domains,
    hardware,
    marks,
    pelvis,
    posterior,
    sacrum,
    shadows,
    soft_tissue,
    vertebra,
)
from cmnet_monai.synthetic.anatomy import KINDS, Patient, Vertebra, random_patient
from cmnet_monai.synthetic.projection import FloatArray, Geometry

_KIND_SHARES = (0.42, 0.30, 0.16, 0.12, 0.0)
_SLICES = 26
_MIN_VISIBLE = 0.5
_KEPT = {"lumbar": LUMBAR, "thoracic": THORACIC[5:11], "whole": (*THORACIC[5:], *LUMBAR)}
"""Levels that the collimator never hides."""


@dataclass(frozen=True)
class BodyTruth:
    """One vertebral body as it lies on a film.

    Args:
        level: its name, "T1" to "L5" or "S1".
        label: its value in the label map (VerSe).
        centre_xy_px: centroid of its region in the label map, px.
        corners_xy_px: projected corners, (4, 2): superior-anterior, superior-posterior, inferior-posterior,
            inferior-anterior; px, may lie outside the film.
        deformity: "none", "wedge", "biconcave" or "crush"; "unknown" on films from a CT.
        grade: Genant grade, 0 to 3; -1 where it is unknown.
        findings: "cement", "screws", "spondylolysis".
        slip_mm: how far it has slipped forwards on the body below.
        plates_xy_px: middles of the upper and the lower end plate as the outline follows them, (2, 2), px; None on
            films from a CT.
    """

    level: str
    label: int
    centre_xy_px: tuple[float, float]
    corners_xy_px: npt.NDArray[np.float64]
    deformity: str
    grade: int
    findings: tuple[str, ...]
    slip_mm: float = 0.0
    plates_xy_px: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True)
class SyntheticFilm:
    """A film with known truth; every array has axes (x, y).

    Args:
        pixels: stored values, uint16, bone bright (MONOCHROME2).
        bits_stored: bits in use.
        spacing_xy_mm: pixel size at the detector.
        label_map: VerSe codes of the visible bodies, uint8; a body is labelled when at least half of it is visible.
        bodies: the truth of every labelled body, from top to bottom.
        faces: "left" or "right", where the patient's front is.
        findings: what the patient has.
        valid_area: True inside the collimator.
        seed: the seed of the film.
        kind: the kind of patient.
        region: "lumbar", "thoracic" or "whole".
        look: "a", "b" or "odd": whose processing, see `generate_film`.

    >>> film = generate_film(seed=1, kind="healthy", height_px=128)
    >>> lowest = film.bodies[-1]
    >>> x, y = np.rint(lowest.centre_xy_px).astype(int)
    >>> lowest.level, lowest.label, int(film.label_map[x, y])
    ('S1', 26, 26)
    """

    pixels: npt.NDArray[np.uint16]
    bits_stored: int
    spacing_xy_mm: tuple[float, float]
    label_map: npt.NDArray[np.uint8]
    bodies: tuple[BodyTruth, ...]
    faces: str
    findings: tuple[str, ...]
    valid_area: npt.NDArray[np.bool_]
    seed: int
    kind: str
    region: str = "lumbar"
    look: str = ""


def place_patient(patient: Patient, shift_xy_mm: tuple[float, float], height_mm: float) -> Patient:
    """Move a patient's skeleton in the image plane and to a height above the detector."""

    def moved(body: Vertebra) -> Vertebra:
        x, y, z = body.centre_mm
        return replace(body, centre_mm=(x + shift_xy_mm[0], y + shift_xy_mm[1], z + height_mm))

    return replace(
        patient,
        vertebrae=tuple(moved(v) for v in patient.vertebrae),
        sacrum=tuple(moved(v) for v in patient.sacrum),
    )


def _position(patient: Patient, height_px: int, rng: np.random.Generator, region: str) -> tuple[Geometry, Patient]:
    """Choose film size, source, and where the patient lies on the film."""
    wide = float(rng.choice([0.82, 0.6], p=[0.75, 0.25])) + float(rng.normal(0, 0.03))
    aspect = float(rng.uniform(0.5, 0.9)) if rng.random() < 0.5 else min(max(wide, 0.5), 0.9)
    coned = rng.random() < 0.12
    low, high = (0.2, 0.48) if aspect < 0.66 else (0.33, 0.62)
    across = float(rng.uniform(low, high))
    if region == "lumbar":
        anchor = "L3"
        field_mm = float(rng.uniform(270, 345) if coned else np.clip(rng.normal(440, 38), 350, 560)) * patient.size
        down = float(
            np.clip(rng.normal(0.48, 0.07), 0.36, 0.6) if coned else np.clip(rng.normal(0.38, 0.05), 0.26, 0.54)
        )
    elif region == "whole":
        anchor = "T12"
        aspect = float(rng.uniform(0.5, 0.7))
        field_mm = float(rng.uniform(560, 820)) * patient.size
        down = float(np.clip(rng.normal(0.52, 0.05), 0.4, 0.62))
    else:
        anchor = "T8"
        field_mm = float(rng.uniform(290, 330) if coned else np.clip(rng.normal(385, 35), 310, 480)) * patient.size
        down = float(np.clip(rng.normal(0.47, 0.05), 0.36, 0.58))
        across += 0.08
    spacing = field_mm / height_px
    source = float(rng.uniform(1000, 1800))
    height = 0.5 * patient.width_mm + float(rng.uniform(40, 90))
    scale = source / (source - height)
    middle = next(v for v in patient.vertebrae if v.level == anchor).centre_mm
    goal = across * aspect * field_mm, down * field_mm
    # A central ray beside the spine's middle meets bodies and pelvis obliquely: it doubles every end plate.
    central = (goal[0] + float(rng.normal(10, 40)), goal[1] + float(rng.normal(40, 60)))
    where = tuple(c + (g - c) / scale for c, g in zip(central, goal))
    geometry = Geometry((round(height_px * aspect), height_px), spacing, source, central)
    return geometry, place_patient(patient, (where[0] - middle[0], where[1] - middle[1]), height)


def render_depth(
    patient: Patient, geometry: Geometry, rng: np.random.Generator, slices: int = _SLICES, region: str = "lumbar"
) -> FloatArray:
    """Optical depths of a placed patient on the detector, (x, y)."""
    depth = np.zeros(geometry.shape, np.float32)
    soft_tissue.add_trunk(depth, geometry, patient, rng)
    pelvis.add_pelvis(depth, geometry, patient, rng)
    sacrum.add_sacrum(depth, geometry, patient, slices, rng)
    for body in patient.vertebrae:
        vertebra.add_body(depth, geometry, body, patient.bone, patient.cortex, slices, rng)
        posterior.add_posterior_elements(depth, geometry, body, patient, rng)
        if posterior.bears_ribs(body, patient):
            posterior.add_ribs(depth, geometry, patient, body, rng)
        posterior.add_disc(depth, geometry, body, rng)
    degeneration.add_degeneration(depth, geometry, patient)
    if region != "lumbar":
        chest.add_shoulders(depth, geometry, patient, rng)
    shadows.add_shadows(depth, geometry, patient, rng)
    hardware.add_hardware(depth, geometry, patient, rng)
    return np.maximum(depth, 0)


def render_labels(
    patient: Patient, geometry: Geometry, valid: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.uint8], tuple[BodyTruth, ...]]:
    """Label map and truth of the bodies of which at least half lies inside ``valid``, patient facing left."""
    labels = np.zeros(geometry.shape, np.uint8)
    truths = []
    for body in (*patient.vertebrae, patient.sacrum[0]):
        found = vertebra.outline_mask(body, geometry)
        if found is None:
            continue
        window, mask = found
        mask = mask & valid[window]
        corners = vertebra.corners_px(body, geometry)
        mask &= labels[window] == 0
        if mask.sum() < _MIN_VISIBLE * vertebra.outline_area_px(body, geometry):
            continue
        labels[window][mask] = body.label
        ix, iy = np.nonzero(mask)
        centre = float(ix.mean() + window[0].start), float(iy.mean() + window[1].start)
        about = (body.deformity, body.grade, body.findings, body.slip_mm)
        plates = vertebra.plates_px(body, geometry)
        truths.append(BodyTruth(body.level, body.label, centre, corners, *about, plates))
    return labels, tuple(truths)


def _mirror(truth: BodyTruth, width_px: int) -> BodyTruth:
    def mirrored(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return points * (-1, 1) + (width_px - 1, 0)

    return replace(
        truth,
        centre_xy_px=(width_px - 1 - truth.centre_xy_px[0], truth.centre_xy_px[1]),
        corners_xy_px=mirrored(truth.corners_xy_px),
        plates_xy_px=None if truth.plates_xy_px is None else mirrored(truth.plates_xy_px),
    )


def generate_film(
    seed: int,
    *,
    kind: str | None = None,
    height_px: int = 1280,
    patient_seed: int | None = None,
    film_seed: int | None = None,
    faces: str | None = None,
    region: str = "lumbar",
    look: str | None = None,
) -> SyntheticFilm:
    """Make one lateral radiograph; the same arguments give the same bytes.

    Args:
        seed: seed of patient and film where they have none of their own.
        kind: "healthy", "compression_fracture", "implant", "cement"; None draws one of these by the patient's seed.
            Or "six_lumbar", which is never drawn.
        height_px: film height; width is 0.5 to 0.9 of it.
        patient_seed: seed of the anatomy, so that a patient can have several films.
        film_seed: seed of position, exposure and noise.
        faces: "left" or "right"; None draws one by the film's seed.
        region: "lumbar" (T11 to the hips), "thoracic" (T2 to L1, under ribs, lungs and shoulders) or "whole" (both,
            so that the bodies are small).
        look: "a" (film-like) or "b" (multi-scale processing), see `domains`; None mixes them.
    Raises:
        ValueError: the kind, side, region or look is unknown, a seed is negative, or the film is less than 128 px high.

    >>> film = generate_film(seed=1, kind="healthy", height_px=128)
    >>> film.pixels.shape == film.label_map.shape, film.pixels.shape[1]  # (x, y)
    (True, 128)
    >>> {20, 21, 22, 23, 24} <= set(np.unique(film.label_map).tolist())  # L1-L5
    True
    """
    patient_seed = seed if patient_seed is None else patient_seed
    film_seed = seed if film_seed is None else film_seed
    check_arguments(min(seed, patient_seed, film_seed), height_px, faces)
    if kind is None:
        kind = str(np.random.default_rng([patient_seed, 7]).choice(KINDS, p=_KIND_SHARES))
    patient = random_patient(patient_seed, kind, region)
    rng = np.random.default_rng([film_seed, patient_seed, 13])
    drawn = "left" if rng.random() < 0.5 else "right"
    faces = faces or drawn
    geometry, placed = _position(patient, height_px, rng, region)
    depth = render_depth(placed, geometry, rng, region=region)
    return finish_film(
        depth,
        lambda valid: render_labels(placed, geometry, valid),
        geometry,
        rng,
        faces=faces,
        look=look,
        region=region,
        findings=patient.findings,
        seed=seed,
        kind=kind,
    )


def finish_film(
    depth: FloatArray,
    labels_within: Callable[[npt.NDArray[np.bool_]], tuple[npt.NDArray[np.uint8], tuple[BodyTruth, ...]]],
    geometry: Geometry,
    rng: np.random.Generator,
    *,
    faces: str,
    look: str | None = None,
    region: str = "lumbar",
    **about: Any,
) -> SyntheticFilm:
    """Expose, process, collimate, mark and store optical depths, and label what the collimator leaves.

    Args:
        depth: optical depths of a patient who faces left, (x, y).
        labels_within: gives label map and truth of the bodies inside a valid area, patient facing left.
        geometry: source and detector.
        rng: draws exposure, processing, collimation and marks.
        faces: "left" or "right".
        look: see `generate_film`.
        region: see `generate_film`: which levels the collimator never hides.
        about: the other fields of the film: findings, seed, kind.
    """
    labels, truths = labels_within(np.ones(geometry.shape, bool))
    film = _develop(depth, labels, truths, geometry, faces, look, region, rng)
    if not film["valid_area"].all():
        labels, truths = labels_within(film["valid_area"] if faces == "left" else film["valid_area"][::-1])
    if faces == "right":
        labels = np.ascontiguousarray(labels[::-1])
        truths = tuple(_mirror(t, geometry.shape[0]) for t in truths)
    spacing = (geometry.spacing_mm, geometry.spacing_mm)
    return SyntheticFilm(
        spacing_xy_mm=spacing, label_map=labels, bodies=truths, faces=faces, region=region, **about, **film
    )


def check_arguments(least_seed: int, height_px: int, faces: str | None) -> None:
    """Raise the ValueError that `generate_film` documents."""
    if least_seed < 0:
        raise ValueError("seeds must not be negative")
    if height_px < 128:
        raise ValueError(f"height_px is {height_px}; a film needs at least 128")
    if faces not in (None, "left", "right"):
        raise ValueError(f"unknown side {faces!r}: choose left or right")


def _develop(
    depth: FloatArray,
    labels: npt.NDArray[np.uint8],
    truths: tuple[BodyTruth, ...],
    geometry: Geometry,
    faces: str,
    look: str | None,
    region: str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Expose, process, mirror, collimate, mark and store."""
    look, exposure = domains.random_look(rng, look)
    reference = float(np.median(depth[labels > 0])) if labels.any() else float(np.median(depth))
    signal = detector.expose(depth, reference, exposure, geometry.spacing_mm, rng)
    domains.add_equipment(signal, rng)
    image = detector.develop(signal, exposure, geometry.spacing_mm)
    for _ in range(5):
        bodies = image[labels > 0]
        if not bodies.size or max((bodies > 0.985).mean(), (bodies < 0.01).mean()) < 0.06:
            break
        # No one would keep a film on which bodies are burnt out: process it again, softer.
        exposure = replace(exposure, centre=0.5 * exposure.centre + 0.25, latitude=1.3 * exposure.latitude)
        image = detector.develop(signal, exposure, geometry.spacing_mm)
    if rng.random() < 0.3:
        image = domains.lower_resolution(image, rng)
    kept = [t for t in truths if t.level in _KEPT[region]]
    points = np.vstack([t.corners_xy_px for t in kept]) if kept else np.array([[0.0, 0.0], [1.0, 1.0]])
    if faces == "right":
        image = np.ascontiguousarray(image[::-1])
        points = points * (-1, 1) + (geometry.shape[0] - 1, 0)
    image, valid = detector.collimate(image, points, rng)
    named = np.vstack([np.vstack([t.corners_xy_px, [t.centre_xy_px]]) for t in truths]) if truths else points
    if truths and faces == "right":
        named = named * (-1, 1) + (geometry.shape[0] - 1, 0)
    if rng.random() < 0.85:
        detector.add_marker(image, named, str(rng.choice(["L", "R"])), rng)
    marks.add_marks(image, named, rng)
    pixels = detector.quantise(image, exposure.bits_stored, rng)
    return {"look": look, "pixels": pixels, "bits_stored": exposure.bits_stored, "valid_area": valid}
