from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cmnet_monai.datasets import with_given_centres
from cmnet_monai.decode import GivenCentres

ITEMS = [
    {"path": "/a/one.dcm", "name": "one"},
    {"path": "/a/two.dcm", "name": "two-1f"},
    {"path": "/b/two.dcm", "name": "two-2c"},
]


def written(tmp_path: Path, content: Any) -> Path:
    file = tmp_path / "centres.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def test_films_are_known_by_their_file_or_by_their_outputs(tmp_path: Path) -> None:
    record = {"level": "L3", "label": 22, "x_px": 411.5, "y_px": 302, "score": 0.9}
    given = with_given_centres(ITEMS, written(tmp_path, {"one.dcm": [record, [5, 6.25]], "two-2c": []}))
    assert given[0]["given_centres"] == GivenCentres(((411.5, 302.0), (5.0, 6.25)), ("L3", ""))
    assert "given_centres" not in given[1] and given[2]["given_centres"] == GivenCentres((), ())
    assert [{k: v for k, v in item.items() if k != "given_centres"} for item in given] == ITEMS
    assert "given_centres" not in ITEMS[0]


def test_level_counts_where_a_reader_said_it(tmp_path: Path) -> None:
    found = {"level": "L2", "label": 21, "x_px": 1, "y_px": 2, "score": 0.9, "evidence": "counted from S1"}
    said = {**found, "level": "L3", "y_px": 9, "evidence": "user"}
    given = with_given_centres(ITEMS[:1], written(tmp_path, {"one": [found, said, {"x_px": 3, "y_px": 30}]}))
    assert given[0]["given_centres"] == GivenCentres(((1, 2), (1, 9), (3, 30)), ("", "L3", ""))


def test_centres_that_are_added_are_told_from_all_there_are(tmp_path: Path) -> None:
    given = with_given_centres(ITEMS[:1], written(tmp_path, {"one": {"add": [{"x_px": 3, "y_px": 4, "level": "T12"}]}}))
    assert given[0]["given_centres"] == GivenCentres(((3.0, 4.0),), ("T12",), adds=True)


def test_no_file_gives_no_centres() -> None:
    assert with_given_centres(ITEMS, "") == ITEMS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a JSON file"),
        ([1], "a JSON object of film names"),
        ({"three.dcm": []}, "'three.dcm': no film of that name"),
        ({"two.dcm": []}, "'two.dcm': several films"),
        ({"one.dcm": [{"x_px": 1}]}, r"one\.dcm: a centre is an x_px and a y_px.*\{'x_px': 1\}"),
        ({"one.dcm": [[1, 2, 3]]}, "or two numbers"),
        ({"one.dcm": [[1, "a"]]}, "or two numbers"),
        ('{"one.dcm": [[1, NaN]]}', "finite"),
        ({"one.dcm": {"drop": []}}, r"one\.dcm: a list of all centres is wanted, or .*drop"),
        ({"one.dcm": "L5"}, "a list of all centres is wanted"),
        ({"one.dcm": [{"x_px": 1, "y_px": 2, "level": "S1"}]}, "T1-T12 and L1-L5; got 'S1'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_given_centres(ITEMS, written(tmp_path, content))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        with_given_centres(ITEMS, tmp_path / "nothing.json")
