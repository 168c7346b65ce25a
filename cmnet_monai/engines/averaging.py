"""An exponential moving average of the weights, which is validated and kept in the network's place."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from cmnet_monai.engines.precision import bare


class WeightAverage:
    """Handler that follows a network with a moving average of its weights (Polyak and Juditsky, 1992).

    The weights after the first training step are the first average; from then on, with k averaged steps,
    ``average = d * average + (1 - d) * weights`` and ``d = min(decay, (1 + k) / (10 + k))``, so that early weights are
    soon forgotten. PyTorch's AveragedModel keeps the average. Attach it before validation and checkpoints.

    Args:
        network: the network in training, bare or wrapped.
        decay: of the average, 0 to below 1; 0 turns it off.

    Attributes:
        network: what to validate and keep: the averaged network, bare; with ``decay`` 0 the network as given.

    Raises:
        ValueError: ``decay`` is out of range.

    >>> network = nn.Linear(1, 1, bias=False)
    >>> average = WeightAverage(network, decay=0.9)
    >>> trainer = Engine(lambda engine, value: nn.init.constant_(network.weight, value) and None)
    >>> average.attach(trainer)
    >>> _ = trainer.run([1.0, 2.0])  # two steps; k = 1, so d = 2 / 11 and the average is 2 / 11 * 1 + 9 / 11 * 2
    >>> round(float(average.network.weight.detach()), 3), float(network.weight.detach())
    (1.818, 2.0)
    """

    def __init__(self, network: nn.Module, decay: float = 0.0) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        self.decay = decay
        self.source = bare(network)
        self.average = AveragedModel(self.source, avg_fn=self._mix) if decay > 0 else None
        self.network: Any = network if self.average is None else self.average.module

    def _mix(self, averaged: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
        decay = min(self.decay, (1 + int(steps)) / (10 + int(steps)))
        return averaged.lerp(current, 1.0 - decay)

    def attach(self, engine: Engine) -> None:
        """Average after every step of an engine."""
        average = self.average
        if average is not None:
            engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: average.update_parameters(self.source))

    def state_dict(self) -> dict[str, Any]:
        """The average and how many steps it holds; empty where it is off."""
        return {} if self.average is None else self.average.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of `state_dict`; from an empty one, start at the network's present weights."""
        if self.average is None:
            return
        if state:
            self.average.load_state_dict(state)
        else:
            self.average.module.load_state_dict(self.source.state_dict())
            self.average.n_averaged.zero_()
