"""A data loader that outlives the processes that read its films."""

from __future__ import annotations

import logging
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from monai.data import DataLoader

from cmnet_monai.datasets.film_dataset import FailedFilm, FilmDataset, collate_films

logger = logging.getLogger(__name__)

DEATHS_IN_A_ROW = 5
"""So many films in a row do not each end their reader: something else does."""

_ENDED = re.compile(r"DataLoader worker \(pid")
_PREFETCH = 2


class FilmLoader(DataLoader):
    """Batches of a `FilmDataset`; a film that ends the process that reads it becomes a `FailedFilm`, the rest go on.

    Decoders are native code: a damaged film can end the process that decodes it, and a system short of memory ends
    one as well. With ``num_workers`` of at least 1 that process is not the run's own. When one ends, the films that may
    have been in its hands are read again, each in a process of its own; only those that end that one too have failed.
    No film is left out and none comes twice.

    Args:
        dataset: the films.
        batch_size: films of a batch.
        num_workers: processes that read films; 0 reads them in the run's own process, which a film can end.
        kwargs: further arguments of `monai.data.DataLoader`.
    Raises:
        RuntimeError: in iteration: so many films in a row end their process that it cannot be theirs.
    """

    def __init__(self, dataset: FilmDataset, batch_size: int = 1, num_workers: int = 0, **kwargs: Any) -> None:
        kwargs.setdefault("collate_fn", collate_films)
        super().__init__(dataset, num_workers=num_workers, batch_size=batch_size, **kwargs)
        self._films = dataset.data
        self._deaths = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Batches in their order."""
        if self.num_workers == 0:
            yield from super().__iter__()
            return
        batches: list[list[int]] = [list(batch) for batch in self.batch_sampler]  # type: ignore[union-attr]
        done = 0
        while done < len(batches):
            try:
                for batch in _batches(self._readers(batches[done:], self.num_workers, self.collate_fn)):
                    done += 1
                    yield batch
            except _ReaderEnded:
                logger.warning("a process that reads films has ended; reading the next films one by one")
            suspects = batches[done : done + self.num_workers * (self.prefetch_factor or _PREFETCH)]
            for indices in suspects:
                done += 1
                yield self.collate_fn([self._alone(index) for index in indices])

    def _readers(self, batches: Sequence[Sequence[int]], workers: int, collate: Any) -> DataLoader:
        return DataLoader(
            self.dataset,
            num_workers=workers,
            batch_sampler=batches,
            collate_fn=collate,
            worker_init_fn=self.worker_init_fn,
            prefetch_factor=self.prefetch_factor,
            pin_memory=self.pin_memory,
            multiprocessing_context=self.multiprocessing_context,
        )

    def _alone(self, index: int) -> Any:
        """One film, read by a process of its own."""
        try:
            (sample,) = _batches(self._readers([[index]], 1, _only))
        except _ReaderEnded:
            pass
        else:
            self._deaths = 0
            return sample
        self._deaths += 1
        if self._deaths >= DEATHS_IN_A_ROW:
            raise RuntimeError(
                f"{self._deaths} films in a row ended the process that reads them: look for too little memory or "
                "shared memory (/dev/shm), or read them without processes (num_workers 0)"
            )
        item = self._films[index]
        return FailedFilm(
            str(item.get("name", "")),
            str(item.get("path", "")),
            "the process that read this film ended without a word",
            "The file may be damaged; copy or export it again",
        )


def _only(samples: Sequence[Any]) -> Any:
    return samples[0]


class _ReaderEnded(Exception):
    """A process that reads films has ended."""


def _batches(loader: DataLoader) -> Iterator[Any]:
    """Batches of a loader with processes.

    Raises:
        _ReaderEnded: one of the processes has ended. PyTorch says so itself where it knows already; a batch that was
            announced and cannot be fetched from a process that is just ending is an error of the connection.
    """
    main = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGCHLD")
    try:
        yield from _undisturbed(loader) if main else loader
    except (ConnectionError, EOFError) as error:
        raise _ReaderEnded from error
    except RuntimeError as error:
        if not _ENDED.match(str(error)):
            raise
        raise _ReaderEnded from error


def _undisturbed(loader: DataLoader) -> Iterator[Any]:
    """Batches; the end of a process raises where a batch is asked for and nowhere else.

    PyTorch's signal handler for the end of such a process raises in the midst of whatever the main process does, which
    may be the writing of another film. Here it has to wait until the next batch is asked for, and it is silent once the
    processes are put away.
    """
    iterator = iter(loader)
    missed: list[int] = []
    alarm = signal.signal(signal.SIGCHLD, lambda number, frame: missed.append(number)) or signal.SIG_DFL
    quiet = signal.getsignal(signal.SIGCHLD)
    try:
        while True:
            signal.signal(signal.SIGCHLD, alarm)
            try:
                if missed and callable(alarm):
                    missed.clear()
                    alarm(signal.SIGCHLD, None)
                batch = next(iterator)
            except StopIteration:
                return
            finally:
                signal.signal(signal.SIGCHLD, quiet)
            yield batch
    finally:
        iterator._shutdown_workers()  # type: ignore[attr-defined]  # waits for them, and has PyTorch forget them
        signal.signal(signal.SIGCHLD, alarm)
