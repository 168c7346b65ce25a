"""What a batch amounts to: tables and pages over all its films, made film by film."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cmnet_monai.io import write_table
from cmnet_monai.prediction.finish import Finished, read_finished

FAILURE_COLUMNS = ("film", "reason", "remedy")
PAGE_NAME = "report.html"
TABLES: Mapping[str, Callable[[Finished], list[dict[str, Any]]]] = MappingProxyType(
    {
        "films.csv": lambda finished: [finished.film],
        "vertebrae.csv": lambda finished: finished.bodies,
        "discs.csv": lambda finished: finished.discs,
        "flags.csv": lambda finished: finished.flags,
    }
)
"""Tables of a batch and the records of a film that they hold."""

PAGE_COLUMNS = MappingProxyType(
    {
        "film": "film",
        "bodies": "bodies",
        "lordosis_l1_l5_deg": "lordosis L1-L5, degrees",
        "lordosis_l1_s1_deg": "lordosis L1-S1, degrees",
        "worst_loss_percent": "greatest loss of height, %",
        "worst_level": "at",
        "worst_slip_percent": "greatest slip, %",
        "level_evidence": "levels",
    }
)
"""Columns of the batch's page."""

PAGE_IDENTIFIERS = MappingProxyType({"patient_id": "patient ID", "study_date": "study date"})
"""Further columns of the page where identifiers are asked for."""


class BatchTables:
    """Tables and pages of a batch. Records stay on the disk, so memory does not grow with the number of films.

    Args:
        output: the folder of the results; it gets `TABLES`, ``failures.csv``, and ``report.html`` with further pages.
        tables: write `TABLES`; those of an earlier run go if not.

    Attributes:
        flagged: films with at least one flag.
    """

    def __init__(self, output: Path, tables: bool = True) -> None:
        self.output, self.tables = output, tables
        self.flagged = 0
        self._names: list[str] = []
        self._columns: dict[str, dict[str, None]] = {table: {} for table in TABLES}

    def add(self, name: str, finished: Finished) -> None:
        """Take in a finished film, whose records `finish_film` has written."""
        self._names.append(name)
        self.flagged += bool(finished.flags)
        for table, records_of in TABLES.items():
            self._columns[table].update(dict.fromkeys(key for row in records_of(finished) for key in row))

    def write(self, failures: Sequence[Mapping[str, str]]) -> None:
        """Write all tables and pages."""
        from cmnet_monai.visualize import write_batch_page

        for table, records_of in TABLES.items():
            if not self.tables:
                (self.output / table).unlink(missing_ok=True)
                continue
            rows = (row for finished in self._read() for row in records_of(finished))
            write_table(self.output / table, rows, list(self._columns[table]))
        write_table(self.output / "failures.csv", failures, FAILURE_COLUMNS)
        films = (
            {**one.film, "flags": [flag["text"] for flag in one.flags], "picture": one.picture} for one in self._read()
        )
        columns = dict(PAGE_COLUMNS)
        columns |= {name: text for name, text in PAGE_IDENTIFIERS.items() if name in self._columns["films.csv"]}
        write_batch_page(self.output / PAGE_NAME, films, columns, failures, count=len(self._names))

    def _read(self) -> Iterator[Finished]:
        return (read_finished(self.output, name) for name in self._names)
