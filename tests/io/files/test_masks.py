from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from cmnet_monai.io import (
    FilmError,
    film_affine,
    read_label_map,
    write_dx,
    write_label_png,
    write_mask_png,
    write_nifti,
)

LABELS = np.zeros((7, 5), np.int64)  # x, y
LABELS[1:4, 2] = 20
LABELS[5, 0:2] = 26


def test_mask_png_has_the_films_shape_and_two_values(tmp_path):
    write_mask_png(tmp_path / "mask.png", LABELS > 0)
    picture = Image.open(tmp_path / "mask.png")
    assert picture.size == (7, 5)
    assert picture.mode == "L"
    np.testing.assert_array_equal(np.asarray(picture), np.where(LABELS.T > 0, 255, 0))
    write_mask_png(tmp_path / "mask.png", LABELS, foreground=1)
    assert sorted(set(np.asarray(Image.open(tmp_path / "mask.png")).ravel())) == [0, 1]


@pytest.mark.parametrize("highest", [26, 255, 256, 65535])
@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, bool])
def test_label_png_round_trip(highest, kind, tmp_path):
    labels = LABELS.copy()
    labels[6, 4] = highest
    if kind is bool or highest <= np.iinfo(np.uint8).max or kind is not np.uint8:
        labels = labels.astype(kind)
    write_label_png(tmp_path / "labels.png", labels)
    read = read_label_map(tmp_path / "labels.png")
    np.testing.assert_array_equal(read, labels)
    assert read.dtype in (np.uint8, np.uint16)


def test_palette_labels_stay_indices(tmp_path):
    picture = Image.fromarray(LABELS.T.astype(np.uint8), mode="P")
    picture.putpalette([200, 10, 10] * 256)
    picture.save(tmp_path / "labels.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "labels.png"), LABELS)


@pytest.mark.parametrize("name", ["labels.nii", "labels.nii.gz"])
def test_nifti_labels_round_trip(name, tmp_path):
    write_nifti(tmp_path / name, LABELS)
    np.testing.assert_array_equal(read_label_map(tmp_path / name), LABELS)


def test_nifti_lies_on_the_films_grid_for_nibabel_and_simpleitk(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    film = sitk.ReadImage(
        str(write_dx(tmp_path / "film.dcm", LABELS.astype(np.uint16), imager_spacing_xy_mm=(0.125, 0.25)))
    )
    write_nifti(tmp_path / "mask.nii.gz", LABELS > 0, film_affine((0.125, 0.25)))
    mask = sitk.ReadImage(str(tmp_path / "mask.nii.gz"))
    assert mask.GetSize() == film.GetSize() == (7, 5, 1)
    np.testing.assert_allclose(mask.GetSpacing(), film.GetSpacing())
    np.testing.assert_allclose(mask.GetOrigin(), film.GetOrigin(), atol=1e-9)
    np.testing.assert_allclose(mask.GetDirection(), film.GetDirection(), atol=1e-6)
    assert mask.GetPixelIDTypeAsString() == "8-bit unsigned integer"
    # SimpleITK gives (z, y, x).
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask)[0].T, LABELS > 0)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(film)[0].T, LABELS)
    image = nib.load(tmp_path / "mask.nii.gz")
    assert image.shape == (7, 5, 1)
    np.testing.assert_allclose(image.affine, np.diag([-0.125, -0.25, 1, 1]))
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-6)
    assert image.header.get_xyzt_units()[0] == "mm"


def test_unknown_spacing_has_unknown_units_and_stays_unknown(tmp_path, read_film):
    write_nifti(tmp_path / "mask.nii.gz", LABELS, film_affine((np.nan, np.nan)), spacing_known=False)
    image = nib.load(tmp_path / "mask.nii.gz")
    assert image.header.get_xyzt_units()[0] == "unknown"
    np.testing.assert_array_equal(image.affine, np.diag([-1, -1, 1, 1]))
    assert read_film(tmp_path / "mask.nii.gz")[1]["spacing_provenance"] == "none"


@pytest.mark.parametrize(
    ("array", "stored"),
    [(LABELS, np.uint8), (LABELS * 100, np.int32), (LABELS > 0, np.uint8), (LABELS / 3, np.float64)],
)
def test_nifti_types(array, stored, tmp_path):
    write_nifti(tmp_path / "a.nii", array)
    image = nib.load(tmp_path / "a.nii")
    assert image.get_data_dtype() == stored
    np.testing.assert_allclose(np.asarray(image.dataobj)[..., 0], array)


def test_the_same_arguments_give_the_same_bytes(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tmp_path / name, LABELS)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_wrong_arrays_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\(x, y\)"):
        write_mask_png(tmp_path / "a.png", np.zeros((1, 3, 4)))
    for bad in (LABELS - 1, LABELS + 0.5, LABELS * 1e5, np.full((2, 2), np.nan), np.array([["a"]])):
        with pytest.raises(ValueError, match="labels must"):
            write_label_png(tmp_path / "a.png", bad)
    with pytest.raises(ValueError, match="foreground"):
        write_mask_png(tmp_path / "a.png", LABELS, foreground=0)
    with pytest.raises(ValueError, match="affine"):
        write_nifti(tmp_path / "a.nii", LABELS, np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"named \.nii"):
        write_nifti(tmp_path / "a.png", LABELS)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_label_maps_are_refused(tmp_path):
    rgb = tmp_path / "rgb.png"
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(rgb)
    with pytest.raises(FilmError, match=r"rgb\.png: the label map has 3 channels"):
        read_label_map(rgb)
    with pytest.raises(FilmError, match=r"missing\.png: the label map cannot be opened"):
        read_label_map(tmp_path / "missing.png")
    jpeg = tmp_path / "labels.jpg"
    Image.fromarray(LABELS.T.astype(np.uint8)).save(jpeg)
    with pytest.raises(FilmError, match=r"labels\.jpg: the label map cannot be decoded"):  # lossy: labels would change
        read_label_map(jpeg)
    with pytest.raises(FilmError, match="a DICOM object is not a label map"):
        read_label_map(write_dx(tmp_path / "film.dcm", LABELS.astype(np.uint16)))
    nib.save(nib.Nifti1Image(LABELS + 0.5, np.eye(4)), tmp_path / "half.nii")
    with pytest.raises(FilmError, match="values that are not labels"):
        read_label_map(tmp_path / "half.nii")
