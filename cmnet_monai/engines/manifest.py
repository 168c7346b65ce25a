"""The record of an inference run: what it ran with, and what became of each film."""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from cmnet_monai.datasets.given_centres import GIVEN_CENTRES
from cmnet_monai.engines.evaluator import FilmEvents
from cmnet_monai.io import atomic_write
from cmnet_monai.io.results import FilmResult

logger = logging.getLogger(__name__)

MANIFEST_NAME = "manifest.json"
PACKAGES = ("cmnet-monai", "monai", "torch", "pytorch-ignite", "numpy", "pydicom", "SimpleITK")
SECONDS_BETWEEN_WRITES = 10.0

DONE, FAILED, PENDING, KEPT = "done", "failed", "pending", "kept from an earlier run"


def pending_films(items: Iterable[Mapping[str, Any]], output_dir: str | Path, run_id: str) -> list[dict[str, Any]]:
    """The films whose result is missing, or was made with other settings or centres or from another film."""
    return [dict(item) for item in items if not _is_done(item, Path(output_dir), run_id)]


def _is_done(item: Mapping[str, Any], folder: Path, run_id: str) -> bool:
    given = item[GIVEN_CENTRES].records() if GIVEN_CENTRES in item else []
    return FilmResult(folder, str(item["name"])).is_complete(run_id, item["path"], given)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


class RunManifest:
    """Handler that writes ``manifest.json``: versions, weights, settings, and the status of every film.

    The file is renewed every ten seconds and at the end, also when the run breaks off; it is always whole. A summary
    of what failed, and why, is logged at the end.

    Args:
        output_dir: where the results go.
        films: all films of the run, as `film_items` gives them.
        pending: those among them that are to be done now.
        settings: resolved settings of the run.
        weights: hash or name of the weights.
        run_id: identity of settings and weights.
    """

    def __init__(
        self,
        output_dir: str | Path,
        films: Sequence[Mapping[str, Any]],
        pending: Sequence[Mapping[str, Any]],
        settings: Mapping[str, Any],
        weights: Mapping[str, str],
        run_id: str,
    ) -> None:
        self.folder = Path(output_dir)
        to_do = {str(item["name"]) for item in pending}
        self.films: dict[str, dict[str, Any]] = {
            str(item["name"]): {
                "film": str(item["path"]),
                "status": PENDING if str(item["name"]) in to_do else KEPT,
            }
            for item in films
        }
        self.head = {"run": run_id, "versions": versions(), "weights": dict(weights), "settings": dict(settings)}
        self.started = self.finished = ""
        self._batch_started = self._written = 0.0

    def attach(self, engine: Engine) -> None:
        """Follow an engine from its start to its end. Attach it behind the handlers that write results."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.GET_BATCH_STARTED, self._begin_batch)
        engine.add_event_handler(FilmEvents.FILM_FAILED, self._fail)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._end_batch)
        engine.add_event_handler(Events.COMPLETED, self._finish)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._break_off)

    def count(self, status: str) -> int:
        """How many films have this status."""
        return sum(film["status"] == status for film in self.films.values())

    def write(self) -> None:
        """Write the manifest as it stands."""
        counts = {status: self.count(status) for status in (DONE, KEPT, FAILED, PENDING)}
        content = {
            **self.head,
            "started": self.started,
            "finished": self.finished,
            "counts": counts,
            "films": self.films,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.folder / MANIFEST_NAME) as temporary:
            text = json.dumps(content, indent=1, default=str) + "\n"
            Path(temporary).write_text(text, encoding="utf-8")
        self._written = time.monotonic()

    def _start(self, engine: Engine) -> None:
        self.started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        logger.info("%d films, %d of them done before", len(self.films), self.count(KEPT))
        self.write()

    def _begin_batch(self, engine: Engine) -> None:
        self._batch_started = time.monotonic()

    def _fail(self, engine: Engine) -> None:
        failure = engine.state.failed_film  # type: ignore[attr-defined]
        self.films[failure.name].update(status=FAILED, reason=failure.reason, remedy=failure.remedy)
        logger.warning("%s: %s. %s", failure.path, failure.reason, failure.remedy)

    def _end_batch(self, engine: Any) -> None:
        batch: Sequence[Mapping[str, Any]] = engine.state.batch or []
        seconds = (time.monotonic() - self._batch_started) / max(len(batch), 1)
        for item in batch:
            name = str(item["name"])
            result = FilmResult(self.folder, name)
            self.films[name].update(
                status=DONE, seconds=round(seconds, 3), outputs=[file.name for file in result.files if file.is_file()]
            )
        if time.monotonic() - self._written > SECONDS_BETWEEN_WRITES:
            self.write()

    def _finish(self, engine: Engine) -> None:
        self.finished = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self.write()
        logger.info(
            "%d films done, %d kept from before, %d failed; results in %s",
            *(self.count(status) for status in (DONE, KEPT, FAILED)),
            self.folder,
        )

    def _break_off(self, engine: Engine, error: BaseException) -> None:
        self.write()
        raise error
