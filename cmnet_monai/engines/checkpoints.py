"""Checkpoints of a training run: the last epoch to resume from, the best weights to keep."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from ignite.engine import Events
from torch import nn

from cmnet_monai.engines.averaging import WeightAverage
from cmnet_monai.engines.precision import bare
from cmnet_monai.engines.runs import BEST_WEIGHTS, LAST_CHECKPOINT
from cmnet_monai.io import atomic_write
from cmnet_monai.io.files.checksums import write_sha256

if TYPE_CHECKING:
    from ignite.engine import Engine

logger = logging.getLogger(__name__)


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


class TrainingCheckpoint:
    """Handler that makes a trainer resumable and keeps the best weights.

    At its first start it restores ``last.pt`` if the folder holds one; a trainer that is run again, as that of a
    federated client is in every round, goes on with the weights that it was given. After each epoch, behind the
    validation, it writes ``last.pt`` (network, optimizer, learning-rate schedule, epoch, random state, best metric)
    and, when the validation metric has risen, ``best.pt`` (a flat state_dict). The best metric is part of ``last.pt``,
    so a resumed run never replaces better weights by worse ones. Files appear under their names only when they are
    whole, and a kill between the two is made good at the next start: ``best.pt`` is never ahead of ``last.pt``.

    MONAI's CheckpointSaver keeps neither the random state nor, after a resume, the best metric by default, and
    cannot write both files as one decision; hence this class.

    Args:
        folder: the run's folder.
        network: the network, bare or wrapped for distributed training.
        optimizer: its optimizer.
        lr_scheduler: the schedule of the learning rate, if there is one.
        evaluator: the engine that validates; its key metric decides, higher is better. None: the last is the best.
        average: a `WeightAverage`; ``best.pt`` then holds the averaged weights.
        keep_all: whether the weights that ``best.pt`` would get are kept after every epoch, as ``epoch_0001.pt``.
    """

    def __init__(
        self,
        folder: str | Path,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        lr_scheduler: Any = None,
        evaluator: Any = None,
        average: WeightAverage | None = None,
        keep_all: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.keep_all = keep_all
        self.average = average
        self.network = network
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.evaluator = evaluator
        self.best_metric: float | None = None
        self.best_epoch = 0
        self._started = False

    def attach(self, engine: Engine) -> None:
        """Restore at the engine's start, save after each of its epochs. Attach behind the validation handler."""
        engine.add_event_handler(Events.STARTED, self.restore)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def restore(self, engine: Engine) -> None:
        """Put everything back from ``last.pt``, if there is one and this is the first start."""
        file = self.folder / LAST_CHECKPOINT
        again, self._started = self._started, True
        if again or not file.is_file():
            return
        state = read_checkpoint(file)
        bare(self.network).load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.lr_scheduler is not None and state["lr_scheduler"] is not None:
            self._restore_schedule(state["lr_scheduler"])
        if self.average is not None:
            self.average.load_state_dict(state.get("average") or {})
        self.best_metric, self.best_epoch = state["best_metric"], state["best_epoch"]
        if self.best_epoch == state["epoch"] and _is_main_process():  # killed, perhaps, before it was written
            save_weights(self._kept, self.folder / BEST_WEIGHTS)
        if self.evaluator is not None and self.best_metric is not None:
            self.evaluator.state.best_metric = self.best_metric
            self.evaluator.state.best_metric_epoch = self.best_epoch
        torch.set_rng_state(state["random_state"])
        if state["cuda_random_state"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda_random_state"])
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["epoch"] * (engine.state.epoch_length or 0)
        logger.info("resumed %s after epoch %d (best metric %s)", file, state["epoch"], self.best_metric)
        if engine.state.max_epochs is not None and state["epoch"] >= engine.state.max_epochs:
            logger.info("all %d epochs are done; raise --max_epochs to train on", state["epoch"])

    def _restore_schedule(self, state: dict[str, Any]) -> None:
        """The schedule where it was, over the run's length as it is now: that may have changed."""
        length = getattr(self.lr_scheduler, "t_total", None)
        self.lr_scheduler.load_state_dict(state)
        if length is None or length == state.get("t_total"):
            return
        self.lr_scheduler.t_total = length
        schedule = self.lr_scheduler
        for group, base, factor in zip(self.optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas):
            group["lr"] = base * factor(schedule.last_epoch)

    def save(self, engine: Engine) -> None:
        """Write ``last.pt``, then ``best.pt`` if the metric has risen."""
        if not _is_main_process():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        improved = self._improved(engine)
        state = {
            "network": bare(self.network).state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "lr_scheduler": None if self.lr_scheduler is None else self.lr_scheduler.state_dict(),
            "average": {} if self.average is None else self.average.state_dict(),
            "epoch": engine.state.epoch,
            "best_metric": self.best_metric,
            "best_epoch": self.best_epoch,
            "random_state": torch.get_rng_state(),
            "cuda_random_state": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        with atomic_write(self.folder / LAST_CHECKPOINT) as temporary:
            torch.save(state, temporary)
        if self.keep_all:
            save_weights(self._kept, self.folder / f"epoch_{engine.state.epoch:04d}.pt")
        if improved:
            save_weights(self._kept, self.folder / BEST_WEIGHTS)

    @property
    def _kept(self) -> nn.Module:
        return self.network if self.average is None else self.average.network

    def _improved(self, engine: Engine) -> bool:
        if self.evaluator is None:
            self.best_epoch = engine.state.epoch
            return True
        state = self.evaluator.state
        metric = state.metrics.get(state.key_metric_name)
        if metric is None or math.isnan(float(metric)):
            return False
        if self.best_metric is not None and float(metric) <= self.best_metric:
            return False
        self.best_metric, self.best_epoch = float(metric), engine.state.epoch
        return True


def _is_main_process() -> bool:
    return not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0


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


def pack_checkpoint(checkpoint: str | Path | Sequence[str | Path], output: str | Path) -> int:
    """Write the weights of a checkpoint, or the mean of several, as a flat fp16 state_dict; returns its size in bytes.

    Its SHA-256 is recorded beside it (``model.pt.sha256``); inference refuses weights that do not agree with theirs.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it is no checkpoint, or several are of different networks.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for fold, value in enumerate((1.0, 4.0)):
    ...         torch.save({"weight": torch.full((2, 1), value)}, f"{folder}/fold_{fold}.pt")
    ...     size = pack_checkpoint([f"{folder}/fold_0.pt", f"{folder}/fold_1.pt"], f"{folder}/model.pt")
    ...     weight = read_checkpoint(f"{folder}/model.pt")["weight"]
    ...     weight.tolist(), weight.dtype, size == Path(folder, "model.pt").stat().st_size
    ([[2.5], [2.5]], torch.float16, True)
    """
    weights = average_weights([checkpoint] if isinstance(checkpoint, (str, Path)) else list(checkpoint))
    half = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    with atomic_write(output) as temporary, Path(temporary).open("wb") as stream:
        torch.save(half, stream)  # a stream: given a path, torch stores its name, which here is a random one
    write_sha256(output)
    return Path(output).stat().st_size
