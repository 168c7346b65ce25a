from __future__ import annotations

from pathlib import Path

from cmnet_monai.datasets.datalist import collect_films


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
