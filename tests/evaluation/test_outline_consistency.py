from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from skimage.draw import polygon2mask

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.evaluation.outline_consistency import run_outline_consistency
from cmnet_monai.io import write_label_png

SHAPE = (190, 330)
OUTLINES = {
    "L4": [[40, 60], [140, 45], [145, 120], [42, 135]],
    "L5": [[42, 155], [150, 135], [158, 205], [52, 235]],
    "S1": [[56, 262], [164, 225], [176, 290], [80, 318]],
}


def test_polygons_and_the_maps_filled_from_them_agree(tmp_path: Path) -> None:
    label_map = np.zeros(SHAPE, np.uint8)
    for level, outline in OUTLINES.items():
        label_map[polygon2mask(SHAPE, np.array(outline))] = LABEL_OF_LEVEL[level]
    vertebrae = [{"level": level, "outline": outline} for level, outline in OUTLINES.items()]
    (tmp_path / "outlines").mkdir()
    (tmp_path / "labels").mkdir()
    (tmp_path / "outlines" / "one.json").write_text(json.dumps({"anterior": "left", "vertebrae": vertebrae}))
    write_label_png(tmp_path / "labels" / "one.png", label_map)
    run_outline_consistency(tmp_path / "outlines", tmp_path / "labels", tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "bias.csv").open()))
    heights = {(r["level"], r["measure"]): r for r in rows if r["measure"].startswith("height")}
    assert {level for level, _ in heights} == {"L4", "L5"}
    assert float(heights["L4", "height_anterior"]["truth"]) == pytest.approx(np.hypot(2, 75), abs=0.01)
    assert max(abs(float(r["error"])) for r in heights.values()) < 2  # percent: about a pixel of 75
    assert json.loads((tmp_path / "out" / "bias.json").read_text())["front"] == {"label map: right": 1}


def test_no_outlines_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no outlines"):
        run_outline_consistency(tmp_path, tmp_path, tmp_path / "out")
