from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from ignite.engine import Engine
from monai.data import MetaTensor
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cmnet_monai.engines import (
    EpochProgress,
    EpochSeed,
    OnMainProcess,
    distributed_device,
    distributed_network,
    film_metadata,
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

    def attach(self, engine: Engine) -> None:
        self.epochs.append(-1)


def test_dataset_hears_of_each_epoch() -> None:
    dataset, engine = Recorder(), Engine(lambda engine, batch: None)
    EpochSeed(dataset).attach(engine)
    engine.run([0], max_epochs=3)
    assert dataset.epochs == [1, 2, 3]


@pytest.mark.parametrize(("rank", "made"), [(None, 1), ("0", 1), ("1", 0)])
def test_handler_is_made_on_the_main_process_only(rank: str | None, made: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    handlers: list[Recorder] = []

    def make() -> Recorder:
        handlers.append(Recorder())
        return handlers[-1]

    OnMainProcess(make).attach(Engine(lambda engine, batch: None))
    assert [handler.epochs for handler in handlers] == [[-1]] * made


@pytest.mark.parametrize("show", [True, False])
def test_progress_bar_names_its_batches_or_is_quiet(show: bool, capfd: pytest.CaptureFixture) -> None:
    engine = Engine(lambda engine, batch: None)
    EpochProgress("films", show).attach(engine)
    engine.run([0, 1, 2], max_epochs=1)
    assert ("films" in capfd.readouterr().err) == show


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
