from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, Invertd, LoadImaged

from cmnet_monai.io import write_dx
from cmnet_monai.io.files.results import FilmResult
from cmnet_monai.transforms import ResizeWithPadd, SaveFilmResultd

MASK = torch.zeros(1, 6, 11)
MASK[0, 1:3, 4:9] = 1


def item(tmp_path: Path, **meta: Any) -> dict[str, Any]:
    film = tmp_path / "film.dcm"
    film.write_bytes(b"pixels")
    affine = torch.diag(torch.tensor([-0.2, -0.3, 1.0], dtype=torch.float64))
    return {
        "pred": MetaTensor(MASK, affine=affine),
        "image": MetaTensor(torch.zeros(1, 3, 4), affine=affine, meta=meta),
        "centres": [{"level": "L2", "x_px": 1.5, "y_px": 6.0}],
        "name": "film-1",
        "path": str(film),
    }


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads(FilmResult(folder, "film-1").centres.read_text())


def test_mask_and_centres_are_written_and_the_item_goes_on(tmp_path: Path) -> None:
    data = item(tmp_path, spacing_xy_mm=np.array([0.2, 0.3]), spacing_provenance="detector")
    result = FilmResult(tmp_path / "out", "film-1")
    after = SaveFilmResultd("pred", tmp_path / "out", "run1")(data)
    assert after.keys() == data.keys() and after["pred"] is data["pred"]
    assert result.is_complete("run1", data["path"])
    np.testing.assert_array_equal(np.asarray(nibabel.load(result.mask_nifti).dataobj)[..., 0], MASK[0])
    record = record_of(tmp_path / "out")
    assert record["centres"] == data["centres"] and record["film"] == "film.dcm"
    assert record["spacing_xy_mm"] == [0.2, 0.3] and record["spacing_provenance"] == "detector"


@pytest.mark.parametrize("meta", [{}, {"spacing_xy_mm": np.array([np.nan, np.nan]), "spacing_provenance": "none"}])
def test_unknown_spacing_is_null_and_its_unit_unknown(tmp_path: Path, meta: dict[str, Any]) -> None:
    SaveFilmResultd("pred", tmp_path / "out")(item(tmp_path, **meta))
    record = record_of(tmp_path / "out")
    assert record["spacing_xy_mm"] is None and record["spacing_provenance"] == "none"
    nifti = nibabel.load(FilmResult(tmp_path / "out", "film-1").mask_nifti)
    assert nifti.header.get_xyzt_units()[0] == "unknown"


def test_anonymous_record_calls_the_film_by_its_outputs_name(tmp_path: Path) -> None:
    SaveFilmResultd("pred", tmp_path / "out", anonymous=True)(item(tmp_path))
    assert record_of(tmp_path / "out")["film"] == "film-1"


def test_inverted_mask_lies_on_the_grid_that_simpleitk_sees_in_the_film(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 4095, (37, 90)).astype(np.uint16)
    path = write_dx(tmp_path / "film.dcm", pixels, imager_spacing_xy_mm=(0.25, 0.4))
    before = Compose(
        [
            LoadImaged("image", reader="cmnet_monai.io.RadiographReader"),
            EnsureChannelFirstd("image"),
            ResizeWithPadd("image", spatial_size=(64, 96)),
        ]
    )
    data = before({"image": str(path), "path": str(path), "name": "film"})
    data["pred"] = data["image"].clone()
    after = Invertd("pred", before, orig_keys="image", nearest_interp=False, to_tensor=True)
    data = after(data)
    data["pred"] = (data["pred"] > 2000).float()
    SaveFilmResultd("pred", tmp_path / "out")(data)
    film, mask = sitk.ReadImage(str(path)), sitk.ReadImage(str(tmp_path / "out" / "film_mask.nii.gz"))
    assert mask.GetSize() == film.GetSize() == (37, 90, 1)
    np.testing.assert_allclose(mask.GetSpacing()[:2], (0.25, 0.4), rtol=1e-6)  # NIfTI keeps float32
    np.testing.assert_allclose(mask.GetOrigin(), 0, atol=1e-6)
    np.testing.assert_allclose(mask.GetDirection(), film.GetDirection(), atol=1e-6)


def test_plain_array_of_a_host_program_is_written_too(tmp_path: Path) -> None:
    data = {**item(tmp_path), "pred": MASK.numpy(), "image": np.zeros((1, 3, 4))}
    SaveFilmResultd("pred", tmp_path / "out")(data)
    nifti = nibabel.load(FilmResult(tmp_path / "out", "film-1").mask_nifti)
    np.testing.assert_array_equal(np.asarray(nifti.dataobj)[..., 0], MASK[0])


def test_label_map_is_written_on_the_grid_of_the_mask(tmp_path: Path) -> None:
    labels = MASK.clone()
    labels[0, 1:3, 4:6], labels[0, 1:3, 6:9] = 20, 21
    data = {**item(tmp_path), "labels": MetaTensor(labels)}
    result = FilmResult(tmp_path / "out", "film-1")
    SaveFilmResultd("pred", tmp_path / "out", labels_key="labels")(data)
    nifti, mask = nibabel.load(result.labels_nifti), nibabel.load(result.mask_nifti)
    np.testing.assert_array_equal(np.asarray(nifti.dataobj)[..., 0], labels[0])
    np.testing.assert_array_equal(nifti.affine, mask.affine)
    assert record_of(tmp_path / "out")["has_label_map"] is True


def test_missing_key_is_an_error_unless_allowed(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        SaveFilmResultd("pred", tmp_path)({"name": "a"})
    assert SaveFilmResultd("pred", tmp_path, allow_missing_keys=True)({"name": "a"}) == {"name": "a"}
