"""Spondylolisthesis Vertebral Landmark (Mendeley Data 10.17632/5jdfdgp762.1): boxes with four corners each, no levels.

``Keypointrcnn_data/images/{train,val}`` holds the films and ``labels/{train,val}`` for each of them either a JSON file,
``{"boxes": [[x1, y1, x2, y2]], "keypoints": [[[x, y, v], ...]]}`` in pixels, or a text file in the form of YOLO-pose,
17 numbers a line, in shares of the film's size. The two order the corners differently; `corners.quadrilateral` makes
them one. Coordinates count from the outer corner of the first pixel, half a pixel away from its centre.

508 of the films come from BUU-LSPINE and keep its stems, followed by ``_jpg.rf.<hash>``: their patient is BUU-LSPINE's.
"""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import numpy as np

from cmnet_monai.datasets.adapters.buu_lspine import buu_patient
from cmnet_monai.datasets.adapters.corners import names_from_below, quadrilateral
from cmnet_monai.datasets.adapters.records import (
    PICTURE_SUFFIXES,
    UNKNOWN_LEVEL,
    Case,
    Options,
    Outline,
    Pending,
    Points,
    as_points,
    files_below,
    stem_of,
)
from cmnet_monai.io import FilmError

EXPORT_SUFFIX = re.compile(r"(_(jpe?g|png|bmp|tiff?))?\.rf\.[0-9a-zA-Z]+$", re.IGNORECASE)
YOLO_NUMBERS = 17


def mendeley_patient(stem: str) -> str:
    """Patient of a film: its name without the export's suffix and, of BUU-LSPINE's films, without the view.

    >>> mendeley_patient("3209-F-073Y1_jpg.rf.0a1b2c"), mendeley_patient("P12_jpg.rf.77ff")
    ('3209-F-073Y', 'P12')
    """
    name = EXPORT_SUFFIX.sub("", stem)
    return buu_patient(name) or name


def find_mendeley(source: Path, options: Options) -> list[Pending]:
    """Films of the set with a label file of the same stem.

    Raises:
        FileNotFoundError: there is none, or the set is still packed.
    """
    pictures = files_below(source, PICTURE_SUFFIXES, options.leave_out)
    films = [film for film in pictures if "images" in (source.name, *film.relative_to(source).parts)]
    if not films:
        packed = files_below(source, (".zip",))
        how = f"unpack {packed[0].name} first" if packed else "expected Keypointrcnn_data/images/{train,val}"
        raise FileNotFoundError(f"{source}: no films of the Mendeley set; {how}")
    return [Pending(film, partial(_load, film, source, options)) for film in films]


def _label_file(film: Path) -> Path:
    """``.../labels/train/a.json`` or ``.txt`` of ``.../images/train/a.jpg``."""
    parts = list(film.parts)
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    for suffix in (".json", ".txt"):
        file = Path(*parts[:-1]) / (stem_of(film) + suffix)
        if file.is_file():
            return file
    raise FilmError(film, "there is no label file of this stem in labels", "Copy the annotation again")


def _load(film: Path, source: Path, options: Options) -> Case:
    labels = _label_file(film)
    patient = options.patient_of(film, source, mendeley_patient(stem_of(film)))
    bodies, complete = read_keypoints_json(labels) if labels.suffix == ".json" else read_yolo_pose(labels, film)
    try:
        rings = sorted((quadrilateral(body) for body in bodies), key=lambda ring: float(ring[:, 1].mean()))
    except ValueError as error:
        raise FilmError(labels, str(error), "Mend the annotation or leave the film out") from error
    by_count = complete and options.levels == "from-below"
    names = names_from_below(len(rings)) if by_count else [UNKNOWN_LEVEL] * len(rings)
    outlines = tuple(Outline(label, (ring,)) for label, ring in zip(names, rings))
    named = any(label != UNKNOWN_LEVEL for label in names)
    return Case(film, patient, outlines, notes={"level_names": "guessed from their count" if named else "unknown"})


def read_keypoints_json(file: Path) -> tuple[list[Points], bool]:
    """Bodies of a Keypoint R-CNN label file.

    Returns:
        Corners (4, 2) as (x, y) in pixels of each body with all four, and whether every body had them.
    Raises:
        FilmError: the file is not of this form.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        instances = content["keypoints"]
        rows = [[[float(value) for value in point] for point in instance] for instance in instances]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FilmError(file, 'not {"boxes": [...], "keypoints": [[[x, y, v], ...]]}', "Copy it again") from error
    return _bodies(rows, file)


def read_yolo_pose(file: Path, film: Path) -> tuple[list[Points], bool]:
    """Bodies of a YOLO-pose label file: class, box and four times x, y, visibility in shares of the film's size.

    Args:
        file: the label file.
        film: its film, for the size.
    Returns:
        As `read_keypoints_json`.
    Raises:
        FilmError: a line has not 17 numbers, or the film's size cannot be read.
    """
    width, height = _size_of(film)
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            values = [float(value) for value in line.split()]
        except ValueError as error:
            raise FilmError(file, f"line {number} holds something that is no number", "Copy it again") from error
        if len(values) != YOLO_NUMBERS:
            raise FilmError(file, f"line {number} has {len(values)} numbers instead of {YOLO_NUMBERS}", "Copy it again")
        points = [values[i : i + 3] for i in range(5, YOLO_NUMBERS, 3)]
        rows.append([[x * width, y * height, visible] for x, y, visible in points])
    return _bodies(rows, file)


def _bodies(rows: list[list[list[float]]], file: Path) -> tuple[list[Points], bool]:
    bodies = []
    for row in rows:
        if len(row) != 4 or any(len(point) != 3 for point in row):
            raise FilmError(file, "a vertebra has not four corners (x, y, v)", "Mend it or leave the film out")
        if all(point[2] for point in row):
            bodies.append(as_points(np.asarray(row)[:, :2] - 0.5, file, "corners"))
    return bodies, len(bodies) == len(rows)


def _size_of(film: Path) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(film) as picture:
            return picture.size
    except Exception as error:
        raise FilmError(film, "the picture cannot be opened", "Copy the film again") from error
