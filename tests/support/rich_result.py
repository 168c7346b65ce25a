"""A film's result in which nothing is empty."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cmnet_monai.film_result import (
    Disc,
    FilmIdentity,
    FilmResult,
    Flag,
    GivenCentre,
    LabelMap,
    Measure,
    Naming,
    Vertebra,
)
from cmnet_monai.io import write_dx
from cmnet_monai.io.files.results import film_fingerprint

SIZE = (80, 130)
FLAGS = (
    Flag("not_a_lateral_lumbar_film", None, "This may be no lateral lumbar film."),
    Flag("fewer_than_five_lumbar", None, "2 of five bodies <b>were</b> found."),
    Flag("doubtful_header", None, "The header contradicts itself."),
    Flag("given_centre_missed", None, "Nothing was found at the centre given at x 3, y 4."),
    Flag("more_than_five_lumbar", None, "There are more than five lumbar bodies."),
    Flag("levels_uncertain", None, "The names may be wrong."),
    Flag("not_measured", None, "Nothing was measured: too few rows."),
    Flag("missed_level", "L3", "L3 was not found between L2 and L4."),
    Flag("cut_off", "L4", "L4 reaches the edge of the film."),
    Flag("implant_or_cement_suspected", "L4", "L4 holds something bright."),
    Flag("low_confidence", "L5", "L5 was found with little confidence."),
    Flag("not_measured", "L5", "L5 was not measured: its front is hidden."),
)


def labels() -> np.ndarray:
    """L4, L5 and S1 on a film of `SIZE`, (x, y)."""
    found = np.zeros(SIZE, np.uint8)
    found[20:60, 10:40], found[22:58, 50:80], found[30:50, 90:120] = 23, 24, 26
    return found


def pixels() -> np.ndarray:
    """The film, (x, y)."""
    return np.random.default_rng(5).integers(0, 3000, SIZE).astype(np.uint16)


def write_film(path: Path) -> Path:
    """That film as DICOM."""
    return write_dx(path, pixels(), bits_stored=12, imager_spacing_xy_mm=(0.2, 0.3))


def rich_result(film: Path, flags: tuple[Flag, ...] = FLAGS) -> FilmResult:
    """A result of a film that `write_film` wrote."""
    heights = (Measure("height_anterior", 30.5, "px", 0.75), Measure("height_anterior", None, "mm"))
    body = Vertebra(
        level="L4",
        centre_xy_px=(39.5, 24.5),
        score=0.875,
        uncertainty=0.125,
        confidence=0.5,
        evidence="counted from S1",
        corners_xy_px=((20.0, 10.0), (59.0, 10.5), (59.0, 39.0), (20.0, 39.5)),
        end_plates_xy_px=((39.5, 10.0), (39.5, 39.0)),
        measures=(*heights, Measure("grey_mean", 1500.25, "grey"), Measure("loss", 12.5, "percent")),
        deformity_candidate="wedge",
        genant_candidate=1,
        cut_off=True,
    )
    return FilmResult(
        film=FilmIdentity(
            film.name,
            SIZE,
            (0.2, 0.3),
            "detector",
            False,
            ((-0.2, 0.0, 0.0), (0.0, -0.3, 0.0), (0.0, 0.0, 1.0)),
            film_fingerprint(film),
            view="lateral",
            body_part="LSPINE",
            notes=("The header contradicts itself.",),
        ),
        run="run1",
        labels=LabelMap.of(labels()),
        vertebrae=(body, Vertebra("L5", (39.5, 64.5), 0.25)),
        discs=(Disc("L4", "L5", (Measure("slip", -3.5, "percent"), Measure("disc_middle", 9.5, "px")), "none", 0),),
        measures=(Measure("lordosis_l1_l5", -41.5, "deg"), Measure("lordosis_l1_s1", None, "deg")),
        anterior="left",
        anterior_evidence="posterior elements",
        assumption="pixels are square",
        naming=Naming(0.625, ("L3", "L4"), True),
        unmeasured=(("L5", "its front is hidden"),),
        flags=flags,
        given_centres=(GivenCentre(3.0, 4.0, "L5", True),),
        problems=("no overlay: no room",),
        mask_levels=("L4",),
    )
