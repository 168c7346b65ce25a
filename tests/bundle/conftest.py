from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

from cmnet_monai.engines.weights import record_path
from cmnet_monai.networks import CMNet

SECONDS = 600


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """One thread a process and no GPU: what the commands do must not depend on the machine."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="session")
def monai_bundle(repository: Path, environment: dict[str, str]) -> Callable[..., str]:
    """Run `python -m monai.bundle VERB ...` from the repository root; returns what it printed."""

    def run(verb: str, *options: Any, launcher: tuple[str, ...] = (), cwd: Path = repository) -> str:
        command = [sys.executable, *launcher, "-m", "monai.bundle", verb, *map(str, options)]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=SECONDS)
        output = done.stdout + done.stderr
        assert done.returncode == 0, output[-6000:]
        return output

    return run


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Small settings, appended to a training command."""
    size = ("--spatial_size", "[64,128]", "--base_channels", "8")
    return ("--max_epochs", "1", "--batch_size", "2", "--num_workers", "0", *size)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in the subprocesses: the number of threads decides the order of sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that were never trained, as the bundle ships them: a flat state_dict in half precision."""
    torch.manual_seed(0)
    network = CMNet(base_channels=8, s1_channel=True, lumbar_channel=True)
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.save({name: value.half() for name, value in network.state_dict().items()}, path)
    return path


@pytest.fixture(scope="session")
def workflow(repository: Path) -> Callable[..., ConfigWorkflow]:
    """A workflow of the bundle in this process, initialised: `workflow(["train", "evaluate"], name=value)`."""

    def make(configs: list[str], kind: str = "", **overrides: Any) -> ConfigWorkflow:
        bundle = repository / "bundle"
        made = ConfigWorkflow(
            config_file=[str(bundle / "configs" / f"{name}.json") for name in configs],
            workflow_type=kind or ("training" if "train" in configs else "inference"),
            logging_file=False,
            bundle_root=str(bundle),
            **{"device": "cpu", **overrides},
        )
        made.initialize()
        return made

    return make


@pytest.fixture(scope="session")
def infer(workflow: Callable[..., ConfigWorkflow], repository: Path) -> Callable[..., dict[str, Any]]:
    """Run the inference workflow in this process; returns the manifest."""

    def run(dataset_dir: Path, output_dir: Path, **overrides: Any) -> dict[str, Any]:
        weights = Path(overrides.get("ckpt_path", repository / "bundle" / "models" / "model.pt"))
        if not any(file.is_file() for file in (record_path(weights), weights.with_name("settings.json"))):
            overrides = {"label_protocol": "levels", "base_channels": 16, "heatmap_sigma": 4.0, **overrides}
        made = workflow(["inference"], dataset_dir=str(dataset_dir), output_dir=str(output_dir), **overrides)
        made.run()
        made.finalize()
        return json.loads((output_dir / "manifest.json").read_text(encoding="utf-8"))

    return run
