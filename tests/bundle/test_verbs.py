"""The other verbs of `python -m monai.bundle`, and what MONAI asks of a bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cmnet_monai.networks import CMNet

CONFIGS = ("--meta_file", "bundle/configs/metadata.json", "--config_file", "bundle/configs/inference.json")


def test_network_takes_and_gives_what_the_metadata_say(monai_bundle: Callable[..., str]) -> None:
    output = monai_bundle("verify_net_in_out", "--net_id", "network_def", *CONFIGS, "--bundle_root", "bundle")
    assert "data shape of network is verified with no error" in output


def test_network_is_verified_from_another_folder(
    monai_bundle: Callable[..., str], repository: Path, tmp_path: Path
) -> None:
    configs = [option.replace("bundle/", f"{repository}/bundle/") for option in CONFIGS]
    root = ("--bundle_root", repository / "bundle")
    output = monai_bundle("verify_net_in_out", "--net_id", "network_def", *configs, *root, cwd=tmp_path)
    assert "data shape of network is verified with no error" in output


def test_exported_network_equals_the_eager_one(monai_bundle: Callable[..., str], weights: Path, tmp_path: Path) -> None:
    exported = tmp_path / "model.ts"
    options = (
        "--filepath",
        exported,
        "--ckpt_file",
        weights,
        "--ckpt_path",
        weights,
        *CONFIGS,
        "--bundle_root",
        "bundle",
    )
    settings = (
        "--base_channels",
        8,
        "--label_protocol",
        "levels",
        "--heatmap_sigma",
        4.0,
        "--spatial_size",
        "[64,128]",
    )
    monai_bundle("ckpt_export", "--net_id", "network_def", *options, *settings)
    eager = CMNet(base_channels=8, s1_channel=True, lumbar_channel=True).eval()
    eager.load_state_dict(torch.load(weights, weights_only=True))
    film = torch.rand(2, 1, 72, 136, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = eager(film), torch.jit.load(exported)(film)
    # Both compute in float32; TorchScript may fuse and reorder sums.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("configs", "kind"), [(["train"], "training"), (["train", "evaluate"], "training"), (["inference"], "inference")]
)
def test_no_property_is_missing(
    configs: list[str], kind: str, workflow: Callable, dataset: Path, weights: Path, tmp_path: Path
) -> None:
    folders = {"dataset_dir": str(dataset), "output_dir": str(tmp_path / "out")}
    settings = {"spatial_size": [64, 128], "label_protocol": "levels", "base_channels": 8, "heatmap_sigma": 4.0}
    made = workflow(configs, kind, **folders, ckpt_path=str(weights), **settings)
    assert not made.check_properties()
    made.finalize()
