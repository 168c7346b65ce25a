"""The way in which MONAI's model zoo tests a bundle: every workflow is made, checked for its properties, and run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigWorkflow

from cmnet_monai.datasets import synthesize

SMALL = {"spatial_size": [64, 128], "base_channels": 8}
FINE_TUNED = {"max_epochs": 1, "val_interval": 1, "epoch_length": 2, "batch_size": 2, "num_workers": 0, "shares": [1.0]}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    synthesize(folder, 3, seed=4, height_px=192, workers=1, progress=False)
    (listed,) = folder.glob("datalist.json")
    sections = json.loads(listed.read_text(encoding="utf-8"))
    items = [item for name in ("training", "validation", "test") for item in sections.get(name, [])]
    sections = {"training": items, "validation": items[:1], "test": items[:1]}
    listed.write_text(json.dumps(sections), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def bundle(make_bundle: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("models") / "lumbar_radiograph_segmentation")


@pytest.mark.parametrize(
    ("kind", "configs", "overrides", "made"),
    [
        ("train", ["train", "pretrain", "finetune"], FINE_TUNED, "best.pt"),
        ("train", ["train", "evaluate"], {"num_workers": 0}, "metrics.csv"),
        ("infer", ["inference"], {"passes": 1}, "manifest.json"),
    ],
)
def test_workflow_has_its_properties_and_runs(
    kind: str, configs: list[str], overrides: dict[str, Any], made: str, bundle: Path, films: Path, tmp_path: Path
) -> None:
    folder = bundle / "configs"
    workflow = ConfigWorkflow(
        workflow_type=kind,
        config_file=[str(folder / f"{name}.json") for name in configs],
        logging_file=str(folder / "logging.conf"),
        meta_file=str(folder / "metadata.json"),
        bundle_root=str(bundle),
        dataset_dir=str(films),
        output_dir=str(tmp_path / "out"),
        device="cpu",
        **{**SMALL, **overrides},
    )
    workflow.initialize()
    assert not workflow.check_properties()
    workflow.run()
    workflow.finalize()
    assert (tmp_path / "out" / made).is_file()
