"""A trainer that goes on with fewer films at once where memory does not suffice for a batch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys as Keys

from cmnet_monai.datasets.film_dataset import free_memory, is_out_of_memory

logger = logging.getLogger(__name__)


class FilmTrainer(SupervisedTrainer):
    """A SupervisedTrainer that outlives a batch too large for the memory.

    Such a batch, and all that follow, is done in parts whose gradients are added up before the optimizer's step. For a
    loss that is a mean over films, and a network that treats each film alone (group norms, as CM-Net has), that is the
    same step but for rounding and for what dropout draws; a Dice over the batch becomes the mean of the parts' Dice.
    Where several processes train together, and for a film that does not fit alone, the error stands: the run stops, and
    its last checkpoint resumes with a smaller ``batch_size`` or grid. Arguments are those of
    `monai.engines.SupervisedTrainer`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.films_at_once: int | None = None

    def _iteration(self, engine: Any, batchdata: Mapping[str, Any]) -> dict:
        films = len(next(iter(batchdata.values())))
        while True:
            try:
                if self.films_at_once is None or films <= self.films_at_once:
                    return super()._iteration(engine, batchdata)  # type: ignore[arg-type]
                return self._in_parts(engine, batchdata)
            except Exception as error:
                at_once = min(films, self.films_at_once or films)
                if at_once < 2 or not is_out_of_memory(error) or dist.is_initialized():
                    raise
            engine.state.output = None
            free_memory()
            self.films_at_once = at_once // 2
            logger.warning("not enough memory for %d films at once; going on with %d", at_once, self.films_at_once)

    def _in_parts(self, engine: Any, batchdata: Mapping[str, Any]) -> dict:
        inputs, targets = engine.prepare_batch(batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs)[
            :2
        ]
        scaler = engine.scaler if engine.amp else None
        engine.network.train()
        engine.optimizer.zero_grad(set_to_none=engine.optim_set_to_none)
        predictions, total = [], torch.zeros((), device=inputs.device)
        for first in range(0, len(inputs), self.films_at_once or len(inputs)):
            part = slice(first, first + (self.films_at_once or len(inputs)))
            with torch.autocast("cuda", enabled=scaler is not None, **engine.amp_kwargs):
                prediction = engine.inferer(inputs[part], engine.network)
                loss = engine.loss_function(prediction, targets[part]).mean() * (len(prediction) / len(inputs))
            (loss if scaler is None else scaler.scale(loss)).backward()
            predictions.append(prediction.detach())
            total += loss.detach()
        engine.state.output = {Keys.IMAGE: inputs, Keys.LABEL: targets, Keys.PRED: torch.cat(predictions)}
        engine.state.output[Keys.LOSS] = total
        for event in (IterationEvents.FORWARD_COMPLETED, IterationEvents.LOSS_COMPLETED):
            engine.fire_event(event)
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
        if scaler is None:
            engine.optimizer.step()
        else:
            scaler.step(engine.optimizer)
            scaler.update()
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return engine.state.output
