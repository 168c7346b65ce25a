"""Exported programs give what the network gives. Tolerances are for logits of order 1."""

from __future__ import annotations

import json
import sys
import types
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from monai.data import MetaTensor
from torch import nn

from cmnet_monai.networks import CMNet, OnnxNetwork, TensorRtNetwork, export_program

SAME_KERNELS = 1e-5  # float32 sums in another order
OTHER_KERNELS = 1e-4  # another library's convolutions and norms
METADATA = {"version": "9.8.7"}


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


@torch.no_grad()
def test_exported_program_takes_other_batches_and_sizes_without_padding(network: CMNet, tmp_path: Path) -> None:
    export_program(network, tmp_path / "model.pt2", METADATA)
    extra = {"metadata.json": ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=extra).module()
    assert json.loads(extra["metadata.json"]) == METADATA
    with zipfile.ZipFile(tmp_path / "model.pt2") as content:  # no stack trace, which would name places of this machine
        assert not [name for name in content.namelist() if b"cmnet.py" in content.read(name)]
    for shape in ((2, 2, 64, 96), (3, 2, 128, 160)):  # multiples of 32 from 64 on
        assert difference(program(film(*shape)), network(film(*shape))) < SAME_KERNELS
    with pytest.raises((RuntimeError, AssertionError)):
        program(film(1, 2, 70, 96))


@pytest.fixture(scope="module")
def shipped(repository: Path) -> CMNet:
    network = CMNet(s1_channel=True, lumbar_channel=True).eval()
    network.load_state_dict(torch.load(repository / "bundle" / "models" / "model.pt", weights_only=True))
    return network


@torch.no_grad()
@pytest.mark.parametrize("shape", [(2, 2, 64, 96), (1, 1, 64, 32), (3, 1, 37, 61)])
def test_onnx_network_gives_what_the_network_gives(shipped: CMNet, shipped_onnx: Path, shape: tuple[int, ...]) -> None:
    found, expected = OnnxNetwork(shipped_onnx)(MetaTensor(film(*shape))), shipped(film(*shape))
    assert type(found) is torch.Tensor
    assert difference(found, expected) < OTHER_KERNELS * expected.abs().max().item()


def test_onnx_file_names_its_ends_and_axes_and_nothing_of_the_machine(shipped_onnx: Path, repository: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(shipped_onnx)
    (taken,), (given,) = model.graph.input, model.graph.output
    axes = [[axis.dim_param or axis.dim_value for axis in one.type.tensor_type.shape.dim] for one in (taken, given)]
    assert [taken.name, given.name] == ["image", "pred"]
    assert axes == [["batch", 2, "width", "height"], ["batch", 4, "width", "height"]]
    metadata = json.loads((repository / "bundle" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert json.loads({entry.key: entry.value for entry in model.metadata_props}["metadata"]) == metadata
    content = shipped_onnx.read_bytes()
    assert b"cmnet.py" not in content and b"site-packages" not in content


def test_onnx_network_without_prompt_channel_refuses_a_prompt(network: CMNet, tmp_path: Path) -> None:
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    assert runtime
    make = onnx.helper.make_tensor_value_info

    def identity(channels: int) -> Path:
        ends = [make(name, onnx.TensorProto.FLOAT, ["b", channels, "w", "h"]) for name in ("image", "pred")]
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["image"], ["pred"])], "g", ends[:1], ends[1:]
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(model, tmp_path / f"{channels}.onnx")
        return tmp_path / f"{channels}.onnx"

    without = OnnxNetwork(identity(1))
    assert torch.equal(without(film(2, 1, 5, 7)), film(2, 1, 5, 7))
    with pytest.raises(ValueError, match="takes no prompt"):
        without(film(2, 2, 5, 7))
    with pytest.raises(ValueError, match="CM-Net takes one tensor of film and prompt"):
        OnnxNetwork(identity(3))


def test_missing_runtime_and_missing_file_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"cmnet-monai\[onnx\]"):
        OnnxNetwork(tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    with pytest.raises(ImportError, match="torch_tensorrt is missing"):
        TensorRtNetwork(tmp_path / "model_trt.ts")
    for name, made in (("onnxruntime", OnnxNetwork), ("torch_tensorrt", TensorRtNetwork)):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        with pytest.raises(FileNotFoundError, match="makes one"):
            made(tmp_path / "model")


class Sum(nn.Module):
    """Stands in for an engine: takes two channels and gives their sum."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :1] + 2.0 * x[:, 1:2]


def test_engine_for_film_and_prompt_is_asked_without_a_prompt_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch_tensorrt", types.ModuleType("torch_tensorrt"))
    torch.jit.script(Sum()).save(tmp_path / "model_trt.ts")
    engine = TensorRtNetwork(tmp_path / "model_trt.ts", "cpu")
    assert torch.equal(engine(film(2, 1, 5, 7)), film(2, 1, 5, 7))
    both = film(2, 2, 5, 7)
    assert torch.equal(engine(both), both[:, :1] + 2.0 * both[:, 1:])
