from __future__ import annotations

import csv
from pathlib import Path

import pytest

from cmnet_monai.prediction.collect import collect_films
from cmnet_monai.prediction.tables import safe_cell, write_table


def test_files_folders_and_patterns_give_each_film_once(tmp_path: Path) -> None:
    for name in ("a/1.dcm", "a/b/2.png", "c/3.png", "c/4.png", "c/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    sources = [str(tmp_path / "c" / "4.png"), str(tmp_path / "a"), str(tmp_path / "c" / "*.png")]
    films, missing = collect_films(sources)
    assert [film.relative_to(tmp_path.resolve()).as_posix() for film in films] == [
        *("c/4.png", "a/1.dcm", "a/b/2.png", "c/3.png")
    ]
    assert missing == {}


def test_what_holds_no_film_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "1.dcm").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    sources = [str(tmp_path / name) for name in ("none.dcm", "1.dcm", "empty", "*.tif")]
    films, missing = collect_films(sources)
    assert [film.name for film in films] == ["1.dcm"]
    assert missing == {
        sources[0]: "no such file or folder",
        sources[2]: "no films in it",
        sources[3]: "no file fits this pattern",
    }


def test_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "film [1].png").write_bytes(b"x")
    films, missing = collect_films([str(tmp_path / "film [1].png")])
    assert [film.name for film in films] == ["film [1].png"] and missing == {}


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
