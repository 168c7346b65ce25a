"""Polygons by COCO (one JSON file for many films) and labelme (a JSON file beside each film).

Names are levels ("L1", "S1", "T12" in any case) or VerSe codes; "vertebra" is a body of unknown level; any other
outline, and shapes that are no polygons, are left out. Both count coordinates from the outer corner of the first pixel,
half a pixel away from its centre.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

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

HALF_PIXEL = 0.5


def find_coco(source: Path, options: Options) -> list[Pending]:
    """Films that COCO files below a folder (or one COCO file) list.

    Raises:
        FileNotFoundError: there is no COCO file.
        ValueError: a file that is given by name is none.
    """
    root = source if source.is_dir() else source.parent
    files = files_below(source, (".json",), options.leave_out) if source.is_dir() else [source]
    sheets = [(file, content) for file in files if (content := _read(file)) is not None]
    if not sheets:
        raise FileNotFoundError(f'{source}: no COCO file, a JSON object with "images", "annotations" and "categories"')
    films = files_below(root, FILM_SUFFIXES, options.leave_out)
    return [pending for file, content in sheets for pending in _pending(file, content, films, source, options)]


def _read(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in keys):
        return None
    return content if all(isinstance(record, dict) for key in keys for record in content[key]) else None


def _pending(
    file: Path, content: Mapping[str, Any], films: Sequence[Path], source: Path, options: Options
) -> list[Pending]:
    names = {category.get("id"): str(category.get("name", "")) for category in content["categories"]}
    by_image: dict[Any, list[Mapping[str, Any]]] = {}
    for annotation in content["annotations"]:
        by_image.setdefault(annotation.get("image_id"), []).append(annotation)
    return [
        Pending(
            file.parent / str(image.get("file_name", "")),
            partial(_load, file, image, by_image.get(image.get("id"), []), names, films, source, options),
        )
        for image in content["images"]
    ]


def film_named(name: str, sheet: Path, films: Sequence[Path]) -> Path:
    """The film that an annotation file means: beside it, or the only one below the source whose path ends like that.

    Raises:
        FilmError: there is none, or several.
    """
    wanted = PurePosixPath(name.replace("\\", "/"))
    direct = Path(os.path.normpath(sheet.parent / wanted))
    if wanted.name and direct.is_file():
        return direct
    tail = tuple(part for part in wanted.parts if part not in ("/", "..", "."))
    while tail:
        found = [film for film in films if film.parts[-len(tail) :] == tail]
        if len(found) == 1:
            return found[0]
        if found:
            raise FilmError(sheet, f'"{name}" may be any of {len(found)} films', "Give their folders in the file")
        tail = tail[1:]
    raise FilmError(sheet, f'the film "{name}" is not below the source', "Put films and annotations into one folder")


def _load(
    sheet: Path,
    image: Mapping[str, Any],
    annotations: Sequence[Mapping[str, Any]],
    names: Mapping[Any, str],
    films: Sequence[Path],
    source: Path,
    options: Options,
) -> Case:
    film = film_named(str(image.get("file_name", "")), sheet, films)
    patient = options.patient_of(film, source, stem_of(film))
    outlines, ignored = [], []
    for annotation in annotations:
        name = names.get(annotation.get("category_id"), "")
        label = label_of_name(name)
        if label is None:
            ignored.append(name)
            continue
        outlines.append(Outline(label, _parts(annotation.get("segmentation"), film, name)))
    return Case(film, patient, tuple(outlines), ignored=tuple(ignored))


def _parts(segmentation: Any, film: Path, name: str) -> tuple:
    if isinstance(segmentation, Mapping):
        raise FilmError(film, f"the outline of {name} is a run-length mask", "Export polygons")
    if not isinstance(segmentation, list) or not segmentation:
        raise FilmError(film, f"the annotation of {name} has no polygon", "Export polygons, not boxes")
    if any(not isinstance(part, list) or len(part) % 2 for part in segmentation):
        raise FilmError(film, f"the polygon of {name} is not x, y, x, y, ...", "Check the annotation")
    return tuple(
        as_points([part[i : i + 2] for i in range(0, len(part), 2)], film, f"polygon of {name}") - HALF_PIXEL
        for part in segmentation
    )


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
    return [Pending(sheet, partial(_load_labelme, sheet, films, source, options)) for sheet in sheets]


def _load_labelme(sheet: Path, films: Sequence[Path], source: Path, options: Options) -> Case:
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
