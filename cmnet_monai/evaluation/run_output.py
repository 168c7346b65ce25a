"""What an inference run left in its output folder: the one place of this room that knows its files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.engines.manifest import DONE, FAILED, KEPT, MANIFEST_NAME, PENDING
from cmnet_monai.film_result import FilmResult
from cmnet_monai.io.files.results import ResultFiles, centres_record


@dataclass(frozen=True)
class RunFilm:
    """A film of a run.

    Args:
        folder: the run's output folder.
        name: of the film's files there.
        image: the film's own file.
        status: what became of it.
    """

    folder: Path
    name: str
    image: str
    status: str

    @property
    def done(self) -> bool:
        """Whether it has a result."""
        return self.status in (DONE, KEPT)

    def labels(self) -> NDArray[np.integer]:
        """Label map in VerSe codes, (x, y)."""
        return self.result().labels.array

    def mask_and_centres(self, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], list[dict[str, Any]]]:
        """Mask of L1-L5 (x, y) and centres; of a failed film none, whatever an earlier run may have left.

        Raises:
            ValueError: the run broke off before it.
        """
        if self.status == PENDING:
            where = self.folder / MANIFEST_NAME
            raise ValueError(f"{self.name}: {where} says it is {PENDING}; go on with the inference first")
        if self.status == FAILED:
            return np.zeros(shape, dtype=bool), []
        return self.result().mask > 0, self.centres()

    def centres(self) -> list[dict[str, Any]]:
        """Records of the named centres, pixels of the film."""
        return list(centres_record(self.result())["centres"])

    def guided(self) -> bool:
        """Whether a reader gave centres."""
        return bool(self.result().given_centres)

    def result(self) -> FilmResult:
        """Everything that was found."""
        return ResultFiles(self.folder, self.name).read_result()


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a run.

    Raises:
        FileNotFoundError: the folder has none.
    """
    return dict(json.loads((Path(folder) / MANIFEST_NAME).read_text(encoding="utf-8")))


def read_run(folder: str | Path) -> dict[str, RunFilm]:
    """The films of a run, by their own files."""
    films = read_manifest(folder)["films"].items()
    return {record["film"]: RunFilm(Path(folder), name, record["film"], record["status"]) for name, record in films}
