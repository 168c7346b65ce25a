from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmnet_monai.io import output_names, printable, safe_stem
from cmnet_monai.io.files.names import MAX_STEM_BYTES


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("folder/film_01.png", "film_01"),
        ("film.nii.gz", "film"),
        ("Film.DCM", "Film"),
        ("1.2.840.113", "1.2.840.113"),
        ("1.2.840.113.dcm", "1.2.840.113"),
        ("a.b.c.tiff", "a.b.c"),
        ("C:\\films\\spine.jpg", "spine"),
        ("Müller 脊椎.dcm", "Müller 脊椎"),
        (unicodedata.normalize("NFD", "Müller.dcm"), "Müller"),
        ("..", "film"),
        ("../..", "film"),
        ("", "film"),
        ("...", "film"),
        (".dcm", "_dcm"),
        (".hidden.png", "_hidden"),
        ("a..b.png", "a_b"),
        ("a\nb\x00\u202ec.png", "a_b__c"),
        ('w<x>y:"z|?*.png', "w_x_y__z___"),
        ("CON.png", "_CON"),
        ("nul", "_nul"),
        ("com1.old.png", "_com1.old"),
        ("console.png", "console"),
        ("name. .png", "name"),
    ],
)
def test_safe_stem(path, stem):
    assert safe_stem(path) == stem


@settings(deadline=None)
@given(st.text(max_size=400))
def test_any_text_gives_a_safe_stem(text):
    stem = safe_stem(text)
    assert stem
    assert len(stem.encode()) <= MAX_STEM_BYTES
    assert not set(stem) & set('<>:"/\\|?*\0')
    assert ".." not in stem and not stem.startswith(".") and not stem.endswith((".", " "))
    assert not any(unicodedata.category(c)[0] == "C" for c in stem)


def test_long_names_are_cut_between_characters():
    stem = safe_stem("脊" * 300 + ".dcm")
    assert stem == "脊" * (MAX_STEM_BYTES // 3)


def test_a_lone_stem_is_kept_and_colliding_ones_get_a_hash():
    names = output_names(["a/film.dcm", "b/FILM.png", "b/other.png"])
    assert names[2] == "other"
    assert names[0].startswith("film-") and names[1].startswith("FILM-")
    assert len(names[0]) == len("film-") + 8
    assert len({name.lower() for name in names}) == 3


def test_a_name_does_not_depend_on_the_order():
    paths = ["a/film.dcm", "b/film.dcm", "c/other.dcm"]
    assert output_names(paths[::-1]) == output_names(paths)[::-1]


def test_a_stem_that_looks_like_another_with_its_hash_stays_apart():
    first, second = output_names(["a/film.dcm", "b/film.dcm"])
    names = output_names(["a/film.dcm", "b/film.dcm", f"c/{first}.dcm", f"d/{second.upper()}.dcm"])
    assert len({name.lower() for name in names}) == 4


def test_anonymous_names_hold_nothing_of_the_path():
    names = output_names(["ward/Mueller.dcm", "ward/Meier.dcm"], anonymous=True)
    assert all(len(name) == 16 and set(name) <= set("0123456789abcdef") for name in names)
    assert len(set(names)) == 2
    assert names == output_names(["ward/Mueller.dcm", "ward/Meier.dcm"], anonymous=True)


def test_a_path_given_twice_is_refused():
    with pytest.raises(ValueError, match=r"a\.dcm is given 2 times"):
        output_names(["a.dcm", "b.dcm", "a.dcm"])


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=12), max_size=20))
def test_names_of_any_films_are_distinct(texts):

    paths = list({Path(f"{i % 3}/{text}").as_posix(): None for i, text in enumerate(texts)})
    for anonymous in (False, True):
        names = output_names(paths, anonymous=anonymous)
        assert len({name.casefold() for name in names}) == len(paths)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("film 脊 é.dcm", "film 脊 é.dcm"),
        ("\x1b[31mred\x1b[0m", "?[31mred?[0m"),
        ("\x1b]0;title\x07\x9b2J", "?]0;title??2J"),
        ("two\r\nlines\tand\u2028more", "two??lines?and?more"),
        ("gnp.\u202ecipe\u200b", "gnp.?cipe?"),
        ("broken \udcff name", "broken ? name"),
    ],
)
def test_printed_text_gives_no_orders_to_a_terminal(text, shown):
    assert printable(text) == shown


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_printed_text_can_be_encoded_and_keeps_its_length(text):
    assert len(printable(text).encode("utf-8").decode("utf-8")) == len(text)
    assert printable(text).isascii() or not any(unicodedata.category(c)[0] == "C" for c in printable(text))
