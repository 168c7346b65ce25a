from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cmnet_monai.engines import WeightsRecord, write_weights_record
from cmnet_monai.io.files.results import file_sha256
from cmnet_monai.networks import CMNet


@pytest.fixture(scope="session")
def make_bundle(repository: Path) -> Callable[[Path], Path]:
    """Copies the bundle's configs and card into a folder, with small weights that were never trained."""

    def make(folder: Path) -> Path:
        for part in ("configs", "docs"):
            shutil.copytree(repository / "bundle" / part, folder / part)
        shutil.copy(repository / "bundle" / "LICENSE", folder / "LICENSE")
        config = folder / "configs" / "inference.json"
        content = json.loads(config.read_text(encoding="utf-8"))
        config.write_text(json.dumps({**content, "base_channels": 8}, indent=4), encoding="utf-8")
        torch.manual_seed(0)
        state = CMNet(base_channels=8, s1_channel=True, lumbar_channel=True).state_dict()
        (folder / "models").mkdir()
        weights = folder / "models" / "model.pt"
        torch.save({name: value.half() for name, value in state.items()}, weights)
        write_weights_record(weights, WeightsRecord((64, 128), "levels", base_channels=8, heatmap_sigma=4.0))
        constants = {"intercept": 1.5, "score_weight": 0.0, "uncertainty_weight": -1.0}
        calibration = {"weights_sha256": file_sha256(weights), "settings": {"mirror": True}, "calibration": constants}
        (folder / "models" / "calibration.json").write_text(json.dumps(calibration), encoding="utf-8")
        return folder

    return make
