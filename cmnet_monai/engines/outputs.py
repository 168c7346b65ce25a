"""What is written of a segmented film: one handler a kind of file, each off or on by itself."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from ignite.engine import Engine

from cmnet_monai.engines.evaluator import FilmEvents, SegmentedFilm
from cmnet_monai.film_result import FilmResult
from cmnet_monai.io import FilmError, OutputError, write_label_png, write_mask_png, write_nifti
from cmnet_monai.io.errors import error_text, output_error
from cmnet_monai.io.files.json import write_json
from cmnet_monai.io.files.results import (
    CENTRES_SUFFIX,
    LABEL_SUFFIXES,
    MASK_SUFFIXES,
    OVERLAY_SUFFIX,
    RESULT_SUFFIX,
    SEG_NRRD_SUFFIX,
    SEG_SUFFIX,
    SR_SUFFIX,
    ResultFiles,
    centres_record,
)
from cmnet_monai.morphometry.flags import NOT_LATERAL_LUMBAR

logger = logging.getLogger(__name__)


class FilmOutput:
    """A handler that writes one kind of file of each film, whole or not at all.

    A file that cannot be written is a problem of its film, noted in the film's record; the other files and films go
    on. A folder that takes no more files (`OutputError`) ends the run.

    Args:
        output_dir: where the files go.
    """

    what: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(output_dir)

    def attach(self, engine: Engine) -> None:
        """Write when a film has been segmented."""
        engine.add_event_handler(FilmEvents.FILM_SEGMENTED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the files of `engine.state.film`."""
        self.run(engine.state.film)  # type: ignore[attr-defined]

    def run(self, film: SegmentedFilm) -> None:
        """Write the files of a film, or note on it why not; the first output clears away an earlier result."""
        if not film.begun:
            ResultFiles(self.output_dir, film.name).remove()
            film.begun = True
        reason = self.reason_against(film)
        if reason:
            film.left_out |= dict.fromkeys(self.suffixes, f"no {self.what}: {reason}")
            return
        files = ResultFiles(self.output_dir, film.name)
        try:
            self.write(film, files)
        except Exception as error:
            blamed = error if isinstance(error, OutputError) else output_error(error, self.output_dir)
            if blamed is not None:
                files.remove()
                raise blamed from error
            logger.debug("%s of %s", self.what, film.name, exc_info=True)
            film.problems.append(f"no {self.what}: {_reason(error)}")
        except BaseException:  # the run is being stopped
            files.remove()
            raise

    def reason_against(self, film: SegmentedFilm) -> str:
        """Why this film has no such file; "" where it may have one."""
        return ""

    def write(self, film: SegmentedFilm, files: ResultFiles) -> None:
        """Write the files of one film."""
        raise NotImplementedError


class SaveMask(FilmOutput):
    """The binary mask of the chosen levels: ``<name>_mask.nii.gz`` (0, 1) and ``<name>_mask.png`` (0, 255)."""

    what, suffixes = "mask", MASK_SUFFIXES

    def write(self, film: SegmentedFilm, files: ResultFiles) -> None:
        """Write NIfTI and PNG."""
        mask = film.result.mask
        _write_nifti(files.path(MASK_SUFFIXES[0]), mask, film.result)
        write_mask_png(files.path(MASK_SUFFIXES[1]), mask)


class SaveLabelMap(FilmOutput):
    """Every level by its VerSe code: ``<name>_labels.nii.gz`` and ``<name>_labels.png``."""

    what, suffixes = "label map", LABEL_SUFFIXES

    def write(self, film: SegmentedFilm, files: ResultFiles) -> None:
        """Write NIfTI and PNG."""
        labels = film.result.labels.array
        _write_nifti(files.path(LABEL_SUFFIXES[0]), labels, film.result)
        write_label_png(files.path(LABEL_SUFFIXES[1]), labels)


class SaveCentres(FilmOutput):
    """The centres of the mask's levels: ``<name>_centres.json``."""

    what, suffixes = "centres", (CENTRES_SUFFIX,)

    def write(self, film: SegmentedFilm, files: ResultFiles) -> None:
        """Write the JSON file."""
        write_json(files.path(CENTRES_SUFFIX), centres_record(film.result))


class SaveOverlay(FilmOutput):
    """A picture of the film with outlines, end plates, heights, names and flags: ``<name>_overlay.png``."""

    what, suffixes = "overlay", (OVERLAY_SUFFIX,)

    def write(self, film: SegmentedFilm, files: ResultFiles) -> None:
        """Draw and write it."""
        from cmnet_monai.visualize import write_overlay

        write_overlay(files.path(OVERLAY_SUFFIX), film.pixels, film.result)


class SaveSegNrrd(FilmOutput):
    """The label map as a segmentation for 3D Slicer, names and colours inside: ``<name>_labels.seg.nrrd``."""

    what, suffixes = "segmentation for 3D Slicer", (SEG_NRRD_SUFFIX,)

    def write(self, film: SegmentedFilm, files: ResultFiles) -> None:
        """Write it."""
        from cmnet_monai.io import write_seg_nrrd

        result = film.result
        write_seg_nrrd(files.path(SEG_NRRD_SUFFIX), result.labels.array, np.array(result.film.affine))


class DicomOutput(FilmOutput):
    """A DICOM object derived from a DICOM film; not of a film that may be no lateral lumbar one, unless asked for.

    Args:
        output_dir: where the files go.
        flagged: write it of films with the flag ``not_a_lateral_lumbar_film`` as well.
    """

    def __init__(self, output_dir: str | Path, flagged: bool = False) -> None:
        super().__init__(output_dir)
        self.flagged = flagged

    def reason_against(self, film: SegmentedFilm) -> str:
        """Not of pictures and arrays, nor of the wrong kind of film."""
        from cmnet_monai.io.dicom.derived import is_dicom_source

        if not is_dicom_source(film.source):
            return "the film is not a DICOM file"
        if not self.flagged and film.result.has_flag(NOT_LATERAL_LUMBAR):
            return "the film may not be a lateral lumbar one (--dicom-flagged writes it all the same)"
        return ""


class SaveDicomSeg(DicomOutput):
    """A DICOM Segmentation of a DICOM film: ``<name>_seg.dcm``."""

    what, suffixes = "DICOM SEG", (SEG_SUFFIX,)

    def write(self, film: SegmentedFilm, files: ResultFiles) -> None:
        """Write it."""
        from cmnet_monai.io.dicom.seg import save_dicom_seg

        save_dicom_seg(files.path(SEG_SUFFIX), film.source, film.result)


class SaveDicomSr(DicomOutput):
    """A DICOM structured report with the measures of a DICOM film: ``<name>_sr.dcm``; it refers to a segmentation."""

    what, suffixes = "DICOM SR", (SR_SUFFIX,)

    def write(self, film: SegmentedFilm, files: ResultFiles) -> None:
        """Write it."""
        from cmnet_monai.io.dicom.sr import save_dicom_sr

        seg = files.path(SEG_SUFFIX)
        save_dicom_sr(files.path(SR_SUFFIX), film.source, film.result, seg if seg.is_file() else None)


class SaveResult(FilmOutput):
    """Everything that was found, ``<name>_result.json``; attach it last, for it marks the film as done."""

    what, suffixes = "result", (RESULT_SUFFIX,)

    def write(self, film: SegmentedFilm, files: ResultFiles) -> None:
        """Write it, with the problems of the outputs before it."""
        result = replace(film.result, problems=(*film.result.problems, *film.problems))
        files.write_result(result, film.left_out)


def wanted_suffixes(outputs: Sequence[FilmOutput]) -> tuple[str, ...]:
    """Endings of the files that these outputs write."""
    return tuple(suffix for output in outputs for suffix in output.suffixes)


def _write_nifti(path: Path, values_xy: np.ndarray, result: FilmResult) -> None:
    known = result.film.spacing_xy_mm is not None
    write_nifti(path, values_xy, np.array(result.film.affine), spacing_known=known)


def _reason(error: Exception) -> str:
    if isinstance(error, FilmError):
        return error.reason
    return str(error) if isinstance(error, ValueError) else error_text(error)
