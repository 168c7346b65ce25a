"""Run experiments: every step they need, each once, in order; what was done before is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cmnet_monai.paper.definitions import Experiment, Training, Variant
from cmnet_monai.paper.measuring import MeasureRun
from cmnet_monai.paper.results import write_results
from cmnet_monai.paper.training import TrainingRun, costs_file, network_costs
from cmnet_monai.paper.workspace import Workspace

SECONDS_BETWEEN_RESULTS = 60.0


@dataclass(frozen=True)
class Step:
    """One piece of work.

    Args:
        key: hashable identity within a plan.
        title: a line for progress.
        done: whether it was done before.
        run: does it.
    """

    key: Hashable
    title: str
    done: Callable[[], bool]
    run: Callable[[], Any]


def run_experiments(
    experiments: Iterable[Experiment],
    space: Workspace,
    seeds: Sequence[int] | None = None,
    say: Callable[[str], None] = print,
    dry_run: bool = False,
    rows: Collection[str] = (),
) -> None:
    """Do what has not been done yet.

    Every step leaves a file when it ends, so a killed run loses one step, and a training goes on from its last epoch.
    Results are renewed once a minute, and at the end.

    Args:
        experiments: which.
        space: where they run.
        seeds: of training; None takes those of the scale.
        say: called with a line before each step.
        dry_run: say what would be done; do nothing.
        rows: names of the rows to run; all of them by default.
    Raises:
        ValueError: no experiment has a row of that name.
    """
    chosen = [e for e in experiments if space.test_set in e.test_sets]
    seeds = tuple(space.scale.seeds if seeds is None else seeds)
    if space.on_real and space.folds < 2:
        say(
            "real films: skipped; give a folder with fold_0.json ... "
            "(cmnet-monai datalist folder FILMS OUT --folds 4) as --real"
        )
        return
    steps = list({step.key: step for step in _steps(_with_rows(chosen, rows), space, seeds)}.values())
    renewed = time.monotonic()
    try:
        for number, step in enumerate(steps, start=1):
            done = not dry_run and step.done()
            say(f"[{number}/{len(steps)}] {step.title}{' (done before)' * done}")
            if done or dry_run:
                continue
            step.run()
            if time.monotonic() - renewed > SECONDS_BETWEEN_RESULTS:
                write_results(chosen, space, seeds)
                renewed = time.monotonic()
    finally:
        if not dry_run:
            write_results(chosen, space, seeds)


def _with_rows(experiments: Sequence[Experiment], rows: Collection[str]) -> list[Experiment]:
    """Experiments with the named rows alone, or with all."""
    names = dict.fromkeys(variant.name for experiment in experiments for variant in experiment.variants)
    unknown = sorted(set(rows) - set(names))
    if unknown:
        raise ValueError(f"no row {unknown[0]!r}; there are {', '.join(names)}")
    if not rows:
        return list(experiments)
    return [replace(e, variants=tuple(v for v in e.variants if v.name in rows)) for e in experiments]


def _steps(experiments: Iterable[Experiment], space: Workspace, seeds: Sequence[int]) -> Iterator[Step]:
    """All steps, in an order in which each finds what it needs; some more than once."""
    for experiment in experiments:
        variants = [v for v in experiment.rows(space.test_set, space.scale.quick) if not v.unavailable]
        for variant in variants:
            for seed in seeds:
                yield from _steps_of(variant, space, seed)
        if "costs" in experiment.parts:
            yield from (_costs(space, variant.training) for variant in variants if not variant.external)


def _steps_of(variant: Variant, space: Workspace, seed: int) -> Iterator[Step]:
    training, inference = variant.training, variant.inference
    yield from (_films(space, name) for name in training.film_sets)
    if not space.on_real:
        yield _films(space, inference.films)
    if variant.external:
        return
    if training.same_time:
        yield from (_costs(space, one) for one in (Training(films=training.films), training))
    measure = MeasureRun(space, training, inference, seed)
    yield from (_step(one) for one in measure.all_trainings)
    yield _step(measure)


def _films(space: Workspace, name: str) -> Step:
    title = f"make {space.set_spec(name)['count']} films: {name}"
    return Step(("films", name), title, lambda: space.has_set(name), lambda: space.make_set(name))


def _costs(space: Workspace, training: Training) -> Step:
    key, title = ("costs", training.network, training.settings), f"time a step of {training.network}"
    return Step(key, title, lambda: costs_file(space, training).is_file(), lambda: network_costs(space, training))


def _step(run: TrainingRun | MeasureRun) -> Step:
    key = (type(run), *(value for name, value in vars(run).items() if name != "space"))
    return Step(key, run.title, lambda: run.record() is not None, run.run)
