"""BUU-LSPINE (Klinwichit et al., 2023), versions 1 and 2: lateral films with the ends of each end plate.

Beside each lateral film ``<number>-<sex>-<age>Y1.jpg`` lies a CSV of the same stem: eleven lines ``x1,y1,x2,y2,label``
without a header, the upper and lower end plates of L1 to L5 and the upper one of S1, point 1 anterior. Version 1 has
them in ``LA``; version 2 below ``BUU_LSPINE_V2/data``, with a table of pixel spacings in ``csv_info``. Frontal films
(``AP``, or a stem that ends in 0) are passed over.
"""

from __future__ import annotations

import csv
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cmnet_monai.conventions import LEVEL_OF_LABEL, LUMBAR_LABELS, S1_LABEL
from cmnet_monai.datasets.adapters.corners import quadrilateral, s1_below_plate
from cmnet_monai.datasets.adapters.records import (
    PICTURE_SUFFIXES,
    Case,
    Options,
    Outline,
    Pending,
    Points,
    as_points,
    files_below,
)
from cmnet_monai.io import FilmError

STEM = re.compile(r"(\d+-[A-Za-z]-\d+Y)(\d)")
"""``0001-F-037Y1``: patient number, sex, age; the last digit is the view, 0 frontal and 1 lateral."""

LATERAL = "1"
PLATES = 11
LISTHESIS = {3: "anterolisthesis", 4: "retrolisthesis"}
SPACING_TABLE = "pixel_spacing*.csv"


def buu_patient(stem: str) -> str | None:
    """Patient of a BUU-LSPINE film, its stem without the digit of the view, or None for other names.

    >>> buu_patient("0001-F-037Y1")
    '0001-F-037Y'
    """
    found = STEM.fullmatch(stem)
    return found.group(1) if found else None


def find_buu_lspine(source: Path, options: Options) -> list[Pending]:
    """Lateral films of BUU-LSPINE below a folder, and annotations without a film.

    Raises:
        FileNotFoundError: there is none.
    """
    files = files_below(source, (*PICTURE_SUFFIXES, ".csv"), options.leave_out)
    pairs: dict[tuple[Path, str], dict[str, Path]] = {}
    for file in files:
        if _is_lateral(file, source):
            pairs.setdefault((file.parent, file.stem), {})["csv" if file.suffix.lower() == ".csv" else "film"] = file
    if not any("film" in pair for pair in pairs.values()):
        raise FileNotFoundError(
            f"{source}: no lateral films of BUU-LSPINE; expected LA/<number>-<sex>-<age>Y1.jpg with a CSV beside it"
        )
    spacings = read_spacings(source, options.leave_out)
    return [
        Pending(pair.get("film", pair.get("csv", folder / stem)), partial(_load, pair, source, options, spacings))
        for (folder, stem), pair in pairs.items()
    ]


def _is_lateral(file: Path, source: Path) -> bool:
    folders = {part.upper() for part in file.relative_to(source).parts[:-1]} | {source.name.upper()}
    found = STEM.fullmatch(file.stem)
    lateral = "LA" in folders if found is None else found.group(2) == LATERAL
    return lateral and "AP" not in folders


def read_spacings(source: Path, leave_out: Path | None = None) -> dict[str, float]:
    """Pixel spacings in mm of version 2 by stem without its last character; empty where there is no table.

    Raises:
        FilmError: the table has no columns ``filename`` and ``pixel_spacing``.
    """
    spacings: dict[str, float] = {}
    for table in files_below(source, (".csv",), leave_out):
        if not table.match(SPACING_TABLE):
            continue
        with table.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines, delimiter="\t")
            if not {"filename", "pixel_spacing"} <= set(rows.fieldnames or ()):
                raise FilmError(table, "no columns filename and pixel_spacing, parted by tabs", "Take the set's own")
            for row in rows:
                try:
                    spacing = float(row["pixel_spacing"])
                except (TypeError, ValueError):
                    continue
                if np.isfinite(spacing) and spacing > 0:
                    spacings[row["filename"].strip()] = spacing
    return spacings


def read_plates(file: Path) -> tuple[Points, list[int]]:
    """End plates of a lateral film.

    Args:
        file: the CSV.
    Returns:
        (11, 2, 2): for L1 upper, L1 lower, ..., L5 lower, S1 upper the points 1 (anterior) and 2 as (x, y) in pixels;
        and the listhesis label of each line.
    Raises:
        FilmError: the file has not eleven lines of at least four numbers.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = [row for row in csv.reader(lines) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FilmError(file, f"the CSV cannot be read ({type(error).__name__})", "Copy it again") from error
    if len(rows) != PLATES or any(len(row) < 4 for row in rows):
        raise FilmError(
            file, f"{len(rows)} lines instead of {PLATES} of x1,y1,x2,y2,label", "Mend the file or leave the film out"
        )
    plates = as_points([half for row in rows for half in (row[:2], row[2:4])], file, "end plates")
    labels = []
    for row in rows:
        try:
            labels.append(int(float(row[4])))
        except (IndexError, ValueError):
            labels.append(0)
    return plates.reshape(PLATES, 2, 2), labels


def outlines_of(plates: Points, file: Path, s1: str = "plate") -> tuple[Outline, ...]:
    """Outlines of L1-L5 from their end plates, and of S1 by the rule of `corners`.

    Args:
        plates: (11, 2, 2) as `read_plates` returns them.
        file: the file to name in an error.
        s1: "plate" draws S1, "none" leaves it out.
    Raises:
        FilmError: the bodies do not follow each other from top to bottom, or one has no area.
    """
    bodies = plates[:10].reshape(5, 4, 2)
    if (np.diff(bodies.mean(axis=1)[:, 1]) <= 0).any():
        raise FilmError(file, "L1 to L5 do not follow each other from top to bottom", "Mend the order of the lines")
    try:
        outlines = [Outline(label, (quadrilateral(body),)) for label, body in zip(LUMBAR_LABELS, bodies)]
        if s1 == "plate":
            sacrum = s1_below_plate(plates[10, 0], plates[10, 1], bodies[4].mean(axis=0))
            outlines.append(Outline(S1_LABEL, (sacrum,)))
    except ValueError as error:
        raise FilmError(file, str(error), "Mend the annotation or leave the film out") from error
    return tuple(outlines)


def _load(pair: dict[str, Path], source: Path, options: Options, spacings: dict[str, float]) -> Case:
    film, annotation = pair.get("film"), pair.get("csv")
    if film is None:
        raise FilmError(annotation or source, "there is no film of this stem beside it", "Copy the film again")
    if annotation is None:
        raise FilmError(film, "there is no CSV of this stem beside it", "Copy the annotation again")
    key = buu_patient(film.stem) or film.stem
    plates, labels = read_plates(annotation)
    notes: dict[str, Any] = {}
    slips = {
        LEVEL_OF_LABEL[LUMBAR_LABELS[i // 2]]: LISTHESIS[label]
        for i, label in enumerate(labels[:10])
        if label in LISTHESIS
    }
    if slips:
        notes["listhesis"] = slips
    if options.s1 == "plate":
        notes["s1"] = "from its upper end plate"
    if key in spacings:
        notes["spacing_xy_mm"] = [spacings[key]] * 2
    patient = options.patient_of(film, source, key)
    return Case(film, patient, outlines_of(plates, annotation, options.s1), notes=notes)
