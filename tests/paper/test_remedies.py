from __future__ import annotations

import pytest
import torch
from torch import nn

from cmnet_monai.networks import CMNet
from cmnet_monai.paper.remedies import adapt_batch_statistics, fourier_to_training_look


def test_batch_statistics_become_those_of_the_new_films_and_weights_stay() -> None:
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1)).eval()
    network[0].running_mean.fill_(7.0)
    weight = network[1].weight.detach().clone()
    films = [torch.full((1, 6, 8), value) for value in (0.2, 0.4, 0.6, 0.8)]
    adapt_batch_statistics(network, films, torch.device("cpu"))
    assert float(network[0].running_mean) == pytest.approx(0.5)
    assert float(network[0].running_var) == pytest.approx(0.05, rel=0.02)  # of all pixels, with Bessel's correction
    assert torch.equal(network[1].weight, weight) and not network.training


def test_group_norms_have_nothing_to_estimate() -> None:
    with pytest.raises(ValueError, match="no batch norms"):
        adapt_batch_statistics(CMNet(base_channels=8), [torch.rand(1, 32, 32)], torch.device("cpu"))


def test_fourier_gives_films_the_brightness_of_the_training() -> None:
    change = fourier_to_training_look(torch.full((1, 32, 48), value) for value in (0.3, 0.5))
    changed = change(0.6 + 0.1 * torch.rand(1, 1, 32, 48))
    assert changed.shape == (1, 1, 32, 48) and float(changed.mean()) == pytest.approx(0.4, abs=1e-4)
