from __future__ import annotations

import base64
import hashlib
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
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


def test_page_runs_its_own_script_and_no_other(tmp_path: Path) -> None:
    _, text = page_of(tmp_path)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy and policy.startswith("default-src 'none'")


def test_names_no_terminal_or_encoder_would_take_are_shown_with_question_marks(tmp_path: Path) -> None:
    film = {"film": "a\x1b[2J\udcff\u202e.dcm", "flags": []}
    write_batch_page(tmp_path / "page.html", [film], {"film": "film"}, [{**film, "reason": "\x07", "remedy": ""}])
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("a?[2J??.dcm") == 2 and "\x1b" not in text and "\x07" not in text


@pytest.mark.parametrize(("count", "sizes"), [(0, [0]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1])])
def test_many_films_go_on_to_further_pages_and_older_pages_go(tmp_path: Path, count: int, sizes: list[int]) -> None:
    (tmp_path / "page_9.html").write_text("of an earlier batch", encoding="utf-8")
    (tmp_path / "page_x.html").write_text("another's", encoding="utf-8")
    films = ({"film": f"f{n}", "flags": []} for n in range(count))
    failures = [{"film": "bad", "reason": "cut", "remedy": "again"}]
    write_batch_page(tmp_path / "page.html", films, {"film": "film"}, failures, count=count, films_per_page=3)
    names = ["page.html", *(f"page_{n}.html" for n in range(2, len(sizes) + 1))]
    assert {file.name for file in tmp_path.iterdir()} == {*names, "page_x.html"}
    texts = [(tmp_path / name).read_text(encoding="utf-8") for name in names]
    assert [text.count("<td>f") for text in texts] == sizes
    assert ["<b>bad</b>" in text for text in texts] == [True] + [False] * (len(sizes) - 1)
    linked = [set(re.findall(r'href="([^"]*)"', text)) for text in texts]
    assert linked == [set(names) - {name} if len(names) > 1 else set() for name in names]
