"""The bundle's network, weights and all, as a file that other programs run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from monai.bundle import ConfigParser
from torch import nn

from cmnet_monai.engines import load_weights, read_weights_record, write_weights_record
from cmnet_monai.io import atomic_write
from cmnet_monai.networks.export import export_onnx, export_program

FORMATS = {".ts": "TorchScript", ".onnx": "ONNX", ".pt2": "torch.export"}
"""Endings of exported files, and what they hold."""

_LEFT_OUT = (".debug_pkl", "/.data/serialization_id")
"""Parts of a TorchScript archive that hold paths of the machine, or a hash of those parts. Loading needs neither."""

_EARLIEST = (1980, 1, 1, 0, 0, 0)
_UNIX, _PLAIN_FILE = 3, 0o100644 << 16


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


def export_torchscript(bundle: str | Path, output: str | Path, weights: str | Path | None = None) -> None:
    """Write the network of a bundle as TorchScript, with its metadata and inference config inside.

    MONAI's ``ckpt_export`` does it, in a process of its own: the order of constants follows Python's hash seed, and
    names of classes follow what was scripted before. Names of source files, which say where the package was installed,
    are taken out afterwards; so the same torch gives the same bytes anywhere.

    Args:
        bundle: the bundle's folder. If it holds the package's code, that code is used.
        output: file to write, ``.ts``.
        weights: flat state_dict; ``models/model.pt`` of the bundle by default.

    Raises:
        FileNotFoundError: there are no such weights.
        RuntimeError: the export failed; the message has what it printed last.
    """
    root = Path(bundle).resolve()
    checkpoint = root / "models" / "model.pt" if weights is None else Path(weights).resolve()
    if not checkpoint.is_file():
        raise FileNotFoundError(f"{checkpoint}: no weights there")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "model.ts"
        files = ("--filepath", str(made), "--ckpt_file", str(checkpoint), "--ckpt_path", str(checkpoint))
        _run_monai(root, "--net_id", "network_def", *files)
        write_archive(output, _members(made))


def _run_monai(root: Path, *options: str) -> None:
    configs = ("--config_file", "configs/inference.json", "--meta_file", "configs/metadata.json")
    command = [sys.executable, "-m", "monai.bundle", "ckpt_export", *configs, "--bundle_root", str(root), *options]
    package = Path(__file__).resolve().parents[2]
    code = [str(root)] if (root / "cmnet_monai").is_dir() else [str(package)]
    search = os.pathsep.join([*code, *filter(None, [os.environ.get("PYTHONPATH")])])
    fixed = {"PYTHONHASHSEED": "0", "PYTHONPATH": search, "PYTHONDONTWRITEBYTECODE": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment = {**os.environ, **fixed, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise RuntimeError(f"the export to TorchScript failed:\n{last}")


def _members(made: Path) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(made) as archive:
        names = [name for name in archive.namelist() if not name.endswith(_LEFT_OUT)]
        # Torch takes the name of the top folder from the file's; nothing else depends on it.
        return [(str(PurePosixPath("model", *PurePosixPath(name).parts[1:])), archive.read(name)) for name in names]


def write_archive(path: str | Path, members: Iterable[tuple[str, bytes | Path]]) -> None:
    """Write a zip archive that is the same, byte for byte, whenever and wherever its members are.

    Members stand in the order given, uncompressed (deflate gives other bytes in other builds of zlib), dated
    1980-01-01, with the permissions of a plain file.

    Args:
        path: the archive; it appears whole or not at all.
        members: name within the archive, with ``/`` between folders, and content or the file that holds it.
    """
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members:
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.create_system, entry.external_attr = _UNIX, _PLAIN_FILE
            archive.writestr(entry, content.read_bytes() if isinstance(content, Path) else content)
