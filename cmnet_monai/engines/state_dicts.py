"""Files of weights: written whole, read without running code from them, averaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cmnet_monai.engines.precision import bare
from cmnet_monai.io import atomic_write


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Load a checkpoint of tensors and plain values onto the CPU, running no code from it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no checkpoint.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save({"network": {"weight": torch.ones(2, 3)}, "epoch": 4}, f"{folder}/last.pt")
    ...     state = read_checkpoint(f"{folder}/last.pt")
    >>> state["epoch"], state["network"]["weight"].shape
    (4, torch.Size([2, 3]))
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no weights there; give a .pt file with a state_dict")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # the unpickler stumbles over foreign bytes in many ways
        raise ValueError(f"{path}: damaged, or no checkpoint of tensors and plain values") from error
    if not isinstance(state, dict):
        raise ValueError(f"{path}: holds a {type(state).__name__}; give a file with a state_dict")
    return state


def save_weights(network: nn.Module, path: str | Path) -> None:
    """Write the network's flat state_dict, whole or not at all.

    >>> import tempfile
    >>> from cmnet_monai.engines import with_precision
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(with_precision(nn.Linear(3, 2), "bf16"), f"{folder}/model.pt")  # names without the wrapper's
    ...     {name: tuple(value.shape) for name, value in read_checkpoint(f"{folder}/model.pt").items()}
    {'weight': (2, 3), 'bias': (2,)}
    """
    state = {name: value.detach().cpu() for name, value in bare(network).state_dict().items()}
    with atomic_write(path) as temporary:
        torch.save(state, temporary)


def load_weights(network: nn.Module, path: str | Path) -> None:
    """Load a flat state_dict, or the network's part of a training checkpoint, into a network.

    Args:
        network: receives the weights, whatever their floating point type. A CM-Net with a lumbar or level channel
            takes those of one without it too: a lumbar channel then starts as a copy of the vertebra channel, which it
            is a part of, and a level channel as the network has it. A network without a level channel takes weights
            that have one, and leaves it out.
        path: the file; "" leaves the network as it is.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no checkpoint, or the weights belong to another network.

    >>> import tempfile
    >>> trained, fresh = nn.Linear(3, 2), nn.Linear(3, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(trained, f"{folder}/model.pt")
    ...     load_weights(fresh, f"{folder}/model.pt")
    >>> bool((fresh.weight == trained.weight).all())
    True
    """
    if not str(path):
        return
    state = read_checkpoint(path)
    try:
        network.load_state_dict(_with_further_channels(state.get("network", state), network))
    except RuntimeError as error:
        raise ValueError(f"{path}: weights of another network than the configured one ({error})") from error


def _with_further_channels(state: dict[str, torch.Tensor], network: nn.Module) -> dict[str, torch.Tensor]:
    """The weights with the rows of a lumbar and a level channel as the network has them."""
    wanted = network.state_dict()
    grown = dict(state)
    for name in (name for name in state if "segmentation_head." in name and name in wanted):
        rows, goal = len(state[name]), len(wanted[name])
        if rows == 2 and goal in (3, 4):
            grown[name] = torch.cat([state[name], state[name][:1]])
        if rows == 4 and goal == 3:
            grown[name] = state[name][:3]
        if rows in (2, 3) and goal == 4:
            grown[name] = torch.cat([grown[name], wanted[name][3:].to(state[name])])
    return grown


def average_weights(paths: Sequence[str | Path]) -> dict[str, torch.Tensor]:
    """Mean of the weights of several checkpoints of one network (Wortsman et al., 2022, arXiv 2203.05482).

    Sensible for networks that were fine-tuned from the same weights with the same settings, such as those of the folds
    of a cross-validation. Entries that are no floating point numbers are those of the first.

    Raises:
        FileNotFoundError: a checkpoint is missing.
        ValueError: there is none, one is no checkpoint, or two are of different networks.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for fold, value in enumerate((1.0, 2.0, 6.0)):
    ...         torch.save({"weight": torch.full((2, 1), value)}, f"{folder}/fold_{fold}.pt")
    ...     average_weights([f"{folder}/fold_{fold}.pt" for fold in range(3)])["weight"].tolist()
    [[3.0], [3.0]]
    """
    if not paths:
        raise ValueError("no checkpoints to average")
    states = [state.get("network", state) for state in map(read_checkpoint, paths)]
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    for path, shape in zip(paths, shapes):
        if shape != shapes[0]:
            raise ValueError(f"{path}: weights of another network than {paths[0]}")
    return {
        name: torch.stack([state[name].float() for state in states]).mean(dim=0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }
