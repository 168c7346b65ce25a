"""An evaluator for films in bulk: a film that fails is recorded, and the others go on."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np
from ignite.engine import EventEnum, Events
from monai.data import decollate_batch
from monai.engines import SupervisedEvaluator
from monai.engines.utils import IterationEvents, engine_apply_transform
from monai.utils import convert_to_numpy

from cmnet_monai.datasets.film_dataset import (
    FAILURES_KEY,
    FILM_KEY,
    FailedFilm,
    collate_films,
    failed_film,
    free_memory,
    is_out_of_memory,
)
from cmnet_monai.film_result import FilmResult
from cmnet_monai.io import OutputError
from cmnet_monai.io.errors import first_cause

logger = logging.getLogger(__name__)

RESULT_KEY = "result"
"""Key of the `FilmResult` that post-processing makes."""


class FilmEvents(EventEnum):
    """What happens to films.

    `FILM_SEGMENTED` fires with `engine.state.film` set (`SegmentedFilm`), for the outputs to be written; `FILM_DONE`
    after them. `FILM_FAILED` fires with `engine.state.failed_film` set; `BROKEN_OFF` when an interrupt, SIGTERM or the
    like ends the run, with `engine.state.broken_off` saying what it was.
    """

    FILM_SEGMENTED = "film_segmented"
    FILM_DONE = "film_done"
    FILM_FAILED = "film_failed"
    BROKEN_OFF = "broken_off"


@dataclass
class SegmentedFilm:
    """A film on its way through the outputs (`engine.state.film`).

    Args:
        name: stem of its files.
        source: its file, or a DICOM data set; None for an array.
        result: what was found.
        pixels: the film, (x, y), linear values, bone bright.
        problems: outputs that could not be written and why.
        left_out: endings of files that this film cannot have, each with the reason.
        begun: whether the files of an earlier result have gone.
    """

    name: str
    source: Any
    result: FilmResult
    pixels: np.ndarray
    problems: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    begun: bool = False


class FilmEvaluator(SupervisedEvaluator):
    """A SupervisedEvaluator in which one bad film never stops a batch.

    Films that could not be read arrive as records of a batch (see `collate_films`); a film whose post-processing or
    writing fails becomes one. Each fires `FilmEvents.FILM_FAILED`. A batch without a readable film skips the network.
    A batch for which memory does not suffice is done in smaller ones, as are all that follow; a film that does not fit
    alone has failed. What is no film's fault ends the run: a place that takes no more files (`OutputError`), a network
    that fails. SIGTERM ends it in order, as an interrupt from the keyboard does.
    Arguments are those of `monai.engines.SupervisedEvaluator`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["event_names"] = [*(kwargs.get("event_names") or []), FilmEvents]
        super().__init__(*args, **kwargs)
        self.films_at_once: int | None = None
        self._whole: list[Any] = []

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run over all films; with none to do, only the handlers of start and end act."""
        try:
            with sigterm_exits():
                if not isinstance(self.data_loader, Sized) or len(self.data_loader) > 0:
                    return super().run(*args, **kwargs)
                self.fire_event(Events.STARTED)
                self.fire_event(Events.COMPLETED)
                return None
        except (KeyboardInterrupt, SystemExit) as end:
            self.state.broken_off = "stopped from the keyboard" if isinstance(end, KeyboardInterrupt) else "stopped"
            self.fire_event(FilmEvents.BROKEN_OFF)
            raise

    def fail(self, failure: FailedFilm) -> None:
        """Record a film that failed."""
        self.state.failed_film = failure
        self.fire_event(FilmEvents.FILM_FAILED)

    def _iteration(self, engine: Any, batchdata: dict[str, Any]) -> dict:
        failures = batchdata.pop(FAILURES_KEY, [])
        for failure in failures:
            self.fail(failure)
        if not batchdata:
            engine.state.batch, engine.state.output = [], []
            return engine.state.output
        films = len(next(iter(batchdata.values())))
        self._whole = batchdata.pop(FILM_KEY, [])
        if self.films_at_once is None or films <= self.films_at_once:
            try:
                return super()._iteration(engine, batchdata)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                last = None if films > 1 else failed_film(decollate_batch(batchdata)[0], error)
            return self._spare(engine, batchdata, films, last)
        return self._in_parts(engine, batchdata)

    def _spare(self, engine: Any, batchdata: dict[str, Any], films: int, last: FailedFilm | None) -> dict:
        """Half as many films at once from now on; one that was alone already has failed."""
        engine.state.output = None
        free_memory()
        if last is not None:
            self.fail(last)
            engine.state.batch, engine.state.output = [], []
            return engine.state.output
        self.films_at_once = films // 2
        logger.warning("not enough memory for %d films at once; going on with %d", films, self.films_at_once)
        return self._in_parts(engine, batchdata)

    def _in_parts(self, engine: Any, batchdata: dict[str, Any]) -> Any:
        items, batch, output = decollate_batch(batchdata), [], []
        for item, whole in zip(items, self._whole):
            item[FILM_KEY] = whole
        while items:
            part, items = items[: self.films_at_once], items[self.films_at_once :]
            engine.state.batch = collate_films(part)
            self._iteration(engine, engine.state.batch)
            batch += engine.state.batch
            output += engine.state.output
        engine.state.batch, engine.state.output = batch, output
        return output

    def _register_postprocessing(self, posttrans: Callable) -> None:
        @self.on(IterationEvents.MODEL_COMPLETED)
        def _run_postprocessing(engine: Any) -> None:
            kept = []
            whole = self._whole or [None] * len(engine.state.batch)
            for item, output, film in zip(engine.state.batch, engine.state.output, whole):
                try:
                    kept.append(self._finish(item, output, film, posttrans))
                except Exception as error:
                    stop = first_cause(error, OutputError)
                    if stop is not None:
                        raise stop from error
                    self.fail(failed_film(item, error))
            self._whole = []
            engine.state.batch = [item for item, _ in kept]
            engine.state.output = [output for _, output in kept]

    def _finish(self, item: dict[str, Any], output: Any, film: Any, posttrans: Callable) -> tuple[Any, Any]:
        """Post-process one film and, where that makes a `FilmResult`, have its outputs written."""
        batch = item if film is None else {**item, FILM_KEY: film}
        batch, output = engine_apply_transform(batch, output, posttrans)
        result = output.pop(RESULT_KEY, None) if isinstance(output, dict) else None
        batch.pop(FILM_KEY, None)
        if result is not None:
            pixels = convert_to_numpy(film)[0]
            self.state.film = SegmentedFilm(str(item["name"]), item.get("path"), result, pixels)
            self.fire_event(FilmEvents.FILM_SEGMENTED)
            self.fire_event(FilmEvents.FILM_DONE)
        return batch, output


@contextmanager
def sigterm_exits() -> Iterator[None]:
    """SIGTERM becomes `SystemExit` with code 143, so that what is half done is cleared away."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is None:
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
