"""A data set from a CT: a phantom of three boxes, through the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cmnet_monai.cli.main import app
from cmnet_monai.datasets import read_datalist, synthesize_ct
from cmnet_monai.io import read_label_map

nib = pytest.importorskip("nibabel")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("ct")
    labels = np.zeros((25, 70, 110), np.uint8)
    for label, bottom in ((21, 76), (22, 43), (23, 10)):
        labels[6:19, 30:60, bottom : bottom + 25] = label
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    for name, values in (("a_ct", np.where(labels > 0, 400, 20)), ("a_seg", labels)):
        nib.save(nib.Nifti1Image(values.astype(np.int16), affine), folder / f"{name}.nii.gz")
    return folder / "a_ct.nii.gz", folder / "a_seg.nii.gz"


def test_command_writes_films_of_one_patient_and_goes_on_where_it_stopped(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    pytest.importorskip("nanodrr")
    call = ["synthesize-ct", str(tmp_path / "a"), "--ct", str(files[0]), "--labels", str(files[1]), "-n", "2"]
    call += ["--height", "128", "--workers", "1"]
    assert CliRunner().invoke(app, call).exit_code == 0
    items = read_datalist(tmp_path / "a", "training")
    assert [item["patient"] for item in items] == ["a_ct", "a_ct"]
    for item in items:
        labels = read_label_map(item["label"])
        assert {c["label"] for c in item["centres"]} == {21, 22, 23} == set(np.unique(labels)) - {0}
    film = tmp_path / "a" / "films" / "film_00001.dcm"
    before = film.read_bytes()
    film.unlink()
    (tmp_path / "a" / "truth" / "film_00001.json").unlink()
    kept = (tmp_path / "a" / "films" / "film_00000.dcm").stat().st_mtime_ns
    assert CliRunner().invoke(app, call).exit_code == 0
    assert film.read_bytes() == before
    assert (tmp_path / "a" / "films" / "film_00000.dcm").stat().st_mtime_ns == kept
    truth = json.loads((tmp_path / "a" / "truth" / "film_00000.json").read_text())
    assert {body["deformity"] for body in truth["bodies"]} == {"unknown"}


def test_labels_without_a_ct_make_films_too(files: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("nanodrr")
    call = ["synthesize-ct", str(tmp_path), "--ct", str(files[0]), "--labels", str(files[1])]
    call += ["--shapes", str(files[1]), "-n", "2", "--height", "128", "--workers", "1"]
    assert CliRunner().invoke(app, call).exit_code == 0
    items = read_datalist(tmp_path, "training")
    assert [item["patient"] for item in items] == ["a_ct", "a_seg"]
    for item in items:
        assert {21, 22, 23} == set(np.unique(read_label_map(item["label"]))) - {0}
    without = CliRunner().invoke(app, ["synthesize-ct", str(tmp_path / "b")])
    assert without.exit_code == 1 and "--shapes" in without.output


def test_mistakes_are_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    ct, labels = files
    with pytest.raises(ValueError, match="got 1 and 0 files"):
        synthesize_ct(tmp_path, [ct], [])
    with pytest.raises(ValueError, match="no CT and no labels"):
        synthesize_ct(tmp_path, [], [])
    with pytest.raises(ValueError, match="different file names"):
        synthesize_ct(tmp_path, [ct, ct], [labels, labels])
    with pytest.raises(FileNotFoundError, match="no such file"):
        synthesize_ct(tmp_path, [ct], [tmp_path / "none.nii.gz"])
    shifted = tmp_path / "shifted.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((25, 70, 110), np.int16), np.eye(4)), shifted)
    with pytest.raises(ValueError, match="does not lie on the grid"):
        synthesize_ct(tmp_path / "b", [ct], [shifted], 1, workers=1, progress=False)
