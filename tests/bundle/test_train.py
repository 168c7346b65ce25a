"""Training, evaluation, and both on two processes, as one types them at the repository root."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cmnet_monai.conventions import LUMBAR_LABELS
from cmnet_monai.io import read_label_map
from cmnet_monai.networks import CMNet

TRAIN = ("--config_file", "bundle/configs/train.json", "--bundle_root", "bundle")
EVALUATE = ("--config_file", "['bundle/configs/train.json','bundle/configs/evaluate.json']", "--bundle_root", "bundle")
MULTI_TRAIN = EVALUATE[1].replace("evaluate", "multi_gpu_train")
MULTI_EVALUATE = EVALUATE[1].replace("]", ",'bundle/configs/multi_gpu_evaluate.json']")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
METRICS = ("dice", "precision", "recall", "accuracy", "average_precision", "centre_error_px")


@pytest.fixture(scope="module")
def run_folder(
    monai_bundle: Callable[..., str], dataset: Path, tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a run of one epoch."""
    folder = tmp_path_factory.mktemp("train") / "run"
    monai_bundle("run", *TRAIN, "--dataset_dir", dataset, "--output_dir", folder, *tiny)
    return folder


def read_table(path: Path) -> dict[str, str]:
    """First column to second of a MetricsSaver file."""
    with path.open(encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    return {row[0]: row[1] for row in rows if len(row) > 1}


def read_checkpoint(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "last.pt", weights_only=True)


def test_training_leaves_settings_weights_checkpoint_and_curves(run_folder: Path, dataset: Path) -> None:
    settings = json.loads((run_folder / "settings.json").read_text(encoding="utf-8"))
    assert settings["dataset_dir"] == str(dataset)
    assert (settings["max_epochs"], settings["spatial_size"], settings["learning_rate"]) == (1, [64, 128], 2e-5)
    last = read_checkpoint(run_folder)
    best = torch.load(run_folder / "best.pt", weights_only=True)
    CMNet(base_channels=8, s1_channel=True, lumbar_channel=True).load_state_dict(best)
    assert last["epoch"] == last["best_epoch"] == 1 and 0 < last["best_metric"] < 1
    assert all(torch.equal(best[name], value) for name, value in last["network"].items())
    assert list((run_folder / "tensorboard").glob("events.out.tfevents.*"))
    assert not list(run_folder.glob(".*"))


def test_evaluation_measures_the_test_film_on_its_own_grid(
    monai_bundle: Callable[..., str],
    infer: Callable[..., dict],
    run_folder: Path,
    dataset: Path,
    tiny: tuple[str, ...],
    tmp_path: Path,
) -> None:
    best = run_folder / "best.pt"
    options = ("--dataset_dir", dataset, "--output_dir", tmp_path / "eval", "--ckpt_path", best)
    monai_bundle("run", *EVALUATE, *options, *tiny)
    summary = read_table(tmp_path / "eval" / "metrics.csv")
    assert {f"test_{name}" for name in METRICS} <= set(summary)
    (test,) = json.loads((dataset / "datalist.json").read_text(encoding="utf-8"))["test"]
    films = read_table(tmp_path / "eval" / "test_dice_raw.csv")
    (name,) = (name for name in films if Path(test["image"]).name in name)
    assert float(films[name]) == pytest.approx(float(summary["test_dice"]), abs=1e-4)

    # The same weights through the other workflow, compared with the label map by hand.
    infer(dataset / test["image"], tmp_path / "out", ckpt_path=str(best), spatial_size=[64, 128], base_channels=8)
    (png,) = (tmp_path / "out").glob("*_mask.png")
    mask = read_label_map(png) > 0
    true = np.isin(read_label_map(dataset / test["label"]), LUMBAR_LABELS)
    assert mask.any()
    dice = 2 * (mask & true).sum() / (mask.sum() + true.sum())
    assert float(summary["test_dice"]) == pytest.approx(dice, abs=1e-4)  # the file has four or more decimals


@pytest.mark.parametrize(
    ("configs", "settings", "channels"),
    [
        (["train"], {"label_protocol": "lumbar", "val_interval": 2, "flip_axes": [0, 1]}, 2),
        (["train"], {"label_protocol": "visible", "val_interval": 2}, 3),
        (["train", "pretrain"], {"epoch_length": 5, "val_interval": 1, "augmentation_strength": 0.5}, 4),
        (
            ["train", "pretrain", "finetune", "other_sites"],
            {"epoch_length": 4, "val_interval": 1, "shares": [1.0], "decay_epochs": 1},
            5,
        ),
    ],
)
def test_other_settings_train_too(
    configs: list[str], settings: dict, channels: int, workflow: Callable, dataset: Path, tmp_path: Path
) -> None:
    small = {"spatial_size": [64, 128], "base_channels": 8, "batch_size": 2, "num_workers": 0, "max_epochs": 2}
    made = workflow(configs, dataset_dir=str(dataset), output_dir=str(tmp_path / "run"), **small, **settings)
    made.run()
    made.finalize()
    last = read_checkpoint(tmp_path / "run")
    network = CMNet(8, s1_channel=channels > 2, lumbar_channel=channels > 3, level_channel=channels > 4)
    network.load_state_dict(last["network"])
    kept = [f"epoch_{epoch:04d}.pt" for epoch in (1, 2)] if "other_sites" in configs else []
    assert sorted(file.name for file in (tmp_path / "run").glob("epoch_*.pt")) == kept
    assert last["epoch"] == 2 and last["best_metric"] is not None
    assert all(torch.isfinite(value).all() for value in last["network"].values())


def test_two_processes_train_and_evaluate(
    monai_bundle: Callable[..., str], dataset: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    options = ("--bundle_root", "bundle", "--dataset_dir", dataset, *tiny)
    run, measured = tmp_path / "run", tmp_path / "eval"
    monai_bundle("run", "--config_file", MULTI_TRAIN, *options, "--output_dir", run, launcher=TORCHRUN)
    best = torch.load(run / "best.pt", weights_only=True)
    CMNet(base_channels=8, s1_channel=True, lumbar_channel=True).load_state_dict(best)
    assert read_checkpoint(run)["epoch"] == 1

    # All films as test films, so that one process has one film more than the other.
    datalist = json.loads((dataset / "datalist.json").read_text(encoding="utf-8"))
    films = [item for section in ("training", "validation", "test") for item in datalist[section]]
    everything = dataset / "everything.json"
    everything.write_text(json.dumps({"training": films, "validation": films, "test": films}), encoding="utf-8")
    options = ("--bundle_root", "bundle", "--dataset_dir", everything, "--ckpt_path", run / "best.pt", *tiny)
    monai_bundle("run", "--config_file", MULTI_EVALUATE, *options, "--output_dir", measured, launcher=TORCHRUN)
    summary, values = read_table(measured / "metrics.csv"), read_table(measured / "test_dice_raw.csv")
    by_film = {Path(name).name: float(value) for name, value in values.items() if name.endswith(".dcm")}
    assert set(by_film) == {Path(item["image"]).name for item in films}
    assert float(summary["test_dice"]) == pytest.approx(np.mean(list(by_film.values())), abs=1e-4)
