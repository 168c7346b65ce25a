"""Checkpoints of a training run: the last epoch to resume from, the best weights to keep."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ignite.engine import Events
from torch import nn

from cmnet_monai.engines.averaging import WeightAverage
from cmnet_monai.engines.distributed import is_main_process
from cmnet_monai.engines.precision import bare
from cmnet_monai.engines.runs import BEST_WEIGHTS, LAST_CHECKPOINT
from cmnet_monai.engines.state_dicts import average_weights, read_checkpoint, save_weights
from cmnet_monai.engines.weights import WeightsRecord, read_weights_record, write_weights_record
from cmnet_monai.io import atomic_write

if TYPE_CHECKING:
    from ignite.engine import Engine

logger = logging.getLogger(__name__)


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
        record: what the weights are trained with; written beside them (``best.json``).
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
        record: WeightsRecord | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.average = average
        self.keep_all = keep_all
        self.record = record
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
        if self.best_epoch == state["epoch"] and is_main_process():  # killed, perhaps, before it was written
            self._keep(BEST_WEIGHTS)
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
        if not is_main_process():
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
            self._keep(f"epoch_{engine.state.epoch:04d}.pt")
        if improved:
            self._keep(BEST_WEIGHTS)

    def _keep(self, name: str) -> None:
        """Keep the weights, and their record beside them."""
        save_weights(self.network if self.average is None else self.average.network, self.folder / name)
        if self.record is not None:
            write_weights_record(self.folder / name, self.record)

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


def pack_checkpoint(checkpoint: str | Path | Sequence[str | Path], output: str | Path, **given: Any) -> int:
    """Write the weights of a checkpoint, or the mean of several, as a flat fp16 state_dict; returns its size in bytes.

    Their record (``best.json``, see `WeightsRecord`) goes on as that of the output.

    Args:
        checkpoint: one file, or several whose records agree.
        output: file to write, such as ``model.pt``.
        given: settings of checkpoints that have no record.
    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it is no checkpoint, several are of different networks or settings, or a setting is nowhere to be
            found.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for fold, value in enumerate((1.0, 4.0)):
    ...         torch.save({"weight": torch.full((2, 1), value)}, f"{folder}/fold_{fold}.pt")
    ...     folds = [f"{folder}/fold_0.pt", f"{folder}/fold_1.pt"]
    ...     settings = dict(spatial_size=(288, 384), label_protocol="levels", base_channels=16, heatmap_sigma=4.0)
    ...     size = pack_checkpoint(folds, f"{folder}/model.pt", **settings)
    ...     weight = read_checkpoint(f"{folder}/model.pt")["weight"]
    ...     weight.tolist(), weight.dtype, size == Path(folder, "model.pt").stat().st_size
    ([[2.5], [2.5]], torch.float16, True)
    """
    paths = [checkpoint] if isinstance(checkpoint, (str, Path)) else list(checkpoint)
    weights = average_weights(paths)
    first, *others = (read_weights_record(path, **given) for path in paths)
    for record in others:
        for name, value in first.settings.items():
            if record.settings[name] != value:
                raise ValueError(f"{name} is {value} in {first.file}, {record.settings[name]} in {record.file}")
    half = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    with atomic_write(output) as temporary, Path(temporary).open("wb") as stream:
        torch.save(half, stream)  # a stream: given a path, torch stores its name, which here is a random one
    write_weights_record(output, first)
    return Path(output).stat().st_size
