"""Results of an inference run, written without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.film_result import FilmIdentity, FilmResult, LabelMap, Vertebra
from cmnet_monai.io.files.results import ResultFiles


def write_result(
    folder: Path, name: str, labels: NDArray[np.integer], centres: Sequence[Mapping[str, Any]] = (), **more: Any
) -> None:
    """The result of a film: a label map (x, y) in VerSe codes, and centres with ``level``, ``x_px``, ``y_px``, ..."""
    bodies = tuple(
        Vertebra(c["level"], (c.get("x_px", 0.0), c.get("y_px", 0.0)), c.get("score"), c.get("uncertainty"))
        for c in centres
    )
    film = FilmIdentity(name, (labels.shape[0], labels.shape[1]))
    ResultFiles(folder, name).write_result(FilmResult(film, "run", LabelMap.of(labels), bodies, **more))
