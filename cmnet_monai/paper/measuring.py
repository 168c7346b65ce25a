"""Measurements: weights used on test films in one way, every film a record on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cmnet_monai.evaluation.records import data_hash, identity_of, provenance
from cmnet_monai.io.files.json import read_json, write_json
from cmnet_monai.paper.definitions import BATCH_STATISTICS, CMNET, FOURIER, Inference, Training, as_plain
from cmnet_monai.paper.inference import (
    FilmPreparation,
    Predictor,
    adapt_batch_statistics,
    centres_in,
    fourier_to_training_domain,
    vertebra_map,
)
from cmnet_monai.paper.scoring import THRESHOLDS, centre_scores, curve_counts, film_row, save_picture, true_labels
from cmnet_monai.paper.training import TrainingRun
from cmnet_monai.paper.workspace import Workspace

PICTURES, PICTURE_HEIGHT = 6, 288
"""Films of a measurement whose masks are kept as pictures, and the rows of such a picture."""
REFERENCE_FILMS = 32
"""Training films whose amplitudes stand for the domain of the training, see `FourierAmplitudeMix`."""


@dataclass(frozen=True)
class MeasureRun:
    """Weights of one training and seed, used on all films of a test set.

    Of real films, each fold's weights are used on the films that the fold left out; with ``real_films=0`` those of the
    synthetic training alone, on the same films.
    """

    space: Workspace
    training: Training
    inference: Inference
    seed: int

    @property
    def trainings(self) -> list[TrainingRun]:
        """The weights: one run, or one a fold."""
        if not self.space.on_real or self.training.real_films == 0:
            return [TrainingRun(self.space, self.training, self.seed).on_synthetic]
        return [TrainingRun(self.space, self.training, self.seed, fold) for fold in range(self.space.folds)]

    @property
    def all_trainings(self) -> list[TrainingRun]:
        """The same with those that they start from, each before those that need it."""
        runs = [run for one in self.trainings for run in (one.before, one) if run is not None]
        return list({(run.training, run.seed, run.fold): run for run in runs}.values())

    @property
    def parts(self) -> list[tuple[TrainingRun, list[dict[str, Any]]]]:
        """Each run of weights with the films that it is used on."""
        runs = self.trainings
        if not self.space.on_real:
            return [(runs[0], self.space.set_items(self.inference.films))]
        folds = [self.space.fold_items(fold, "test") for fold in range(self.space.folds)]
        return list(zip(runs, folds)) if len(runs) == len(folds) else [(runs[0], [i for fold in folds for i in fold])]

    @property
    def title(self) -> str:
        """A line for progress."""
        where = "real films out of fold" if self.space.on_real else self.inference.films
        how = [f"{name}={value}" for name, value in as_plain(self.inference).items() if name != "films"]
        return f"measure {self.training.network} on {', '.join([where, *how])}, seed {self.seed}"

    def identity(self) -> str:
        """Hash of weights, films and inference."""
        space = self.space
        real = [space.fold_hash(k) for k in range(space.folds)]
        films: Any = real if space.on_real else space.set_spec(self.inference.films)
        return identity_of([run.identity() for run in self.trainings], films, as_plain(self.inference))

    @property
    def file(self) -> Path:
        """Where it is kept."""
        return self.space.work / "measurements" / f"{self.identity()}.json"

    def record(self) -> dict[str, Any] | None:
        """What was measured; None before."""
        return read_json(self.file)

    def run(self) -> None:
        """Measure all films."""
        start = time.monotonic()
        films: list[dict[str, Any]] = []
        curve = np.zeros((2, THRESHOLDS), dtype=np.int64)
        everything = [item for _, items in self.parts for item in items]
        names, pictured = _film_names(everything, self.space.on_real), _pictured(everything)
        for run, items in self.parts:
            rows, counts = self._measure(run, items, names[len(films) :], len(films), pictured)
            films += rows
            curve += counts
        before = {run.folder: run for run in self.all_trainings}.values()
        hashes = [self.space.set_hash(name) for name in self.training.films]
        hashes += [self.space.fold_hash(run.fold) for run in self.trainings if run.fold is not None]
        test_hash = data_hash(everything) if self.space.on_real else self.space.set_hash(self.inference.films)
        record = {
            "title": self.title,
            "films": films,
            "curve": {"tp": curve[0].tolist(), "fp": curve[1].tolist()},
            "seconds": round(time.monotonic() - start, 1),
            "training_seconds": float(sum((run.record() or {}).get("seconds", 0.0) for run in before)),
            "settings": {run.folder.name: run.settings() for run in before},
            "test_hash": test_hash,
            "training_hash": sorted(set(hashes)),
            **provenance(),
        }
        write_json(self.file, record)

    def _measure(
        self,
        run: TrainingRun,
        items: Sequence[dict[str, Any]],
        names: Sequence[str],
        first: int,
        pictured: Collection[int],
    ) -> tuple[list[dict[str, Any]], np.ndarray]:
        """A row a film and the counts of their curve; `first` is the number of the first film."""
        how, device = self.inference, self.space.torch_device()
        prepare = FilmPreparation(run.resolved("spatial_size"), how)
        predict = self._predictor(run, items, prepare, device)
        rows, curve = [], np.zeros((2, THRESHOLDS), dtype=np.int64)
        for number, (item, name) in enumerate(zip(items, names), start=first):
            start = time.perf_counter()
            data = prepare(item)
            true_xy = np.asarray(data["points"], dtype=np.float64)
            maps = predict(data["image"], true_xy, number, device)
            found = prepare.back(vertebra_map(maps, how), data["image"])
            seconds = time.perf_counter() - start
            labels = np.asarray(data["label"])[0].astype(int)
            truth = np.isin(labels, true_labels(how.truth))
            centres = centre_scores(centres_in(maps), true_xy) if self.training.network == CMNET else {}
            rows.append({**film_row(name, item, found, labels, how.truth), **centres, "seconds": seconds})
            curve += curve_counts(found, truth)
            if number in pictured:
                film = prepare.back(torch.as_tensor(data["image"]).as_subclass(Tensor), data["image"])
                save_picture(self.file.with_suffix("") / f"{number:03d}.png", film, found, truth, PICTURE_HEIGHT)
        return rows, curve

    def _predictor(
        self, run: TrainingRun, items: Sequence[Any], prepare: FilmPreparation, device: torch.device
    ) -> Predictor:
        from cmnet_monai.engines import load_weights
        from cmnet_monai.networks import prepare_for_inference

        network = run.resolved("network_def")
        load_weights(network, run.weights)
        network = prepare_for_inference(network.to(device))
        if self.inference.remedy == BATCH_STATISTICS:
            adapt_batch_statistics(network, [prepare(item)["image"] for item in items], device)
        change: Callable[[Tensor], Tensor] | None = None
        if self.inference.remedy == FOURIER:
            known = self.space.training_items(run.on_synthetic.training)["training"][:REFERENCE_FILMS]
            change = fourier_to_training_domain(prepare(item)["image"] for item in known)
        return Predictor(network, self.inference, float(run.resolved("heatmap_sigma")), self.seed, change)


def _pictured(items: Sequence[Mapping[str, Any]]) -> set[int]:
    """Numbers of the films whose masks are kept: the first of each kind, then the first ones of all."""
    kinds = [item.get("kind") for item in items]
    first = [kinds.index(kind) for kind in dict.fromkeys(kinds)]
    return set(list(dict.fromkeys([*first, *range(len(items))]))[:PICTURES])


def _film_names(items: Sequence[Mapping[str, Any]], real: bool) -> list[str]:
    """Names of films for tables: of real films a hash alone, so that no table holds the name of a patient's file."""
    from cmnet_monai.io import output_names

    return output_names([str(item["image"]) for item in items], anonymous=real)
