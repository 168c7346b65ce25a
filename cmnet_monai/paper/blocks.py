"""A report as a list of blocks, written as one self-contained HTML page and as Markdown."""

from __future__ import annotations

import base64
import html
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cmnet_monai.io import atomic_write

LINE = 120
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
h2 { margin-top: 3rem; border-bottom: 1px solid #ccc; } code { background: #f2f2f2; padding: 0 .2em; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { border: 1px solid #ccc; padding: .25rem .6rem; }
th { background: #f2f2f2; text-align: left; } td:not(:first-child) { font-variant-numeric: tabular-nums; }
pre { background: #f2f2f2; padding: .6rem; overflow-x: auto; } img { max-width: 100%; } figure { margin: 1.5rem 0; }
figcaption { color: #555; } .table { overflow-x: auto; }
"""


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 to 4."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph; code stands between backticks."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list of points."""

    texts: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Commands."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table; every row has as many cells as the head."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Figure:
    """A picture: its file name, its PNG bytes and what it shows.

    Without bytes it is the picture of that name that an earlier page has beside it, and nothing where there is none.
    """

    name: str
    png: bytes
    caption: str


Block = Heading | Text | Items | Code | Table | Figure


def markdown(blocks: Sequence[Block], figures: str = "figures") -> str:
    """Blocks as Markdown; pictures are referred to in the folder `figures`."""
    return "\n\n".join(_markdown(block, figures) for block in blocks) + "\n"


def _markdown(block: Block, figures: str) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {block.text}"
    if isinstance(block, Items):
        return "\n".join(_wrapped(text, "- ", "  ") for text in block.texts)
    if isinstance(block, Code):
        return f"```bash\n{block.text}\n```"
    if isinstance(block, Table):
        lines = [block.head, ["---"] * len(block.head), *block.rows]
        return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
    if isinstance(block, Figure):
        return f"![{block.caption}]({figures}/{block.name})\n\n{block.caption}"
    return _wrapped(block.text)


def _wrapped(text: str, first: str = "", others: str = "") -> str:
    return textwrap.fill(
        text,
        LINE,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def html_page(title: str, blocks: Sequence[Block]) -> str:
    """Blocks as one HTML page that needs no other file; pictures without bytes are left out."""
    body = "\n".join(_html(block) for block in blocks if not isinstance(block, Figure) or block.png)
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _inline(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text, quote=False))


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{_inline(block.text)}</h{block.level}>"
    if isinstance(block, Items):
        return f"<ul>{''.join(f'<li>{_inline(text)}</li>' for text in block.texts)}</ul>"
    if isinstance(block, Code):
        return f"<pre>{html.escape(block.text)}</pre>"
    if isinstance(block, Table):
        head = "".join(f"<th>{_inline(cell)}</th>" for cell in block.head)
        rows = "".join(f"<tr>{''.join(f'<td>{_inline(cell)}</td>' for cell in row)}</tr>" for row in block.rows)
        return f'<div class="table"><table><tr>{head}</tr>{rows}</table></div>'
    if isinstance(block, Figure):
        data = base64.b64encode(block.png).decode("ascii")
        caption = html.escape(block.caption)
        image = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
        return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
    return f"<p>{_inline(block.text)}</p>"


def write_html(path: Path, title: str, blocks: Sequence[Block]) -> None:
    """Write blocks as one HTML page, whole or not at all."""
    with atomic_write(path) as temporary:
        Path(temporary).write_text(html_page(title, blocks), encoding="utf-8")


def write_markdown(path: Path, blocks: Sequence[Block]) -> None:
    """Write blocks as a Markdown page, and its pictures in ``figures`` beside it."""
    kept: list[Block] = []
    for block in blocks:
        if isinstance(block, Figure):
            file = path.parent / "figures" / block.name
            if block.png:
                with atomic_write(file) as temporary:
                    Path(temporary).write_bytes(block.png)
            elif not file.is_file():
                continue
        kept.append(block)
    with atomic_write(path) as temporary:
        Path(temporary).write_text(markdown(kept), encoding="utf-8")
