"""A learning rate that stays where it is and falls to 0 in the last epochs."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class ConstantThenDecay(LambdaLR):
    """Constant learning rate with a linear rise before it and a cosine to 0 behind it; one step an epoch.

    How long a run is to be need not be known when it starts: resumed with another ``t_total`` it decays from where it
    is (Zhai et al., 2022, arXiv 2106.04560; Haegele et al., 2024, arXiv 2405.18392).

    Args:
        optimizer: whose learning rate is set.
        t_total: number of epochs of the run.
        decay: number of its last epochs in which the rate falls; the first of them has the full rate, and past the
            last it would be 0.
        warmup: number of first epochs in which it rises.
    Raises:
        ValueError: a number is negative, or ``decay`` is more than ``t_total``.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=8.0)
    >>> schedule = ConstantThenDecay(optimizer, t_total=5, decay=2, warmup=1)
    >>> [round(8 * schedule.factor(epoch), 3) for epoch in range(6)]
    [4.0, 8.0, 8.0, 8.0, 4.0, 0.0]
    """

    def __init__(self, optimizer: Optimizer, t_total: int, decay: int, warmup: int = 0) -> None:
        if not (0 <= decay <= t_total and warmup >= 0):
            raise ValueError(f"0 <= decay <= t_total and warmup >= 0, got {decay}, {t_total}, {warmup}.")
        self.t_total, self.decay, self.warmup = t_total, decay, warmup
        super().__init__(optimizer, self.factor)

    def factor(self, epoch: int) -> float:
        """Share of the full rate in an epoch, counted from 0."""
        rise = (epoch + 1) / (self.warmup + 1) if epoch < self.warmup else 1.0
        gone = (epoch - self.t_total + self.decay) / self.decay if self.decay else float(epoch >= self.t_total)
        return rise * 0.5 * (1.0 + math.cos(math.pi * min(max(gone, 0.0), 1.0)))
