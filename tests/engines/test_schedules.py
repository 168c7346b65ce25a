from __future__ import annotations

import pytest
import torch

from cmnet_monai.engines import ConstantThenDecay


def rates(t_total: int, decay: int, warmup: int, epochs: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedule = ConstantThenDecay(optimizer, t_total, decay, warmup)
    found = []
    for _ in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_rate_rises_stays_and_falls_as_a_cosine() -> None:
    # cos at 0, pi / 4, pi / 2, 3 pi / 4 of the last four epochs, and past them 0.
    expected = [1.0, 2.0, 2.0, 2.0, 2.0, 1.7071068, 1.0, 0.2928932, 0.0, 0.0]
    assert rates(8, 4, 1, 10) == pytest.approx(expected, abs=1e-6)


def test_without_decay_the_rate_is_constant() -> None:
    assert rates(5, 0, 0, 5) == [2.0] * 5


@pytest.mark.parametrize("arguments", [(5, 6, 0), (5, -1, 0), (5, 2, -1)])
def test_senseless_lengths_are_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="decay <= t_total"):
        rates(*arguments, epochs=1)
