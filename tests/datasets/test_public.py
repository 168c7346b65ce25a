from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cmnet_monai.cli.main import app
from cmnet_monai.datasets import make_datalist, read_datalist
from cmnet_monai.io import write_label_png

SECTIONS = ("training", "validation", "test")


def picture(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (28, 18), dtype=np.uint8)
    return Image.fromarray(coarse).resize((90, 140), Image.Resampling.BICUBIC)


def films(root: Path, names: Sequence[str], seed: int = 0) -> Path:
    for i, name in enumerate(names):
        file = root / "images" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture(seed + i).save(file)
        labels = np.zeros((90, 140), np.uint8)
        labels[20:40, 30:50] = 20
        (root / "labels").mkdir(exist_ok=True)
        write_label_png(root / "labels" / f"{name.split('/')[-1]}.png", labels)
    return root


def sections_of(file: Path) -> dict[str, tuple[str, str]]:
    """(section, patient) by the stem of the film."""
    content = json.loads(file.read_text())
    return {Path(item["image"]).stem: (name, item["patient"]) for name in SECTIONS for item in content[name]}


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_films_split_by_patient_in_the_datalist_and_every_fold(tmp_path: Path) -> None:
    source = films(tmp_path / "set", [f"p{i // 2:02d}_{i % 2}" for i in range(40)])
    done = make_datalist(
        "folder", source, tmp_path / "out", 3, folds=4, validation=2, patient_pattern=r"(p\d\d)_", progress=False
    )
    assert dict(done.films) == {"training": 32, "validation": 4, "test": 4} and done.patients == 20
    folds = [sections_of(tmp_path / "out" / f"fold_{k}.json") for k in range(4)]
    for found in (sections_of(tmp_path / "out" / "datalist.json"), *folds):
        assert len(found) == 40
        assert len(set(found.values())) == 20  # one section a patient
    assert all(sum(section == "test" for section, _ in fold.values()) == 10 for fold in folds)
    assert all(sum(section == "validation" for section, _ in fold.values()) == 4 for fold in folds)
    assert all(sum(fold[name][0] == "test" for fold in folds) == 1 for name in folds[0])


def test_same_picture_keeps_two_patients_together_for_every_seed(tmp_path: Path) -> None:
    source = films(tmp_path / "set", list("abcdefghij"))
    copy = picture(2).resize((60, 70)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    copy.save(source / "images" / "z.jpg", quality=60)
    write_label_png(source / "labels" / "z.png", np.full((60, 70), 1))
    for seed in range(6):
        done = make_datalist("folder", source, tmp_path / "out", seed, progress=False)
        found = sections_of(tmp_path / "out" / "datalist.json")
        assert found["c"] == found["z"] and found["c"][1] == "c"
        assert done.patients == 10 and done.duplicates == 1
    (pair,) = table(tmp_path / "out" / "duplicates.csv")
    assert (Path(pair["first"]).name, Path(pair["second"]).name) == ("c.png", "z.jpg")
    assert (pair["first_patient"], pair["second_patient"], pair["mirrored"]) == ("c", "z", "yes")


def test_films_of_another_datalist_are_left_out(tmp_path: Path) -> None:
    other = films(tmp_path / "other", ["x", "y"], seed=3)  # pictures 3 and 4
    make_datalist("folder", other, tmp_path / "other_list", progress=False)
    source = films(tmp_path / "set", list("abcdef"))
    done = make_datalist("folder", source, tmp_path / "out", exclude=tmp_path / "other_list", progress=False)
    assert set(sections_of(tmp_path / "out" / "datalist.json")) == {"a", "b", "c", "f"} and done.skipped == 2
    rows = table(tmp_path / "out" / "skipped.csv")
    assert [Path(row["file"]).name for row in rows] == ["d.png", "e.png"] and "x.png" in rows[0]["reason"]


def test_unreadable_film_is_listed_and_the_others_stay(tmp_path: Path) -> None:
    source = films(tmp_path / "set", list("abcd"))
    (source / "images" / "b.png").write_bytes((source / "images" / "b.png").read_bytes()[:200])
    done = make_datalist("folder", source, tmp_path / "out", progress=False)
    assert set(sections_of(tmp_path / "out" / "datalist.json")) == {"a", "c", "d"}
    (row,) = table(tmp_path / "out" / "skipped.csv")
    assert done.skipped == 1 and row["file"].endswith("b.png") and row["reason"] and row["remedy"]


def test_run_again_writes_the_same_and_drops_old_tables(tmp_path: Path) -> None:
    source = films(tmp_path / "set", list("abcd"))
    alone = source / "images" / "alone.png"
    picture(77).save(alone)
    make_datalist("folder", source, tmp_path / "out", workers=1, progress=False)
    first = (tmp_path / "out" / "datalist.json").read_bytes()
    assert (tmp_path / "out" / "skipped.csv").is_file()
    alone.unlink()
    make_datalist("folder", source, tmp_path / "out", workers=3, progress=False)
    assert (tmp_path / "out" / "datalist.json").read_bytes() == first
    assert not (tmp_path / "out" / "skipped.csv").exists()


def test_folds_of_an_earlier_split_do_not_stay(tmp_path: Path) -> None:
    source = films(tmp_path / "set", list("abcd"))
    for folds, expected in ((3, 3), (2, 2), (0, 0)):
        make_datalist("folder", source, tmp_path / "out", folds=folds, progress=False)
        assert len(list((tmp_path / "out").glob("fold_*.json"))) == expected


def test_output_inside_the_source_does_not_become_its_input(tmp_path: Path) -> None:
    source = tmp_path / "set"
    shape = {"label": "L1", "points": [[20, 30], [40, 30], [40, 50]], "shape_type": "polygon"}
    for i, name in enumerate("abc"):
        source.mkdir(exist_ok=True)
        picture(i).save(source / f"{name}.png")
        (source / f"{name}.json").write_text(json.dumps({"shapes": [shape], "imagePath": f"../{name}.png"}))
    for _ in range(2):
        done = make_datalist("labelme", source, source, progress=False)
        assert sum(done.films.values()) == 3 and not done.skipped
    assert {Path(item["label"]).parent for item in read_datalist(source, "training")} == {source / "labels"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"patient_pattern": "("}, "no regular expression"),
        ({"patient_pattern": "p1"}, "has no group"),
        ({"s1": "half"}, '"plate" or "none"'),
        ({"levels": "above"}, '"none" or "from-below"'),
        ({"folds": 9}, "9 folds"),
        ({"exclude": "nothing.txt"}, "not a datalist"),
        ({"patient_pattern": "(q)"}, "no film can be used.*patient pattern"),
    ],
)
def test_wrong_options_are_errors_that_say_so(tmp_path: Path, options: dict, reason: str) -> None:
    source = films(tmp_path / "set", list("abc"))
    with pytest.raises(ValueError, match=reason):
        make_datalist("folder", source, tmp_path / "out", progress=False, **options)
    assert not (tmp_path / "out" / "datalist.json").exists()


def test_missing_source_and_unknown_format_are_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone: no such folder"):
        make_datalist("folder", tmp_path / "gone", tmp_path / "out")
    with pytest.raises(ValueError, match="there are buu-lspine, mendeley, verse, coco, labelme, folder"):
        make_datalist("dicom", tmp_path, tmp_path / "out")


def test_command_counts_films_patients_skipped_and_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmnet_monai.cli.main._quiet", lambda: None)
    source = films(tmp_path / "set", list("abcd"))
    picture(1).save(source / "images" / "e.png")
    write_label_png(source / "labels" / "e.png", np.full((90, 140), 1))
    picture(50).save(source / "images" / "f.png")
    done = CliRunner().invoke(app, ["datalist", "folder", str(source), str(tmp_path / "out"), "--folds", "2"])
    assert done.exit_code == 0 and "5 films of 4 patients" in done.output
    assert "1 skipped, see" in done.output and "1 pairs of the same picture" in done.output
    assert (tmp_path / "out" / "fold_1.json").is_file()


def test_command_fails_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmnet_monai.cli.main._quiet", lambda: None)
    done = CliRunner().invoke(app, ["datalist", "coco", str(tmp_path), str(tmp_path / "out")])
    assert done.exit_code == 1 and "no COCO file" in done.output and "Traceback" not in done.output
    assert CliRunner().invoke(app, ["datalist", "dicom", str(tmp_path), "out"]).exit_code == 2
