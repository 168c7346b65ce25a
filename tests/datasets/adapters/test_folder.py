from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cmnet_monai.datasets import make_datalist
from cmnet_monai.datasets.adapters.folder import check_label_map
from cmnet_monai.io import FilmError, write_label_png, write_nifti


def label_map(*values: int, size: tuple[int, int] = (90, 140)) -> np.ndarray:
    labels = np.zeros(size, np.uint8)
    for i, value in enumerate(values):
        labels[10:20, 10 * i + 5 : 10 * i + 12] = value
    return labels


def test_films_and_label_maps_are_paired_by_name_and_left_where_they_are(
    tmp_path: Path, film: Callable, sections: Callable
) -> None:
    root = tmp_path / "set"
    for name in ("images/a.png", "images/b.jpg", "images/c.png", "x/imagesTr/case_7_0000.png", "images/alone.png"):
        film(root / name)
    write_label_png(root / "labels" / "a.png", label_map(20, 26))
    write_nifti(root / "labels" / "b.nii.gz", label_map(20, 26))
    write_label_png(root / "labels" / "c_mask.png", label_map(255))
    write_label_png(root / "x" / "labelsTr" / "case_7.png", label_map(21))
    done = make_datalist("folder", root, tmp_path / "out", progress=False)
    items = sections(tmp_path / "out" / "datalist.json")
    labels = {name: item["label"] for name, item in items.items()}
    assert labels == {
        "a": "../set/labels/a.png",
        "b": "../set/labels/b.nii.gz",
        "c": "../set/labels/c_mask.png",
        "case_7_0000": "../set/x/labelsTr/case_7.png",
    }
    np.testing.assert_array_equal(items["b"]["map"], label_map(20, 26))
    assert done.skipped == 1 and "alone.png" in (tmp_path / "out" / "skipped.csv").read_text()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["datalist.json", "skipped.csv"]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (label_map(20, size=(90, 139)), "90 x 139 pixels, its film 90 x 140"),
        (label_map(20, size=(140, 90)), "140 x 90 pixels"),
        (label_map(1, 2, 3), "1, 2, 3 are no levels"),
        (label_map(), "empty"),
    ],
)
def test_label_map_that_does_not_fit_is_named(tmp_path: Path, labels: np.ndarray, reason: str) -> None:
    file = write_label_png(tmp_path / "a.png", labels)
    with pytest.raises(FilmError, match=reason) as caught:
        check_label_map(file, (90, 140))
    assert caught.value.path == str(file)


@pytest.mark.parametrize("values", [(1,), (255,), (20,), (19, 20, 26), (28, 25)])
def test_binary_masks_and_verse_codes_pass(tmp_path: Path, values: tuple[int, ...]) -> None:
    file = write_label_png(tmp_path / "a.png", label_map(*values))
    before = file.read_bytes()
    check_label_map(file, (90, 140))  # raises nothing
    assert file.read_bytes() == before


def test_folder_without_pairs_is_refused(tmp_path: Path, film: Callable, load: Callable) -> None:
    film(tmp_path / "images" / "a.png")
    with pytest.raises(FileNotFoundError, match="with a folder labels"):
        load("folder", tmp_path)
