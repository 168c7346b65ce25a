"""Tables and pages over all films of a run, written when it ends from what stands on the disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ignite.engine import Engine, Events

from cmnet_monai.engines.manifest import DONE, KEPT, RunManifest
from cmnet_monai.film_result import FilmResult
from cmnet_monai.io import write_itksnap_labels, write_slicer_colours, write_table
from cmnet_monai.io.files.results import OVERLAY_SUFFIX, ResultFiles
from cmnet_monai.io.films.identifiers import read_identifiers

TABLES = ("films", "vertebrae", "discs", "flags")
FAILURE_COLUMNS = ("film", "reason", "remedy")
PAGE_NAME = "report.html"
_LOOK = "the other files of the film are there; look at it"
_PAGE_COLUMNS = MappingProxyType(
    {
        "film": "film",
        "bodies": "bodies",
        "lordosis_l1_l5_deg": "lordosis L1-L5, degrees",
        "lordosis_l1_s1_deg": "lordosis L1-S1, degrees",
        "worst_loss_percent": "greatest loss of height, %",
        "worst_level": "at",
        "worst_slip_percent": "greatest slip, %",
        "level_evidence": "levels",
        "names_probability": "names right, probability",
    }
)
_PAGE_IDENTIFIERS = MappingProxyType({"patient_id": "patient ID", "study_date": "study date"})


class _AtTheEnd:
    """A handler that acts once, when the run has ended and the manifest is whole, on the first process.

    Args:
        manifest: of the same run; attach this handler behind it.
        identifiers: patient and study of DICOM films (`read_identifiers`), which no output names otherwise.
    """

    def __init__(self, manifest: RunManifest, identifiers: bool = False) -> None:
        self.output_dir, self.manifest, self.identifiers = manifest.folder, manifest, identifiers

    def attach(self, engine: Engine) -> None:
        """Act when the run has ended."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write, on the first process."""
        if self.manifest.rank == 0:
            self.write()

    def write(self) -> None:
        """Write the files."""
        raise NotImplementedError

    def results(self) -> Iterator[tuple[str, FilmResult]]:
        """Name and result of every film that has one, read one by one."""
        for name, record in self.manifest.films.items():
            if record["status"] in (DONE, KEPT):
                yield name, ResultFiles(self.output_dir, name).read_result()

    def failures(self) -> list[dict[str, str]]:
        """What could not be read, measured or written: film, reason, remedy."""
        return failures(self.manifest.films)

    def rows(self) -> Iterator[dict[str, list[dict[str, Any]]]]:
        """Rows of `TABLES`, film by film."""
        for name, result in self.results():
            tables = result.rows()
            if self.identifiers:
                tables["films"][0] |= read_identifiers(self.manifest.films[name]["film"])
            yield tables


class SaveTables(_AtTheEnd):
    """``films.csv``, ``vertebrae.csv``, ``discs.csv``, ``flags.csv``; names and colours of the levels for viewers."""

    def write(self) -> None:
        """Write the tables; their columns are those that any film has."""
        columns: dict[str, dict[str, None]] = {table: {} for table in TABLES}
        for tables in self.rows():
            for table, names in columns.items():
                names.update(dict.fromkeys(name for row in tables[table] for name in row))
        for table, names in columns.items():
            rows = (row for tables in self.rows() for row in tables[table])
            write_table(self.output_dir / f"{table}.csv", rows, list(names))
        write_slicer_colours(self.output_dir / "levels.ctbl")
        write_itksnap_labels(self.output_dir / "levels_itksnap.txt")


class SaveFailures(_AtTheEnd):
    """``failures.csv``: what could not be read, measured or written."""

    def write(self) -> None:
        """Write the table."""
        write_table(self.output_dir / "failures.csv", self.failures(), FAILURE_COLUMNS)


class SaveReport(_AtTheEnd):
    """``report.html``: thumbnails, numbers and flags of all films on a page that needs no network."""

    def write(self) -> None:
        """Write the page, and further ones of large batches."""
        from cmnet_monai.visualize import write_batch_page

        columns = dict(_PAGE_COLUMNS) | (dict(_PAGE_IDENTIFIERS) if self.identifiers else {})
        count = sum(record["status"] in (DONE, KEPT) for record in self.manifest.films.values())
        write_batch_page(self.output_dir / PAGE_NAME, self._films(), columns, self.failures(), count=count)

    def _films(self) -> Iterator[dict[str, Any]]:
        for (name, result), tables in zip(self.results(), self.rows()):
            picture = ResultFiles(self.output_dir, name).path(OVERLAY_SUFFIX)
            yield tables["films"][0] | {
                "flags": [flag.text for flag in result.flags],
                "picture": str(picture) if picture.is_file() else None,
            }


def failures(films: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Films of a manifest that failed or lack a part: film, reason, remedy."""
    found = []
    for record in films.values():
        shown = record["shown"]
        if record["status"] not in (DONE, KEPT):
            remedy = record.get("remedy", "run it again")
            found.append({"film": shown, "reason": record.get("reason", record["status"]), "remedy": remedy})
        found += [{"film": shown, "reason": why, "remedy": _LOOK} for why in record.get("problems", ())]
    return found
