from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmnet_monai.datasets import read_datalist
from cmnet_monai.evaluation.film_variants import VARIANTS
from cmnet_monai.evaluation.inference_settings import WAYS, Way, compare_readings, compare_variants
from cmnet_monai.evaluation.score_results import score_results, write_scores
from cmnet_monai.io import read_film


@pytest.mark.parametrize("way", [Way(2, True, "levels"), Way(1, False, "levels")], ids=str)
def test_shipped_ways_score_as_the_inference_workflow_does(
    way: Way, infer: Callable[..., dict[str, Any]], dataset: Path, weights: Path, tmp_path: Path
) -> None:
    items = read_datalist(dataset, "test")
    settings = {"ckpt_path": str(weights), "spatial_size": [64, 128], "base_channels": 8}
    infer(items[0]["image"], tmp_path / "results", passes=way.passes, mirror=way.mirror, **settings)
    write_scores(tmp_path / "expected", *score_results(items, tmp_path / "results"))
    report = compare_readings([(items, weights)], tmp_path / "out", [way], (64, 128), base_channels=8)
    assert str(way) in report.read_text(encoding="utf-8")
    (folder,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    for table in ("films.csv", "bodies.csv"):
        found, expected = (
            list(csv.DictReader((place / table).open(encoding="utf-8"))) for place in (folder, tmp_path / "expected")
        )
        assert found == expected and found


def test_protocols_read_different_channels_of_the_same_maps(dataset: Path, weights: Path, tmp_path: Path) -> None:
    items = read_datalist(dataset, "test")
    ways = [way for way in WAYS if way.passes == 1 and not way.mirror]
    assert [way.protocol for way in ways] == ["levels", "visible", "lumbar"]
    compare_readings([(items, weights)], tmp_path, ways, (64, 128), base_channels=8)
    dice = [
        next(csv.DictReader((tmp_path / f"{way.protocol}_1_pass" / "films.csv").open(encoding="utf-8")))["dice"]
        for way in ways
    ]
    # The untrained channels differ, so what is read from L1-L5's own cannot be what is read from the vertebrae's.
    assert dice[2] != dice[1]


def test_film_and_its_copy_in_other_formats_score_alike(dataset: Path, weights: Path, tmp_path: Path) -> None:
    # Of a film of 8 bits all formats hold the same ranks, and equalisation sees nothing else.
    (item,) = read_datalist(dataset, "test")
    pixels = read_film(item["image"]).pixels.astype(float)
    scaled = np.rint(255 * (pixels - pixels.min()) / np.ptp(pixels)).astype(np.uint8)
    Image.fromarray(np.ascontiguousarray(scaled.T)).save(tmp_path / "film.png")
    items, way = [{**item, "image": str(tmp_path / "film.png")}], Way(1, False, "levels")
    network = {"spatial_size": (64, 128), "base_channels": 8}
    plain = compare_readings([(items, weights)], tmp_path / "plain", [way], **network).read_text(encoding="utf-8")
    varied = compare_variants([(items, weights)], tmp_path / "varied", way, **network).read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip(): line.split("|")[2:] for line in varied.splitlines()[2:]}
    assert list(rows) == list(VARIANTS)
    assert rows["8 bit PNG"] == rows["16 bit PNG"] == rows["12 bit DICOM, MONOCHROME1"]
    assert rows["8 bit PNG"] == plain.splitlines()[2].split("|")[2:]
    assert rows["twice the size"] != rows["8 bit PNG"]
