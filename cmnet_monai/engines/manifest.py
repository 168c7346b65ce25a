"""The record of an inference run: what it ran with, and what became of each film."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed as dist
from ignite.engine import Engine, Events

from cmnet_monai._version import __version__
from cmnet_monai.datasets.given_centres import GIVEN_CENTRES
from cmnet_monai.engines.evaluator import FilmEvents, SegmentedFilm
from cmnet_monai.engines.outputs import FilmOutput, wanted_suffixes
from cmnet_monai.io import OutputError, printable, remove_leftovers
from cmnet_monai.io.errors import error_text, first_cause
from cmnet_monai.io.files.json import write_json
from cmnet_monai.io.files.results import MANIFEST_NAME, SUMMARY_NAMES, ResultFiles

logger = logging.getLogger(__name__)

PART_PREFIX = ".cmnet-manifest-"
"""Start of the names of what the further processes of a run hand to the first."""
PACKAGES = ("monai", "torch", "pytorch-ignite", "numpy", "pydicom", "SimpleITK")
SECONDS_BETWEEN_WRITES = 10.0
SECONDS_BETWEEN_LOOKS = 0.5

DONE, FAILED, PENDING, KEPT = "done", "failed", "pending", "kept from an earlier run"


def pending_films(
    items: Iterable[Mapping[str, Any]],
    output_dir: str | Path,
    run_id: str,
    resume: bool = True,
    outputs: Sequence[FilmOutput] = (),
) -> list[dict[str, Any]]:
    """The films whose result is missing or incomplete, or was made with other settings or centres or of another film.

    Args:
        items: all films of the run.
        output_dir: where results are.
        run_id: identity of the run.
        resume: False takes all of them.
        outputs: what is written of each film.
    """
    folder, suffixes = Path(output_dir), wanted_suffixes(outputs)

    def is_done(item: Mapping[str, Any]) -> bool:
        given = item[GIVEN_CENTRES].records() if GIVEN_CENTRES in item else []
        files = ResultFiles(folder, str(item["name"]))
        if not files.is_complete(run_id, item["path"], given, suffixes):
            return False
        lacking = [output for output in outputs if not all(files.path(end).is_file() for end in output.suffixes)]
        if not lacking:
            return True
        film = SegmentedFilm(files.name, item["path"], files.read_result(), np.zeros((0, 0)))
        return all(output.reason_against(film) for output in lacking)  # it may be allowed now

    return [dict(item) for item in items if not resume or not is_done(item)]


def own_share(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The films of this process where torchrun has started several, else all: every n-th of the films, done or not.

    What is done already is left in, so that all processes come to the same shares whenever they look.
    """
    if not dist.is_initialized():
        return list(items)
    return list(items[dist.get_rank() :: dist.get_world_size()])


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    found = {"python": platform.python_version(), "cmnet-monai": __version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


class RunManifest:
    """Handler that writes ``manifest.json``: versions, weights, settings, and the status of every film.

    The file is renewed every ten seconds and at the end, also when the run breaks off, whose reason it then gives; it
    is always whole. What failed, and why, is logged under the name of the film's outputs. Temporary files that killed
    runs left in the folder are deleted at the start. Where torchrun has started several processes, each follows its
    own share, and the first puts all of them together; it ends last.

    Args:
        output_dir: where the results go.
        films: all films of the run, as `film_items` gives them.
        pending: those of this process's share that are to be done now.
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
        self.rank, self.processes = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        to_do = {str(item["name"]) for item in pending}
        self.own = [str(item["name"]) for item in own_share(films)]
        kept = set(self.own) - to_do
        self.films: dict[str, dict[str, Any]] = {
            str(item["name"]): {
                "film": str(item["path"]),
                "shown": str(item["shown"]),
                "status": KEPT if str(item["name"]) in kept else PENDING,
            }
            for item in films
        }
        self.run_id = run_id
        self.head = {"run": run_id, "versions": versions(), "weights": dict(weights), "settings": dict(settings)}
        self.started = self.finished = self.stopped = ""
        self._batch_started = self._written = 0.0

    def attach(self, engine: Engine) -> None:
        """Follow an engine from its start to its end. Attach it behind the handlers that write results."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.GET_BATCH_STARTED, self._begin_batch)
        engine.add_event_handler(FilmEvents.FILM_FAILED, self._fail)
        engine.add_event_handler(FilmEvents.FILM_DONE, self._done)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._end_batch)
        engine.add_event_handler(Events.COMPLETED, self._finish)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._break_off)
        engine.add_event_handler(FilmEvents.BROKEN_OFF, self._stop)

    def count(self, status: str) -> int:
        """How many films have this status."""
        return sum(film["status"] == status for film in self.films.values())

    def write(self) -> None:
        """Write the manifest as it stands; further processes write what the first one needs of theirs."""
        self._written = time.monotonic()
        if self.rank > 0:
            films = {name: self.films[name] for name in self.own}
            write_json(self._part(self.rank), {"finished": self.finished, "films": films})
            return
        self._gather()
        counts = {status: self.count(status) for status in (DONE, KEPT, FAILED, PENDING)}
        content = {
            **self.head,
            "started": self.started,
            "finished": self.finished,
            "stopped": self.stopped,
            "counts": counts,
            "films": self.films,
        }
        write_json(self.folder / MANIFEST_NAME, content)

    def _part(self, rank: int) -> Path:
        return self.folder / f"{PART_PREFIX}{rank}.json"

    def _gather(self) -> bool:
        """Take over what the other processes have written; whether all of them have finished."""
        finished = True
        for rank in range(1, self.processes):
            try:
                part = json.loads(self._part(rank).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                finished = False
                continue
            self.films.update(part["films"])
            finished = finished and bool(part["finished"])
        return finished

    def _start(self, engine: Engine) -> None:
        self.started = _now()
        if self.rank == 0:
            remove_leftovers(self.folder)
            for part in self.folder.glob(f"{PART_PREFIX}*"):
                part.unlink(missing_ok=True)
        self._agree()
        logger.info("%d films, %d of them done before", len(self.films), self.count(KEPT))
        self.write()

    def _agree(self) -> None:
        """Wait for the other processes, and make sure that they speak of the same films."""
        if self.processes == 1:
            return
        lists: list[Any] = [None] * self.processes
        dist.all_gather_object(lists, hashlib.sha256("\n".join(self.films).encode()).hexdigest())
        if len(set(lists)) > 1:
            raise RuntimeError("the processes see different films; start again when no one changes the folder")

    def _begin_batch(self, engine: Engine) -> None:
        self._batch_started = time.monotonic()

    def _fail(self, engine: Engine) -> None:
        failure = engine.state.failed_film  # type: ignore[attr-defined]
        self.films[failure.name].update(status=FAILED, reason=failure.reason, remedy=failure.remedy)
        ResultFiles(self.folder, failure.name).remove_outdated(self.run_id, failure.path)
        logger.warning("%s: %s. %s", failure.name, printable(failure.reason), printable(failure.remedy))

    def _done(self, engine: Engine) -> None:
        film: SegmentedFilm = engine.state.film  # type: ignore[attr-defined]
        self.films[film.name].update(
            status=DONE,
            outputs=ResultFiles(self.folder, film.name).present,
            flags=len(film.result.flags),
            **({"problems": film.problems} if film.problems else {}),
            **({"left_out": sorted(set(film.left_out.values()))} if film.left_out else {}),
        )

    def _end_batch(self, engine: Any) -> None:
        batch: Sequence[Mapping[str, Any]] = engine.state.batch or []
        seconds = (time.monotonic() - self._batch_started) / max(len(batch), 1)
        for item in batch:
            self.films[str(item["name"])].update(seconds=round(seconds, 3))
        if time.monotonic() - self._written > SECONDS_BETWEEN_WRITES:
            self._try_to_write()  # if the disk is full, the next film will say so

    def _finish(self, engine: Engine) -> None:
        if self.rank == 0:
            while not self._gather():
                time.sleep(SECONDS_BETWEEN_LOOKS)
                if time.monotonic() - self._written > SECONDS_BETWEEN_WRITES:
                    self._try_to_write()
            for name in SUMMARY_NAMES:  # of an earlier run; those that are wanted are written after this
                (self.folder / name).unlink(missing_ok=True)
        self.finished = _now()
        self.write()
        if self.rank == 0:
            for rank in range(1, self.processes):
                self._part(rank).unlink(missing_ok=True)
        logger.info(
            "%d films done, %d kept from before, %d failed; results in %s",
            *(self.count(status) for status in (DONE, KEPT, FAILED)),
            self.folder,
        )

    def _break_off(self, engine: Engine, error: BaseException) -> None:
        stop = first_cause(error, OutputError)
        self.stopped = error_text(error) if stop is None else stop.reason
        self._try_to_write()
        raise error

    def _stop(self, engine: Engine) -> None:
        self.stopped = str(engine.state.broken_off)  # type: ignore[attr-defined]
        self._try_to_write()

    def _try_to_write(self) -> None:
        try:
            self.write()
        except OSError as error:
            logger.warning("the manifest could not be renewed: %s", error)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
