"""Small handlers and helpers that the bundle's configs name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar
from monai.engines import Evaluator
from monai.handlers import IgniteMetricHandler, StatsHandler, TensorBoardStatsHandler, ValidationHandler, from_engine

from cmnet_monai.engines.distributed import is_main_process
from cmnet_monai.metrics import FilmAveragePrecision, FilmCentreMetric, FilmPixelMetric


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


def lower_is_better(current: float, best: float) -> bool:
    """Compare losses: whether the current one is less than the best so far."""
    return current < best


class EpochProgress:
    """A progress bar over the batches of an epoch, with the time that is left; on a terminal and the main process.

    Args:
        what: word in front of the bar.
        show: None asks whether standard error is a terminal.
    """

    def __init__(self, what: str, show: bool | None = None) -> None:
        self.what = what
        self.show = sys.stderr.isatty() and is_main_process() if show is None else show

    def attach(self, engine: Engine) -> None:
        """Follow an engine's batches."""
        if self.show:
            ProgressBar(desc=self.what).attach(engine)


class RunLog:
    """What a person sees of an engine, on the main process: a line an epoch, a progress bar, TensorBoard curves.

    Args:
        name: of the engine, in front of lines and bar.
        folder: of the run; curves go to ``tensorboard`` in it. None: no curves.
        loss: whether the engine's output has a loss to show.
    """

    def __init__(self, name: str, folder: str | Path | None = None, loss: bool = False) -> None:
        self.name, self.folder, self.loss = name, folder, loss

    def attach(self, engine: Engine) -> None:
        """Follow an engine."""
        if not is_main_process():
            return
        shown: dict[str, Any] = {"output_transform": from_engine("loss", first=True)} if self.loss else {}
        StatsHandler(name=self.name, tag_name="loss", iteration_log=False, **shown).attach(engine)
        if self.folder is not None:
            curves = f"{self.folder}/tensorboard"
            TensorBoardStatsHandler(
                log_dir=curves, tag_name=f"{self.name}_loss", iteration_log=self.loss, **shown
            ).attach(engine)
        EpochProgress(self.name).attach(engine)


class ValidateEpochs(ValidationHandler):
    """Validate every ``interval`` epochs, and after the last one, so that each run ends with its best weights.

    Args:
        validator: a MONAI evaluator.
        interval: in epochs.
    """

    def __init__(self, validator: Evaluator, interval: int = 1) -> None:
        super().__init__(interval=int(interval), validator=validator)

    def attach(self, engine: Engine) -> None:
        """Follow a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED(event_filter=self._is_due), self)

    def _is_due(self, engine: Engine, epoch: int) -> bool:
        return epoch % self.interval == 0 or epoch == engine.state.max_epochs


def film_metrics(
    prefix: str,
    masks: Sequence[str],
    centres: Sequence[str],
    centre_values: Sequence[str] = ("error",),
    to_points: Callable[[torch.Tensor], Any] | None = None,
    map_key: str = "vertebra_map",
) -> dict[str, IgniteMetricHandler]:
    """The metrics of a validation by name, Dice first, which decides which weights are the best.

    Args:
        prefix: of the names: ``val`` makes ``val_dice``, ``val_precision``, ...
        masks: keys of found and true mask.
        centres: keys of found and true centres.
        centre_values: which values of `FilmCentreMetric`; those found have their partner within 20 px.
        to_points: see `FilmCentreMetric`.
        map_key: key of the vertebra probability, for the average precision.
    """
    made: dict[str, tuple[Any, Sequence[str]]] = {
        name: (FilmPixelMetric(name), masks) for name in ("dice", "precision", "recall", "accuracy")
    }
    made["average_precision"] = FilmAveragePrecision(thresholds=200), (map_key, masks[1])
    for value in centre_values:
        name = "centre_error_px" if value == "error" else f"centres_{value}"
        limit = 20.0 if value == "found" else None
        made[name] = FilmCentreMetric(value, max_distance_px=limit, to_points=to_points), centres
    return {
        f"{prefix}_{name}": IgniteMetricHandler(metric_fn=metric, output_transform=from_engine(list(keys)))
        for name, (metric, keys) in made.items()
    }


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
