from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cmnet_monai.paper.catalogue import EXPERIMENTS
from cmnet_monai.paper.figures import curve_points
from cmnet_monai.paper.report import html_page, markdown, report
from cmnet_monai.paper.sections import Figure, Section, section
from cmnet_monai.paper.stored_results import Results

TABLE2 = EXPERIMENTS["table2"]


def shown(*figures: Figure) -> Section:
    """A section with a table of one cell, and figures."""
    empty = section(Results(TABLE2, "synthetic", "full", [], [], Path("nowhere")))
    return replace(empty, rows=(["a < b"], [["1|2 & `x`"]]), figures=figures)


def test_curve_points_rise_in_recall() -> None:
    # Thresholds 0, 1/2, 1: 10 pixels of which 4 true; then 3 and 1; then none.
    recall, precision = curve_points([4, 3, 0], [6, 1, 0])
    assert recall.tolist() == [0.75, 1.0] and precision.tolist() == [0.75, 0.4]


def test_pages_escape_and_embed() -> None:
    parts = [(TABLE2, [shown(Figure("f.png", b"PNG", "c"))])]
    text = markdown(parts)
    assert "| a < b |\n| --- |\n| 1\\|2 & `x` |\n" in text and "![c](figures/f.png)\n\nc\n" in text
    page = html_page("T < U", text, parts)
    assert "<title>T &lt; U</title>" in page and "<th>a &lt; b</th>" in page
    assert "<td>1|2 &amp; <code>x</code></td>" in page and 'src="data:image/png;base64,UE5H"' in page
    assert "<script" not in html_page("T", markdown(parts, "<script>alert(1)</script>"), parts)


def test_a_picture_that_cannot_be_drawn_is_that_of_an_earlier_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = Figure("f.png", b"", "c")
    monkeypatch.setattr("cmnet_monai.paper.report.section", lambda results, real_films: shown(figure))
    picture = tmp_path / "figures" / "f.png"

    def page(name: str) -> str:
        (made,) = report(tmp_path, tmp_path / name, [replace(TABLE2, test_sets=("synthetic",))])
        return made.read_text(encoding="utf-8")

    assert "figures/f.png" not in page("a.md") and not picture.exists()
    figure = Figure("f.png", b"PNG", "c")
    assert "![c](figures/f.png)" in page("a.md") and picture.read_bytes() == b"PNG"
    figure = Figure("f.png", b"", "c")
    assert "![c](figures/f.png)" in page("a.md") and picture.read_bytes() == b"PNG"
    assert "<img" not in page("a.html")
