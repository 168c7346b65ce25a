"""The bundle, its weights in both formats and the package's code as one file that needs no installed package."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

from cmnet_monai.deploy.programs import export_torchscript, write_archive
from cmnet_monai.engines import pack_checkpoint, read_weights_record, write_weights_record
from cmnet_monai.io.files.calibration import CALIBRATION_NAME
from cmnet_monai.io.files.json import write_json
from cmnet_monai.io.files.results import file_sha256

BUNDLE_NAME = "lumbar_radiograph_segmentation"
"""The folder within the archive, which is the bundle's name for MONAI."""

SUMS_NAME = "SHA256SUMS"
_PACKAGE = "cmnet_monai"
_PARTS = ("LICENSE", "configs/*.json", "configs/*.conf", "docs/*.md", "docs/*.txt", "docs/*.jpg")
_CODE = ("*.py", "py.typed", "*.json", "*.html", "*.j2")
"""Of the package: modules, and the data, the page and the report that they read."""
_WEIGHTS = ("model.pt", "model.ts")
_MADE_WITH = ("monai", "torch")


def package_bundle(
    output: str | Path, bundle: str | Path, weights: str | Path | None = None, say: Callable[[str], None] = print
) -> str:
    """Write a bundle as one archive that `python -m monai.bundle download --url file://...` takes.

    The archive holds the folder `BUNDLE_NAME`: licence, configs, model card, ``models/model.pt`` and
    ``models/model.ts`` with their record and calibration, the package's code, and ``SHA256SUMS`` of all of it.
    ``configs/metadata.json`` names the hashes of the weights and what made them. The same bundle, code, torch and MONAI
    give the same bytes.

    Args:
        output: the archive, ``.zip``.
        bundle: the bundle's folder.
        weights: a checkpoint or a flat state_dict with its record, stored in half precision in place of the bundle's
            own.
        say: called with a line before each step.

    Returns:
        SHA-256 of the archive.

    Raises:
        FileNotFoundError: the bundle has no weights or no metadata.
        ValueError: the archive's name does not end in ``.zip``, by which MONAI knows what it is; or the weights are not
            those whose SHA-256 is recorded beside them.
        RuntimeError: the export to TorchScript failed.
    """
    if Path(output).suffix != ".zip":
        raise ValueError(f"{output}: the archive is a .zip, and MONAI goes by the name")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / BUNDLE_NAME
        say("Collecting configs, weights and code ...")
        _collect(root, Path(bundle), weights)
        say("Exporting the network to TorchScript ...")
        script = root / "models" / "model.ts"
        export_torchscript(root, script)
        write_weights_record(script, read_weights_record(root / "models" / "model.pt"))
        _complete_metadata(root)
        _calibrate_torchscript(root / "models")
        names = sorted(file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())
        sums = "".join(f"{file_sha256(root / name)}  {name}\n" for name in names)
        members: list[tuple[str, bytes | Path]] = [(f"{BUNDLE_NAME}/{name}", root / name) for name in names]
        write_archive(output, [*members, (f"{BUNDLE_NAME}/{SUMS_NAME}", sums.encode())])
    return hashlib.sha256(Path(output).read_bytes()).hexdigest()


def _collect(root: Path, bundle: Path, weights: str | Path | None) -> None:
    """Copy what belongs to the bundle, and the package's code, and nothing else that lies about there."""
    own = bundle / "models" / "model.pt"
    if weights is None and not own.is_file():
        raise FileNotFoundError(f"{own}: no weights there")
    found = sorted(file for part in _PARTS for file in bundle.glob(part))
    for file in found:
        _copy(file, root / file.relative_to(bundle))
    package = Path(str(files(_PACKAGE)))
    for file in (file for part in _CODE for file in sorted(package.rglob(part))):
        if file.relative_to(package).parts[0] != "bundle":
            _copy(file, root / _PACKAGE / file.relative_to(package))
    (root / "models").mkdir(parents=True)
    packed = root / "models" / "model.pt"
    if weights is None:
        _copy(own, packed)
        write_weights_record(packed, read_weights_record(own))
        calibration = own.with_name(CALIBRATION_NAME)
        if calibration.is_file():
            _copy(calibration, packed.with_name(CALIBRATION_NAME))
    else:
        pack_checkpoint(weights, packed)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _complete_metadata(root: Path) -> None:
    path = root / "configs" / "metadata.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    content["weights_sha256"] = {f"models/{name}": file_sha256(root / "models" / name) for name in _WEIGHTS}
    content["torchscript_made_with"] = {package: metadata.version(package) for package in _MADE_WITH}
    write_json(path, content, indent=4)


def _calibrate_torchscript(models: Path) -> None:
    """TorchScript gives what the network gives, so the network's calibration counts for it too."""
    path = models / CALIBRATION_NAME
    if path.is_file():
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content["weights_sha256"] == file_sha256(models / "model.pt"):
            content["weights_sha256"] = [file_sha256(models / name) for name in _WEIGHTS]
        write_json(path, content, indent=4)
