"""TorchScript of the bundle's network that is the same on every machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from cmnet_monai.deploy.archive import write_archive

_LEFT_OUT = (".debug_pkl", "/.data/serialization_id")
"""Parts of a TorchScript archive that hold paths of the machine, or a hash of those parts. Loading needs neither."""


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
        _run_monai(
            root,
            "--net_id",
            "network_def",
            "--filepath",
            str(made),
            "--ckpt_file",
            str(checkpoint),
            "--ckpt_path",
            str(checkpoint),
        )
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
