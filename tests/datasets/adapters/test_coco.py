from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cmnet_monai.datasets import make_datalist

CATEGORIES = [{"id": 3, "name": "L1"}, {"id": 4, "name": "s1"}, {"id": 5, "name": "19"}, {"id": 9, "name": "disc"}]


def rectangle(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def annotation(image: int, category: int, *parts: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "segmentation": list(parts), "iscrowd": 0}


def write(file: Path, names: list[str], annotations: list[dict], categories: list[dict] = CATEGORIES) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    images = [{"id": i, "file_name": name, "width": 90, "height": 140} for i, name in enumerate(names)]
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file


def test_polygons_become_labels_half_a_pixel_up_and_left(tmp_path: Path, film: Callable, sections: Callable) -> None:
    root = tmp_path / "export"
    film(root / "images" / "a.png")
    annotations = [
        annotation(
            0, 3, rectangle(10, 20, 14, 23), rectangle(30, 20, 32, 22)
        ),  # pixels 10-13 x 20-22 and 30-31 x 20-21
        annotation(0, 4, rectangle(10, 60, 13, 65)),
        annotation(0, 5, rectangle(40, 5, 42, 6)),
        annotation(0, 9, rectangle(50, 50, 60, 60)),
    ]
    write(root / "annotations" / "instances_default.json", ["a.png"], annotations)
    done = make_datalist("coco", root, tmp_path / "out", progress=False)
    (item,) = sections(tmp_path / "out" / "datalist.json").values()
    expected = np.zeros((90, 140), np.uint8)
    expected[10:14, 20:23] = expected[30:32, 20:22] = 20
    expected[10:13, 60:65] = 26
    expected[40:42, 5:6] = 19
    np.testing.assert_array_equal(item["map"], expected)
    assert item["patient"] == "a" and done.skipped == 1
    assert '"disc"' in (tmp_path / "out" / "skipped.csv").read_text().replace('""', '"')


def test_categories_of_no_level_make_a_binary_mask(tmp_path: Path, film: Callable, sections: Callable) -> None:
    film(tmp_path / "set" / "a.png")
    sheet = write(
        tmp_path / "set" / "_annotations.coco.json",
        ["a.png"],
        [annotation(0, 1, rectangle(10, 20, 14, 23)), annotation(0, 1, rectangle(10, 30, 14, 33))],
        [{"id": 1, "name": "Vertebra"}],
    )
    make_datalist("coco", sheet, tmp_path / "out", progress=False)
    (item,) = sections(tmp_path / "out" / "datalist.json").values()
    assert set(np.unique(item["map"])) == {0, 1} and len(item["centres"]) == 2
    assert item["centres"][0] == {"x": 11.5, "y": 21.0}


def test_films_that_cannot_be_used_are_named_and_the_others_stay(
    tmp_path: Path, film: Callable, load: Callable
) -> None:
    names = ["good.png", "rle.png", "box.png", "odd.png", "gone.png", "../one/same.png", "same.png"]
    for name in ("good", "rle", "box", "odd", "one/same", "two/same"):
        film(tmp_path / f"{name}.png")
    run_length = {"image_id": 1, "category_id": 3, "segmentation": {"size": [140, 90], "counts": [5, 2]}, "iscrowd": 1}
    good = rectangle(10, 20, 14, 23)
    annotations = [annotation(0, 3, good), run_length, annotation(2, 3), annotation(3, 3, good[:-1])]
    write(tmp_path / "a" / "a.json", names, [*annotations, *(annotation(i, 3, good) for i in (4, 5, 6))])
    (tmp_path / "notes.json").write_text("[]")
    cases, errors = load("coco", tmp_path)
    assert set(cases) == {"good", "same"} and cases["same"].image == tmp_path / "one" / "same.png"
    assert "run-length" in errors["rle.png"].reason and "no polygon" in errors["box.png"].reason
    assert "x, y, x, y" in errors["odd.png"].reason
    assert "any of 2 films" in errors["a.json"].reason  # the last error of the sheet: same.png may be either


def test_missing_film_is_named(tmp_path: Path, load: Callable) -> None:
    write(tmp_path / "a.json", ["gone.png"], [])
    _, errors = load("coco", tmp_path)
    assert '"gone.png" is not below' in errors["a.json"].reason


@pytest.mark.parametrize("text", ["{", "[]", '{"images": [], "annotations": []}', None])
def test_source_without_a_coco_file_is_refused(tmp_path: Path, load: Callable, text: str | None) -> None:
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(FileNotFoundError, match="no COCO file"):
        load("coco", tmp_path)
