"""What runs the network: PyTorch, or an exported program of it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import torch
from torch import nn

from cmnet_monai.engines.state_dicts import load_weights
from cmnet_monai.networks import OnnxNetwork, TensorRtNetwork, prepare_for_inference

TORCH, TORCHSCRIPT, ONNX, TENSORRT = "torch", "torchscript", "onnx", "tensorrt"
ENGINES: Mapping[str, str] = MappingProxyType(
    {TORCH: "model.pt", TORCHSCRIPT: "model.ts", ONNX: "model.onnx", TENSORRT: "model_trt.ts"}
)
"""Each engine, and the file in the bundle's ``models`` that it runs unless told otherwise."""


def default_weights(bundle_root: str | Path, engine: str) -> str:
    """The file that an engine runs by default.

    An archive's config that names no other folder than the working directory, which is no bundle, finds the archive's:
    MONAI's ``load`` tells a config nothing of its place.

    Raises:
        ValueError: there is no such engine.
    """
    if engine not in ENGINES:
        raise ValueError(f"the engine is {' or '.join(ENGINES)}; got {engine!r}")
    root, archive = Path(bundle_root), Path(str(files("cmnet_monai"))).parent
    if root == Path() and not (root / "configs").is_dir() and (archive / "configs" / "metadata.json").is_file():
        root = archive
    return str(root / "models" / ENGINES[engine])


def network_file(engine: str, path: str | Path) -> str:
    """The path, which for an exported network must be there.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there is no such engine.
    """
    if engine not in ENGINES:
        raise ValueError(f"the engine is {' or '.join(ENGINES)}; got {engine!r}")
    if engine != TORCH and not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no exported network there; make it with: cmnet-monai export {path}")
    return str(path)


def inference_network(engine: str, network_def: nn.Module, path: str | Path, device: str | torch.device) -> nn.Module:
    """The network ready for inference on a device.

    Args:
        engine: one of `ENGINES`.
        network_def: the network in Python, which PyTorch runs.
        path: its weights, or the exported program.
        device: where it runs.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there is no such engine, or the weights belong to another network.
    """
    if engine == TORCH:
        load_weights(network_def, path)
        return prepare_for_inference(network_def.to(device))
    network_file(engine, path)
    if engine == TORCHSCRIPT:
        return prepare_for_inference(torch.jit.load(str(path), map_location=device))
    return OnnxNetwork(path, device) if engine == ONNX else TensorRtNetwork(path, device)
