"""Exported networks that stand in for CM-Net in the inference workflow: ONNX Runtime and TensorRT."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cmnet_monai.networks.trunk import check_input

IMAGE_NAME, LOGITS_NAME = "image", "pred"
"""Names of an ONNX network's input and output: those of the bundle's metadata."""


def with_prompt(x: Tensor) -> Tensor:
    """Films (B, 1, W, H) with an empty prompt behind them, (B, 2, W, H); what has a prompt already is left alone."""
    check_input(x, 1, 2)
    return x if x.shape[1] == 2 else torch.cat((x, torch.zeros_like(x)), dim=1)


class TensorRtNetwork(nn.Module):
    """CM-Net as a TensorRT engine in TorchScript; takes and gives what `CMNet` does. Not tested on a GPU.

    Args:
        path: what MONAI's ``trt_export`` wrote for an input of two channels, film and prompt.
        device: the CUDA device that the engine was made on.

    Raises:
        ImportError: torch_tensorrt is not installed.
        FileNotFoundError: there is no such file.
    """

    def __init__(self, path: str | Path, device: str | torch.device = "cuda:0") -> None:
        super().__init__()
        try:
            importlib.import_module("torch_tensorrt")  # registers what the file's operators need
        except ImportError as error:
            raise ImportError("torch_tensorrt is missing, without which no TensorRT engine runs") from error
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no TensorRT engine there; `python -m monai.bundle trt_export` makes one")
        self.program = torch.jit.load(str(path), map_location=device)

    def forward(self, x: Tensor) -> Tensor:
        """Map films (B, 1, W, H), or films and prompts (B, 2, W, H), to logits (B, C, W, H)."""
        return self.program(with_prompt(x))


class OnnxNetwork(nn.Module):
    """CM-Net in ONNX Runtime; takes and gives what `CMNet` does, on the input's device.

    Args:
        path: ONNX file with an input (B, 2, W, H), film and prompt, and logits (B, C, W, H) as first output, as
            `export_onnx` writes it. A file whose input has one channel takes films without a prompt only.
        device: with a CUDA device the runtime's CUDA provider is used where there is one; everything else runs on the
            CPU, on as many threads as torch uses.

    Raises:
        ImportError: ONNX Runtime is not installed.
        FileNotFoundError: there is no such file.
        ValueError: the file has another number of inputs or channels; in forward, a prompt where the file takes none.
    """

    def __init__(self, path: str | Path, device: str | torch.device = "cpu") -> None:
        super().__init__()
        try:
            runtime = importlib.import_module("onnxruntime")
        except ImportError as error:
            raise ImportError('ONNX Runtime is missing: pip install "cmnet-monai[onnx]", or onnxruntime') from error
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no ONNX network there; `cmnet-monai export` makes one")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        wanted = ["CUDAExecutionProvider"] if torch.device(device).type == "cuda" else []
        providers = [name for name in wanted if name in runtime.get_available_providers()]
        self.session = runtime.InferenceSession(str(path), options, providers=[*providers, "CPUExecutionProvider"])
        inputs = self.session.get_inputs()
        self.channels = inputs[0].shape[1] if len(inputs) == 1 and len(inputs[0].shape) == 4 else None
        if self.channels not in (1, 2):
            shapes = [(one.name, one.shape) for one in inputs]
            raise ValueError(f"{path}: takes {shapes}; CM-Net takes one tensor of film and prompt, (B, 2, W, H)")
        self.input_name, self.output_name = inputs[0].name, self.session.get_outputs()[0].name

    def forward(self, x: Tensor) -> Tensor:
        """Map films (B, 1, W, H), or films and prompts (B, 2, W, H), to logits (B, C, W, H)."""
        check_input(x, 1, 2)
        if self.channels == 2:
            x = with_prompt(x)
        elif x.shape[1] == 2:
            raise ValueError("this ONNX network takes no prompt: it was exported with one channel, so use one pass")
        plain = x.as_tensor() if hasattr(x, "as_tensor") else x  # a MetaTensor's own numbers
        film = np.ascontiguousarray(plain.detach().float().cpu().numpy())
        (logits,) = self.session.run([self.output_name], {self.input_name: film})
        return torch.from_numpy(logits).to(x.device)
