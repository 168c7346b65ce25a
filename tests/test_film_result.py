from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from rich_result import FLAGS, labels, rich_result, write_film

from cmnet_monai.conventions import LABEL_OF_LEVEL, LUMBAR
from cmnet_monai.film_result import Disc, FilmIdentity, FilmResult, Flag, LabelMap, Measure, Vertebra, measures_of

texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)
numbers = st.floats(allow_nan=False, allow_infinity=False)
points = st.tuples(numbers, numbers)
measures = st.builds(
    Measure, texts, st.none() | numbers, st.sampled_from(["px", "mm", "deg", "ratio", "percent", "grey", "1"])
)
bodies = st.builds(
    Vertebra,
    level=st.sampled_from(sorted(LABEL_OF_LEVEL)),
    centre_xy_px=st.none() | points,
    score=st.none() | numbers,
    corners_xy_px=st.none() | st.tuples(points, points, points, points),
    measures=st.lists(measures, max_size=3).map(tuple),
    cut_off=st.none() | st.booleans(),
)
results = st.builds(
    FilmResult,
    film=st.builds(FilmIdentity, texts, st.just((3, 5)), st.none() | points, notes=st.tuples(texts)),
    run=texts,
    labels=st.just(LabelMap((3, 5), ((20, 4, 2),))),
    vertebrae=st.lists(bodies, max_size=3).map(tuple),
    anterior=st.sampled_from(["left", "right", None]),
    unmeasured=st.lists(st.tuples(st.none() | st.sampled_from(LUMBAR), texts), max_size=2).map(tuple),
    flags=st.lists(st.builds(Flag, texts, st.none() | st.sampled_from(LUMBAR), texts), max_size=3).map(tuple),
)


@settings(deadline=None)  # the first one builds the validator
@given(results)
def test_a_result_comes_back_from_json_as_it_was(result: FilmResult) -> None:
    assert FilmResult.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False))) == result


@pytest.fixture
def result(tmp_path: Path) -> FilmResult:
    return rich_result(write_film(tmp_path / "film.dcm"))


def test_schema_holds_for_a_full_result_and_for_an_empty_one(result: FilmResult) -> None:
    schema = FilmResult.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    record = json.loads(json.dumps(result.to_dict()))
    assert all(record[name] not in (None, [], "", {}) for name in record)  # else it would not be full
    empty = FilmResult(FilmIdentity("a", (1, 1)), "", LabelMap((1, 1), ()))
    for one in (record, json.loads(json.dumps(empty.to_dict()))):
        check.validate(one)
        assert set(one) == set(schema["properties"])
    assert not check.is_valid({**record, "anterior": "up"})
    assert not check.is_valid({**record, "vertebrae": [{"level": 4}]})
    assert FilmResult.from_dict(record) == result


def test_a_record_of_something_else_is_refused_where_it_differs(result: FilmResult) -> None:
    with pytest.raises(ValueError, match=r"vertebrae.0.centre_xy_px"):
        record = result.to_dict()
        record["vertebrae"][0]["centre_xy_px"] = ["here"]
        FilmResult.from_dict(record)
    with pytest.raises(ValueError, match="labels"):
        FilmResult.from_dict({"film": result.to_dict()["film"], "run": "r"})
    assert FilmResult.from_dict({**result.to_dict(), "left_out": ["_seg.dcm"]}) == result  # what files add


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.sampled_from([0, 0, 19, 20, 28])))
def test_runs_hold_the_label_map_and_are_as_few_and_as_long_as_can_be(label_map: np.ndarray) -> None:
    made = LabelMap.of(label_map)
    np.testing.assert_array_equal(made.array, label_map)
    assert made.array.dtype == np.uint8 and made.size_xy_px == label_map.shape
    assert sum(length for _, _, length in made.runs) == np.count_nonzero(label_map)
    for (code, start, length), (following, begin, _) in zip(made.runs, made.runs[1:]):
        assert start + length < begin or (start + length == begin and code != following)
    with pytest.raises(ValueError, match="read-only"):
        made.array[0, 0] = 1


def test_mask_holds_the_chosen_levels(result: FilmResult) -> None:
    np.testing.assert_array_equal(result.mask, labels() == 23)
    np.testing.assert_array_equal(replace(result, mask_levels=("L5", "S1")).mask, np.isin(labels(), (24, 26)))


def test_rows_name_each_measure_with_its_unit(result: FilmResult) -> None:
    tables = result.rows()
    body, unmeasured = tables["vertebrae"]
    assert (body["film"], body["level"], body["label"], body["x_px"], body["y_px"]) == (
        "film.dcm",
        "L4",
        23,
        39.5,
        24.5,
    )
    assert (body["height_anterior_px"], body["height_anterior_px_uncertainty"]) == (30.5, 0.75)
    assert body["height_anterior_mm"] is None and body["grey_mean"] == 1500.25
    assert (body["calibration"], unmeasured["calibration"]) == ("calibrated", "uncalibrated")
    (disc,) = tables["discs"]
    assert (disc["upper"], disc["lower"], disc["slip_percent"], disc["disc_middle_px"]) == ("L4", "L5", -3.5, 9.5)
    (film,) = tables["films"]
    assert (film["bodies"], film["lordosis_l1_l5_deg"], film["flags"]) == (2, -41.5, len(FLAGS))
    assert (film["worst_loss_percent"], film["worst_level"], film["worst_slip_percent"]) == (12.5, "L4", -3.5)
    assert film["unmeasured"] == "L5: its front is hidden" and film["level_evidence"] == "counted from S1"
    assert [row["level"] for row in tables["flags"]] == [None] * 7 + ["L3", "L4", "L4", "L5", "L5"]


def test_measures_tell_their_columns(result: FilmResult) -> None:
    row = {"height_anterior_px": 3.0, "ha_hp": 0.5, "grey_sd": 2.0, "tilt_deg": -1.0, "name": "x", "cut_off": True}
    found = measures_of(row)
    assert [(m.name, m.unit) for m in found] == [
        ("height_anterior", "px"),
        ("ha_hp", "1"),
        ("grey_sd", "grey"),
        ("tilt", "deg"),
    ]
    assert {m.column: m.value for m in found} == {k: v for k, v in row.items() if isinstance(v, float)}


def test_candidates_for_grades_say_that_they_are_not_validated_in_tables_and_record() -> None:
    body = Vertebra("L2", deformity_candidate="wedge", genant_candidate=2)
    disc = Disc("L2", "L3", slip_candidate="anterolisthesis", meyerding_candidate=1)
    film = FilmIdentity("film.dcm", (30, 50))
    result = FilmResult(film, "run", LabelMap.of(np.zeros((30, 50), np.uint8)), (body, Vertebra("L3")), (disc,))
    rows = result.rows()
    assert [row["candidates"] for row in rows["vertebrae"]] == ["not validated", None]  # L3 has none
    assert [row["candidates"] for row in rows["discs"]] == ["not validated"]
    assert result.to_dict()["candidates"] == "not validated"
