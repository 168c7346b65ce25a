from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cmnet_monai.datasets import make_datalist
from cmnet_monai.datasets.adapters import Options
from cmnet_monai.datasets.adapters.mendeley import mendeley_patient

SIZE = (90, 140)
JSON_ORDER = ("bl", "br", "tl", "tr")
YOLO_ORDER = ("tl", "bl", "br", "tr")


def bodies(count: int, mirrored: bool = False) -> list[dict[str, tuple[float, float]]]:
    """Bodies 20 wide and 10 high at x 30.5-50.5 (outer corners of pixels), leaning, from the lowest to the highest."""
    found = []
    for i in reversed(range(count)):
        top = 4.5 + 14 * i
        corners = {"tl": (30.5, top), "tr": (50.5, top + 2), "br": (52.5, top + 12), "bl": (32.5, top + 10)}
        if mirrored:
            corners = {name: (SIZE[0] - x, y) for name, (x, y) in corners.items()}
        found.append(corners)
    return found


def as_json(found: list[dict], visible: int = 1) -> str:
    keypoints = [[[*body[name], visible] for name in JSON_ORDER] for body in found]
    boxes = [[30.5, min(y for _, y in body.values()), 52.5, max(y for _, y in body.values())] for body in found]
    return json.dumps({"boxes": boxes, "labels": [0] * len(found), "keypoints": keypoints})


def as_yolo(found: list[dict]) -> str:
    rows = []
    for body in found:
        points = [(body[name][0] / SIZE[0], body[name][1] / SIZE[1], 1) for name in YOLO_ORDER]
        rows.append(" ".join(str(v) for v in (0, 0.5, 0.5, 0.2, 0.1, *(v for point in points for v in point))))
    return "\n".join(rows) + "\n"


def add(root: Path, film: Callable, part: str, stem: str, text: str) -> None:
    folder = root / "Train" / "Keypointrcnn_data"
    film(folder / "images" / part / f"{stem}.jpg", SIZE)
    (folder / "labels" / part).mkdir(parents=True, exist_ok=True)
    suffix = ".json" if text.startswith("{") else ".txt"
    (folder / "labels" / part / f"{stem}{suffix}").write_text(text)


def test_both_forms_and_orders_give_the_same_mask(tmp_path: Path, film: Callable, sections: Callable) -> None:
    root = tmp_path / "Dataset"
    add(root, film, "train", "3209-F-073Y1_jpg.rf.0a1b", as_json(bodies(3)))
    add(root, film, "val", "P12_jpg.rf.77ff", as_yolo(bodies(3)))
    add(root, film, "val", "P13_jpg.rf.88aa", as_yolo(bodies(3, mirrored=True)))
    film(root / "Test" / "3000-F-020Y1.jpg")
    make_datalist("mendeley", root, tmp_path / "out", progress=False)
    items = sections(tmp_path / "out" / "datalist.json")
    assert {item["patient"] for item in items.values()} == {"3209-F-073Y", "P12", "P13"}
    first, second, third = (items[stem] for stem in sorted(items))
    np.testing.assert_array_equal(first["map"], second["map"])
    np.testing.assert_array_equal(first["map"], third["map"][::-1])
    assert set(np.unique(first["map"])) == {0, 1} and first["level_names"] == "unknown"
    # Half a pixel less: the upper body goes from (30, 4) to (50, 6), (52, 16) and (32, 14), about (41, 10).
    assert [first["map"][x, y] for x, y in ((30, 4), (29, 4), (30, 3), (52, 16), (53, 16), (52, 17))] == [1, 0, 0] * 2
    assert [(c["x"], c["y"]) for c in first["centres"]] == [(41, 10 + 14 * i) for i in range(3)]


@pytest.mark.parametrize(
    ("count", "values", "note"),
    [
        (5, {20, 21, 22, 23, 24}, "guessed from their count"),
        (6, {20, 21, 22, 23, 24, 26}, "guessed from their count"),
        (4, {1}, "unknown"),
        (7, {1}, "unknown"),
    ],
)
def test_levels_from_below_name_five_or_six_from_top_to_bottom(
    tmp_path: Path, film: Callable, sections: Callable, count: int, values: set[int], note: str
) -> None:
    add(tmp_path / "Dataset", film, "train", "P1_jpg.rf.1", as_json(bodies(count)))
    make_datalist("mendeley", tmp_path / "Dataset", tmp_path / "out", levels="from-below", progress=False)
    (item,) = sections(tmp_path / "out" / "datalist.json").values()
    assert set(np.unique(item["map"])) - {0} == values and item["level_names"] == note
    assert item["map"][41, 10] == min(values) and item["map"][41, 10 + 14 * (count - 1)] == max(values)
    assert ("centres" in item) == (note == "unknown")


def test_body_with_an_unseen_corner_is_left_out_and_the_count_says_nothing(
    tmp_path: Path, film: Callable, load: Callable
) -> None:
    content = json.loads(as_json(bodies(6)))
    content["keypoints"][0][2] = [0.0, 0.0, 0]
    add(tmp_path, film, "train", "P1_jpg.rf.1", json.dumps(content))
    cases, errors = load("mendeley", tmp_path, Options(levels="from-below"))
    (case,) = cases.values()
    assert [outline.label for outline in case.outlines] == [0] * 5 and not errors


def test_bad_labels_are_named_and_the_others_stay(tmp_path: Path, film: Callable, load: Callable) -> None:
    add(tmp_path, film, "train", "good_jpg.rf.1", as_yolo(bodies(2)))
    add(tmp_path, film, "train", "short_jpg.rf.2", "0 0.5 0.5 0.1 0.1 0.2 0.2 1")
    add(tmp_path, film, "train", "words_jpg.rf.3", as_yolo(bodies(1)).replace("0.5", "half", 1))
    add(tmp_path, film, "val", "other_jpg.rf.4", '{"shapes": []}')
    add(tmp_path, film, "val", "three_jpg.rf.5", '{"keypoints": [[[1, 2, 1], [3, 4, 1], [5, 9, 1]]]}')
    film(tmp_path / "Train" / "Keypointrcnn_data" / "images" / "val" / "alone_jpg.rf.6.jpg")
    cases, errors = load("mendeley", tmp_path)
    assert set(cases) == {"good_jpg.rf.1"}
    reasons = {name.split("_")[0]: error.reason for name, error in errors.items()}
    assert "line 1 has 8 numbers instead of 17" in reasons["short"] and "no number" in reasons["words"]
    assert (
        "keypoints" in reasons["other"] and "four corners" in reasons["three"] and "no label file" in reasons["alone"]
    )


def test_exports_of_one_film_are_one_patient(tmp_path: Path) -> None:
    stems = ("0001-F-037Y1_jpg.rf.aa", "0001-F-037Y1_jpg.rf.bb", "0001-F-037Y1", "IMG_5_png.rf.c1", "IMG_5")
    assert [mendeley_patient(stem) for stem in stems] == ["0001-F-037Y"] * 3 + ["IMG_5"] * 2


def test_packed_set_says_to_unpack_it(tmp_path: Path, load: Callable) -> None:
    (tmp_path / "Dataset.zip").write_bytes(b"PK")
    with pytest.raises(FileNotFoundError, match=r"unpack Dataset\.zip"):
        load("mendeley", tmp_path)
    with pytest.raises(ValueError, match="unpack it first"):
        make_datalist("mendeley", tmp_path / "Dataset.zip", tmp_path / "out", progress=False)
