from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from cmnet_monai.engines import AutocastNetwork, precision, with_precision
from cmnet_monai.engines.precision import bare


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.LeakyReLU(), nn.Conv2d(8, 3, 1))


def test_fp32_is_the_network_itself() -> None:
    plain = network()
    assert with_precision(plain) is plain


def test_bf16_computes_coarsely_and_returns_floats() -> None:
    films = torch.rand(2, 2, 9, 14, generator=torch.Generator().manual_seed(3))
    expected, found = network()(films), with_precision(network(), "bf16")(films)
    assert found.dtype == torch.float32 and found.shape == (2, 3, 9, 14)
    assert not torch.equal(found, expected)
    # bfloat16 has 8 significant bits; sums of 18 and 8 products of size 1 err by a few of them.
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)


def test_bf16_trains_float32_weights() -> None:
    wrapped = with_precision(network(), "bf16")
    wrapped(torch.ones(1, 2, 8, 8)).square().mean().backward()
    for parameter in wrapped.parameters():
        assert parameter.dtype == parameter.grad.dtype == torch.float32
        assert parameter.grad.abs().sum() > 0


def test_group_norm_trains_as_without_a_change_of_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    def gradients() -> list[torch.Tensor]:
        torch.manual_seed(0)
        parts = [nn.Conv2d(2, 16, 3, padding=1), nn.GroupNorm(8, 16), nn.LeakyReLU(inplace=True), nn.Conv2d(16, 3, 1)]
        wrapped = with_precision(nn.Sequential(*parts), "bf16")
        copied = copy.deepcopy(wrapped).train()  # as moving averages do
        films = torch.rand(2, 2, 9, 14, generator=torch.Generator().manual_seed(3))
        copied(films).square().mean().backward()
        return [parameter.grad for parameter in copied.parameters()]

    layouts = []
    real = torch.nn.functional.group_norm
    monkeypatch.setattr(
        torch.nn.functional, "group_norm", lambda x, *rest: layouts.append(x.is_contiguous()) or real(x, *rest)
    )
    found = gradients()
    monkeypatch.setattr(precision, "_channels_apart", lambda norm, inputs: inputs)
    expected = gradients()
    assert layouts == [True, False]
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other, atol=1e-3 * float(other.abs().max()), rtol=0.02)


def test_wrappers_come_off() -> None:
    plain = network()
    assert bare(AutocastNetwork(AutocastNetwork(plain))) is plain
    assert bare(plain) is plain
    assert bare(nn.DataParallel(AutocastNetwork(plain))) is plain


def test_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="'fp16'"):
        with_precision(network(), "fp16")
