"""Results of an experiment read back from disk, as the report needs them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmnet_monai.evaluation.records import number, read_json
from cmnet_monai.metrics import Interval, mean_interval
from cmnet_monai.paper.definitions import FILM_SETS, REAL, Experiment, Variant
from cmnet_monai.paper.results import DONE, NOT_RUN, NOT_YET, results_folder

RESAMPLES = 9999


@dataclass(frozen=True)
class Results:
    """What is known about an experiment on a test bed.

    Args:
        experiment: which.
        bed: where.
        scale: "full" or "quick"; "" where nothing was run.
        rows: one a variant and seed.
        films: one a variant, seed and film.
        work: folder that pictures are found in.
        command: what makes them again; "" where nothing was run.
    """

    experiment: Experiment
    bed: str
    scale: str
    rows: Sequence[dict[str, Any]]
    films: Sequence[dict[str, Any]]
    work: Path
    command: str = ""

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Its variants on this bed."""
        return self.experiment.rows(self.bed, self.scale == "quick")

    def rows_of(self, variant: str) -> list[dict[str, Any]]:
        """Finished rows of a variant, one a seed."""
        return [row for row in self.rows if row["variant"] == variant and row["status"] == DONE]

    def state(self, variant: Variant) -> str:
        """ "done", "not run yet", or "not run: reason"."""
        if self.rows_of(variant.name):
            return DONE
        found = [row for row in self.rows if row["variant"] == variant.name]
        reason = variant.unavailable or next((str(r["reason"]) for r in found if r["status"] == NOT_RUN), "")
        return f"{NOT_RUN}: {reason}" if reason else NOT_YET

    def seeds(self, variant: str) -> set[int]:
        """Seeds that a variant was run with."""
        return {int(row["seed"]) for row in self.rows_of(variant)}

    def scores(self, variant: str, metric: str, seeds: Collection[int] | None = None) -> dict[str, float]:
        """A metric of each film by its name, the mean over all seeds or those given; films without it are left out."""
        values: dict[str, list[float]] = {}
        for film in self.films:
            chosen = seeds is None or int(film["seed"]) in seeds
            if film["variant"] == variant and chosen and film.get(metric) is not None:
                values.setdefault(str(film["film"]), []).append(number(film[metric]))
        return {name: float(np.mean(found)) for name, found in values.items()}

    def interval(self, variant: str, metric: str) -> Interval:
        """Mean over films and its bootstrap interval; of what is no film's own, the mean over seeds alone."""
        scores = self.scores(variant, metric)
        if scores:
            return mean_interval(list(scores.values()), resamples=RESAMPLES)
        found = [number(row[metric]) for row in self.rows_of(variant) if row.get(metric) is not None]
        mean = float(np.mean(found)) if found else float("nan")
        return Interval(mean, float("nan"), float("nan"), 0)

    def difference(self, variant: Variant) -> Interval:
        """Mean DSC of a variant minus that of the row it is compared with, over the seeds that both have (all of each
        where they share none); paired where both have the same films."""
        seeds = self.seeds(variant.name) & self.seeds(variant.against) or None
        own, other = (self.scores(name, "dice", seeds) for name in (variant.name, variant.against))
        if not own or not other:
            return Interval(float("nan"), float("nan"), float("nan"), 0)
        if set(own) == set(other) and self._same_patients(variant):
            return mean_interval([own[name] - other[name] for name in own], resamples=RESAMPLES)
        return unpaired_difference(list(own.values()), list(other.values()))

    def _same_patients(self, variant: Variant) -> bool:
        other = next((v for v in self.variants if v.name == variant.against), variant)
        seeds = {FILM_SETS[v.asking.films].seed for v in (variant, other)}
        return self.bed == REAL or len(seeds) == 1


def unpaired_difference(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Interval:
    """Difference of two means over different films, with a percentile bootstrap interval of both."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    rng = np.random.default_rng(seed)
    draws = [rng.choice(values, (RESAMPLES, len(values))).mean(axis=1) for values in (a, b)]
    low, high = np.percentile(draws[0] - draws[1], (2.5, 97.5))
    return Interval(float(a.mean() - b.mean()), float(low), float(high), len(a) + len(b))


def read_results(experiment: Experiment, work: Path, bed: str) -> Results:
    """Results of an experiment on a test bed; empty where it was not run."""
    content = read_json(results_folder(work, bed) / f"{experiment.name}.json") or {}
    rows, films = content.get("rows", []), content.get("films", [])
    return Results(experiment, bed, content.get("scale", ""), rows, films, work, content.get("command", ""))
