"""Tables of a batch, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cmnet_monai.io import atomic_write, printable

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


def write_table(path: str | Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Write a CSV file (UTF-8, comma, one header line), whole or not at all.

    Args:
        path: the file.
        rows: records; what a record lacks stays empty. With `columns` given they are taken one by one.
        columns: their order; by default every key, in the order in which the records bring them up.
    """
    if columns is None:
        rows = list(rows)
        columns = list(dict.fromkeys(key for row in rows for key in row))
    with atomic_write(path) as temporary, Path(temporary).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows([safe_cell(row.get(column)) for column in columns] for row in rows)
