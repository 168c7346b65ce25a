"""A dataset that hands a film it cannot read on as a record instead of raising."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monai.data import Dataset, list_data_collate

from cmnet_monai.io import FilmError

FAILURES_KEY = "failures"


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
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, FilmError):
            return FailedFilm(name, path, cause.reason, cause.remedy)
        innermost, cause = cause, cause.__cause__ or cause.__context__
    detail = str(innermost).strip().split("\n")[0]
    return FailedFilm(
        name, path, f"{type(innermost).__name__}: {detail}", "Please report it if the film opens elsewhere"
    )


class FilmDataset(Dataset):
    """Films to be read one by one; `__getitem__` returns a `FailedFilm` where the transform raises.

    Args:
        data: items with at least ``image`` and ``path`` (the file) and ``name`` (the stem of its outputs).
        transform: the chain that reads and prepares an item.
    """

    def __init__(self, data: Sequence[Mapping[str, Any]], transform: Callable | None = None) -> None:
        super().__init__(data=data, transform=transform)

    def _transform(self, index: int) -> Any:
        try:
            return super()._transform(index)
        except Exception as error:
            return failed_film(self.data[index], error)


def collate_films(samples: Sequence[Any]) -> dict[str, Any]:
    """Collate readable films as MONAI does; the records of the others are listed under `FAILURES_KEY`."""
    films = [sample for sample in samples if not isinstance(sample, FailedFilm)]
    batch: dict[str, Any] = dict(list_data_collate(films)) if films else {}
    return {**batch, FAILURES_KEY: [sample for sample in samples if isinstance(sample, FailedFilm)]}
