"""The report of all experiments: what each asks, its commands, definitions, published and obtained numbers."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt

from cmnet_monai.io import atomic_write
from cmnet_monai.io.files.atomic import write_text
from cmnet_monai.io.files.tables import markdown_table
from cmnet_monai.paper.catalogue import EXPERIMENTS
from cmnet_monai.paper.definitions import METRICS, TEST_PATIENTS, Experiment
from cmnet_monai.paper.results import COMMAND
from cmnet_monai.paper.sections import Section, section
from cmnet_monai.paper.stored_results import read_results

TITLE = "The paper's experiments"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
h2 { margin-top: 3rem; border-bottom: 1px solid #ccc; } code, pre, th { background: #f2f2f2; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
td, th { border: 1px solid #ccc; padding: .25rem .6rem; text-align: left; font-variant-numeric: tabular-nums; }
pre { padding: .6rem; overflow-x: auto; } img { max-width: 100%; }
"""


def report(
    work: Path, output: Path | None = None, experiments: Iterable[Experiment] | None = None, real_films: bool = False
) -> list[Path]:
    """Write ``report.html`` (one page, pictures inside) and ``report.md`` (pictures in ``figures``).

    Args:
        work: folder of the runs; only ``results`` below it is read, and the pictures it names. Its ``note.txt``, if
            there is one, comes into the introduction as Markdown.
        output: folder of the pages, the work folder by default; or a file, ``.md`` or ``.html``, for that page alone.
            A figure of masks whose pictures are gone is that of an earlier page, where there is one beside it.
        experiments: which; all by default.
        real_films: show masks on real films too. Keep such a report to yourself.
    Returns:
        The pages.
    """
    chosen = list(EXPERIMENTS.values() if experiments is None else experiments)
    parts = [(e, [section(read_results(e, work, t), real_films) for t in e.test_sets]) for e in chosen]
    place = work if output is None else output
    pages = [place] if place.suffix in (".md", ".html") else [place / "report.html", place / "report.md"]
    note = work / "results" / "note.txt"
    said = note.read_text(encoding="utf-8").strip() if note.is_file() else ""
    for page in pages:
        if page.suffix == ".html":
            drawn = [(e, [_with_figures(s, None) for s in sections]) for e, sections in parts]
            write_text(page, html_page(TITLE, markdown(drawn, said), drawn))
        else:
            drawn = [(e, [_with_figures(s, page.parent / "figures") for s in sections]) for e, sections in parts]
            write_text(page, markdown(drawn, said))
    return pages


def _with_figures(found: Section, folder: Path | None) -> Section:
    """A section with the figures that are drawn, written into a folder where one is given, or that lie there."""
    kept = []
    for figure in found.figures:
        if figure.png and folder is not None:
            with atomic_write(folder / figure.name) as temporary:
                temporary.write_bytes(figure.png)
        if figure.png or (folder is not None and (folder / figure.name).is_file()):
            kept.append(figure)
    return replace(found, figures=kept)


def markdown(experiments: Iterable[tuple[Experiment, list[Section]]], note: str = "") -> str:
    """The report as Markdown; pictures are referred to in the folder ``figures``."""
    parts = list(experiments)
    environment = Environment(
        loader=PackageLoader("cmnet_monai.paper"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.get_template("report.md.j2").render(
        title=TITLE,
        command=COMMAND,
        patients=TEST_PATIENTS,
        note=note,
        table=markdown_table,
        overview=[[f"`{e.name}`", e.answers, e.question, ", ".join(e.test_sets)] for e, _ in parts],
        definitions=list(METRICS.values()),
        experiments=parts,
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def html_page(title: str, text: str, experiments: Iterable[tuple[Experiment, list[Section]]]) -> str:
    """The Markdown as one HTML page that needs no other file."""
    body = str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))
    for figure in (figure for _, sections in experiments for s in sections for figure in s.figures):
        data = base64.b64encode(figure.png).decode("ascii")
        body = body.replace(f'src="figures/{figure.name}"', f'src="data:image/png;base64,{data}"')
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}</body></html>\n'
