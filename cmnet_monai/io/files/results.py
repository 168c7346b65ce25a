"""The files that hold a film's result: where they are, what is in them, whether they are complete."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.io.errors import output_error

MANIFEST_NAME = "manifest.json"
MASK_SUFFIXES = ("_mask.nii.gz", "_mask.png")
LABEL_SUFFIXES = ("_labels.nii.gz", "_labels.png")
"""How the names of masks and label maps end, behind the name of the film."""
DERIVED_SUFFIXES = ("_measurements.json", "_overlay.png", "_labels.seg.nrrd", "_seg.dcm", "_sr.dcm")
"""The same of what is made from them."""
GIVEN_ENTRY = "given_centres"
"""Entry of the JSON with the centres that a reader gave; it is there where any were."""


@dataclass(frozen=True)
class FilmResult:
    """The files of one film's result: mask and label map, each as NIfTI and as PNG, centres as JSON.

    The JSON is written last and names the run it belongs to and the files beside it, so it marks the result as
    complete.
    """

    output_dir: Path
    name: str

    @property
    def mask_nifti(self) -> Path:
        """Binary mask, 0/1, in the film's pixel grid."""
        return self.output_dir / f"{self.name}{MASK_SUFFIXES[0]}"

    @property
    def mask_png(self) -> Path:
        """Binary mask, 0/255, of the film's size."""
        return self.output_dir / f"{self.name}{MASK_SUFFIXES[1]}"

    @property
    def labels_nifti(self) -> Path:
        """Label map in VerSe codes, in the film's pixel grid."""
        return self.output_dir / f"{self.name}{LABEL_SUFFIXES[0]}"

    @property
    def labels_png(self) -> Path:
        """Label map in VerSe codes, of the film's size."""
        return self.output_dir / f"{self.name}{LABEL_SUFFIXES[1]}"

    @property
    def centres(self) -> Path:
        """Centres and levels, pixels of the film."""
        return self.output_dir / f"{self.name}_centres.json"

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that a result may have, the one that completes it last."""
        return self.mask_nifti, self.mask_png, self.labels_nifti, self.labels_png, self.centres

    @property
    def derived(self) -> tuple[Path, ...]:
        """What may have been made from the result: measurements, picture, DICOM objects."""
        return tuple(self.output_dir / f"{self.name}{suffix}" for suffix in DERIVED_SUFFIXES)

    def is_complete(self, run_id: str, film: str | Path, given: Sequence[Mapping[str, Any]] = ()) -> bool:
        """Whether all files are there, made by the same run settings from the film as it is now.

        Args:
            run_id: identity of the run's settings.
            film: the film's file.
            given: the centres that a reader gives on it now, as records of the JSON.
        """
        try:
            record = json.loads(self.centres.read_text(encoding="utf-8"))
            fingerprint = film_fingerprint(film)
        except (ValueError, OSError):
            return False
        if not isinstance(record, dict):
            return False
        needed = self.files if record.get("has_label_map") else (self.mask_nifti, self.mask_png)
        if not all(file.is_file() for file in needed):
            return False
        expected = {"run": run_id, "film_fingerprint": fingerprint, GIVEN_ENTRY: list(given)}
        return all(record.get(entry, []) == value for entry, value in expected.items())

    def write(
        self,
        film: str | Path,
        mask_xy: NDArray[np.uint8],
        affine: NDArray[np.floating],
        centres: Sequence[Mapping[str, Any]],
        run_id: str,
        spacing_known: bool = True,
        film_name: str | None = None,
        labels_xy: NDArray[np.uint8] | None = None,
        fingerprint: str | None = None,
        **extra: Any,
    ) -> None:
        """Write the files, each whole or not at all, the JSON last; where one fails, none is left.

        Args:
            film: the film's file.
            mask_xy: mask, (x, y), 0/1.
            affine: the film's affine, (3, 3).
            centres: one record a vertebra; see docs/outputs.md.
            run_id: identity of the run's settings, see `run_identity`.
            spacing_known: False marks the unit of the NIfTI's spacing as unknown.
            film_name: what the JSON calls the film; the name of its file when None.
            labels_xy: label map in VerSe codes, (x, y); None leaves it out.
            fingerprint: `film_fingerprint` of the file that was read; that of the file as it is now when None.
            extra: further entries of the JSON.
        Raises:
            OutputError: the folder takes no more files.
        """
        from cmnet_monai.io import write_label_png, write_mask_png, write_nifti
        from cmnet_monai.io.files.json import write_json

        record = {
            "film": Path(film).name if film_name is None else film_name,
            "film_fingerprint": fingerprint or film_fingerprint(film),
            "size_xy_px": [int(n) for n in mask_xy.shape],
            "has_label_map": labels_xy is not None,
            **extra,
            "centres": list(centres),
            "run": run_id,
        }
        try:
            for stale in (self.centres, self.derived[0]):
                stale.unlink(missing_ok=True)
            write_nifti(self.mask_nifti, mask_xy, affine, spacing_known=spacing_known)
            write_mask_png(self.mask_png, mask_xy)
            for stale in (self.labels_nifti, self.labels_png):
                stale.unlink(missing_ok=True)
            if labels_xy is not None:
                write_nifti(self.labels_nifti, labels_xy, affine, spacing_known=spacing_known)
                write_label_png(self.labels_png, labels_xy)
            write_json(self.centres, record)
        except BaseException as error:
            self.remove()
            blamed = output_error(error, self.output_dir)
            if blamed is not None:
                raise blamed from error
            raise

    def remove(self) -> None:
        """Delete what is there of the files, and what was made from them."""
        for file in (*reversed(self.files), *self.derived):
            with suppress(OSError):
                file.unlink(missing_ok=True)

    def remove_outdated(self, run_id: str, film: str | Path) -> None:
        """Delete a result that does not belong to the film as it is now; where there is no film, nothing is deleted."""
        if Path(film).is_file() and not self.is_complete(run_id, film):
            self.remove()


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
    from cmnet_monai import __version__

    text = json.dumps({"version": __version__, **settings}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
