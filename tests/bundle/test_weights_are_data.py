"""Weights are data: none of them runs code, and exchanged ones are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cmnet_monai.engines import WeightsRecord, write_weights_record
from cmnet_monai.io.errors import causes

TRAINED: dict[str, Any] = {
    "spatial_size": [64, 128],
    "label_protocol": "levels",
    "base_channels": 8,
    "heatmap_sigma": 4.0,
}
SMALL: dict[str, Any] = {**TRAINED, "passes": 1, "mirror": False}


class Payload:
    """What an attacker puts into a pickle: loading it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.fixture
def recorded(weights: Path, tmp_path: Path) -> Path:
    """A copy of the weights with its record beside it."""
    file = tmp_path / "model.pt"
    shutil.copy(weights, file)
    write_weights_record(file, WeightsRecord(**TRAINED))
    return file


def test_code_in_weights_is_not_run(infer: Callable, dataset: Path, tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    torch.save({"layer.weight": torch.zeros(1), "x": Payload(mark)}, tmp_path / "evil.pt")
    with pytest.raises(Exception):  # noqa: B017 - which one is PyTorch's affair
        infer(dataset / "films", tmp_path / "out", ckpt_path=str(tmp_path / "evil.pt"), **SMALL)
    assert not mark.exists()
    torch.load(tmp_path / "evil.pt", weights_only=False)
    assert mark.exists()  # the payload works


def test_recorded_weights_are_named_with_their_record(
    infer: Callable, dataset: Path, weights: Path, recorded: Path, tmp_path: Path
) -> None:
    film = dataset / "films" / "film_00000.dcm"
    with_record = infer(film, tmp_path / "a", ckpt_path=str(recorded), **SMALL)["weights"]
    without = infer(film, tmp_path / "b", ckpt_path=str(weights), **SMALL)["weights"]
    assert with_record["recorded_sha256"] == with_record["sha256"] == without["sha256"]
    assert without == {"file": str(weights), "sha256": without["sha256"], "recorded_sha256": ""}


def test_exchanged_weights_are_refused_before_any_film_is_read(
    infer: Callable, dataset: Path, recorded: Path, tmp_path: Path
) -> None:
    state = torch.load(recorded, weights_only=True)
    torch.save({name: value + 1 for name, value in state.items()}, recorded)
    with pytest.raises(RuntimeError) as caught:
        infer(dataset / "films", tmp_path / "out", ckpt_path=str(recorded), **SMALL)
    assert "damaged or was exchanged" in "\n".join(map(str, causes(caught.value)))
    assert not (tmp_path / "out").exists()
