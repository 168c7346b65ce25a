from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from raw_dicom import write_raw_dicom

from cmnet_monai.datasets import film_items, find_films, read_datalist, write_datalist


def touch(root: Path, *names: str) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")


def names_below(root: Path) -> list[str]:
    return [film.relative_to(root).as_posix() for film in find_films(root)]


def test_paths_are_relative_to_the_datalist_and_other_entries_stay(tmp_path: Path) -> None:
    centres = [{"label": 20, "x": 1.5, "y": 2.5}]
    item = {"image": "films/a.dcm", "label": "../labels/a.png", "patient": "P1", "centres": centres}
    write_datalist(tmp_path / "set" / "datalist.json", {"training": [item]}, description="films")
    (found,) = read_datalist(tmp_path / "set", "training")
    assert found == {
        "image": str(tmp_path / "set" / "films" / "a.dcm"),
        "label": str(tmp_path / "labels" / "a.png"),
        "patient": "P1",
        "centres": centres,
    }
    assert json.loads((tmp_path / "set" / "datalist.json").read_text())["description"] == "films"


def test_datalist_may_have_another_name_and_absolute_paths(tmp_path: Path) -> None:
    write_datalist(tmp_path / "mine.json", {"test": ["/elsewhere/b.png"]})
    assert read_datalist(tmp_path / "mine.json", "test") == [{"image": "/elsewhere/b.png"}]


def test_first_section_with_items_is_read(tmp_path: Path) -> None:
    write_datalist(tmp_path / "datalist.json", {"test": [], "validation": [{"image": "v.png"}], "training": []})
    (found,) = read_datalist(tmp_path, ["test", "validation"])
    assert found["image"].endswith("v.png")
    with pytest.raises(ValueError, match="no films in test or training; it has test, validation, training"):
        read_datalist(tmp_path, ["test", "training"])


@pytest.mark.parametrize(("text", "reason"), [("{", "not a JSON datalist"), ("[1, 2]", "object of sections")])
def test_broken_datalist_is_named(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "datalist.json"
    file.write_text(text)
    for read in (lambda: read_datalist(tmp_path, "training"), lambda: find_films(file)):
        with pytest.raises(ValueError, match=reason) as caught:
            read()
        assert str(file) in str(caught.value)


def test_missing_datalist_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="cmnet-monai synthesize"):
        read_datalist(tmp_path, "training")


def test_films_are_found_in_subfolders_in_order_without_what_is_plainly_no_film(tmp_path: Path) -> None:
    films = ("IM1", "a/IM2.dcm", "a/b/scan.nii.gz", "c.PNG", "d.1.2.3")
    others = ("DICOMDIR", "a/dicomdir", "notes.txt", "b.json", ".hidden.dcm", ".cache/x.dcm", "archive.tar.gz", "m.pt")
    touch(tmp_path, *films, *others)
    assert names_below(tmp_path) == sorted(films)


def test_folders_of_label_maps_hold_no_films_unless_they_are_searched_themselves(tmp_path: Path) -> None:
    touch(tmp_path, "a.dcm", "labels/a.png", "sub/Masks/b.png", "outlines.dcm")
    assert names_below(tmp_path) == ["a.dcm", "outlines.dcm"]
    assert names_below(tmp_path / "labels") == ["a.png"]


def test_dicom_objects_that_are_no_images_are_left_out_of_folders_and_counted(tmp_path: Path) -> None:
    study = {"IM1": "1.1", "IM2": "77.1.1.1", "IM3": "2", "SEG": "66.4", "SR1": "88.33", "SR2": "88.33", "DOC": "104.1"}
    for name, leaf in study.items():
        write_raw_dicom(tmp_path / name, np.zeros((2, 3), np.uint8), SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{leaf}")
    write_raw_dicom(tmp_path / "private", np.zeros((2, 3), np.uint8), SOPClassUID="1.2.3.4")
    lines: list[str] = []
    assert [film.name for film in find_films(tmp_path, lines.append)] == ["IM1", "IM2", "IM3", "private"]
    (line,) = lines
    assert line.endswith("that are no films are left out: 2 Comprehensive SR, 1 Encapsulated PDF, 1 Segmentation")
    assert find_films(tmp_path / "SEG") == [tmp_path / "SEG"]  # given as a film, it gets its reason


def test_dots_above_the_folder_do_not_hide_its_films(tmp_path: Path) -> None:
    touch(tmp_path / ".data", "film.dcm")
    assert names_below(tmp_path / ".data") == ["film.dcm"]


def test_single_file_is_a_film_whatever_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "odd.txt")
    assert find_films(tmp_path / "odd.txt") == [tmp_path / "odd.txt"]


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_no_films_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=name):
        find_films(tmp_path / name)


def test_folder_with_a_datalist_is_read_by_it_each_film_once(tmp_path: Path) -> None:
    touch(tmp_path, "films/a.dcm", "labels/a.png")
    sections = {"training": [{"image": "films/a.dcm"}], "test": [{"image": "films/a.dcm"}, "films/b.dcm"]}
    write_datalist(tmp_path / "datalist.json", sections, settings={"seed": 1})
    assert [item["name"] for item in film_items(tmp_path)] == ["a", "b"]
    assert film_items(tmp_path)[0]["image"] == film_items(tmp_path)[0]["path"] == str(tmp_path / "films" / "a.dcm")


def test_datalist_of_scans_has_absolute_paths_and_no_films(tmp_path: Path) -> None:
    scan = {"ct": "a_ct.nii.gz", "label": "a_msk.nii.gz", "centroids": "a.json", "patient": "a"}
    write_datalist(tmp_path / "datalist.json", {"training": [scan]})
    (found,) = read_datalist(tmp_path, "training")
    assert found == {key: value if key == "patient" else str(tmp_path / value) for key, value in scan.items()}
    with pytest.raises(FileNotFoundError, match="no films in it"):
        find_films(tmp_path / "datalist.json")


def test_films_of_one_name_get_different_outputs(tmp_path: Path) -> None:
    touch(tmp_path, "a/IM1.dcm", "b/IM1.dcm", "b/IM2.dcm")
    names = [item["name"] for item in film_items(tmp_path)]
    assert len(set(names)) == 3 and names[2] == "IM2" and all(name.startswith("IM1-") for name in names[:2])


@pytest.mark.parametrize("output", [".", "out", "deep/out"])
def test_masks_of_an_earlier_run_are_no_films(tmp_path: Path, output: str) -> None:
    touch(tmp_path, "film.dcm", f"{output}/film_mask.png", f"{output}/film_mask.nii.gz", f"{output}/film_centres.json")
    assert [item["name"] for item in film_items(tmp_path, output_dir=tmp_path / output)] == ["film"]
    assert len(film_items(tmp_path, output_dir=tmp_path / "elsewhere")) == 3


def test_anonymous_names_hide_the_films_names(tmp_path: Path) -> None:
    touch(tmp_path, "Doe_Jane.dcm", "Roe.dcm")
    names = [item["name"] for item in film_items(tmp_path, anonymous_names=True)]
    assert len(set(names)) == 2 and all(set(name) <= set("0123456789abcdef") for name in names)


def test_folder_of_images_and_labels_is_a_test_section(tmp_path: Path) -> None:
    for name in ("images/b.png", "images/a.dcm", "images/unlabelled.png", "labels/a.nii.gz", "labels/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    items = read_datalist(tmp_path, ["test", "validation"])
    assert [(Path(i["image"]).name, Path(i["label"]).name) for i in items] == [
        ("a.dcm", "a.nii.gz"),
        ("b.png", "b.png"),
    ]
    with pytest.raises(FileNotFoundError, match="no datalist"):
        read_datalist(tmp_path, "training")
