from __future__ import annotations

import math

import numpy as np
import pytest

from cmnet_monai.io import MeasuredSite, VertebraMeasurement, measured_site
from cmnet_monai.io.dicom.codes import Concept

ROW = {
    "film": "f.dcm",
    "level": "L3",
    "x_px": np.float32(101.5),
    "y_px": 203,
    "ha_px": 81.25,
    "ha_mm": None,
    "hm_px": math.nan,
    "hp_mm": np.float64(27.5),
    "ha_hp": 0.9,
    "slip_percent": 4,
    "slip_mm": 1.5,
    "area_px2": 6400,
    "area_mm2": 712.5,
    "lordosis_l1_l5_deg": -41.0,
    "hp_neighbours": 0.97,
    "pixel_mean": 1234.5,
    "confidence": 0.8,
    "genant_grade": 2.0,
    "deformity": "wedge",
    "meyerding_grade": None,
    "spacing_provenance": "none",
    "superior_end_plate_xy": [(1, 2), (3, 4)],
    "cut_off": True,
    "flags": [],
}


def test_a_row_becomes_a_site_with_units():
    site = measured_site(ROW)
    assert site.site == "L3"
    assert site.centre_xy == (101.5, 203.0)
    assert [(m.name, m.value, m.unit) for m in site.measurements] == [
        ("ha", 81.25, "px"),
        ("hp", 27.5, "mm"),
        ("ha_hp", 0.9, "ratio"),
        ("slip", 4.0, "%"),
        ("slip", 1.5, "mm"),
        ("area", 6400.0, "px"),
        ("area", 712.5, "mm2"),
        ("lordosis_l1_l5", -41.0, "deg"),
        ("hp_neighbours", 0.97, "ratio"),
        ("pixel_mean", 1234.5, "grey"),
        ("confidence", 0.8, "1"),
    ]
    assert site.evaluations == {"genant_grade": "2", "deformity": "wedge"}
    assert site.superior_end_plate_xy == [(1, 2), (3, 4)]
    assert site.inferior_end_plate_xy is None


def test_other_sites_are_named_too():
    assert measured_site({"site": "L4-L5", "disc_ha_px": 9.5}).site == "L4-L5"
    assert measured_site({"site": "lumbar spine"}).measurements == []
    assert measured_site({"level": "L1", "x_px": 3.0}).centre_xy is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "a site is a level.*got ''"),
        ({"level": "L9"}, "got 'L9'"),
        ({"level": "L1", "anterior_px": 3.0}, "'anterior' has no code: give its concept"),
        ({"level": "L1", "genant_grade": 4}, "genant_grade='4' has no code; known: 0, 1, 2, 3"),
        ({"level": "L1", "superior_end_plate_xy": [(1, 2)]}, r"an end plate of L1 needs at least 2 finite \(x, y\)"),
        ({"level": "L1", "inferior_end_plate_xy": [(1, 2), (3, math.nan)]}, "an end plate of L1 needs at least 2"),
        ({"level": "L1", "x_px": 1.0, "y_px": math.inf}, "the centre of L1 needs at least 1 finite"),
    ],
)
def test_a_row_that_says_nothing_sensible_is_refused(row, message):
    with pytest.raises(ValueError, match=message):
        measured_site(row)


def test_a_measurement_needs_a_code_a_unit_and_a_number():
    with pytest.raises(ValueError, match="'torsion' has no code"):
        VertebraMeasurement("torsion", 1.0, "deg")
    own = VertebraMeasurement("torsion", 1.0, "deg", Concept("TORSION", "99OTHER", "Torsion"))
    assert own.concept.meaning == "Torsion"
    with pytest.raises(ValueError, match=r"the unit of 'ha' must be one of px, mm, .* got 'cm'"):
        VertebraMeasurement("ha", 1.0, "cm")
    with pytest.raises(ValueError, match="the value of 'ha' must be finite, got nan"):
        VertebraMeasurement("ha", math.nan, "px")
    with pytest.raises(ValueError, match="'shape' has no code; known: genant_grade"):
        MeasuredSite("L1", evaluations={"shape": "odd"})
