from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cmnet_monai.datasets import with_given_centres

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
    assert given[0]["given_centres"] == [(411.5, 302.0), (5.0, 6.25)]
    assert "given_centres" not in given[1] and given[2]["given_centres"] == []
    assert [{k: v for k, v in item.items() if k != "given_centres"} for item in given] == ITEMS
    assert "given_centres" not in ITEMS[0]


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
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_given_centres(ITEMS, written(tmp_path, content))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        with_given_centres(ITEMS, tmp_path / "nothing.json")
