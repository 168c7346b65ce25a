from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cmnet_monai.paper.definitions import QUICK, Training
from cmnet_monai.paper.training import costs_file, epochs_in_time_of_cmnet, network_costs, process_peak_mb
from cmnet_monai.paper.workspace import Workspace

SLOW = Training("segresnet", same_time=True)


@pytest.fixture
def bench(tmp_path: Path, repository: Path) -> Workspace:
    return Workspace(tmp_path, repository / "bundle", scale=QUICK, device="cpu")


def note(bench: Workspace, training: Training, seconds: float) -> None:
    file = costs_file(bench, training)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"train_seconds": seconds}), encoding="utf-8")


@pytest.mark.parametrize(("seconds", "epochs"), [(1.0, 2), (1.5, 1), (0.5, 4), (100.0, 1)])
def test_a_network_gets_as_many_epochs_as_fit_into_the_time(bench: Workspace, seconds: float, epochs: int) -> None:
    note(bench, Training(), 1.0)  # two epochs of the quick settings
    note(bench, SLOW, seconds)
    assert epochs_in_time_of_cmnet(bench, SLOW) == epochs


def test_costs_are_measured_once_and_are_plausible(bench: Workspace) -> None:
    found = network_costs(bench, Training("modified_unet"))
    assert found["parameters"] > 3e6 and found["spatial_size"] == [64, 96] and found["batch_size"] == 2
    assert 0 < found["film_seconds"] < found["train_seconds"]  # two films, forward and backward, against one forward
    assert found["film_peak_mb"] is None  # of a process that does other things too
    assert network_costs(bench, Training("modified_unet")) == found


def test_settings_of_a_training_have_costs_of_their_own(bench: Workspace) -> None:
    wider = Training(settings=(("base_channels", 16),))
    assert costs_file(bench, wider) != costs_file(bench, Training())


def test_peak_memory_grows_with_what_is_allocated() -> None:
    before = process_peak_mb()
    if before is None:
        pytest.skip("the system does not tell the peak memory of a process")
    block = np.ones(int((before + 100) * 1e6), dtype=np.uint8)  # more than ever was resident
    after = process_peak_mb()
    assert after is not None and after > before + 90 and block[-1] == 1
