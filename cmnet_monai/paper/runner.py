"""Run experiments step by step, and write their results."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from cmnet_monai.paper.definitions import REAL, Experiment
from cmnet_monai.paper.results import write_results
from cmnet_monai.paper.steps import Clock, Step, spoken, steps_of
from cmnet_monai.paper.workspace import Bench

SECONDS_BETWEEN_RESULTS = 60.0


def run_experiments(
    experiments: Iterable[Experiment],
    bench: Bench,
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
        bench: what they run on.
        seeds: of training; None takes those of the scale.
        say: called with a line before each step.
        dry_run: say what would be done, and how long it may take; do nothing.
        rows: names of the rows to run; all of them by default.
    Raises:
        ValueError: no experiment has a row of that name.
    """
    chosen = [e for e in experiments if bench.bed in e.beds]
    seeds = tuple(bench.scale.seeds if seeds is None else seeds)
    if bench.bed == REAL and bench.folds < 2:
        say(
            "test bed of real films: skipped; give a folder with fold_0.json ... "
            "(cmnet-monai datalist folder FILMS OUT --folds 4) as --real"
        )
        return
    clock = Clock(bench.work / "seconds.json")
    steps = steps_of(_with_rows(chosen, rows), bench, seeds)
    if dry_run:
        total = sum(clock.estimate(step) for step in steps)
        for number, step in enumerate(steps, start=1):
            say(f"[{number}/{len(steps)}] {step.title} (about {spoken(clock.estimate(step))})")
        say(f"in all about {spoken(total)}, less what was done before")
        return
    try:
        _do(steps, clock, say, lambda: write_results(chosen, bench, seeds))
    finally:
        write_results(chosen, bench, seeds)


def _with_rows(experiments: Sequence[Experiment], rows: Collection[str]) -> list[Experiment]:
    """Experiments with the named rows alone, or with all."""
    names = [variant.name for experiment in experiments for variant in experiment.variants]
    unknown = sorted(set(rows) - set(names))
    if unknown:
        raise ValueError(f"no row {unknown[0]!r}; there are {', '.join(dict.fromkeys(names))}")
    if not rows:
        return list(experiments)
    return [replace(e, variants=tuple(v for v in e.variants if v.name in rows)) for e in experiments]


def _do(steps: Sequence[Step], clock: Clock, say: Callable[[str], None], renew: Callable[[], None]) -> None:
    """Do the steps one by one; `renew` the results between them, from time to time."""
    renewed = time.monotonic()
    for number, step in enumerate(steps, start=1):
        if step.done():
            say(f"[{number}/{len(steps)}] {step.title} (done before)")
            continue
        left = sum(clock.estimate(s) for s in steps[number - 1 :])
        say(f"[{number}/{len(steps)}] {step.title} (about {spoken(clock.estimate(step))}; {spoken(left)} left in all)")
        start = time.monotonic()
        step.run()
        clock.note(step, time.monotonic() - start)
        if step.kind in ("measure", "nnunet") and time.monotonic() - renewed > SECONDS_BETWEEN_RESULTS:
            renew()
            renewed = time.monotonic()
