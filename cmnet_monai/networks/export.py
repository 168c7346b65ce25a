"""CM-Net as an ONNX file and as a program of torch.export, without a trace of the machine that made them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cmnet_monai.networks.programs import IMAGE_NAME, LOGITS_NAME

EXAMPLE_SHAPE = (2, 2, 288, 384)
"""Shape (B, C, W, H) that programs are recorded with: film and prompt; batch and sizes stay free."""


def export_onnx(network: nn.Module, path: str | Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a network as ONNX: input ``image`` (B, 2, W, H), film and prompt; output ``pred`` (B, C, W, H), logits.

    Batch and both sizes are free. A film without a prompt gets a channel of zeros (`OnnxNetwork` adds it).

    Args:
        network: takes (B, 2, W, H); put into evaluation mode.
        path: file to write.
        metadata: stored in the file as JSON under ``metadata``.

    Raises:
        ImportError: the packages onnx and onnxscript are missing.
    """
    for package in ("onnx", "onnxscript"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ImportError(f'the package {package} is missing: pip install "cmnet-monai[onnx]"') from error
    made = torch.onnx.export(
        network.eval(),
        (_example(network),),
        dynamo=True,
        dynamic_shapes={"x": {0: "batch", 2: "width", 3: "height"}},
        input_names=[IMAGE_NAME],
        output_names=[LOGITS_NAME],
        verbose=False,
    )
    if made is None:
        raise RuntimeError("torch.onnx.export gave no program")
    for node in made.model.graph.all_nodes():
        node.metadata_props.clear()  # stack traces, with paths of this machine
    taken: Any = made.model.graph.inputs[0]
    given: Any = made.model.graph.outputs[0]  # its sizes are those of the input, which the exporter says at length
    given.shape = type(given.shape)([taken.shape[0], given.shape[1], taken.shape[2], taken.shape[3]])
    if metadata is not None:
        made.model.metadata_props["metadata"] = json.dumps(metadata)
    made.save(str(path))


def export_program(network: nn.Module, path: str | Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a network as a program of torch.export (``.pt2``): (B, 2, W, H) to logits (B, C, W, H).

    Any batch; both sizes are multiples of 32, from 64 on (a guard raises otherwise). `torch.export.load` reads it.

    Args:
        network: takes (B, 2, W, H); put into evaluation mode.
        path: file to write.
        metadata: stored in the file as ``metadata.json``.
    """
    free = torch.export.Dim.DYNAMIC
    shapes = {"x": {0: free, 2: free, 3: free}}
    program = torch.export.export(network.eval(), (_example(network),), dynamic_shapes=shapes)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    extra = {} if metadata is None else {"metadata.json": json.dumps(metadata)}
    torch.export.save(program, str(path), extra_files=extra)


def _example(network: nn.Module) -> torch.Tensor:
    device = next(network.parameters()).device
    return torch.rand(EXAMPLE_SHAPE, generator=torch.Generator().manual_seed(0)).to(device)
