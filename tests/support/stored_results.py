"""A film's result on disk, as inference leaves it, of labels and centres that a test makes up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cmnet_monai.film_result import FilmIdentity, FilmResult, GivenCentre, LabelMap, Vertebra
from cmnet_monai.io import write_label_png, write_mask_png
from cmnet_monai.io.files.results import LABEL_SUFFIXES, MASK_SUFFIXES, ResultFiles, film_fingerprint


def store_result(
    folder: Path,
    name: str,
    film: str | Path,
    labels_xy: np.ndarray,
    centres: Iterable[Mapping[str, Any]] = (),
    given: Iterable[GivenCentre] = (),
) -> ResultFiles:
    """Label map, mask and record of a film; centres are records with ``level``, ``x_px``, ``y_px`` and scores."""
    bodies = tuple(
        Vertebra(
            str(centre["level"]),
            (float(centre.get("x_px", 0.0)), float(centre.get("y_px", 0.0))),
            centre.get("score"),
            centre.get("uncertainty"),
            centre.get("confidence"),
            centre.get("evidence", ""),
        )
        for centre in centres
    )
    size = (int(labels_xy.shape[0]), int(labels_xy.shape[1]))
    identity = FilmIdentity(Path(film).name, size, fingerprint=film_fingerprint(film))
    result = FilmResult(identity, "run", LabelMap.of(labels_xy), bodies, given_centres=tuple(given))
    files = ResultFiles(folder, name)
    write_label_png(files.path(LABEL_SUFFIXES[1]), labels_xy)
    write_mask_png(files.path(MASK_SUFFIXES[1]), result.mask)
    files.write_result(result)
    return files
