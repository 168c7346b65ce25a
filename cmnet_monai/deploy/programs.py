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
from cmnet_monai.engines import load_weights
from cmnet_monai.io import atomic_write
from cmnet_monai.networks.export import export_onnx, export_program

FORMATS = {".ts": "TorchScript", ".onnx": "ONNX", ".pt2": "torch.export"}
"""Endings of exported files, and what they hold."""


def export_network(bundle: str | Path, output: str | Path, weights: str | Path | None = None) -> str:
    """Export the network of a bundle's ``configs/inference.json``; the file's ending chooses the format.

    Args:
        bundle: the bundle's folder.
        output: file to write: ``.ts``, ``.onnx`` or ``.pt2``; it appears whole or not at all.
        weights: flat state_dict; ``models/model.pt`` of the bundle by default.

    Returns:
        The format's name.

    Raises:
        FileNotFoundError: there are no such weights.
        ImportError: the format needs a package that is missing.
        ValueError: the ending is no format's.
    """
    target = Path(output)
    if target.suffix not in FORMATS:
        raise ValueError(f"{output}: the ending chooses the format: {', '.join(FORMATS)}")
    if target.suffix == ".ts":
        export_torchscript(bundle, target, weights)
        return FORMATS[target.suffix]
    network, metadata = _network(Path(bundle), weights)
    export = export_onnx if target.suffix == ".onnx" else export_program
    with tempfile.TemporaryDirectory() as folder, atomic_write(target) as temporary:
        made = Path(folder) / f"model{target.suffix}"  # a .pt2 file keeps the name that it was written under
        export(network, made, metadata)
        shutil.copyfile(made, temporary)
    return FORMATS[target.suffix]


def _network(bundle: Path, weights: str | Path | None) -> tuple[nn.Module, Mapping[str, Any]]:
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser["bundle_root"] = str(bundle)
    network = parser.get_parsed_content("network_def")
    load_weights(network, str(weights or bundle / "models" / "model.pt"))
    return network, json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
