"""CSV tables, safe to open in a spreadsheet, and tables in Markdown."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cmnet_monai.io.files.atomic import atomic_write
from cmnet_monai.io.files.names import printable

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula, full-width forms too (OWASP, CSV injection)."""


def safe_cell(value: Any) -> Any:
    """A cell that no spreadsheet runs: text that would be a formula gets an apostrophe before it.

    >>> safe_cell("=1+1"), safe_cell("film"), safe_cell(-2.5), safe_cell(None)
    ("'=1+1", 'film', -2.5, '')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        text = printable(value)
        return f"'{text}" if value.lstrip("\ufeff \xa0").startswith(_FORMULA) else text
    return value


def write_table(
    path: str | Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None, number: str = ""
) -> None:
    """Write a CSV file (UTF-8, comma, one header line), whole or not at all.

    Args:
        path: the file.
        rows: records; what a record lacks stays empty. With columns given they are taken one by one.
        columns: their order; by default every key, in the order in which the records bring them up, but for those
            that hold lists or objects alone.
        number: format of numbers that are not whole, such as ".4f"; by default all their digits.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_table(f"{folder}/t.csv", [{"film": "a", "dice": 0.91234}, {"film": "=1+1"}], number=".3f")
    ...     Path(folder, "t.csv").read_text().split()  # what a spreadsheet would run as a formula is text
    ['film,dice', 'a,0.912', "'=1+1,"]
    """
    if columns is None:
        rows = list(rows)
        plain = (key for row in rows for key, value in row.items() if not isinstance(value, (list, dict)))
        columns = list(dict.fromkeys(plain))
    with atomic_write(path) as temporary, Path(temporary).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows([_cell(row.get(column), number) for column in columns] for row in rows)


def markdown_table(head: Iterable[Any], rows: Iterable[Iterable[Any]]) -> str:
    """A table in Markdown.

    >>> print(markdown_table(["film", "Dice"], [["a|b", 0.5]]))
    | film | Dice |
    | --- | --- |
    | a\\|b | 0.5 |
    """
    titles = list(head)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _cell(value: Any, number: str) -> Any:
    return format(value, number) if isinstance(value, float) and number else safe_cell(value)
