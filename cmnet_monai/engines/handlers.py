"""Small handlers and helpers that the bundle's configs name."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any

import torch
import torch.distributed as dist
from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar
from torch import nn
from torch.nn.parallel import DistributedDataParallel

logger = logging.getLogger(__name__)


class EpochSeed:
    """Tell a dataset and a sampler which epoch begins, so that what they draw depends on seed, epoch and item alone.

    Args:
        dataset: has ``set_epoch(epoch)``, see `cmnet_monai.datasets.SeededCacheDataset`.
        sampler: has ``set_epoch(epoch)``, see `cmnet_monai.datasets.MixSampler`; None: there is none to tell.

    >>> from cmnet_monai.datasets import MixSampler
    >>> sampler = MixSampler([{}] * 20, seed=3)
    >>> orders = []
    >>> trainer = Engine(lambda engine, batch: None)
    >>> EpochSeed(sampler).attach(trainer)
    >>> _ = trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: orders.append(list(sampler)))
    >>> _ = trainer.run([0], max_epochs=2)
    >>> orders[0] == orders[1], sorted(orders[0]) == sorted(orders[1])  # another order, the same films
    (False, True)
    """

    def __init__(self, dataset: Any, sampler: Any = None) -> None:
        self.dataset = dataset
        self.sampler = sampler

    def attach(self, engine: Engine) -> None:
        """Act when an epoch of the engine starts, before its first batch is drawn."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Pass the engine's epoch on."""
        self.dataset.set_epoch(engine.state.epoch)
        if self.sampler is not None:
            self.sampler.set_epoch(engine.state.epoch)


class Attach:
    """Attach a handler that is made elsewhere in a config: MONAI wants every entry of its handlers to have a target.

    Args:
        handler: has ``attach(engine)``.
    """

    def __init__(self, handler: Any) -> None:
        self.handler = handler

    def attach(self, engine: Engine) -> None:
        """Attach the handler."""
        self.handler.attach(engine)


class OnMainProcess:
    """A handler for the main process only: consoles, progress bars, TensorBoard.

    Args:
        handler: makes the handler (in a config, ``"_mode_": "callable"``), called where it is attached.
    """

    def __init__(self, handler: Callable[[], Any]) -> None:
        self.handler = handler

    def attach(self, engine: Engine) -> None:
        """Make and attach the handler, on rank 0 or without distribution."""
        if int(os.environ.get("RANK", 0)) == 0:
            self.handler().attach(engine)


def lower_is_better(current: float, best: float) -> bool:
    """Compare losses: whether the current one is less than the best so far."""
    return current < best


def default_device() -> torch.device:
    """The first CUDA device, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def distributed_device() -> torch.device:
    """The device of this process under torchrun: its own GPU, or the CPU where there is none."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return torch.device("cpu")


def distributed_network(network: nn.Module, device: torch.device | str) -> DistributedDataParallel:
    """Move a network to the device of this process and wrap it for distributed training."""
    device = torch.device(device)
    network = network.to(device)
    return DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)


def start_distributed(device: torch.device | str) -> None:
    """Join the process group that torchrun describes: NCCL on GPUs, Gloo on CPUs. Joining twice does nothing.

    Raises:
        RuntimeError: the process was not started by torchrun.
    """
    if dist.is_initialized():
        return
    if "RANK" not in os.environ:
        raise RuntimeError(
            "start this with torchrun, e.g. torchrun --standalone --nproc_per_node=2 -m monai.bundle run …"
        )
    # Imported once there is a group, as PyTorch's wrapper does, it keeps the group for good: as its functions' default.
    importlib.import_module("torch.distributed.nn.functional")
    device = torch.device(device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if dist.get_rank() > 0:
        logging.getLogger().setLevel(logging.WARNING)


def stop_distributed(network: nn.Module | None = None) -> None:
    """Leave the process group, if there is one, and end its threads.

    A thread of Gloo that lets go of its last tensor while Python is shutting down aborts the process ("terminate
    called without an active exception"). The group's threads end with its last owner, so the distributed wrapper's
    share in it is taken as well, and the group's own name last: only then is the thread not kept waiting for Python.

    Args:
        network: the network of `distributed_network`; its weights stay, but it can train no more.
    """
    if not dist.is_initialized():
        return
    group = dist.group.WORLD
    dist.destroy_process_group()
    if isinstance(network, DistributedDataParallel):
        for owner in ("process_group", "reducer", "logger"):
            setattr(network, owner, None)
    gc.collect()
    del group


def must_repeat_films(dataset: Sized) -> bool:
    """Whether there are fewer films than processes: some are then measured twice, so that no process waits for one."""
    return dist.is_initialized() and len(dataset) < dist.get_world_size()


class EpochProgress:
    """A progress bar over the batches of an epoch, quiet where standard error is no terminal.

    Args:
        what: word in front of the bar.
        show: None asks whether standard error is a terminal.
    """

    def __init__(self, what: str, show: bool | None = None) -> None:
        self.what = what
        self.show = sys.stderr.isatty() if show is None else show

    def attach(self, engine: Engine) -> None:
        """Follow an engine's batches."""
        if self.show:
            ProgressBar(desc=self.what).attach(engine)


def prepare_film_batch(
    batchdata: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **kwargs: Any
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The network's input "image" and, where the batch has one, its "target".

    >>> image, target = prepare_film_batch({"image": torch.ones(2, 1, 8, 12)}, device="cpu", dtype=torch.float64)
    >>> image.shape, image.dtype, target  # at inference there is no target
    (torch.Size([2, 1, 8, 12]), torch.float64, None)
    """
    image = batchdata["image"].to(device=device, non_blocking=non_blocking, **kwargs)
    target = batchdata.get("target")
    return image, None if target is None else target.to(device=device, non_blocking=non_blocking, **kwargs)


def film_metadata(batch: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Metadata of the films of a decollated batch, for MONAI's MetricsSaver."""
    return [item["image"].meta for item in batch]
