from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader
from monai.transforms import Compose, Lambdad
from torch import nn

from cmnet_monai.datasets import FailedFilm, FilmDataset, collate_films
from cmnet_monai.engines import FilmEvaluator, FilmEvents, prepare_film_batch
from cmnet_monai.io import FilmError


class Doubling(nn.Module):
    """A network that counts the films it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.films = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.films += len(x)
        return 2 * x


def read(value: Any) -> torch.Tensor:
    if value is None:
        raise FilmError("film", "it is damaged", "Copy it again")
    return torch.full((1, 4, 6), float(value))


def evaluate(
    values: list[float | None], batch_size: int, after: Callable = lambda pred: pred, workers: int = 0
) -> tuple[dict[str, float], list[FailedFilm], Doubling]:
    """Results by name, failures in the order of their events, and the network."""
    items = [{"image": value, "path": f"{i}.dcm", "name": f"film{i}"} for i, value in enumerate(values)]
    dataset = FilmDataset(items, Compose([Lambdad("image", read)]))
    loader = DataLoader(dataset, batch_size=batch_size, collate_fn=collate_films, num_workers=workers)
    network, results, failures = Doubling(), {}, []
    evaluator = FilmEvaluator(
        device=torch.device("cpu"),
        val_data_loader=loader,
        network=network,
        prepare_batch=prepare_film_batch,
        postprocessing=Compose([Lambdad("pred", after)]),
    )

    def collect(engine: Any) -> None:
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            results[item["name"]] = float(output["pred"].max())

    evaluator.add_event_handler(Events.ITERATION_COMPLETED, collect)
    evaluator.add_event_handler(FilmEvents.FILM_FAILED, lambda engine: failures.append(engine.state.failed_film))
    evaluator.run()
    return results, failures, network


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7])
def test_unreadable_films_are_reported_and_the_others_come_out(batch_size: int) -> None:
    results, failures, network = evaluate([1, None, 3, None, None, 6], batch_size)
    assert results == {"film0": 2.0, "film2": 6.0, "film5": 12.0}
    assert failures == [FailedFilm(f"film{i}", f"{i}.dcm", "it is damaged", "Copy it again") for i in (1, 3, 4)]
    assert network.films == 3


def test_records_of_failures_come_back_from_worker_processes() -> None:
    results, failures, _ = evaluate([1, None, 3], 2, workers=1)
    assert set(results) == {"film0", "film2"} and [failure.name for failure in failures] == ["film1"]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_film_whose_result_cannot_be_written_does_not_stop_the_others(batch_size: int) -> None:
    def after(pred: torch.Tensor) -> torch.Tensor:
        if float(pred.max()) == 4.0:
            raise OSError("no space left on device")
        return pred

    results, failures, _ = evaluate([1, 2, 3], batch_size, after)
    assert results == {"film0": 2.0, "film2": 6.0}
    assert [(failure.name, failure.reason) for failure in failures] == [("film1", "OSError: no space left on device")]


def test_nothing_readable_never_reaches_the_network() -> None:
    results, failures, network = evaluate([None, None, None], 2)
    assert (results, len(failures), network.films) == ({}, 3, 0)


def test_no_films_at_all_fires_start_and_end_only() -> None:
    seen: list[str] = []
    evaluator = FilmEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(FilmDataset([]), collate_fn=collate_films),
        network=Doubling(),
    )
    for event in (Events.STARTED, Events.ITERATION_STARTED, Events.COMPLETED):
        evaluator.add_event_handler(event, lambda engine, name: seen.append(name), event.name)
    evaluator.run()
    assert seen == ["STARTED", "COMPLETED"]


def test_network_that_fails_is_an_error_of_the_run_and_not_of_a_film() -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("out of memory")

    dataset = FilmDataset([{"image": 1, "path": "a", "name": "a"}], Compose([Lambdad("image", read)]))
    evaluator = FilmEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(dataset, collate_fn=collate_films),
        network=Broken(),
        prepare_batch=prepare_film_batch,
    )
    with pytest.raises(RuntimeError, match="out of memory"):
        evaluator.run()
