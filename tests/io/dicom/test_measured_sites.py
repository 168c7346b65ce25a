from __future__ import annotations

import math

import numpy as np
import pytest

from cmnet_monai.film_result import Disc, FilmIdentity, FilmResult, Flag, LabelMap, Measure, Vertebra, measures_of
from cmnet_monai.io import MeasuredSite, measured_sites

CORNERS = ((2.0, 3.0), (9.0, 3.5), (9.5, 12.0), (2.5, 11.0))
PLATES = ((5.5, 4.0), (6.0, 11.5))
L3 = Vertebra(
    "L3",
    centre_xy_px=(101.5, 203.0),
    confidence=0.8,
    corners_xy_px=CORNERS,
    end_plates_xy_px=PLATES,
    measures=measures_of(
        {
            "height_anterior_px": 81.25,
            "height_anterior_mm": None,
            "height_middle_px": math.nan,
            "height_posterior_mm": np.float64(27.5),
            "depth_upper_px": 70.0,
            "depth_middle_px": 71.0,
            "ha_hp_ratio": 0.9,
            "grey_mean": 1234.5,
            "glcm_contrast": 3.0,
        }
    ),
    deformity_candidate="wedge",
    genant_candidate=2,
)
SLIP = measures_of({"disc_anterior_px": 9.5, "disc_angle_deg": 4.0, "slip_px": 3.0, "slip_percent": 4})
FLAGS = (
    Flag("not_a_lateral_lumbar_film", None, "Look at the film."),
    Flag("cut_off", "L3", "Look at L3."),
    Flag("missed_level", "L5", "L5 was not found."),
)


def result(**parts: object) -> FilmResult:
    film = FilmIdentity("film.dcm", (30, 50))
    return FilmResult(film, "run", LabelMap.of(np.zeros((30, 50), np.uint8)), **parts)  # type: ignore[arg-type]


def test_a_vertebra_becomes_a_site_with_what_has_a_code_and_a_value() -> None:
    site, disc = measured_sites(result(vertebrae=(L3,), discs=(Disc("L3", "L4", SLIP, "anterolisthesis", 1),)))
    assert (site.site, site.centre_xy) == ("L3", (101.5, 203.0))
    assert [(m.name, m.value, m.unit) for m in site.measurements] == [
        ("height_anterior", 81.25, "px"),
        ("height_posterior", 27.5, "mm"),
        ("depth_middle", 71.0, "px"),
        ("ha_hp", 0.9, "ratio"),
        ("grey_mean", 1234.5, "grey"),
        ("slip", 4.0, "percent"),
        ("confidence", 0.8, "1"),
    ]
    # From anterior to posterior: corner, middle, corner.
    assert site.superior_end_plate_xy == ((2.0, 3.0), (5.5, 4.0), (9.0, 3.5))
    assert site.inferior_end_plate_xy == ((2.5, 11.0), (6.0, 11.5), (9.5, 12.0))
    assert (disc.site, [(m.name, m.value) for m in disc.measurements]) == ("L3-L4", [("disc_anterior", 9.5)])


def test_candidates_for_grades_stay_out() -> None:
    sites = measured_sites(result(vertebrae=(L3,), discs=(Disc("L3", "L4", SLIP, "anterolisthesis", 1),)))
    assert not any(site.evaluations for site in sites)


def test_flags_go_with_the_body_or_the_film_that_they_are_about() -> None:
    l3, whole = measured_sites(result(vertebrae=(L3,), flags=FLAGS))
    assert list(l3.flags) == ["Look at L3."]
    # A body that was not found has no group of its own.
    assert (whole.site, list(whole.flags)) == ("lumbar spine", ["Look at the film.", "L5 was not found."])


def test_the_lumbar_spine_is_a_site_where_there_is_anything_to_say_of_it() -> None:
    assert measured_sites(result()) == []
    (whole,) = measured_sites(result(measures=measures_of({"lordosis_l1_l5_deg": -41.0, "lordosis_l1_s1_deg": None})))
    assert [(m.name, m.value, m.unit) for m in whole.measurements] == [("lordosis_l1_l5", -41.0, "deg")]


def test_a_body_that_was_not_measured_has_its_centre_alone() -> None:
    (site,) = measured_sites(result(vertebrae=(Vertebra("T12", (4.0, 5.0)),)))
    assert (site.centre_xy, site.measurements, site.superior_end_plate_xy) == ((4.0, 5.0), (), None)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"site": ""}, "a site is a level.*got ''"),
        ({"site": "L9"}, "got 'L9'"),
        ({"measurements": [Measure("anterior", 3.0, "px")]}, "'anterior' has no code; known: height_anterior"),
        ({"measurements": [Measure("slip", 3.0, "cm")]}, "the unit of 'slip' is one of px, mm, .* got 'cm'"),
        ({"measurements": [Measure("slip", math.nan, "px")]}, "the value of 'slip' must be finite, got nan"),
        ({"measurements": [Measure("slip", None, "px")]}, "the value of 'slip' must be finite, got None"),
        ({"evaluations": {"genant_candidate": "4"}}, "genant_candidate='4' has no code; known: 0, 1, 2, 3"),
        ({"evaluations": {"shape": "odd"}}, "'shape' has no code; known: genant_candidate"),
        ({"superior_end_plate_xy": [(1, 2)]}, r"an end plate of L1 needs at least 2 finite \(x, y\)"),
        ({"inferior_end_plate_xy": [(1, 2), (3, math.nan)]}, "an end plate of L1 needs at least 2"),
        ({"centre_xy": (1.0, math.inf)}, "the centre of L1 needs at least 1 finite"),
    ],
)
def test_what_says_nothing_sensible_is_refused(parts: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MeasuredSite(**{"site": "L1", **parts})
