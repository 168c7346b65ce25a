"""An evaluator for films in bulk: a film that fails is recorded, and the others go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sized
from typing import Any

from ignite.engine import EventEnum, Events
from monai.engines import SupervisedEvaluator
from monai.engines.utils import IterationEvents, engine_apply_transform

from cmnet_monai.datasets.film_dataset import FAILURES_KEY, FailedFilm, failed_film

logger = logging.getLogger(__name__)


class FilmEvents(EventEnum):
    """What happens to single films: `FILM_FAILED` fires with `engine.state.failed_film` set."""

    FILM_FAILED = "film_failed"


class FilmEvaluator(SupervisedEvaluator):
    """A SupervisedEvaluator in which one bad film never stops a batch.

    Films that could not be read arrive as records of a batch (see `collate_films`); a film whose post-processing or
    writing fails becomes one. Each fires `FilmEvents.FILM_FAILED`. A batch without a readable film skips the network.
    Arguments are those of `monai.engines.SupervisedEvaluator`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["event_names"] = [*(kwargs.get("event_names") or []), FilmEvents]
        super().__init__(*args, **kwargs)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run over all films; with none to do, only the handlers of start and end act."""
        if isinstance(self.data_loader, Sized) and len(self.data_loader) == 0:
            self.fire_event(Events.STARTED)
            self.fire_event(Events.COMPLETED)
            return None
        return super().run(*args, **kwargs)

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
        return super()._iteration(engine, batchdata)

    def _register_postprocessing(self, posttrans: Callable) -> None:
        @self.on(IterationEvents.MODEL_COMPLETED)
        def _run_postprocessing(engine: Any) -> None:
            batch, output = engine.state.batch, engine.state.output
            kept = []
            for item, result in zip(batch, output):
                try:
                    kept.append(engine_apply_transform(item, result, posttrans))
                except Exception as error:
                    self.fail(failed_film(item, error))
            engine.state.batch = [item for item, _ in kept]
            engine.state.output = [result for _, result in kept]
