"""The files of a film's result: where they are, whether they are complete, and how they go."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cmnet_monai._version import __version__
from cmnet_monai.film_result import FilmResult
from cmnet_monai.io.files.json import write_json

MANIFEST_NAME = "manifest.json"
SUMMARY_NAMES = ("films.csv", "vertebrae.csv", "discs.csv", "flags.csv", "failures.csv", "report.html")
"""Tables and the page over all films of a run."""
MASK_SUFFIXES = ("_mask.nii.gz", "_mask.png")
LABEL_SUFFIXES = ("_labels.nii.gz", "_labels.png")
CENTRES_SUFFIX = "_centres.json"
OVERLAY_SUFFIX = "_overlay.png"
SEG_NRRD_SUFFIX = "_labels.seg.nrrd"
SEG_SUFFIX = "_seg.dcm"
SR_SUFFIX = "_sr.dcm"
RESULT_SUFFIX = "_result.json"
OUTPUT_SUFFIXES = (
    *MASK_SUFFIXES,
    *LABEL_SUFFIXES,
    CENTRES_SUFFIX,
    OVERLAY_SUFFIX,
    SEG_NRRD_SUFFIX,
    SEG_SUFFIX,
    SR_SUFFIX,
    RESULT_SUFFIX,
)
"""How the names of a film's files end, behind the name of the film; the one that completes them last."""
GIVEN_ENTRY = "given_centres"
"""Entry of the JSON files with the centres that a person gave; it is there where any were."""


@dataclass(frozen=True)
class ResultFiles:
    """The files of one film's result.

    ``<name>_result.json`` is written last and names the run it belongs to and the files beside it, so it marks the
    result as complete.
    """

    output_dir: Path
    name: str

    def path(self, suffix: str) -> Path:
        """The file with one of `OUTPUT_SUFFIXES`."""
        return self.output_dir / f"{self.name}{suffix}"

    @property
    def present(self) -> list[str]:
        """Names of those files that are there."""
        return [file.name for suffix in OUTPUT_SUFFIXES if (file := self.path(suffix)).is_file()]

    def write_result(self, result: FilmResult, left_out: Iterable[str] = ()) -> None:
        """Write ``<name>_result.json``, whole or not at all.

        Args:
            result: what was found on the film.
            left_out: endings of files that this film cannot have, such as DICOM objects of a picture.
        """
        record = {**result.to_dict(), "left_out": sorted(left_out)}
        write_json(self.path(RESULT_SUFFIX), record, indent=None)

    def read_result(self) -> FilmResult:
        """What ``<name>_result.json`` holds.

        Raises:
            OSError: there is no such file.
            ValueError: it is not a film's result.
        """
        return FilmResult.from_dict(json.loads(self.path(RESULT_SUFFIX).read_text(encoding="utf-8")))

    def is_complete(
        self, run_id: str, film: str | Path, given: Sequence[Mapping[str, Any]] = (), suffixes: Iterable[str] = ()
    ) -> bool:
        """Whether all files are there, made by the same run settings from the film as it is now, and none failed.

        Args:
            run_id: identity of the run's settings.
            film: the film's file.
            given: the centres that a person gives on it now, as `GivenCentre` records.
            suffixes: endings of the files that are wanted.
        """
        try:
            record = json.loads(self.path(RESULT_SUFFIX).read_text(encoding="utf-8"))
            expected = {"run": run_id, GIVEN_ENTRY: list(given), "problems": []}
            if any(record[entry] != value for entry, value in expected.items()):
                return False
            if record["film"]["fingerprint"] != film_fingerprint(film):
                return False
            needed = set(suffixes) - set(record["left_out"])
        except (ValueError, OSError, KeyError, TypeError):
            return False
        return all(self.path(suffix).is_file() for suffix in needed)

    def remove(self) -> None:
        """Delete what is there of the files, the one that marks them complete first."""
        for suffix in reversed(OUTPUT_SUFFIXES):
            with suppress(OSError):
                self.path(suffix).unlink(missing_ok=True)

    def remove_outdated(self, run_id: str, film: str | Path) -> None:
        """Delete a result that does not belong to the film as it is now; where there is no film, nothing is deleted."""
        with suppress(OSError):  # a name that the file system cannot hold
            if Path(film).is_file() and not self.is_complete(run_id, film):
                self.remove()


def centres_record(result: FilmResult) -> dict[str, Any]:
    """What ``<name>_centres.json`` holds: the centres of the mask's levels, from head to feet, and the film."""
    film = result.film
    given = [asdict(centre) for centre in result.given_centres]
    return {
        "film": film.name,
        "film_fingerprint": film.fingerprint,
        "size_xy_px": list(film.size_xy_px),
        "spacing_xy_mm": None if film.spacing_xy_mm is None else list(film.spacing_xy_mm),
        "spacing_provenance": film.spacing_provenance,
        **({GIVEN_ENTRY: given} if given else {}),
        "centres": [
            body.centre_row()
            for body in result.vertebrae
            if body.centre_xy_px is not None and body.level in result.mask_levels
        ],
        "run": result.run,
    }


def film_fingerprint(film: str | Path) -> str:
    """Size and modification time of a file: changes when the file does, costs no reading."""
    status = Path(film).stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file, as hexadecimal digits; of no file ("") it is ""."""
    if not str(path):
        return ""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def run_identity(settings: Mapping[str, Any]) -> str:
    """A short hash of everything that decides a result: package version, weights, settings."""
    text = json.dumps({"version": __version__, **settings}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
