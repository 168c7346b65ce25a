"""A film that ends the process that reads it is one failure; no film is lost, none comes twice."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from cmnet_monai.datasets import FailedFilm, FilmDataset, FilmLoader
from cmnet_monai.datasets.film_dataset import FAILURES_KEY

FILMS = 11
DEADLY = "the process that read this film ended without a word"


class Reads:
    """Stands for decoding: films of some numbers end the process, or do so once only."""

    def __init__(self, deadly: dict[int, Any], once: Path | None = None) -> None:
        self.deadly, self.once, self.parent = deadly, once, os.getpid()

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        number = item["image"]
        if number in self.deadly and os.getpid() != self.parent and self._due():
            end = self.deadly[number]
            os.kill(os.getpid(), end) if isinstance(end, signal.Signals) else os._exit(end)
        return {**item, "image": torch.full((1, 2, 3), float(number))}

    def _due(self) -> bool:
        if self.once is None:
            return True
        try:
            self.once.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def read_all(
    reads: Reads, workers: int = 2, batch_size: int = 2, busy_s: float = 0.0
) -> tuple[list[int], list[FailedFilm]]:
    items = [{"image": n, "path": f"{n}.dcm", "name": f"film{n}"} for n in range(FILMS)]
    loader = FilmLoader(FilmDataset(items, reads), batch_size=batch_size, num_workers=workers)
    numbers, failures = [], []
    batches = 0
    for batch in loader:
        batches += 1
        failures += batch.pop(FAILURES_KEY)
        numbers += [int(image.max()) for image in batch.get("image", [])]
        time.sleep(busy_s)  # at work on the batch: nothing may raise in here
    assert batches == len(loader) == -(-FILMS // batch_size)
    return numbers, failures


def failed(number: int) -> FailedFilm:
    return FailedFilm(f"film{number}", f"{number}.dcm", DEADLY, "The file may be damaged; copy or export it again")


# A process that ends with code 0 is noticed by the loader's look every five seconds only.
@pytest.mark.parametrize("end", [pytest.param(0, marks=pytest.mark.slow), 1, signal.SIGKILL, signal.SIGSEGV])
def test_deadly_film_fails_alone(end: Any) -> None:
    numbers, failures = read_all(Reads({4: end}))
    assert numbers == [n for n in range(FILMS) if n != 4]
    assert failures == [failed(4)]


def test_process_killed_from_outside_costs_no_film(tmp_path: Path) -> None:
    numbers, failures = read_all(Reads({5: signal.SIGKILL}, once=tmp_path / "killed"))
    assert numbers == list(range(FILMS)) and failures == []


def test_process_that_ends_while_a_batch_is_worked_on_disturbs_nothing() -> None:
    numbers, failures = read_all(Reads({6: signal.SIGKILL}), busy_s=0.2)
    assert numbers == [n for n in range(FILMS) if n != 6] and failures == [failed(6)]


def test_first_and_last_film_of_one_reader() -> None:
    numbers, failures = read_all(Reads({0: signal.SIGKILL, FILMS - 1: signal.SIGKILL}), workers=1, batch_size=4)
    assert numbers == list(range(1, FILMS - 1))
    assert failures == [failed(0), failed(FILMS - 1)]


def test_readers_that_all_end_are_the_machines_fault_and_not_the_films() -> None:
    with pytest.raises(RuntimeError, match="5 films in a row ended the process"):
        read_all(Reads(dict.fromkeys(range(FILMS), 1)))


def test_without_processes_it_is_a_plain_loader() -> None:
    assert read_all(Reads({4: 1}), workers=0) == (list(range(FILMS)), [])


def test_other_errors_are_not_swallowed() -> None:
    def collate(samples: list) -> Any:
        raise RuntimeError("these do not fit together")

    items = [{"image": n, "path": f"{n}.dcm", "name": f"film{n}"} for n in range(3)]
    loader = FilmLoader(FilmDataset(items, Reads({})), num_workers=1, collate_fn=collate)
    with pytest.raises(RuntimeError, match="do not fit together"):
        list(loader)


@pytest.mark.parametrize("error", [ConnectionResetError, ConnectionRefusedError, EOFError])
def test_batch_of_processes_that_are_just_ending_is_read_again(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have announced a batch and end before it is fetched; their signals come when the error is on its way."""
    fetch, ended = _MultiProcessingDataLoaderIter._try_get_data, []

    def just_ending(self: Any, *arguments: Any) -> Any:
        found = fetch(self, *arguments)
        if found[0] and not ended:
            ended.extend(worker.pid for worker in self._workers)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            for pid in ended:
                os.kill(pid, signal.SIGKILL)
            raise error("by peer")
        return found

    monkeypatch.setattr(_MultiProcessingDataLoaderIter, "_try_get_data", just_ending)
    try:
        numbers, failures = read_all(Reads({}))
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    assert len(ended) == 2 and numbers == list(range(FILMS)) and failures == []
