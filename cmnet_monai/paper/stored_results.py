"""Results of an experiment read back from disk, as the report needs them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmnet_monai.io.files.json import read_json
from cmnet_monai.metrics import Interval, mean_interval
from cmnet_monai.paper.definitions import FILM_SETS, REAL, Experiment, Variant
from cmnet_monai.paper.results import DONE, NOT_RUN, NOT_YET, number

RESAMPLES = 9999
NAN = float("nan")
Record = dict[str, Any]

FILM_STRATA: Mapping[str, Callable[[Record], bool]] = {
    "no fracture, implant or cement": lambda f: not (f["grade"] or f["implant"] or f["cement"]),
    "highest fracture grade 1": lambda f: f["grade"] == 1,
    "highest fracture grade 2": lambda f: f["grade"] == 2,
    "highest fracture grade 3": lambda f: f["grade"] == 3,
    "implant": lambda f: bool(f["implant"]),
    "cement": lambda f: bool(f["cement"]),
}
BODY_STRATA: Mapping[str, Callable[[Record], bool]] = {
    "bodies without a finding": lambda b: not (b["grade"] or b["cement"] or b["screws"]),
    "bodies of grade 1": lambda b: b["grade"] == 1,
    "bodies of grade 2": lambda b: b["grade"] == 2,
    "bodies of grade 3": lambda b: b["grade"] == 3,
    "bodies with screws": lambda b: bool(b["screws"]),
    "bodies with cement": lambda b: bool(b["cement"]),
}


@dataclass(frozen=True)
class Results:
    """What is known about an experiment on a test set.

    Args:
        experiment: which.
        test_set: where.
        scale: "full" or "quick"; "" where nothing was run.
        rows: one a variant and seed.
        films: one a variant, seed and film.
        work: folder that pictures are found in.
        command: what makes them again; "" where nothing was run.
    """

    experiment: Experiment
    test_set: str
    scale: str
    rows: Sequence[Record]
    films: Sequence[Record]
    work: Path
    command: str = ""

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Its variants on this test set."""
        return self.experiment.rows(self.test_set, self.scale == "quick")

    @property
    def done(self) -> list[Variant]:
        """Those with a finished row."""
        return [variant for variant in self.variants if self.rows_of(variant.name)]

    def rows_of(self, variant: str) -> list[Record]:
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

    def interval(self, variant: str, metric: str = "dice") -> Interval:
        """Mean over films and its bootstrap interval; of what is no film's own, the mean over seeds alone."""
        scores = self.scores(variant, metric)
        if scores:
            return mean_interval(list(scores.values()), resamples=RESAMPLES)
        found = [number(row[metric]) for row in self.rows_of(variant) if row.get(metric) is not None]
        return Interval(float(np.mean(found)) if found else NAN, NAN, NAN, 0)

    def difference(self, variant: Variant) -> Interval:
        """Mean DSC of a variant minus that of the row it is compared with, over the seeds that both have (all of each
        where they share none); paired where both have the same films."""
        seeds = self.seeds(variant.name) & self.seeds(variant.against) or None
        own, other = (self.scores(name, "dice", seeds) for name in (variant.name, variant.against))
        if not own or not other:
            return Interval(NAN, NAN, NAN, 0)
        if set(own) == set(other) and self._same_patients(variant):
            return mean_interval([own[name] - other[name] for name in own], resamples=RESAMPLES)
        return unpaired_difference(list(own.values()), list(other.values()))

    def _same_patients(self, variant: Variant) -> bool:
        both = [v for v in self.variants if v.name in (variant.name, variant.against)]
        return self.test_set == REAL or len({FILM_SETS[v.inference.films].seed for v in both}) == 1

    def film_stratum(self, variant: str, belongs: Callable[[Record], bool]) -> Interval:
        """Mean DSC of the films of a stratum, each the mean over seeds."""
        names = {f["film"] for f in self.films if f["variant"] == variant and "grade" in f and belongs(f)}
        scores = self.scores(variant, "dice")
        return mean_interval([score for name, score in scores.items() if name in names])

    def body_stratum(self, variant: str, holds: Callable[[Record], bool]) -> tuple[Interval, int]:
        """Mean Dice of the bodies of a stratum, averaged within a film and over seeds, and the number of bodies."""
        by_film: dict[str, list[float]] = {}
        bodies = set()
        for film in (film for film in self.films if film["variant"] == variant):
            for body in film.get("bodies", []):
                if "grade" in body and holds(body):
                    by_film.setdefault(film["film"], []).append(float(body["dice"]))
                    bodies.add((film["film"], body["level"]))
        return mean_interval([float(np.mean(values)) for values in by_film.values()]), len(bodies)


def unpaired_difference(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Interval:
    """Difference of two means over different films, with a percentile bootstrap interval of both."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    rng = np.random.default_rng(seed)
    draws = [rng.choice(values, (RESAMPLES, len(values))).mean(axis=1) for values in (a, b)]
    low, high = np.percentile(draws[0] - draws[1], (2.5, 97.5))
    return Interval(float(a.mean() - b.mean()), float(low), float(high), len(a) + len(b))


def read_results(experiment: Experiment, work: Path, test_set: str) -> Results:
    """Results of an experiment on a test set; empty where it was not run."""
    content = read_json(work / "results" / test_set / f"{experiment.name}.json") or {}
    rows, films = content.get("rows", []), content.get("films", [])
    return Results(experiment, test_set, content.get("scale", ""), rows, films, work, content.get("command", ""))
