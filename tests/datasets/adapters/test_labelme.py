from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cmnet_monai.datasets import make_datalist


def shape(label: str, *points: list[float], **more: Any) -> dict[str, Any]:
    return {"label": label, "points": list(points), "group_id": None, "shape_type": "polygon", "flags": {}, **more}


def rectangle(x0: float, y0: float, x1: float, y1: float) -> list[list[float]]:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def write(file: Path, image: str, *shapes: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"version": "5.4.1", "shapes": list(shapes), "imagePath": image, "imageData": None}
    file.write_text(json.dumps({**content, "imageHeight": 140, "imageWidth": 90}))


def test_shapes_become_labels_and_the_folder_the_patient(tmp_path: Path, film: Callable, sections: Callable) -> None:
    root = tmp_path / "set"
    film(root / "p1" / "a.png")
    film(root / "p1" / "b.png")
    film(root / "p2" / "films" / "c.png")
    l2 = [shape("l2", *part, group_id=7) for part in (rectangle(10, 20, 14, 23), rectangle(30, 20, 32, 22))]
    point = shape("L5", [3.0, 4.0], shape_type="point")
    write(root / "p1" / "a.json", "a.png", *l2, shape("S1", *rectangle(10, 60, 13, 65)), point)
    write(root / "p1" / "b.json", "b.png", shape("T12", *rectangle(1, 1, 3, 3)), shape("rib", *rectangle(5, 5, 9, 9)))
    write(root / "p2" / "c.json", "films\\c.png", shape("21", *rectangle(1, 1, 3, 3)))
    make_datalist("labelme", root, tmp_path / "out", patient_pattern="^([^/]+)/", progress=False)
    items = sections(tmp_path / "out" / "datalist.json")
    expected = np.zeros((90, 140), np.uint8)
    expected[10:14, 20:23] = expected[30:32, 20:22] = 21
    expected[10:13, 60:65] = 26
    np.testing.assert_array_equal(items["a"]["map"], expected)
    assert [items[name]["patient"] for name in "abc"] == ["p1", "p1", "p2"]
    assert set(np.unique(items["b"]["map"])) == {0, 19} and set(np.unique(items["c"]["map"])) == {0, 21}
    skipped = (tmp_path / "out" / "skipped.csv").read_text()
    assert "rib" in skipped and "L5 (point)" in skipped


def test_bad_files_are_named_and_the_others_stay(tmp_path: Path, film: Callable, load: Callable) -> None:
    for name in ("good", "flat"):
        film(tmp_path / f"{name}.png")
    write(tmp_path / "good.json", "good.png", shape("L1", *rectangle(1, 1, 3, 3)))
    write(tmp_path / "flat.json", "flat.png", shape("L1", [1.0], [2.0]))
    write(tmp_path / "gone.json", "gone.png")
    (tmp_path / "cut.json").write_text('{"shapes": [')
    cases, errors = load("labelme", tmp_path)
    assert set(cases) == {"good"}
    assert "polygon of L1" in errors["flat.json"].reason and '"gone.png"' in errors["gone.json"].reason
    assert "not a labelme file" in errors["cut.json"].reason


def test_folder_without_labelme_files_is_refused(tmp_path: Path, load: Callable) -> None:
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="no labelme files"):
        load("labelme", tmp_path)
