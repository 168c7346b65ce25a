"""The same films and weights give the same bytes; how the films are batched changes them by less than can be seen."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

NAMES = ("b", "a", "c")
GRID = [144, 192]


@pytest.fixture(scope="module")
def films(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for number, name in enumerate(NAMES):
        shutil.copy(dataset / "films" / f"film_0000{number}.dcm", folder / f"{name}.dcm")
        os.utime(folder / f"{name}.dcm", (1000, 1000))
    return folder


@pytest.fixture(scope="module")
def run(
    infer: Callable[..., dict], repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., dict[str, bytes]]:
    """The bytes of all results of the shipped weights, by file."""
    weights = repository / "bundle" / "models" / "model.pt"
    if not weights.is_file():
        pytest.skip("needs the shipped weights, bundle/models/model.pt")

    # Without their record, which would not let them be run on another grid than that of their training.
    alone = shutil.copy(weights, tmp_path_factory.mktemp("weights") / "model.pt")

    def go(films: Path, output: Path, **more: Any) -> dict[str, bytes]:
        manifest = infer(films, output, ckpt_path=str(alone), spatial_size=GRID, **more)
        assert manifest["counts"]["done"] == len(NAMES)
        return {file.name: file.read_bytes() for name in NAMES for file in output.glob(f"{name}_*")}

    return go


@pytest.fixture(scope="module")
def first(run: Callable, films: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    output = tmp_path_factory.mktemp("first")
    return output, run(films, output)


def test_second_run_gives_the_same_bytes_whoever_reads_the_films_in_whatever_order(
    run: Callable, films: Path, first: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    listed = {"test": [{"image": str(films / f"{name}.dcm")} for name in sorted(NAMES, reverse=True)]}
    (tmp_path / "list.json").write_text(json.dumps(listed), encoding="utf-8")
    again = run(tmp_path / "list.json", tmp_path / "out", num_workers=2)
    assert sorted(again) == sorted(first[1]) and len(again) == 6 * len(NAMES)
    assert [name for name in again if again[name] != first[1][name]] == []


def test_batches_change_less_than_a_thousandth_of_the_mask_and_a_twentieth_of_a_pixel(
    run: Callable, films: Path, first: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    # Convolutions over several films may add up in another order: the logits differ in their last bits.
    run(films, tmp_path, batch_size=3)
    for name in NAMES:
        labels = [np.asarray(Image.open(folder / f"{name}_labels.png")) for folder in (first[0], tmp_path)]
        assert (labels[0] > 0).any()
        assert (labels[0] != labels[1]).sum() <= 0.001 * (labels[0] > 0).sum()
        records = [json.loads((folder / f"{name}_centres.json").read_text()) for folder in (first[0], tmp_path)]
        assert [c["level"] for c in records[0]["centres"]] == [c["level"] for c in records[1]["centres"]]
        places = [[(c["x_px"], c["y_px"]) for c in record["centres"]] for record in records]
        np.testing.assert_allclose(places[0], places[1], atol=0.05)
        assert {k: v for k, v in records[0].items() if k != "centres"} == {
            k: v for k, v in records[1].items() if k != "centres"
        }
