"""Exported programs give what the network gives. Tolerances are absolute, on logits of order 1."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from cmnet_monai.networks import CMNet

SAME_KERNELS = 1e-5  # float32 sums in another order
OTHER_KERNELS = 1e-4  # another library's convolutions and norms


@pytest.fixture(scope="module")
def network() -> CMNet:
    """A small network whose logits differ from pixel to pixel by about 1."""
    torch.manual_seed(0)
    network = CMNet(base_channels=8, s1_channel=True).eval()
    with torch.no_grad():
        for head in (network.centre_head, network.segmentation_head):
            for conv in (head.fine, head.middle, head.coarse):
                conv.weight.mul_(30)
        assert 0.3 < network(torch.rand(1, 1, 64, 96)).std() < 3
    return network


def film(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(7))


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


@torch.no_grad()
def test_scripted_network_takes_any_size_with_and_without_prompt(network: CMNet, tmp_path: Path) -> None:
    torch.jit.script(network).save(tmp_path / "model.ts")
    scripted = torch.jit.load(tmp_path / "model.ts")
    for shape in ((1, 1, 64, 96), (2, 1, 37, 61), (3, 2, 40, 33)):
        assert difference(scripted(film(*shape)), network(film(*shape))) < SAME_KERNELS
    with pytest.raises(torch.jit.Error, match=r"got 3 in shape \[1, 3, 32, 32\]"):
        scripted(film(1, 3, 32, 32))


@torch.no_grad()
def test_traced_network_takes_other_sizes_than_the_example(network: CMNet) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # torch's group norm checks its input in Python
        traced = torch.jit.trace(network, film(1, 1, 64, 32))
    for shape in ((1, 1, 64, 96), (2, 1, 37, 61)):
        assert difference(traced(film(*shape)), network(film(*shape))) < SAME_KERNELS


def dynamic_shapes() -> dict[str, dict[int, object]]:
    return {"x": {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}}


@torch.no_grad()
def test_exported_program_takes_other_batches_and_sizes_without_padding(network: CMNet) -> None:
    program = torch.export.export(network, (film(2, 1, 64, 96),), dynamic_shapes=dynamic_shapes())
    for shape in ((2, 1, 64, 96), (3, 1, 128, 160)):  # multiples of 32 from 64 on, like the example
        assert difference(program.module()(film(*shape)), network(film(*shape))) < SAME_KERNELS


@torch.no_grad()
@pytest.mark.parametrize("channels", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_onnx_program_takes_other_batches_and_sizes(network: CMNet, tmp_path: Path, channels: int) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = tmp_path / "model.onnx"
    example = (film(2, channels, 64, 96),)
    torch.onnx.export(
        network, example, path, dynamo=True, dynamic_shapes=dynamic_shapes(), output_names=["logits"], verbose=False
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for shape in ((2, channels, 64, 96), (1, channels, 64, 32), (3, channels, 37, 61)):
        (logits,) = session.run(["logits"], {session.get_inputs()[0].name: film(*shape).numpy()})
        assert difference(torch.from_numpy(logits), network(film(*shape))) < OTHER_KERNELS
