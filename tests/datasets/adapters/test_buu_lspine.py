from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cmnet_monai.datasets import make_datalist
from cmnet_monai.datasets.adapters import Options
from cmnet_monai.datasets.adapters.buu_lspine import buu_patient, outlines_of, read_plates
from cmnet_monai.io import FilmError

WIDTH = 90


def lines(mirrored: bool = False, second_first: bool = False) -> str:
    """L1-L5 as boxes 20 wide and 10 high (x 30-50, y from 5 on, 14 apart) and S1's plate, level, x 32-52 at y 77."""
    rows = []
    for i in range(5):
        top = 5.0 + 14 * i
        rows += [[30, top, 50, top], [30, top + 10, 50, top + 10]]
    rows.append([32, 77, 52, 77])
    if mirrored:
        rows = [[WIDTH - 1 - a, b, WIDTH - 1 - c, d] for a, b, c, d in rows]
    if second_first:
        rows = [[c, d, a, b] for a, b, c, d in rows]
    labels = [0] * 6 + [3] + [0] * 4  # the upper end plate of L4
    return "".join(f"{a},{b:.4f},{c},{d},{label}\n" for (a, b, c, d), label in zip(rows, labels))


@pytest.fixture
def version_1(tmp_path: Path, film: Callable) -> Path:
    root = tmp_path / "BUU-LSPINE"
    for stem in ("0001-F-037Y", "0003-M-013Y", "0007-F-061Y"):
        film(root / "LA" / f"{stem}1.jpg")
        (root / "LA" / f"{stem}1.csv").write_text(lines())
        film(root / "AP" / f"{stem}0.jpg")
        (root / "AP" / f"{stem}0.csv").write_text(lines().split("32,77")[0])
    return root


def test_version_1_gives_bodies_between_their_end_plates(version_1: Path, tmp_path: Path, sections: Callable) -> None:
    make_datalist("buu-lspine", version_1, tmp_path / "out", progress=False)
    items = sections(tmp_path / "out" / "datalist.json")
    assert set(items) == {"0001-F-037Y1", "0003-M-013Y1", "0007-F-061Y1"}
    item = items["0003-M-013Y1"]
    assert item["patient"] == "0003-M-013Y" and item["image"] == "../BUU-LSPINE/LA/0003-M-013Y1.jpg"
    assert item["listhesis"] == {"L4": "anterolisthesis"} and "spacing_xy_mm" not in item
    expected = np.zeros((90, 140), np.uint8)
    for i in range(5):
        expected[30:51, 5 + 14 * i : 16 + 14 * i] = 20 + i
    s1 = item["map"] == 26
    np.testing.assert_array_equal(np.where(s1, 0, item["map"]), expected)
    # S1: plate from 32 to 52 at y 77, lower corners at (32 + 10, 77 + 18) and (52, 77 + 16): 290 square pixels.
    columns, rows = np.nonzero(s1)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (32, 52, 77, 95)
    assert s1.sum() == pytest.approx(290, rel=0.1)  # pixels on the border count whole
    assert item["s1"] == "from its upper end plate"
    assert {i["section"] for i in items.values()} == {"training", "validation", "test"}


@pytest.mark.parametrize("second_first", [False, True])
def test_film_that_faces_right_gives_the_mirrored_bodies(
    tmp_path: Path, film: Callable, sections: Callable, second_first: bool
) -> None:
    for name, text in (("1-F-1Y1", lines()), ("2-F-2Y1", lines(mirrored=True))):
        film(tmp_path / "LA" / f"{name}.jpg")
        (tmp_path / "LA" / f"{name}.csv").write_text(text)
    film(tmp_path / "LA" / "3-F-3Y1.jpg")
    (tmp_path / "LA" / "3-F-3Y1.csv").write_text(lines(second_first=True))
    make_datalist("buu-lspine", tmp_path / "LA", tmp_path / "out", progress=False)
    items = sections(tmp_path / "out" / "datalist.json")
    np.testing.assert_array_equal(items["2-F-2Y1"]["map"], items["1-F-1Y1"]["map"][::-1])
    bodies = [np.where(items[name]["map"] == 26, 0, items[name]["map"]) for name in ("1-F-1Y1", "3-F-3Y1")]
    np.testing.assert_array_equal(*bodies)


def test_version_2_has_spacings_by_the_stem_without_its_last_character(
    tmp_path: Path, film: Callable, load: Callable
) -> None:
    root = tmp_path / "BUU_LSPINE_V2"
    for stem in ("0001-F-037Y", "0002-M-050Y"):
        for view in "01":
            film(root / "data" / f"{stem}{view}.jpg")
            (root / "data" / f"{stem}{view}.csv").write_text(lines())
    (root / "csv_info").mkdir()
    table = "filename\tpixel_spacing\n0001-F-037Y\t0.175\n0002-M-050Y\t\n"
    (root / "csv_info" / "pixel_spacing_BUU_LSPINE_V2.csv").write_text(table)
    (root / "csv_info" / "diag_all_BUU_LSPINE_V2.csv").write_text("filename,lumbar\n")
    cases, errors = load("buu-lspine", root)
    assert set(cases) == {"0001-F-037Y1", "0002-M-050Y1"} and not errors
    assert cases["0001-F-037Y1"].notes["spacing_xy_mm"] == [0.175, 0.175]
    assert "spacing_xy_mm" not in cases["0002-M-050Y1"].notes


def test_s1_can_be_left_out(version_1: Path, load: Callable) -> None:
    cases, _ = load("buu-lspine", version_1, Options(s1="none"))
    case = cases["0001-F-037Y1"]
    assert [outline.label for outline in case.outlines] == [20, 21, 22, 23, 24] and "s1" not in case.notes


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (lines().split("32,77")[0], "10 lines instead of 11"),
        (lines().replace("30,5.0000", "left,5.0000"), "not pairs of numbers"),
        (lines().replace("30,5.0000", "nan,5.0000"), "not pairs of finite numbers"),
        (lines().replace("15.0000", "95.0000"), "do not follow each other"),
        (lines().replace("30,15.0000,50,15.0", "30,5.0000,50,5.0"), "no area"),
        ("", "0 lines"),
    ],
)
def test_bad_annotation_is_named(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(text)
    with pytest.raises(FilmError, match=reason) as caught:
        outlines_of(read_plates(file)[0], file)
    assert caught.value.path == str(file)


def test_film_or_annotation_alone_is_named_and_the_others_stay(version_1: Path, load: Callable) -> None:
    (version_1 / "LA" / "0001-F-037Y1.csv").unlink()
    (version_1 / "LA" / "0003-M-013Y1.jpg").unlink()
    (version_1 / "AP" / "0009-F-040Y1.csv").write_text(lines())  # misnamed, but in the folder of frontal films
    cases, errors = load("buu-lspine", version_1)
    assert set(cases) == {"0007-F-061Y1"} and len(errors) == 2
    assert "no CSV" in errors["0001-F-037Y1.jpg"].reason and "no film" in errors["0003-M-013Y1.csv"].reason


def test_patient_is_the_stem_without_the_view_and_other_folders_are_refused(tmp_path: Path, load: Callable) -> None:
    assert buu_patient("3209-F-073Y1") == "3209-F-073Y" and buu_patient("P12") is None
    with pytest.raises(FileNotFoundError, match="no lateral films of BUU-LSPINE"):
        load("buu-lspine", tmp_path)
