from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

from cmnet_monai.visualize import write_batch_page

EVIL = '<script>alert("x")</script>'


class Page(HTMLParser):
    """Cells of the table, row by row, and every tag."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.images: list[str] = []
        self._cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True
        elif tag == "img":
            self.images.append(str(dict(attrs)["src"]))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data


def page_of(tmp_path: Path) -> tuple[Page, str]:
    Image.new("RGB", (300, 600), (10, 20, 30)).save(tmp_path / "o.png")
    films = [
        {"film": EVIL, "bodies": 6, "angle": 41.26, "flags": [f"L3 {EVIL}"], "picture": tmp_path / "o.png"},
        {"film": "b.dcm", "bodies": 5, "angle": None, "flags": [], "picture": None},
    ]
    columns = {"film": "film", "bodies": "bodies", "angle": "lordosis"}
    failures = [{"film": EVIL, "reason": "cut <short>", "remedy": "send it again"}]
    write_batch_page(tmp_path / "page.html", films, columns, failures)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    return page, text


def test_rows_hold_what_the_records_say(tmp_path: Path) -> None:
    page, _ = page_of(tmp_path)
    assert page.rows[0] == ["picture", "film", "bodies", "lordosis", "flags"]
    assert page.rows[1] == ["", EVIL, "6", "41.3", f"L3 {EVIL}"]
    assert page.rows[2] == ["", "b.dcm", "5", "", ""]


def test_names_from_outside_stay_text(tmp_path: Path) -> None:
    page, text = page_of(tmp_path)
    assert page.tags.count("script") == 1 and "cut &lt;short&gt;" in text
    assert "http" not in re.sub(r"http-equiv", "", text)  # nothing is fetched


def test_picture_is_inside_the_page_and_small(tmp_path: Path) -> None:
    page, _ = page_of(tmp_path)
    (source,) = page.images
    with Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))) as image:
        assert image.size == (110, 220)
