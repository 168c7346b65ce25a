from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cmnet_monai.conventions import LEVEL_OF_LABEL, S1_LABEL
from cmnet_monai.datasets import read_datalist, synthesize
from cmnet_monai.datasets.synthesize import make_film, plan_films
from cmnet_monai.io import read_label_map

HEIGHT = 192


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    synthesize(folder, 4, seed=7, films_per_patient=1, height_px=HEIGHT, workers=1, progress=False)
    return folder


def digests(folder: Path, pattern: str = "*/*") -> dict[str, str]:
    files = (file for file in folder.glob(pattern) if file.is_file())
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_films_labels_and_truth_agree(folder: Path) -> None:
    items = [item for section in ("training", "validation", "test") for item in read_datalist(folder, section)]
    assert len(items) == 4
    for item in items:
        film, labels = pydicom.dcmread(item["image"]), read_label_map(item["label"])
        assert labels.shape == (film.Columns, film.Rows) and film.Rows == HEIGHT
        assert film.PatientID == item["patient"]
        for centre in item["centres"]:
            x, y = round(centre["x"]), round(centre["y"])
            if 0 <= x < labels.shape[0] and 0 <= y < labels.shape[1] and centre["label"] != S1_LABEL:
                inside = labels[max(x - 1, 0) : x + 2, max(y - 1, 0) : y + 2]
                assert centre["label"] in inside, LEVEL_OF_LABEL[centre["label"]]
        assert set(np.unique(labels)) - {0} <= set(LEVEL_OF_LABEL)


def test_same_seed_gives_the_same_bytes_with_one_process_or_two(folder: Path, tmp_path: Path) -> None:
    synthesize(tmp_path, 4, seed=7, height_px=HEIGHT, workers=2, progress=False)
    assert digests(tmp_path) == digests(folder)
    assert (tmp_path / "datalist.json").read_bytes() == (folder / "datalist.json").read_bytes()


def test_region_and_look_reach_every_film(tmp_path: Path) -> None:
    synthesize(tmp_path, 2, height_px=HEIGHT, workers=1, progress=False, region="thoracic", look="b")
    for file in sorted((tmp_path / "truth").glob("*.json")):
        truth = json.loads(file.read_text())
        assert (truth["region"], truth["look"]) == ("thoracic", "b")
        assert {body["level"] for body in truth["bodies"]} >= {"T7", "T8", "T9", "T10"}
    with pytest.raises(ValueError, match="choose another folder"):
        synthesize(tmp_path, 2, height_px=HEIGHT, workers=1, progress=False, region="thoracic", look="a")


def test_broken_off_run_makes_what_is_missing_and_keeps_the_rest(folder: Path) -> None:
    before = digests(folder)
    stamp = (folder / "films" / "film_00000.dcm").stat().st_mtime_ns
    (folder / "truth" / "film_00002.json").unlink()  # written last: its film counts as not made
    (folder / "films" / "film_00002.dcm").write_bytes(b"half")
    synthesize(folder, 4, seed=7, height_px=HEIGHT, workers=1, progress=False)
    assert digests(folder) == before
    assert (folder / "films" / "film_00000.dcm").stat().st_mtime_ns == stamp


def test_folder_of_other_settings_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="choose another folder or the same settings"):
        synthesize(folder, 4, seed=8, height_px=HEIGHT, workers=1, progress=False)


def test_stored_polarities_are_both_among_the_plans_and_in_the_files(folder: Path) -> None:
    plans = plan_films(4, 7, height_px=HEIGHT)
    assert {plan.monochrome1 for plan in plan_films(30)} == {True, False}
    for plan in plans:
        found = pydicom.dcmread(folder / "films" / f"{plan.name}.dcm").PhotometricInterpretation
        assert found == ("MONOCHROME1" if plan.monochrome1 else "MONOCHROME2")


def test_plans_are_stable_and_films_of_a_patient_share_the_anatomy_only() -> None:
    few, many = plan_films(5, 3, films_per_patient=2), plan_films(9, 3, films_per_patient=2)
    assert many[:5] == few
    assert few[0].patient == few[1].patient != few[2].patient
    assert few[0].patient_seed == few[1].patient_seed != few[2].patient_seed
    assert len({plan.film_seed for plan in many}) == 9
    assert plan_films(5, 4)[0].film_seed != few[0].film_seed


@pytest.mark.parametrize("arguments", [(0,), (1, -1), (1, 0, 0)])
def test_numbers_out_of_range_are_refused(arguments: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="start at"):
        plan_films(*arguments)


def test_film_and_truth_do_not_name_a_person(folder: Path) -> None:
    plan = plan_films(1, 7, height_px=HEIGHT)[0]
    item = make_film(plan, folder)  # is there already
    assert item["patient"] == plan.patient == "SYN-7-00000"
    assert set(json.loads((folder / "truth" / f"{plan.name}.json").read_text())) == {
        "patient",
        "kind",
        "faces",
        "region",
        "look",
        "findings",
        "bodies",
    }
