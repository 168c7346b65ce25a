from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from cmnet_monai.datasets import make_datalist, read_datalist


def volume(path: Path, value: int, shape: tuple[int, ...] = (4, 5, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.zeros(shape, np.uint8)
    voxels[1, 2, 3] = value
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([0.5, 0.5, 1.0, 1.0])), path)


def scan(tree: Path, subject: str, entities: str = "", value: int = 20, mask: bool = True) -> None:
    name = f"{subject}{entities}"
    volume(tree / "rawdata" / subject / f"{name}_ct.nii.gz", 99)
    if mask:
        volume(tree / "derivatives" / subject / f"{name}_seg-vert_msk.nii.gz", value)
        centroids = [{"direction": ["P", "I", "R"]}, {"label": value, "X": 1.0, "Y": 2.0, "Z": 3.0}]
        (tree / "derivatives" / subject / f"{name}_seg-subreg_ctd.json").write_text(json.dumps(centroids))


def test_scans_of_several_trees_are_listed_with_mask_and_centroids(tmp_path: Path, sections: Callable) -> None:
    root = tmp_path / "verse"
    scan(root / "dataset-01training", "sub-verse004", value=20)
    scan(root / "dataset-02validation", "sub-gl003", "_dir-ax", value=21)
    for split, value in (("253", 22), ("254", 23)):
        scan(root / "dataset-03test", "sub-verse401", f"_split-verse{split}", value=value)
    done = make_datalist("verse", root, tmp_path / "out", progress=False)
    items = sections(tmp_path / "out" / "datalist.json")
    assert done.patients == 3 and sum(done.films.values()) == 4 and not done.skipped
    item = items["sub-gl003_dir-ax_ct.nii"]
    assert set(item) - {"section", "map"} == {"ct", "label", "centroids", "patient"} and item["patient"] == "sub-gl003"
    below = "../verse/dataset-02validation/derivatives/sub-gl003/sub-gl003_dir-ax_seg"
    assert item["label"] == f"{below}-vert_msk.nii.gz" and item["centroids"] == f"{below}-subreg_ctd.json"
    twice = [i["section"] for i in items.values() if i["patient"] == "sub-verse401"]
    assert len(twice) == 2 and len(set(twice)) == 1
    for section in ("training", "validation", "test"):
        for found in read_datalist(tmp_path / "out", section):
            assert all(Path(found[key]).is_file() for key in ("ct", "label", "centroids"))
    assert not (tmp_path / "out" / "labels").exists()


def test_scan_under_two_names_makes_one_patient(tmp_path: Path, sections: Callable) -> None:
    for subject, value in (("sub-verse004", 20), ("sub-verse500", 20), ("sub-verse005", 21), ("sub-verse006", 22)):
        scan(tmp_path / "verse", subject, value=value)
    done = make_datalist("verse", tmp_path / "verse", tmp_path / "out", progress=False)
    items = sections(tmp_path / "out" / "datalist.json")
    assert done.duplicates == 1 and done.patients == 3
    assert items["sub-verse500_ct.nii"]["patient"] == "sub-verse004"
    assert items["sub-verse500_ct.nii"]["section"] == items["sub-verse004_ct.nii"]["section"]


def test_scan_without_mask_of_another_size_or_damaged_is_named(tmp_path: Path, load: Callable) -> None:
    scan(tmp_path, "sub-verse004", mask=False)
    scan(tmp_path, "sub-verse005")
    volume(tmp_path / "derivatives" / "sub-verse005" / "sub-verse005_seg-vert_msk.nii.gz", 20, (4, 5, 7))
    scan(tmp_path, "sub-verse006")
    (tmp_path / "rawdata" / "sub-verse006" / "sub-verse006_ct.nii.gz").write_bytes(b"\x1f\x8bhalf")
    cases, errors = load("verse", tmp_path)
    reasons = {name.split("_")[0]: error.reason for name, error in errors.items()}
    assert not cases and "sub-verse004_seg-vert_msk" in reasons["sub-verse004"]
    assert "4x5x6 and 4x5x7" in reasons["sub-verse005"] and "cannot be read" in reasons["sub-verse006"]


def test_folder_without_scans_is_refused(tmp_path: Path, load: Callable) -> None:
    with pytest.raises(FileNotFoundError, match="no scans of VerSe"):
        load("verse", tmp_path)
