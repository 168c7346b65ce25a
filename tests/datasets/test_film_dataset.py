from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, EnsureChannelFirstd, Lambdad, LoadImaged
from PIL import Image

from cmnet_monai.datasets import FailedFilm, FilmDataset, collate_films
from cmnet_monai.datasets.film_dataset import FAILURES_KEY, failed_film
from cmnet_monai.io import FilmError


def item(path: Path) -> dict[str, str]:
    return {"image": str(path), "path": str(path), "name": path.stem}


@pytest.fixture
def films(tmp_path: Path) -> list[dict[str, str]]:
    """Two pictures with something that is none between them."""
    for name, value in (("a", 10), ("c", 30)):
        Image.fromarray(np.full((7, 5), value, np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_text("no picture")
    return [item(tmp_path / f"{name}.png") for name in "abc"]


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_film_becomes_a_record_and_the_others_a_batch(films: list[dict], workers: int) -> None:
    reading = Compose([LoadImaged("image", reader="cmnet_monai.io.RadiographReader"), EnsureChannelFirstd("image")])
    dataset = FilmDataset(films, reading)
    (batch,) = DataLoader(dataset, batch_size=3, num_workers=workers, collate_fn=collate_films)
    assert batch["image"].shape == (2, 1, 5, 7)
    assert batch["image"].as_subclass(torch.Tensor).mean(dim=(1, 2, 3)).tolist() == [10.0, 30.0]
    assert batch["name"] == ["a", "c"]
    (failure,) = batch[FAILURES_KEY]
    assert (failure.name, failure.path) == ("b", films[1]["path"])
    assert failure.reason and failure.remedy and films[1]["path"] not in failure.reason


def test_batch_of_failures_has_nothing_else(films: list[dict]) -> None:
    failure = FailedFilm("b", "b.png", "it is broken", "mend it")
    assert collate_films([failure, failure]) == {FAILURES_KEY: [failure, failure]}


def test_reason_and_remedy_are_those_of_the_film_error_below_others() -> None:
    try:
        try:
            raise FilmError("b.dcm", "the file is cut short", "Copy it again")
        except FilmError as error:
            raise RuntimeError("applying transform <LoadImaged>") from error
    except RuntimeError as error:
        record = failed_film({"name": "b", "path": "b.dcm"}, error)
    assert record == FailedFilm("b", "b.dcm", "the file is cut short", "Copy it again")


def test_other_errors_are_named_by_their_innermost_cause_on_one_line(films: list[dict]) -> None:
    def stumble(value: str) -> str:
        raise IndexError("far out\nsecond line")

    record = FilmDataset(films, Compose([Lambdad("image", stumble)]))[0]
    assert isinstance(record, FailedFilm)
    assert record.reason == "IndexError: far out" and record.remedy
    assert pickle.loads(pickle.dumps(record)) == record


def test_interrupt_is_not_swallowed(films: list[dict]) -> None:
    def interrupt(value: str) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FilmDataset(films, interrupt)[0]
