"""The bundle's network, weights and all, as a file that other programs run."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from torch import nn

from cmnet_monai.deploy.torchscript import export_torchscript
from cmnet_monai.engines import load_weights, read_weights_record, write_weights_record
from cmnet_monai.io import atomic_write
from cmnet_monai.networks.export import export_onnx, export_program

FORMATS = {".ts": "TorchScript", ".onnx": "ONNX", ".pt2": "torch.export"}
"""Endings of exported files, and what they hold."""


def export_network(bundle: str | Path, output: str | Path, weights: str | Path | None = None) -> str:
    """Export the network of a bundle's ``configs/inference.json``, with the record of its weights beside it.

    Args:
        bundle: the bundle's folder.
        output: file to write; its ending chooses the format: ``.ts``, ``.onnx`` or ``.pt2``.
        weights: flat state_dict; ``models/model.pt`` of the bundle by default.

    Returns:
        The format's name.

    Raises:
        FileNotFoundError: there are no such weights.
        ImportError: the format needs a package that is missing.
        ValueError: the ending is no format's, or the weights have no record.
    """
    target = Path(output)
    if target.suffix not in FORMATS:
        raise ValueError(f"{output}: the ending chooses the format: {', '.join(FORMATS)}")
    checkpoint = Path(weights or Path(bundle) / "models" / "model.pt")
    record = read_weights_record(checkpoint)
    if target.suffix == ".ts":
        export_torchscript(bundle, target, checkpoint)
        write_weights_record(target, record)
        return FORMATS[target.suffix]
    network, metadata = _network(Path(bundle), checkpoint)
    export = export_onnx if target.suffix == ".onnx" else export_program
    with tempfile.TemporaryDirectory() as folder, atomic_write(target) as temporary:
        made = Path(folder) / f"model{target.suffix}"  # a .pt2 file keeps the name that it was written under
        export(network, made, metadata)
        shutil.copyfile(made, temporary)
    write_weights_record(target, record)
    return FORMATS[target.suffix]


def _network(bundle: Path, weights: Path) -> tuple[nn.Module, Mapping[str, Any]]:
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser.update({"bundle_root": str(bundle), "ckpt_path": str(weights)})
    network = parser.get_parsed_content("network_def")
    load_weights(network, weights)
    return network, json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
