from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from cmnet_monai.io.files.results import FilmResult, file_sha256, film_fingerprint, run_identity

MASK = np.zeros((5, 9), np.uint8)
MASK[1:3, 4:8] = 1
AFFINE = np.diag([-0.2, -0.3, 1.0])


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.dcm"
    path.write_bytes(b"pixels")
    return path


@pytest.fixture
def result(tmp_path: Path, film: Path) -> FilmResult:
    result = FilmResult(tmp_path / "deep" / "out", "film")
    centres = [{"level": "L1", "x_px": 1.5, "y_px": 5.5}]
    result.write(film, MASK, AFFINE, centres, "run1", labels_xy=20 * MASK, note="more")
    return result


def test_mask_is_in_all_files_as_it_was_given(result: FilmResult) -> None:
    assert {file.name for file in result.output_dir.iterdir()} == {file.name for file in result.files}
    nifti = nibabel.load(result.mask_nifti)
    np.testing.assert_array_equal(np.asarray(nifti.dataobj)[..., 0], MASK)
    assert nifti.header.get_zooms()[:2] == pytest.approx((0.2, 0.3))
    with Image.open(result.mask_png) as png:
        assert png.size == (5, 9)
        np.testing.assert_array_equal(np.asarray(png).T, 255 * MASK)
    labels = nibabel.load(result.labels_nifti)
    np.testing.assert_array_equal(np.asarray(labels.dataobj)[..., 0], 20 * MASK)
    np.testing.assert_array_equal(labels.affine, nifti.affine)
    with Image.open(result.labels_png) as png:
        np.testing.assert_array_equal(np.asarray(png).T, 20 * MASK)


def test_record_says_what_film_run_and_centres_are(result: FilmResult, film: Path) -> None:
    assert json.loads(result.centres.read_text()) == {
        "film": "film.dcm",
        "film_fingerprint": film_fingerprint(film),
        "size_xy_px": [5, 9],
        "has_label_map": True,
        "note": "more",
        "centres": [{"level": "L1", "x_px": 1.5, "y_px": 5.5}],
        "run": "run1",
    }


def test_film_may_be_called_otherwise(tmp_path: Path, film: Path) -> None:
    result = FilmResult(tmp_path, "0a1b")
    result.write(film, MASK, AFFINE, [], "run1", film_name="0a1b")
    assert json.loads(result.centres.read_text())["film"] == "0a1b"


def test_unit_of_an_unknown_spacing_is_unknown(tmp_path: Path, film: Path) -> None:
    result = FilmResult(tmp_path, "film")
    result.write(film, MASK, np.diag([-1.0, -1.0, 1.0]), [], "run1", spacing_known=False)
    assert nibabel.load(result.mask_nifti).header.get_xyzt_units()[0] == "unknown"


def test_complete_for_its_own_run_and_film_only(result: FilmResult, film: Path) -> None:
    assert result.is_complete("run1", film)
    assert not result.is_complete("run2", film)
    os.utime(film, ns=(5, 5))
    assert not result.is_complete("run1", film)
    film.unlink()
    assert not result.is_complete("run1", film)


def test_result_without_a_label_map_is_complete_without_one_and_leaves_none_behind(
    result: FilmResult, film: Path
) -> None:
    result.write(film, MASK, AFFINE, [], "run2")
    assert result.is_complete("run2", film)
    assert not result.labels_nifti.exists() and not result.labels_png.exists()


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4])
def test_incomplete_without_any_of_its_files(result: FilmResult, film: Path, number: int) -> None:
    result.files[number].unlink()
    assert not result.is_complete("run1", film)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_incomplete_with_a_record_that_cannot_be_read(result: FilmResult, film: Path, text: str) -> None:
    result.centres.write_text(text)
    assert not result.is_complete("run1", film)


def test_result_that_is_being_renewed_is_not_complete(
    result: FilmResult, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*args: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("cmnet_monai.io.files.masks.write_mask_png", full_disk)
    monkeypatch.setattr("cmnet_monai.io.write_mask_png", full_disk, raising=False)
    with pytest.raises(OSError, match="no space"):
        result.write(film, 1 - MASK, AFFINE, [], "run1")
    assert not result.is_complete("run1", film)  # new NIfTI beside the old PNG: to be made again


def test_hash_is_that_of_the_standard_library(tmp_path: Path) -> None:
    content = os.urandom((1 << 20) + 7)
    (tmp_path / "w").write_bytes(content)
    assert file_sha256(tmp_path / "w") == hashlib.sha256(content).hexdigest()
    assert file_sha256("") == ""


def test_identity_depends_on_values_and_not_on_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    one = run_identity({"threshold": 0.5, "spatial_size": [64, 128]})
    assert one == run_identity({"spatial_size": [64, 128], "threshold": 0.5})
    assert one != run_identity({"threshold": 0.6, "spatial_size": [64, 128]})
    assert one != run_identity({"threshold": 0.5, "spatial_size": [128, 64]})
    monkeypatch.setattr("cmnet_monai.__version__", "0.0.0.dev0")
    assert one != run_identity({"threshold": 0.5, "spatial_size": [64, 128]})
