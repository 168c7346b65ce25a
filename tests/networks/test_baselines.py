from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from cmnet_monai.losses import DualHeadDiceLoss
from cmnet_monai.networks import CMNet, ModifiedUNet, SingleHead, finest_head_only, make_baseline
from cmnet_monai.networks.baselines import BASELINES


class Doubler(nn.Module):
    """Two logit channels: twice the film, and its negative; notes the sizes it was asked with."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(x.shape))
        return torch.cat((2 * x, -x), dim=1)


def test_single_head_hands_the_film_on_and_never_says_centre() -> None:
    inner = Doubler()
    films = torch.rand(3, 2, 37, 61)
    logits = SingleHead(inner)(films)
    assert inner.seen == [(3, 1, 64, 64)]  # padded to multiples of 32, without the prompt
    torch.testing.assert_close(logits[:, 1:], torch.cat((2 * films[:, :1], -films[:, :1]), dim=1))
    assert float(torch.sigmoid(logits[:, 0]).max()) < 1e-8


def test_single_head_ignores_the_prompt() -> None:
    network = make_baseline("modified_unet", base_channels=8).eval()
    film = torch.rand(1, 1, 64, 32)
    torch.testing.assert_close(network(film), network(torch.cat((film, torch.rand_like(film)), dim=1)))


def test_initial_probability_is_the_one_where_the_network_gives_nothing() -> None:
    logits = SingleHead(Doubler(), initial_probability=0.05)(torch.zeros(1, 1, 32, 32))
    torch.testing.assert_close(torch.sigmoid(logits[:, 1:]), torch.full((1, 2, 32, 32), 0.05))


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_every_baseline_has_finite_logits_of_the_films_size_and_learns(name: str) -> None:
    torch.manual_seed(0)
    network = make_baseline(name, out_channels=1, base_channels=8)
    films = torch.rand(2, 1, 70, 96)
    target = torch.zeros(2, 2, 70, 96)
    target[:, 1, 20:40, 30:60] = 1.0
    logits = network(films)
    assert logits.shape == target.shape and torch.isfinite(logits).all()
    DualHeadDiceLoss(w_centre=0.0, bce_weight=0.5)(logits, target).backward()
    learning = [p for p in network.parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert sum(p.numel() for p in learning) > 0.9 * sum(p.numel() for p in network.parameters())


def test_segmentation_gradient_is_that_of_a_dual_head_network() -> None:
    """The loss of a single head differs from CM-Net's by a constant alone, whatever the target of the centres is."""
    loss = DualHeadDiceLoss(w_centre=0.0, bce_weight=0.5)
    segmentation = torch.randn(1, 1, 32, 32, requires_grad=True)
    target = (torch.rand(1, 2, 32, 32) > 0.5).float()
    grads = []
    for centre in (torch.full((1, 1, 32, 32), -20.0), torch.randn(1, 1, 32, 32)):
        (grad,) = torch.autograd.grad(loss(torch.cat((centre, segmentation), dim=1), target), segmentation)
        grads.append(grad)
    torch.testing.assert_close(grads[0], grads[1])


def test_unknown_baseline_and_probability_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a network is cmnet, cmnet_finest_head, dynunet, .*got 'vnet'"):
        make_baseline("vnet")
    with pytest.raises(ValueError, match="between 0 and 1, got 1"):
        SingleHead(ModifiedUNet(base_channels=8), initial_probability=1.0)


def test_finest_head_only_reads_the_finest_level() -> None:
    torch.manual_seed(1)
    network = finest_head_only(CMNet(base_channels=8, initial_probability=0.2)).eval()
    film = torch.rand(1, 1, 64, 32)
    fine, _, _ = network.trunk(torch.cat((film, torch.zeros_like(film)), dim=1))
    expected = torch.cat((network.centre_head.fine(fine), network.segmentation_head.fine(fine)), dim=1)
    torch.testing.assert_close(network(film), expected)
    assert torch.allclose(network.centre_head.fine.bias, torch.tensor(math.log(0.25)))
    frozen = sum(p.numel() for p in network.parameters() if not p.requires_grad)
    assert frozen == 2 * (16 + 32 + 2)
    assert network.state_dict().keys() == CMNet(base_channels=8).state_dict().keys()
