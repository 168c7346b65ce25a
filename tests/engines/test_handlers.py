from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from ignite.engine import Engine, Events
from ignite.metrics import Average
from monai.data import MetaTensor
from monai.engines import SupervisedEvaluator
from monai.handlers import from_engine
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cmnet_monai.engines import (
    EpochProgress,
    EpochSeed,
    RunLog,
    ValidateEpochs,
    distributed_device,
    distributed_network,
    film_metadata,
    film_metrics,
    must_repeat_films,
    prepare_film_batch,
    start_distributed,
    stop_distributed,
)


class Recorder:
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)


def test_dataset_hears_of_each_epoch() -> None:
    dataset, engine = Recorder(), Engine(lambda engine, batch: None)
    EpochSeed(dataset).attach(engine)
    engine.run([0], max_epochs=3)
    assert dataset.epochs == [1, 2, 3]


@pytest.mark.parametrize(("rank", "seen"), [(None, True), ("0", True), ("1", False)])
def test_run_is_logged_on_the_main_process_only(
    rank: str | None, seen: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    engine = Engine(lambda engine, batch: [{"loss": torch.tensor(0.25)}])
    Average(output_transform=from_engine("loss", first=True)).attach(engine, "train_loss")
    RunLog(f"train {rank}", tmp_path, loss=True).attach(engine)
    engine.run([0, 1], max_epochs=1)
    assert ("train_loss: 0.2500" in capsys.readouterr().out) == seen
    assert bool(list(tmp_path.glob("tensorboard/events.out.tfevents.*"))) == seen


@pytest.mark.parametrize(
    ("interval", "epochs", "validated"), [(1, 3, [1, 2, 3]), (10, 3, [3]), (2, 5, [2, 4, 5]), (2, 4, [2, 4])]
)
def test_last_epoch_is_validated_whatever_the_interval(interval: int, epochs: int, validated: list[int]) -> None:
    found: list[int] = []
    validator = SupervisedEvaluator(torch.device("cpu"), [0], nn.Identity(), iteration_update=lambda engine, batch: {})
    validator.add_event_handler(Events.COMPLETED, lambda engine: found.append(engine.state.epoch))
    trainer = Engine(lambda engine, batch: None)
    ValidateEpochs(validator, interval).attach(trainer)
    trainer.run([0], max_epochs=epochs)
    assert found == validated


def test_metrics_of_a_validation_begin_with_dice_and_measure_what_they_say() -> None:
    metrics = film_metrics("val", ("mask", "true"), ("at", "is"), ("error", "found", "missed"))
    assert list(metrics) == [
        *("val_dice", "val_precision", "val_recall", "val_accuracy", "val_average_precision"),
        *("val_centre_error_px", "val_centres_found", "val_centres_missed"),
    ]
    mask, true = torch.tensor([[[1, 1, 0, 0], [0, 0, 0, 0]]]), torch.tensor([[[1, 0, 0, 0], [1, 1, 0, 0]]])
    item = {"mask": mask, "true": true, "vertebra_map": mask.float()}
    item |= {"at": torch.tensor([[3.0, 4.0]]), "is": torch.tensor([[0.0, 0.0], [90.0, 90.0]])}
    engine = Engine(lambda engine, batch: [item])
    for name, metric in metrics.items():
        metric.attach(engine, name)
    found = engine.run([0]).metrics
    # One of two pixels is right, one of three is found: Dice 2 / 5. A centre 5 px from one, none for the other.
    assert (found["val_dice"], found["val_precision"]) == (pytest.approx(0.4), pytest.approx(0.5))
    assert found["val_recall"] == pytest.approx(1 / 3)
    assert (found["val_centre_error_px"], found["val_centres_found"]) == (pytest.approx(5.0), pytest.approx(0.5))
    assert found["val_centres_missed"] == 1


@pytest.mark.parametrize("show", [True, False])
def test_progress_bar_names_its_batches_or_is_quiet(show: bool, capfd: pytest.CaptureFixture) -> None:
    engine = Engine(lambda engine, batch: None)
    EpochProgress("films", show).attach(engine)
    engine.run([0, 1, 2], max_epochs=1)
    err = capfd.readouterr().err
    assert ("films" in err) == show
    assert not show or re.search(r"\[\d\d:\d\d<\d\d:\d\d\]", err)  # elapsed < left


def test_progress_bar_is_quiet_where_nobody_looks() -> None:
    assert EpochProgress("films").show is False  # pytest's standard error is no terminal


def test_batch_gives_image_and_target() -> None:
    image, target = torch.rand(2, 1, 3, 5), torch.rand(2, 3, 3, 5)
    found = prepare_film_batch({"image": image, "target": target, "name": ["a", "b"]}, "cpu")
    assert torch.equal(found[0], image) and torch.equal(found[1], target)
    assert prepare_film_batch({"image": image}, "cpu")[1] is None


def test_metadata_are_the_images(tmp_path: object) -> None:
    batch = [{"image": MetaTensor(torch.zeros(1, 2, 3), meta={"filename_or_obj": name})} for name in "ab"]
    assert [meta["filename_or_obj"] for meta in film_metadata(batch)] == ["a", "b"]


def test_distribution_without_torchrun_says_how_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(RuntimeError, match="torchrun --standalone"):
        start_distributed("cpu")
    stop_distributed()  # nothing to leave


def test_process_joins_wraps_and_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not must_repeat_films([])
    start_distributed(distributed_device())
    try:
        start_distributed("cpu")  # twice does nothing
        network = distributed_network(nn.Linear(2, 2), "cpu")
        assert isinstance(network, DistributedDataParallel) and network.device_ids is None
        assert must_repeat_films([]) and not must_repeat_films([1])
    finally:
        stop_distributed()
    assert not dist.is_initialized()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads have names in /proc on Linux only")
def test_no_thread_of_the_group_outlives_it(tmp_path: Path) -> None:
    # In a process of its own: whether PyTorch's module of default groups was imported before matters.
    program = tmp_path / "program.py"
    program.write_text(
        """
from pathlib import Path
import torch
from cmnet_monai.engines import distributed_network, start_distributed, stop_distributed

def threads():
    return sum("gloo_run" in name.read_text() for name in Path("/proc/self/task").glob("*/comm"))

start_distributed("cpu")
network = distributed_network(torch.nn.Linear(3, 2), "cpu")
network(torch.ones(1, 3)).sum().backward()
torch.distributed.all_reduce(torch.ones(2))
during = threads()
stop_distributed(network)
print(during > 0, threads(), network.module.weight.shape)
""",
        encoding="utf-8",
    )
    group = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}
    environment = {**os.environ, **group, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "True 0 torch.Size([2, 3])"
