"""A dataset that hands a film it cannot read on as a record instead of raising."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from monai.data import Dataset, list_data_collate

from cmnet_monai.io import FilmError
from cmnet_monai.io.errors import causes, error_text
from cmnet_monai.io.files.results import film_fingerprint

FAILURES_KEY = "failures"
FILM_KEY = "film"
"""Key of the film as it was read; films of a batch differ in size, so it is not stacked."""
FINGERPRINT_KEY = "fingerprint"
"""Key of `film_fingerprint` as the film was before it was read."""

_NO_MEMORY = ("DefaultCPUAllocator", "not enough memory", "CUDA out of memory")
"""How PyTorch says it where it raises a plain RuntimeError."""


@dataclass(frozen=True)
class FailedFilm:
    """A film that gave no result: which one, why, and what to do."""

    name: str
    path: str
    reason: str
    remedy: str


def failed_film(item: Mapping[str, Any], error: BaseException) -> FailedFilm:
    """The record of a film whose reading, processing or writing raised `error`."""
    name, path = str(item.get("name", "")), str(item.get("path", ""))
    chain = list(causes(error))
    for cause in chain:
        if isinstance(cause, FilmError):
            return FailedFilm(name, path, cause.reason, cause.remedy)
        if is_out_of_memory(cause):
            return FailedFilm(name, path, "there is not enough memory for this film", "Use a machine with more")
    return FailedFilm(name, path, error_text(chain[-1]), "Please report it if the film opens elsewhere")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, the computer's or the GPU's."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)


def free_memory() -> None:
    """Give back what a failed attempt still holds, the computer's memory and the GPU's."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class FilmDataset(Dataset):
    """Films to be read one by one; `__getitem__` returns a `FailedFilm` where the transform raises.

    Args:
        data: items with at least ``image`` and ``path`` (the file) and ``name`` (the stem of its outputs). They reach
            the transform with `FINGERPRINT_KEY`.
        transform: the chain that reads and prepares an item.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from cmnet_monai.io import read_film
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "a.dcm")
    ...     _ = file.write_text("no film")
    ...     failed = FilmDataset([{"name": "a", "path": file}], lambda item: read_film(item["path"]).pixels)[0]
    >>> failed.name, failed.reason
    ('a', 'this is an unknown kind of file')
    """

    def __init__(self, data: Sequence[Mapping[str, Any]], transform: Callable | None = None) -> None:
        super().__init__(data=data, transform=transform)

    def _transform(self, index: int) -> Any:
        item = dict(self.data[index])
        item[FINGERPRINT_KEY] = _fingerprint(item.get("path"))
        try:
            if "missing" in item:
                raise FilmError(item["path"], item["missing"], "Check the path")
            return item if self.transform is None else self.transform(item)
        except Exception as error:
            return failed_film(item, error)


def _fingerprint(path: Any) -> str:
    """Of the file before it is read: if it changes meanwhile, a later run does it again."""
    try:
        return "" if path is None else film_fingerprint(path)
    except OSError:  # reading it will say what is wrong
        return ""


def collate_films(samples: Sequence[Any]) -> dict[str, Any]:
    """Collate readable films as MONAI does; `FILM_KEY` becomes a list, as do the failures under `FAILURES_KEY`.

    >>> failed = FailedFilm("b", "films/b.dcm", "the file is damaged", "Export it again")
    >>> batch = collate_films([{"image": torch.zeros(1, 30, 50)}, failed, {"image": torch.ones(1, 30, 50)}])
    >>> batch["image"].shape, [film.name for film in batch["failures"]]
    (torch.Size([2, 1, 30, 50]), ['b'])
    """
    films = [dict(sample) for sample in samples if not isinstance(sample, FailedFilm)]
    whole = [film.pop(FILM_KEY) for film in films if FILM_KEY in film]
    batch: dict[str, Any] = dict(list_data_collate(films)) if films else {}
    if whole:
        batch[FILM_KEY] = whole
    return {**batch, FAILURES_KEY: [sample for sample in samples if isinstance(sample, FailedFilm)]}
