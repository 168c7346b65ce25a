from __future__ import annotations

import math
from pathlib import Path

import pytest

from cmnet_monai.evaluation.records import (
    commit,
    data_hash,
    identity_of,
    number,
    read_json,
    write_json,
)
from cmnet_monai.paper.blocks import (
    Figure,
    Heading,
    Items,
    Table,
    Text,
    html_page,
    markdown,
    write_markdown,
)
from cmnet_monai.paper.figures import curve_points
from cmnet_monai.paper.steps import Clock, Step, spoken


def test_data_hash_follows_contents_not_names(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / name).write_bytes(content)

    def of(*names: str) -> str:
        return data_hash({"image": str(tmp_path / name), "label": str(tmp_path / "b")} for name in names)

    assert of("a") == of("c") != of("b")
    assert of("a", "b") != of("b", "a")


def test_identity_is_that_of_equal_values() -> None:
    assert (
        identity_of({"a": 1, "b": (1, 2)}) == identity_of({"b": [1, 2], "a": 1}) != identity_of({"a": 1, "b": [2, 1]})
    )


def test_json_has_null_for_what_is_not_finite(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": [float("nan"), 1.5, {"y": float("inf")}]})
    assert read_json(tmp_path / "a.json") == {"x": [None, 1.5, {"y": None}]}
    assert read_json(tmp_path / "b.json") is None
    assert math.isnan(number(None)) and number(2) == 2.0


def test_commit_is_a_hash_or_a_version() -> None:
    found = commit().rstrip("+")
    assert found.startswith("version ") or (len(found) >= 12 and int(found, 16) >= 0)


def step(kind: str, films: int) -> Step:
    return Step("", kind, films, kind, lambda: False, lambda: None)


def test_clock_learns_and_remembers(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "seconds.json")
    assert clock.estimate(step("train unet", 10)) == pytest.approx(6.0)
    clock.note(step("train unet", 10), 30.0)
    clock.note(step("train unet", 10), 10.0)
    again = Clock(tmp_path / "seconds.json")
    assert again.estimate(step("train unet", 5)) == pytest.approx(10.0)
    assert again.estimate(step("train cmnet", 5)) == pytest.approx(10.0)  # the nearest thing known
    assert again.estimate(step("measure", 5)) == pytest.approx(3.0)


def test_durations_in_words() -> None:
    assert [spoken(s) for s in (5, 150, 7200)] == ["5 s", "2 min", "2.0 h"]


def test_curve_points_rise_in_recall() -> None:
    # Thresholds 0, 1/2, 1: 10 pixels of which 4 true; then 3 and 1; then none.
    recall, precision = curve_points([4, 3, 0], [6, 1, 0])
    assert recall.tolist() == [0.75, 1.0] and precision.tolist() == [0.75, 0.4]


def test_pages_escape_and_embed() -> None:
    blocks = [
        Heading("A < B", 2),
        Text("`x|y` & z"),
        Items(["one"]),
        Table(["a"], [["1|2"]]),
        Figure("f.png", b"PNG", "c"),
    ]
    page = html_page("T", blocks)
    assert "<h2>A &lt; B</h2>" in page and "<code>x|y</code> &amp; z" in page and "<td>1|2</td>" in page
    assert 'src="data:image/png;base64,UE5H"' in page
    assert markdown(blocks).splitlines()[0] == "## A < B"
    assert "| 1\\|2 |" in markdown(blocks) and "![c](figures/f.png)" in markdown(blocks)


def test_a_picture_without_bytes_is_that_of_an_earlier_page(tmp_path: Path) -> None:
    page, picture = tmp_path / "report.md", tmp_path / "figures" / "f.png"
    blocks = [Text("words"), Figure("f.png", b"", "c")]
    assert "<img" not in html_page("T", blocks)
    write_markdown(page, blocks)
    assert page.read_text() == "words\n" and not picture.exists()
    write_markdown(page, [Figure("f.png", b"PNG", "c")])
    write_markdown(page, blocks)
    assert "![c](figures/f.png)" in page.read_text() and picture.read_bytes() == b"PNG"
