"""labelme: a JSON file of polygons beside each film.

Labels are levels ("L1", "S1", "T12" in any case) or VerSe codes; "vertebra" is a body of unknown level; other labels
and shapes that are no polygons are left out. labelme counts coordinates from the outer corner of the first pixel, half
a pixel away from its centre.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cmnet_monai.datasets.adapters.coco import HALF_PIXEL, film_named
from cmnet_monai.datasets.adapters.records import (
    FILM_SUFFIXES,
    Case,
    Options,
    Outline,
    Pending,
    Points,
    as_points,
    files_below,
    label_of_name,
    stem_of,
)
from cmnet_monai.io import FilmError


def find_labelme(source: Path, options: Options) -> list[Pending]:
    """labelme files below a folder.

    Raises:
        FileNotFoundError: there is none.
    """
    root = source if source.is_dir() else source.parent
    files = files_below(source, (".json",), options.leave_out) if source.is_dir() else [source]
    sheets = [file for file in files if '"shapes"' in file.read_text(encoding="utf-8", errors="replace")]
    if not sheets:
        raise FileNotFoundError(f'{source}: no labelme files, JSON objects with "shapes" and "imagePath"')
    films = files_below(root, FILM_SUFFIXES, options.leave_out)
    return [Pending(sheet, partial(_load, sheet, films, source, options)) for sheet in sheets]


def _load(sheet: Path, films: Sequence[Path], source: Path, options: Options) -> Case:
    try:
        content = json.loads(sheet.read_text(encoding="utf-8"))
        shapes = [(str(shape["label"]), shape) for shape in content["shapes"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FilmError(sheet, f"not a labelme file ({type(error).__name__})", "Save it again") from error
    film = film_named(str(content.get("imagePath") or ""), sheet, films)
    patient = options.patient_of(film, source, stem_of(film))
    parts: dict[tuple[Any, ...], list[Points]] = {}
    ignored = []
    for i, (name, shape) in enumerate(shapes):
        label, kind = label_of_name(name), shape.get("shape_type") or "polygon"
        if label is None or kind != "polygon":
            ignored.append(name if label is None else f"{name} ({kind})")
            continue
        group = shape.get("group_id")
        key = (label, "alone", i) if group is None else (label, "group", group)
        parts.setdefault(key, []).append(as_points(shape.get("points"), sheet, f"polygon of {name}") - HALF_PIXEL)
    outlines = tuple(Outline(key[0], tuple(polygons)) for key, polygons in parts.items())
    return Case(film, patient, outlines, ignored=tuple(ignored))
