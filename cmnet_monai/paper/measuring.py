"""Measurements: weights asked about test films in one way, every film a record on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cmnet_monai.evaluation.records import data_hash, identity_of, provenance, read_json, write_json
from cmnet_monai.paper.definitions import (
    BATCH_STATISTICS,
    CMNET,
    FOURIER,
    REAL,
    Asking,
    Training,
    as_plain,
)
from cmnet_monai.paper.film_rows import (
    THRESHOLDS,
    body_rows,
    centre_scores,
    curve_counts,
    film_facts,
    pixel_scores,
    true_labels,
)
from cmnet_monai.paper.pictures import save_picture
from cmnet_monai.paper.predictions import Asker, FilmPreparation, centres_in, vertebra_map
from cmnet_monai.paper.training import TrainingRun
from cmnet_monai.paper.workspace import Bench

PICTURES = 6
"""Films of a measurement whose masks are kept as pictures."""
PICTURE_HEIGHT = 288
"""Rows of such a picture."""
REFERENCE_FILMS = 32
"""Training films whose amplitudes stand for the look of the training, see `FourierAmplitudeMix`."""


@dataclass(frozen=True)
class MeasureRun:
    """Weights of one training and seed, asked about all films of a test set.

    On the test bed of real films the weights are those of each fold, asked about the films that the fold left out; with
    ``real_films=0`` those of the synthetic training alone, asked about the same films.
    """

    bench: Bench
    training: Training
    asking: Asking
    seed: int

    @property
    def trainings(self) -> list[TrainingRun]:
        """The weights: one run, or one a fold."""
        if self.bench.bed != REAL or self.training.real_films == 0:
            plain = TrainingRun(self.bench, self.training, self.seed)
            return [TrainingRun(self.bench, plain.training_on_synthetic, self.seed)]
        return [TrainingRun(self.bench, self.training, self.seed, fold) for fold in range(self.bench.folds)]

    @property
    def parts(self) -> list[tuple[TrainingRun, list[dict[str, Any]]]]:
        """Each run of weights with the films that it is asked about."""
        if self.bench.bed != REAL:
            return [(self.trainings[0], self.bench.test_items(self.asking.films))]
        folds = [self.bench.fold_items(fold, "test") for fold in range(self.bench.folds)]
        runs = self.trainings
        return list(zip(runs, folds)) if len(runs) == len(folds) else [(runs[0], [i for fold in folds for i in fold])]

    @property
    def title(self) -> str:
        """A line for progress."""
        where = self.asking.films if self.bench.bed != REAL else "real films out of fold"
        how = ", ".join(f"{name}={v}" for name, v in as_plain(self.asking).items() if name != "films")
        return f"measure {self.training.network} on {where}{f', {how}' if how else ''}, seed {self.seed}"

    def identity(self) -> str:
        """Hash of weights, films and the way of asking."""
        weights = [run.identity() for run in self.trainings]
        real = self.bench.bed == REAL
        films = (
            [self.bench.fold_hash(k) for k in range(self.bench.folds)]
            if real
            else self.bench.set_spec(self.asking.films)
        )
        return identity_of(weights, films, as_plain(self.asking))

    @property
    def file(self) -> Path:
        """Where it is kept."""
        return self.bench.work / "measurements" / f"{self.identity()}.json"

    def record(self) -> dict[str, Any] | None:
        """What was measured; None before."""
        return read_json(self.file)

    def run(self) -> None:
        """Measure all films."""
        start = time.monotonic()
        films: list[dict[str, Any]] = []
        curve = np.zeros((2, THRESHOLDS), dtype=np.int64)
        parts = self.parts
        everything = [item for _, items in parts for item in items]
        names, pictured = _film_names(everything, self.bench.bed), _pictured(everything)
        for run, items in parts:
            some = names[len(films) : len(films) + len(items)]
            measured, counts = self._ask(run, items, some, len(films), pictured)
            films += measured
            curve += counts
        record = {
            "title": self.title,
            "films": films,
            "curve": {"tp": curve[0].tolist(), "fp": curve[1].tolist()},
            "seconds": round(time.monotonic() - start, 1),
            "training_seconds": self._training_seconds(),
            "settings": {run.folder.name: run.settings() for one in self.trainings for run in (one.before, one) if run},
            "test_hash": self._test_hash(everything),
            "training_hash": sorted({h for run, _ in parts for h in self._hashes(run)}),
            **provenance(),
        }
        write_json(self.file, record)

    def _hashes(self, run: TrainingRun) -> list[str]:
        found = [] if run.fold is None else [self.bench.fold_hash(run.fold)]
        return [*found, *(self.bench.set_hash(name) for name in self.training.films)]

    def _test_hash(self, items: Sequence[Mapping[str, Any]]) -> str:
        return data_hash(items) if self.bench.bed == REAL else self.bench.set_hash(self.asking.films)

    def _training_seconds(self) -> float:
        runs = {run.folder: run for one in self.trainings for run in (one, one.before) if run is not None}
        return float(sum((run.record() or {}).get("seconds", 0.0) for run in runs.values()))

    def _ask(
        self,
        run: TrainingRun,
        items: Sequence[dict[str, Any]],
        names: Sequence[str],
        first: int,
        pictured: Collection[int],
    ) -> tuple[list[dict[str, Any]], np.ndarray]:
        prepare = FilmPreparation(run.resolved("spatial_size"), self.asking)
        device = torch.device(self.bench.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        network = self._network(run, device, items, prepare)
        change = self._remedy_for_films(run, prepare) if self.asking.remedy == FOURIER else None
        asker = Asker(network, self.asking, float(run.resolved("heatmap_sigma")), self.seed, change)
        rows, curve = [], np.zeros((2, THRESHOLDS), dtype=np.int64)
        for number, (item, name) in enumerate(zip(items, names), start=first):
            start = time.perf_counter()
            data = prepare(item)
            true_xy = np.asarray(data["points"], dtype=np.float64)
            maps = asker(data["image"], true_xy, number, device)
            grid_map = vertebra_map(maps, self.asking)
            found = prepare.back(grid_map, data["image"])
            seconds = time.perf_counter() - start
            labels = np.asarray(data["label"])[0].astype(int)
            truth = np.isin(labels, true_labels(self.asking.truth))
            facts = film_facts(item)
            row = {"film": name, **{k: v for k, v in facts.items() if k != "facts"}, **pixel_scores(found, truth)}
            if self.training.network == CMNET:
                row |= centre_scores(centres_in(maps), true_xy)
            row["bodies"] = body_rows(found[0].numpy() >= 0.5, labels, self.asking.truth, facts.get("facts", {}))
            scores = [body["dice"] for body in row["bodies"]]
            row |= {"body_dice": float(np.mean(scores)) if scores else float("nan"), "seconds": seconds}
            rows.append(row)
            curve += curve_counts(found, truth)
            if number in pictured:
                film = prepare.back(torch.as_tensor(data["image"]).as_subclass(Tensor), data["image"])
                save_picture(self.file.with_suffix("") / f"{number:03d}.png", film, found, truth, PICTURE_HEIGHT)
        return rows, curve

    def _network(
        self, run: TrainingRun, device: torch.device, items: Sequence[dict[str, Any]], prepare: FilmPreparation
    ) -> nn.Module:
        from cmnet_monai.engines import load_weights
        from cmnet_monai.networks import prepare_for_inference
        from cmnet_monai.paper.remedies import adapt_batch_statistics

        network = run.resolved("network_def")
        load_weights(network, run.weights)
        network = prepare_for_inference(network.to(device))
        if self.asking.remedy == BATCH_STATISTICS:
            adapt_batch_statistics(network, [prepare(item)["image"] for item in items], device)
        return network

    def _remedy_for_films(self, run: TrainingRun, prepare: FilmPreparation) -> Callable[[Tensor], Tensor]:
        from cmnet_monai.paper.remedies import fourier_to_training_look

        items = self.bench.training_items(run.training_on_synthetic)["training"][:REFERENCE_FILMS]
        return fourier_to_training_look(prepare(item)["image"] for item in items)


def _pictured(items: Sequence[Mapping[str, Any]]) -> set[int]:
    """Numbers of the films whose masks are kept: the first of each kind, then the first ones of all."""
    kinds = [item.get("kind") for item in items]
    first = [kinds.index(kind) for kind in dict.fromkeys(kinds)]
    return set(list(dict.fromkeys([*first, *range(len(items))]))[:PICTURES])


def _film_names(items: Sequence[Mapping[str, Any]], bed: str) -> list[str]:
    """Names of films for tables: of real films a hash alone, so that no table holds the name of a patient's file."""
    from cmnet_monai.io import output_names

    return output_names([str(item["image"]) for item in items], anonymous=bed == REAL)
