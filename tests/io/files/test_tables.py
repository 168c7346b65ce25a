from __future__ import annotations

import csv
from pathlib import Path

import pytest

from cmnet_monai.io.files.tables import safe_cell, write_table


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("@a", "'@a"),
        ("-a.png", "'-a.png"),
        ("\tx", "'?x"),
        ("  =1+1", "'  =1+1"),
        ("\uff1d1", "'\uff1d1"),
        ("broken \udcff.png", "broken ?.png"),
        ("film.png", "film.png"),
        ("a\x1b[31m\nb", "a?[31m?b"),
        (-2.5, -2.5),
        (3, 3),
        (None, ""),
    ],
)
def test_no_cell_is_a_formula_or_moves_the_cursor(value: object, cell: object) -> None:
    assert safe_cell(value) == cell


def test_table_has_every_column_in_the_order_of_appearance(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", [{"film": 'a "b", c', "x": 1}, {"film": "d", "y": 2.5}])
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as stream:
        assert list(csv.reader(stream)) == [["film", "x", "y"], ['a "b", c', "1", ""], ["d", "", "2.5"]]
    write_table(tmp_path / "e.csv", [], ("film", "reason"))
    assert (tmp_path / "e.csv").read_text(encoding="utf-8").splitlines() == ["film,reason"]


def test_numbers_are_written_as_wished_and_no_minus_is_taken_for_a_formula(tmp_path: Path) -> None:
    rows = [{"x": 1, "list": [1]}, {"x": -0.123456789, "y": "a, b"}]
    for number, written in ((".6g", "-0.123457"), (".2f", "-0.12"), ("", "-0.123456789")):
        write_table(tmp_path / "a.csv", iter(rows), number=number)
        with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as stream:
            assert list(csv.reader(stream)) == [["x", "y"], ["1", ""], [written, "a, b"]]
