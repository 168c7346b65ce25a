"""The steps that experiments need, each once, in order; what was done before is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmnet_monai.evaluation.records import read_json, write_json
from cmnet_monai.paper.definitions import REAL, Experiment, Training, Variant
from cmnet_monai.paper.measuring import MeasureRun
from cmnet_monai.paper.nnunet import NnunetRun
from cmnet_monai.paper.training import TrainingRun
from cmnet_monai.paper.workspace import Bench

SECONDS_A_FILM = {"films": 0.4, "train": 0.6, "measure": 0.6, "costs": 30.0}
"""Seconds that a step is taken to need before one of its kind has been measured: for each film made, drawn in training
or measured, on one core at the settings of pretrain.json."""


@dataclass(frozen=True)
class Step:
    """One piece of work.

    Args:
        title: a line for progress.
        kind: steps of one kind take time in proportion to their films.
        films: how many films it goes through.
        key: hashable identity within a plan.
        done: whether it was done before.
        run: does it.
    """

    title: str
    kind: str
    films: int
    key: Any
    done: Callable[[], bool]
    run: Callable[[], None]


def steps_of(experiments: Iterable[Experiment], bench: Bench, seeds: Sequence[int]) -> list[Step]:
    """All steps of experiments on a bench, in an order in which each finds what it needs."""
    steps: dict[Any, Step] = {}
    quick = bench.scale.name == "quick"
    for experiment in experiments:
        variants = [v for v in experiment.rows(bench.bed, quick) if not v.unavailable]
        for variant in variants:
            for seed in seeds:
                for step in _steps_of_variant(variant, bench, seed):
                    steps.setdefault(step.key, step)
        if experiment.costs:
            for variant in variants:
                if not variant.external:
                    step = _cost_step(bench, variant.training)
                    steps.setdefault(step.key, step)
    return list(steps.values())


def _steps_of_variant(variant: Variant, bench: Bench, seed: int) -> list[Step]:
    sets = [*variant.training.film_sets, *([variant.asking.films] if bench.bed != REAL else [])]
    made = [_film_step(bench, name) for name in sets]
    if variant.external:
        external = _external_steps(variant, bench, seed)
        timed = [_train_step(TrainingRun(bench, variant.training, seed))] if external else []
        return [*made, *timed, *external]
    costs = [_cost_step(bench, Training(films=variant.training.films))] if variant.training.same_time else []
    costs += [_cost_step(bench, variant.training)] if variant.training.same_time else []
    measure = MeasureRun(bench, variant.training, variant.asking, seed)
    runs = [run for training in measure.trainings for run in (training.before, training) if run is not None]
    return [*made, *costs, *(_train_step(run) for run in runs), _measure_step(measure)]


def _film_step(bench: Bench, name: str) -> Step:
    spec = bench.set_spec(name)
    return Step(
        f"make {spec['count']} films: {name}",
        "films",
        spec["count"],
        ("films", name),
        lambda: bench.has_set(name),
        lambda: bench.make_set(name),
    )


def _cost_step(bench: Bench, training: Training) -> Step:
    from cmnet_monai.paper.costs import costs_file, network_costs

    return Step(
        f"time a step of {training.network}",
        "costs",
        1,
        ("costs", training.network, training.settings),
        lambda: costs_file(bench, training).is_file(),
        lambda: _drop(network_costs(bench, training)),
    )


def _drop(value: Any) -> None:
    """Steps return nothing."""


def _train_step(run: TrainingRun) -> Step:
    kind = f"train {run.training.network}"
    settings = run.bench.settings_of("pretrain" if run.fold is None else "finetune")
    own = dict(run.training.settings)
    default = (400, 12) if run.fold is None else (110, 10)  # of finetune.json
    length = int(settings.get("epoch_length", default[0]))
    drawn = length * int(own.get("max_epochs", settings.get("max_epochs", default[1])))
    times = dict(run.training.scaled)
    weight = (times.get("base_channels", 1.0) * times.get("spatial_size", 1.0)) ** 2
    return Step(
        run.title,
        kind,
        max(1, round(drawn * weight)),
        ("train", run.training, run.seed, run.fold),
        lambda: run.record() is not None,
        lambda: run.run(),
    )


def _measure_step(run: MeasureRun) -> Step:
    films = run.bench.scale.test_films if run.bench.bed != REAL else 4 * run.bench.folds
    key = ("measure", run.training, run.asking, run.seed)
    return Step(run.title, "measure", films, key, lambda: run.record() is not None, lambda: run.run())


def _external_steps(variant: Variant, bench: Bench, seed: int) -> list[Step]:
    run = NnunetRun(bench, variant.training, variant.asking, seed, variant.external == "nnunet_full")
    if run.why_not():
        return []
    return [Step(run.title, "nnunet", 1, ("nnunet", run.trainer), lambda: run.record() is not None, lambda: run.run())]


class Clock:
    """Estimates of the time that steps need, from those of their kind that were timed on this machine.

    Args:
        file: where the times are kept.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.times: dict[str, list[float]] = read_json(file) or {}

    def estimate(self, step: Step) -> float:
        """Seconds."""
        films, seconds = self.times.get(step.kind, (0.0, 0.0))
        if films > 0:
            return step.films * seconds / films
        family = step.kind.split()[0]
        known = [self.times[kind] for kind in self.times if kind.split()[0] == family]
        if known:
            return step.films * sum(t for _, t in known) / sum(n for n, _ in known)
        return step.films * SECONDS_A_FILM.get(family, 0.6)

    def note(self, step: Step, seconds: float) -> None:
        """Remember what a step took."""
        films, total = self.times.get(step.kind, (0.0, 0.0))
        self.times[step.kind] = [films + step.films, total + seconds]
        write_json(self.file, self.times)


def spoken(seconds: float) -> str:
    """A duration in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
