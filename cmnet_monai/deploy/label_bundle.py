"""The bundle as MONAI Label's monaibundle app wants it: label maps by level instead of files and a mask."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.engines import read_weights_record
from cmnet_monai.io.files.json import write_json

TRAINING: Mapping[str, Any] = {
    "resume": False,  # every request starts from the weights that the server uses
    "open_top": True,
    "batch_size": 2,
    "learning_rate": 1e-4,
    "num_workers": 0,
    "cache_rate": 1.0,
}
"""Settings of ``train.json`` for fine-tuning on a few corrected films."""


def write_label_bundle(bundle: str | Path, output: str | Path) -> Path:
    """Write a copy of the bundle that the monaibundle app of MONAI Label serves and trains.

    What differs: inference saves nothing itself and returns the label map in VerSe codes as ``pred``; the metadata name
    these codes; training takes grid and protocol of the shipped weights and puts what it learnt in their place.

    Args:
        bundle: the bundle's folder.
        output: a new folder, such as ``apps/monaibundle/model/cmnet``.
    Returns:
        The new folder.
    Raises:
        FileExistsError: ``output`` exists.
        ValueError: the bundle has no step that writes label maps.
    """
    bundle, output = Path(bundle), Path(output)
    if output.exists():
        raise FileExistsError(f"{output} exists already; give a new folder")
    for folder in ("configs", "models", "docs"):
        shutil.copytree(bundle / folder, output / folder)
    shutil.copy(bundle / "LICENSE", output / "LICENSE")
    _edit(output / "configs" / "inference.json", _return_label_map)
    settings = read_weights_record(output / "models" / "model.pt").settings
    _edit(output / "configs" / "train.json", lambda config: _fine_tune(config, settings))
    _edit(output / "configs" / "metadata.json", _name_labels)
    return output


def _return_label_map(config: dict[str, Any]) -> None:
    steps = config["postprocessing"]["transforms"]
    names = [step["_target_"].rsplit(".", 1)[-1] for step in steps]
    if "LabelMapd" not in names:
        raise ValueError("the bundle's inference makes no label map")
    at = names.index("LabelMapd")
    steps[at]["mask_key"] = "mask"
    config["postprocessing"]["transforms"] = [
        *steps[: at + 1],
        {"_target_": "DeleteItemsd", "keys": "pred"},
        {"_target_": "CopyItemsd", "keys": steps[at]["keys"], "names": "pred"},
        {"_target_": "cmnet_monai.transforms.AsVolumed", "keys": "pred", "refer_key": "image"},
    ]


def _fine_tune(config: dict[str, Any], settings: Mapping[str, Any]) -> None:
    config.update({**TRAINING, **settings})
    config["output_dir"] = "$@bundle_root + '/runs/label'"
    config["run"] = [
        "$@train#trainer.run()",
        "$engines.pack_checkpoint(@output_dir + '/last.pt', @bundle_root + '/models/model.pt')",
    ]


def _name_labels(metadata: dict[str, Any]) -> None:
    codes = sorted(LABEL_OF_LEVEL.items(), key=lambda item: item[1])
    metadata["network_data_format"]["outputs"]["pred"]["channel_def"] = {
        "0": "background",
        **{str(label): level for level, label in codes},
    }


def _edit(path: Path, change: Any) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    change(config)
    write_json(path, config, indent=4)
    return config
