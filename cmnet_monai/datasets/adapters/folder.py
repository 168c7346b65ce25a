"""Plain folders: films in one, label maps of the same names in another.

Films lie in ``images`` (``image``, ``films``, ``imagesTr``), label maps beside it in ``labels`` (``label``, ``masks``,
``mask``, ``labelsTr``), at any depth. A label map has the stem of its film, also with ``_mask`` or ``_label`` behind
it, or without the ``_0000`` that nnU-Net puts behind its films. It holds VerSe codes, or is a binary mask (0 and 1, or
0 and 255). It is not copied: the datalist names it where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from cmnet_monai.conventions import LEVEL_OF_LABEL
from cmnet_monai.datasets.adapters.records import Case, Options, Pending, stem_of
from cmnet_monai.datasets.datalist import find_films
from cmnet_monai.io import FilmError, read_label_map

IMAGE_FOLDERS = frozenset({"image", "images", "films", "imagestr"})
MASK_FOLDERS = frozenset({"label", "labels", "mask", "masks", "labelstr"})
MASK_ENDINGS = ("_mask", "_label")
NNUNET_ENDING = "_0000"
BINARY = (1, 255)


def find_folder(source: Path, options: Options) -> list[Pending]:
    """Films in folders of films that have a folder of label maps beside them.

    Raises:
        FileNotFoundError: there are none.
    """
    folders = sorted(p for p in (source, *source.rglob("*")) if p.is_dir() and p.name.lower() in IMAGE_FOLDERS)
    pending = []
    for folder in folders:
        beside = [p for p in sorted(folder.parent.iterdir()) if p.is_dir() and p.name.lower() in MASK_FOLDERS]
        masks = {_plain(f): f for place in beside for f in sorted(place.rglob("*")) if f.is_file()}
        if masks:
            pending += [Pending(f, partial(_load, f, masks, source, options)) for f in find_films(folder)]
    if not pending:
        raise FileNotFoundError(f"{source}: no folder images with a folder labels (or masks) beside it")
    return pending


def _plain(mask: Path) -> str:
    stem = stem_of(mask)
    for ending in MASK_ENDINGS:
        stem = stem.removesuffix(ending)
    return stem


def _load(film: Path, masks: Mapping[str, Path], source: Path, options: Options) -> Case:
    stem = stem_of(film)
    names = (stem, film.name, stem.removesuffix(NNUNET_ENDING))
    mask = next((masks[name] for name in names if name in masks), None)
    if mask is None:
        raise FilmError(film, "there is no label map of this name", "Draw one or take the film out")
    return Case(film, options.patient_of(film, source, stem), label=mask)


def check_label_map(mask: Path, size_xy_px: tuple[int, int]) -> None:
    """Check that a label map fits its film and holds VerSe codes or a binary mask.

    Args:
        mask: the file.
        size_xy_px: columns and rows of the film.
    Raises:
        FilmError: it cannot be read, has another size, is empty, or holds other values.
    """
    labels = read_label_map(mask)
    if labels.shape != size_xy_px:
        ours, films = ("{} x {}".format(*size) for size in (labels.shape, size_xy_px))
        raise FilmError(mask, f"the label map is {ours} pixels, its film {films}", "Draw it at the film's own size")
    values = [int(value) for value in np.unique(labels) if value]
    if not values:
        raise FilmError(mask, "the label map is empty", "Draw the vertebrae or take the film out")
    if len(values) == 1 and values[0] in BINARY:
        return
    unknown = [value for value in values if value not in LEVEL_OF_LABEL]
    if unknown:
        raise FilmError(
            mask,
            f"the values {', '.join(str(value) for value in unknown[:6])} are no levels",
            "Use VerSe codes: T1-T12 = 8-19, L1-L5 = 20-24, L6 = 25, S1 = 26",
        )
