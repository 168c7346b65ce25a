"""Devices, and training or inference in several processes under torchrun."""

from __future__ import annotations

import gc
import importlib
import logging
import os
from collections.abc import Sized

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def is_main_process() -> bool:
    """Whether this is the first process of torchrun, or the only one."""
    return int(os.environ.get("RANK", 0)) == 0


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
