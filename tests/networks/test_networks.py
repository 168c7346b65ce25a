from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from monai.data import MetaTensor
from torch import nn

from cmnet_monai.networks import CMNet, ModifiedUNet

SIZES = [(1, 1), (37, 61), (32, 64), (33, 31), (96, 40)]


def small(**arguments: object) -> CMNet:
    torch.manual_seed(0)
    return CMNet(base_channels=8, **arguments).eval()


@pytest.fixture
def films() -> torch.Tensor:
    return torch.rand(2, 1, 48, 80, generator=torch.Generator().manual_seed(5))


def parameters_by_hand(in_channels: int, heads: int, base: int) -> int:
    """Count from the layers' definition: 3x3 and 1x1 weights, two numbers a channel and norm, heads with a bias."""
    c = [base * 2**i for i in range(6)]
    down = 9 * in_channels * c[0] + sum(9 * a * b for a, b in itertools.pairwise(c))
    context = sum(2 * 9 * a * a for a in c)
    up = sum(9 * a * b for a, b in itertools.pairwise(c))
    localisation = sum(9 * (2 * a) ** 2 + 2 * a * a for a in c[:-1])
    norms = 2 * (sum(c) + 2 * sum(c) + sum(c[:-1]) + 3 * sum(c[:-1]))
    return down + context + up + localisation + norms + heads * (sum(c[:3]) + 3)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (CMNet(), parameters_by_hand(2, 2, 16)),
        (CMNet(s1_channel=True), parameters_by_hand(2, 3, 16)),
        (CMNet(s1_channel=True, lumbar_channel=True), parameters_by_hand(2, 4, 16)),
        (ModifiedUNet(), parameters_by_hand(1, 1, 16)),
        (ModifiedUNet(in_channels=3, out_channels=4, base_channels=8), parameters_by_hand(3, 4, 8)),
    ],
)
def test_parameter_count_follows_from_the_layers(network: nn.Module, expected: int) -> None:
    assert sum(p.numel() for p in network.parameters()) == expected


def test_default_network_has_the_documented_size() -> None:
    assert sum(p.numel() for p in CMNet(s1_channel=True).parameters()) == 12_760_473


@pytest.mark.parametrize("network", [small(s1_channel=True), ModifiedUNet(base_channels=8)], ids=["cmnet", "unet"])
def test_gradient_reaches_every_parameter(network: nn.Module) -> None:
    network.train()
    network(torch.rand(2, 1, 64, 32)).square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("s1", "lumbar"), [(False, False), (True, False), (True, True)])
def test_any_size_comes_back_finite_with_its_channels(size: tuple[int, int], s1: bool, lumbar: bool) -> None:
    logits = small(s1_channel=s1, lumbar_channel=lumbar)(torch.rand(2, 1, *size))
    assert logits.shape == (2, 2 + s1 + lumbar, *size)
    assert torch.isfinite(logits).all()


def test_odd_size_equals_the_film_padded_by_hand_on_the_right_and_bottom() -> None:
    film = torch.rand(1, 1, 37, 61)
    padded = torch.zeros(1, 1, 64, 64)
    padded[..., :37, :61] = film
    network = small()
    with torch.no_grad():
        assert network(film).equal(network(padded)[..., :37, :61])


def test_missing_prompt_equals_a_prompt_of_zeros_and_a_prompt_matters(films: torch.Tensor) -> None:
    network = small()
    prompt = torch.zeros_like(films)
    with torch.no_grad():
        assert network(films).equal(network(torch.cat((films, prompt), 1)))
        prompt[0, 0, 20, 30] = 1.0
        guided = network(torch.cat((films, prompt), 1))
    assert not guided[0].allclose(network(films)[0], atol=1e-6)
    assert guided[1].allclose(network(films)[1], atol=1e-6)  # films of a batch do not mix


def test_channels_are_the_centre_head_before_the_segmentation_head(films: torch.Tensor) -> None:
    network = small(s1_channel=True)
    nn.init.zeros_(network.centre_head.fine.bias)
    nn.init.constant_(network.segmentation_head.fine.bias, 50.0)
    centre, vertebra, s1 = network(films).detach().unbind(1)
    assert centre.abs().max() < 25 and vertebra.min() > 25 and s1.min() > 25


def test_axes_are_not_swapped(films: torch.Tensor) -> None:
    """A network with transposed kernels maps the transposed film to the transposed logits; the original does not."""
    network = small()
    with torch.no_grad():
        expected = network(films)
        unlike = network(films.mT)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_(module.weight.mT.clone())
        assert network(films.mT).mT.allclose(expected, atol=1e-4)
    assert not unlike.mT.allclose(expected, atol=1e-3)


def test_initial_probability_sets_what_the_untrained_heads_say(films: torch.Tensor) -> None:
    for probability in (0.5, 0.03):
        mean = torch.sigmoid(small(initial_probability=probability)(films)).mean((0, 2, 3))
        assert mean.tolist() == pytest.approx([probability] * 2, rel=0.2)


def test_evaluation_is_deterministic_and_training_drops_maps(films: torch.Tensor) -> None:
    network = small()
    assert network(films).equal(network(films))
    network.train()
    assert not network(films).equal(network(films))
    silent = small(dropout=0.0).train()
    assert silent(films).equal(silent(films))


def test_metatensor_keeps_its_metadata(films: torch.Tensor) -> None:
    film = MetaTensor(films, meta={"filename_or_obj": "a.dcm"})
    logits = small()(film)
    assert isinstance(logits, MetaTensor) and logits.meta["filename_or_obj"] == "a.dcm"


def test_half_precision_weights_fit_and_load_safely(tmp_path: Path, films: torch.Tensor) -> None:
    torch.manual_seed(1)
    network = CMNet(s1_channel=True).eval()
    path = tmp_path / "model.pt"
    torch.save({name: value.half() for name, value in network.state_dict().items()}, path)
    assert path.stat().st_size < 30e6
    loaded = CMNet(s1_channel=True).eval()
    loaded.load_state_dict(torch.load(path, weights_only=True))
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    with torch.no_grad():
        difference = (loaded(films) - network(films)).abs().max()
        # fp16 keeps 11 bits, a relative error of 5e-4 a weight; errors of many weights average out.
        assert 0 < difference < 5e-3 * network(films).std().clamp(min=0.1)


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 0, 32, 32), (1, 32, 32), (1, 1, 8, 32, 32)])
def test_wrong_input_is_refused_with_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError) as error:
        small()(torch.zeros(shape))
    assert str(list(shape)) in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base_channels": 12}, "multiple of 8.*12"),
        ({"base_channels": 0}, "multiple of 8.*0"),
        ({"dropout": 1.0}, "dropout.*1.0"),
        ({"initial_probability": 0.0}, "initial_probability.*0.0"),
        ({"lumbar_channel": True}, "lumbar_channel needs s1_channel"),
        ({"s1_channel": True, "level_channel": True}, "level_channel needs lumbar_channel"),
    ],
)
def test_senseless_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CMNet(**arguments)
