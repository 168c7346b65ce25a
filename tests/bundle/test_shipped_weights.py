from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cmnet_monai.engines import read_weights_record


def test_shipped_weights_are_those_that_are_recorded(repository: Path) -> None:
    record = read_weights_record(repository / "bundle" / "models" / "model.pt")
    assert record.sha256 == record.recorded_sha256 != ""
    assert (record.spatial_size, record.heatmap_sigma, record.equalisation) == ((288, 384), 4.0, True)


def test_shipped_weights_are_small_flat_half_precision_and_fit(workflow: Callable, repository: Path) -> None:
    file = repository / "bundle" / "models" / "model.pt"
    if not file.is_file():
        pytest.skip("needs the shipped weights, bundle/models/model.pt")
    assert file.stat().st_size < 30_000_000
    state = torch.load(file, weights_only=True)
    assert all(isinstance(value, torch.Tensor) and value.dtype == torch.float16 for value in state.values())
    assert all(torch.isfinite(value).all() for value in state.values())
    made = workflow(["inference"], dataset_dir=str(repository), output_dir=str(repository / "unused"))
    network = made.parser.get_parsed_content("network_def")
    network.load_state_dict(state)
    made.finalize()
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
