"""What every adapter returns: one annotated film, whatever the data set it comes from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import LABEL_OF_LEVEL, LEVEL_OF_LABEL
from cmnet_monai.io import FilmError

UNKNOWN_LEVEL = 0
"""Label of an outline whose level the data set does not name."""

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
FILM_SUFFIXES = (*PICTURE_SUFFIXES, ".dcm", ".nii", ".nii.gz")

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Outline:
    """One vertebra as polygons.

    Attributes:
        label: VerSe code, or `UNKNOWN_LEVEL`.
        parts: polygons, each (N, 2) as (x, y) in pixels of the film; the centre of the top-left pixel is (0, 0).
    """

    label: int
    parts: tuple[Points, ...]


@dataclass(frozen=True)
class Case:
    """One film (or CT) with its annotation.

    Attributes:
        image: the film; of a CT data set the scan.
        patient: whom it shows; films of one patient never part.
        outlines: vertebrae as polygons, where the data set has polygons or corners.
        label: label map on disk, where it has those.
        files: further files of the datalist item, by key.
        notes: further entries of the datalist item.
        ignored: names of outlines that are no vertebral level and were left out.
        is_ct: a volume, not a film.
    """

    image: Path
    patient: str
    outlines: tuple[Outline, ...] = ()
    label: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    is_ct: bool = False


@dataclass(frozen=True)
class Pending:
    """A case that nobody has opened yet.

    Attributes:
        file: the file to name when it cannot be used.
        load: reads the annotation; raises `FilmError` where it cannot be used.
    """

    file: Path
    load: Callable[[], Case]


@dataclass(frozen=True)
class Options:
    """What the adapters let the user choose.

    Attributes:
        patient_pattern: regular expression searched in the film's path below the source (with ``/``); its first group
            is the patient. None: the data set's own rule.
        s1: "plate" draws S1 below its upper end plate where a data set has no more of it, "none" leaves it out.
        levels: "none" leaves vertebrae without a name nameless, "from-below" names them by their count.
        leave_out: folder whose files are the output of an earlier run.

    >>> options = Options(patient_pattern=re.compile("patient_([0-9]+)/"))
    >>> options.patient_of(Path("set/patient_07/left.png"), Path("set"), default="left")
    '07'
    >>> Options().patient_of(Path("set/patient_07/left.png"), Path("set"), default="left")
    'left'
    """

    patient_pattern: re.Pattern[str] | None = None
    s1: str = "plate"
    levels: str = "none"
    leave_out: Path | None = None

    def patient_of(self, film: Path, source: Path, default: str) -> str:
        """Patient of a film: by the pattern, or `default` without one.

        Raises:
            FilmError: the pattern is not in the film's path.
        """
        if self.patient_pattern is None:
            return default
        root = source if source.is_dir() else source.parent
        name = film.relative_to(root).as_posix() if film.is_relative_to(root) else film.name
        found = self.patient_pattern.search(name)
        if found is None or not found.group(1):
            pattern = self.patient_pattern.pattern
            raise FilmError(film, f'the patient pattern "{pattern}" is not in "{name}"', "Change --patient-pattern")
        return found.group(1)


def files_below(root: Path, suffixes: Iterable[str], leave_out: Path | None = None) -> list[Path]:
    """Files of these kinds below a folder, in a stable order, without hidden ones and those of `leave_out`."""
    endings = tuple(suffixes)
    skipped = None if leave_out is None else leave_out.resolve()
    found = []
    for file in root.rglob("*"):
        if not file.name.lower().endswith(endings) or any(p.startswith(".") for p in file.relative_to(root).parts):
            continue
        if file.is_file() and (skipped is None or skipped not in file.resolve().parents):
            found.append(file)
    return sorted(found)


def stem_of(file: Path) -> str:
    """A film's or label map's name without the suffix of a picture; other dots, as in a DICOM UID, stay.

    >>> stem_of(Path("a/scan.1.nii.gz")), stem_of(Path("1.2.840.7"))
    ('scan.1', '1.2.840.7')
    """
    name = file.name
    for suffix in sorted(FILM_SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def label_of_name(name: str) -> int | None:
    """VerSe code of a level's name or code as people write it, `UNKNOWN_LEVEL` for "vertebra", None for anything else.

    >>> label_of_name(" l1 "), label_of_name("26"), label_of_name("vertebra"), label_of_name("disc")
    (20, 26, 0, None)
    """
    text = name.strip().upper()
    if text in LABEL_OF_LEVEL:
        return LABEL_OF_LEVEL[text]
    if text.isdigit() and int(text) in LEVEL_OF_LABEL:
        return int(text)
    return UNKNOWN_LEVEL if text in ("VERTEBRA", "VERTEBRAE", "VERTEBRAL BODY") else None


def as_points(values: object, file: Path, what: str) -> Points:
    """Numbers as points (N, 2).

    Raises:
        FilmError: they are not finite pairs of numbers.
    """
    try:
        points = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FilmError(file, f"{what}: not pairs of numbers", "Check the annotation") from error
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise FilmError(file, f"{what}: not pairs of finite numbers", "Check the annotation")
    return points
