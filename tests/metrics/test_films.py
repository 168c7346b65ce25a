from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from monai.engines import SupervisedEvaluator
from monai.handlers import IgniteMetricHandler, MetricsSaver, from_engine
from monai.transforms import Compose

from cmnet_monai.metrics import FilmAveragePrecision, FilmCentreMetric, FilmPixelMetric

TRUE = torch.tensor([[[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]]])
HALF = torch.tensor([[[1, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]])  # Dice 4 / 8 with TRUE


def run_evaluator(metrics: dict[str, Any], items: list[dict], folder: Path) -> Engine:
    def update(engine: Engine, batch: list[dict]) -> list[dict]:
        return batch

    handlers = {
        name: IgniteMetricHandler(metric_fn=metric, output_transform=from_engine(keys))
        for name, (metric, keys) in metrics.items()
    }
    first, *others = handlers
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=[items[:2], items[2:]],
        network=torch.nn.Identity(),
        iteration_update=update,
        postprocessing=Compose([]),
        key_val_metric={first: handlers[first]},
        additional_metrics={name: handlers[name] for name in others},
        val_handlers=[
            MetricsSaver(
                save_dir=folder,
                metrics="*",
                metric_details="*",
                batch_transform=lambda batch: [{"filename_or_obj": item["name"]} for item in batch],
            )
        ],
    )
    evaluator.run()
    return evaluator


def test_evaluator_reports_means_and_saves_each_film(tmp_path: Path) -> None:
    items = [
        {"name": "a", "mask": TRUE, "true": TRUE, "map": TRUE.float(), "at": [[3.0, 4]], "is": [[0.0, 0], [9, 9]]},
        {"name": "b", "mask": HALF, "true": TRUE, "map": HALF.float(), "at": [[1.0, 1]], "is": [[1.0, 2]]},
        {"name": "c", "mask": HALF * 0, "true": TRUE, "map": 0.5 * TRUE.float(), "at": [], "is": [[7.0, 8]]},
    ]
    for item in items:
        item["mask"] = MetaTensor(item["mask"])
        item["at"], item["is"] = torch.tensor(item["at"]).reshape(-1, 2), torch.tensor(item["is"])
    centres = ["at", "is"]
    metrics = {
        "dice": (FilmPixelMetric("dice"), ["mask", "true"]),
        "precision": (FilmPixelMetric("precision"), ["mask", "true"]),
        "average_precision": (FilmAveragePrecision(), ["map", "true"]),
        "centre_error": (FilmCentreMetric("error"), centres),
        "centres_found": (FilmCentreMetric("found"), centres),
        "centres_missed": (FilmCentreMetric("missed"), centres),
        "centres_false": (FilmCentreMetric("false", max_distance_px=2.0), centres),
    }
    state = run_evaluator(metrics, items, tmp_path).state
    # Film b: precision 2/3 at recall 2/5, then the base rate 5/12 for the rest.
    expected_ap = (1 + (2 / 3 * 2 / 5 + 5 / 12 * 3 / 5) + 1) / 3
    assert state.metrics == pytest.approx(
        {
            "dice": (1 + 0.5 + 0) / 3,
            "precision": (1 + 2 / 3 + 0) / 3,
            "average_precision": expected_ap,
            "centre_error": (5 + 1) / 2,
            "centres_found": (0.5 + 1 + 0) / 3,
            "centres_missed": (1 + 0 + 1) / 3,
            "centres_false": 1 / 3,
        }
    )
    rows = list(csv.reader((tmp_path / "dice_raw.csv").open()))
    assert [[row[0], float(row[1])] for row in rows[1:4]] == [["a", 1.0], ["b", 0.5], ["c", 0.0]]


def test_mean_of_undefined_films_is_nan_not_zero() -> None:
    metric = FilmCentreMetric("error")
    assert math.isnan(metric.aggregate())
    metric([torch.empty(0, 2)], [torch.ones(1, 2)])
    assert math.isnan(metric.aggregate())
    metric([torch.zeros(1, 2)], [torch.tensor([[0.0, 3.0]])])
    assert metric.aggregate().item() == 3.0
    assert torch.equal(torch.isnan(metric.get_buffer()), torch.tensor([[True], [False]]))


def test_centre_metric_takes_maps_with_a_point_finder() -> None:
    maps = torch.zeros(2, 1, 6, 9)
    maps[0, 0, 2, 5] = maps[1, 0, 5, 1] = 1
    metric = FilmCentreMetric("error", to_points=lambda film: torch.nonzero(film[0]).float())
    metric(maps[:1], maps[1:])
    assert metric.aggregate().item() == 5.0  # (2, 5) to (5, 1)


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"accuracy.*dice.*'iou'"):
        FilmPixelMetric("iou")
    with pytest.raises(ValueError, match=r"error.*found.*'x'"):
        FilmCentreMetric("x")
