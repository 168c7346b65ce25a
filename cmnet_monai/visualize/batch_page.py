"""One HTML page for a batch of films: thumbnails and a table to sort, in one file that needs no network."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from PIL import Image

from cmnet_monai.io import atomic_write, printable

THUMBNAIL_PX = 220
FILMS_PER_PAGE = 500
MOST_FAILURES = 1000
_STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:1.5rem;background:#fafafa;color:#1a1a1a}
h1{font-size:1.3rem}table{border-collapse:collapse;background:#fff}
th,td{border:1px solid #ddd;padding:.35rem .6rem;text-align:left;vertical-align:top}
th{cursor:pointer;background:#f0f0f0;position:sticky;top:0}th:after{content:" \\2195";color:#999}
td.n{text-align:right;font-variant-numeric:tabular-nums}.flag{color:#b00020;margin:0;padding-left:1.1rem}td:empty{background:#f7f7f7}img{display:block;max-height:220px}
"""
_SORT = """
document.querySelectorAll("th").forEach((head,i)=>head.addEventListener("click",()=>{
 const body=document.querySelector("tbody"),down=head.dataset.down!=="1";
 document.querySelectorAll("th").forEach(h=>delete h.dataset.down);if(down)head.dataset.down="1";
 const value=r=>{const t=r.cells[i].dataset.v??r.cells[i].textContent,n=parseFloat(t);return isNaN(n)?t:n};
 [...body.rows].sort((a,b)=>{const x=value(a),y=value(b);
  const c=typeof x===typeof y?(x<y?-1:x>y?1:0):(typeof x==="number"?-1:1);return down?c:-c})
 .forEach(r=>body.appendChild(r))}));
"""


def write_batch_page(
    path: str | Path,
    films: Iterable[Mapping[str, Any]],
    columns: Mapping[str, str],
    failures: Sequence[Mapping[str, str]] = (),
    title: str = "Vertebrae on lateral lumbar radiographs",
    count: int | None = None,
    films_per_page: int = FILMS_PER_PAGE,
) -> None:
    """Write the page, whole or not at all. Everything that comes from films or file names is escaped.

    More films than `films_per_page` go on to further pages, ``<stem>_2.html`` and so on, which are linked to each
    other; such pages of an earlier batch are deleted. No page runs a script but its own, or loads anything.

    Args:
        path: the HTML file.
        films: one record a film: what ``columns`` names, ``flags`` as a list of sentences, and ``picture``, the file of
            its overlay or None. They are taken one by one.
        columns: heading of each column of the table by its key in the records, in order.
        failures: records with ``film``, ``reason`` and ``remedy``; on the first page, `MOST_FAILURES` of them.
        title: heading of the page.
        count: number of films, where `films` has no length.
        films_per_page: films of a page.

    >>> import tempfile
    >>> films = [{"film": f"<{name}>", "dice": 0.9, "flags": [], "picture": None} for name in "abc"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_batch_page(f"{folder}/index.html", films, {"film": "Film", "dice": "Dice"}, films_per_page=2)
    ...     pages = {file.name: file.read_text() for file in Path(folder).iterdir()}
    >>> sorted(pages), "&lt;c&gt;" in pages["index_2.html"], "<c>" in pages["index_2.html"]  # a name is no markup
    (['index.html', 'index_2.html'], True, False)
    """
    path = Path(path)
    if count is None:
        films = list(films)
        count = len(films)
    last = max(-(-count // films_per_page), 1)
    pages = [path, *(path.with_name(f"{path.stem}_{n}{path.suffix}") for n in range(2, last + 1))]
    for old in path.parent.glob(f"{path.stem}_*{path.suffix}"):
        if old not in pages and old.stem.removeprefix(f"{path.stem}_").isdigit():
            old.unlink()
    environment = Environment(loader=PackageLoader(__name__.rpartition(".")[0], "."), autoescape=True)
    environment.filters |= {"thumbnail": _thumbnail, "printed": lambda value: printable(str(value))}
    template = environment.get_template("batch_page.html")
    remaining = iter(films)
    for page in pages:
        text = template.render(
            title=title,
            policy=Markup(_policy()),  # these three are the package's own and hold nothing of a film
            style=Markup(_STYLE),
            script=Markup(_SORT),
            count=count,
            pages=[other.name for other in pages],
            page=page.name,
            failures=failures if page == path else (),
            most_failures=MOST_FAILURES,
            columns=columns,
            films=islice(remaining, films_per_page),
        )
        with atomic_write(page) as temporary:
            Path(temporary).write_text(text + "\n", encoding="utf-8")


def _policy() -> str:
    """Nothing from elsewhere; the page's own script and style, known by their hashes, and no other."""
    script, style = (base64.b64encode(sha256(text.encode()).digest()).decode() for text in (_SORT, _STYLE))
    return f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; script-src 'sha256-{script}'"


def _thumbnail(picture: str | Path | None) -> dict[str, Any] | None:
    """Width, height and JPEG (base64) of a small copy; None where there is no picture."""
    if not picture or not Path(picture).is_file():
        return None
    with Image.open(picture) as image:
        small = image.convert("RGB")
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    stream = io.BytesIO()
    small.save(stream, format="JPEG", quality=80)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return {"width": small.width, "height": small.height, "data": data}
