from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from plain_decoding import plain_decoding  # noqa: F401

from cmnet_monai.datasets import read_datalist
from cmnet_monai.evaluation.film_variants import VARIANTS
from cmnet_monai.evaluation.score_results import score_results, write_scores
from cmnet_monai.evaluation.settings import SETTINGS, Grid, Setting, compare_settings, compare_variants
from cmnet_monai.io import read_film

GRID = Grid((64, 128), base_channels=8)


@pytest.mark.parametrize("setting", [Setting(2, True, "levels"), Setting(1, False, "levels")], ids=str)
def test_shipped_settings_score_as_the_inference_workflow_does(
    setting: Setting, infer: Callable[..., dict[str, Any]], dataset: Path, weights: Path, tmp_path: Path
) -> None:
    items = read_datalist(dataset, "test")
    network = {"ckpt_path": str(weights), "spatial_size": [64, 128], "base_channels": 8}
    infer(items[0]["image"], tmp_path / "results", passes=setting.passes, mirror=setting.mirror, **network)
    write_scores(tmp_path / "expected", *score_results(items, tmp_path / "results"))
    report = compare_settings([(items, weights)], tmp_path / "out", [setting], GRID)
    assert str(setting) in report.read_text(encoding="utf-8")
    (folder,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    for table in ("films.csv", "bodies.csv"):
        found, expected = (
            list(csv.DictReader((place / table).open(encoding="utf-8"))) for place in (folder, tmp_path / "expected")
        )
        assert found == expected and found


def test_protocols_use_different_channels_of_the_same_maps(dataset: Path, weights: Path, tmp_path: Path) -> None:
    items = read_datalist(dataset, "test")
    settings = [setting for setting in SETTINGS if setting.passes == 1 and not setting.mirror]
    assert [setting.protocol for setting in settings] == ["levels", "visible", "lumbar"]
    compare_settings([(items, weights)], tmp_path, settings, GRID)
    dice = [
        next(csv.DictReader((tmp_path / f"{setting.protocol}_1_pass" / "films.csv").open(encoding="utf-8")))["dice"]
        for setting in settings
    ]
    # The untrained channels differ, so what L1-L5's own give cannot be what the vertebrae's give.
    assert dice[2] != dice[1]


def test_film_and_its_copy_in_other_formats_score_alike(dataset: Path, weights: Path, tmp_path: Path) -> None:
    # Of a film of 8 bits all formats hold the same ranks, and equalisation sees nothing else.
    (item,) = read_datalist(dataset, "test")
    pixels = read_film(item["image"]).pixels.astype(float)
    scaled = np.rint(255 * (pixels - pixels.min()) / np.ptp(pixels)).astype(np.uint8)
    Image.fromarray(np.ascontiguousarray(scaled.T)).save(tmp_path / "film.png")
    items, setting = [{**item, "image": str(tmp_path / "film.png")}], Setting(1, False, "levels")
    plain = compare_settings([(items, weights)], tmp_path / "plain", [setting], GRID).read_text(encoding="utf-8")
    varied = compare_variants([(items, weights)], tmp_path / "varied", setting, GRID).read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip(): line.split("|")[2:] for line in varied.splitlines()[2:]}
    assert list(rows) == list(VARIANTS)
    assert rows["8 bit PNG"] == rows["16 bit PNG"] == rows["12 bit DICOM, MONOCHROME1"]
    assert rows["8 bit PNG"] == plain.splitlines()[2].split("|")[2:]
    assert rows["twice the size"] != rows["8 bit PNG"]
