from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from cmnet_monai.io import FilmError

VALUES = np.random.default_rng(4).integers(0, 4096, (7, 5)).astype(np.int16)  # x, y
AFFINE = np.array([[-0.2, 0, 0, 11], [0, -0.3, 0, 12], [0, 0, 1, 0], [0, 0, 0, 1]])


def save(values, path, affine=AFFINE, unit="mm", kind=nib.Nifti1Image):
    image = kind(values, affine)
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 1), (7, 5, 1, 1)])
@pytest.mark.parametrize("name", ["film.nii", "film.nii.gz"])
def test_one_slice_with_its_own_affine(shape, name, tmp_path, read_film):
    pixels, meta = read_film(save(VALUES.reshape(shape), tmp_path / name))
    np.testing.assert_array_equal(pixels, VALUES)
    np.testing.assert_allclose(meta["affine"], [[-0.2, 0, 11], [0, -0.3, 12], [0, 0, 1]], rtol=1e-6)
    np.testing.assert_allclose(meta["spacing_xy_mm"], (0.2, 0.3), rtol=1e-6)
    assert meta["spacing_provenance"] == "unspecified"
    assert meta["polarity_inverted"] is False


def test_content_decides_not_the_name(tmp_path, read_film):
    path = save(VALUES, tmp_path / "film.nii.gz").rename(tmp_path / "film")
    np.testing.assert_array_equal(read_film(path)[0], VALUES)


def test_nifti_2_and_big_endian(tmp_path, read_film):
    path = save(VALUES, tmp_path / "film.nii", kind=nib.Nifti2Image)
    np.testing.assert_array_equal(read_film(path)[0], VALUES)
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    nib.save(nib.Nifti1Image(VALUES.astype(">i2"), AFFINE, header), path)
    pixels, _ = read_film(path)
    np.testing.assert_array_equal(pixels, VALUES)
    assert pixels.dtype.isnative


def test_a_pair_of_files(tmp_path, read_film):
    nib.save(nib.Nifti1Pair(VALUES, AFFINE), tmp_path / "film.hdr")
    np.testing.assert_array_equal(read_film(tmp_path / "film.hdr")[0], VALUES)


def test_units(tmp_path, read_film):
    for unit, expected in (("micron", 0.0002), ("meter", 200.0)):
        _, meta = read_film(save(VALUES, tmp_path / "film.nii", unit=unit))
        assert meta["spacing_xy_mm"][0] == pytest.approx(expected)
    _, meta = read_film(save(VALUES, tmp_path / "film.nii", unit="unknown"))
    assert np.isnan(meta["spacing_xy_mm"]).all()
    assert meta["spacing_provenance"] == "none"
    assert meta["affine"][0, 0] == pytest.approx(-0.2)


def test_the_users_spacing_keeps_directions(tmp_path, read_film):
    path = save(VALUES, tmp_path / "film.nii", affine=np.diag([0.2, -0.3, 1, 1]))
    _, meta = read_film(path, spacing_xy_mm=(0.5, 0.6))
    np.testing.assert_allclose(meta["affine"], np.diag([0.5, -0.6, 1]))
    assert meta["spacing_provenance"] == "user"


def test_a_slice_in_another_plane_gets_the_films_own_affine(tmp_path, read_film):
    sagittal = np.array([[0, 0, 1, 0], [-0.2, 0, 0, 0], [0, -0.3, 0, 0], [0, 0, 0, 1]], float)
    _, meta = read_film(save(VALUES[..., None], tmp_path / "film.nii", affine=sagittal))
    np.testing.assert_allclose(meta["affine"], np.diag([-0.2, -0.3, 1]), rtol=1e-6)


def test_values_that_are_not_finite_are_outside_the_valid_area(tmp_path, read_film):
    values = VALUES.astype(np.float32) + 10
    values[2, 1], values[6, 4] = np.nan, -np.inf
    pixels, meta = read_film(save(values, tmp_path / "film.nii"))
    assert np.argwhere(~meta["valid_area"]).tolist() == [[2, 1], [6, 4]]
    assert pixels[2, 1] == pixels[6, 4] == values[np.isfinite(values)].min()
    with pytest.raises(FilmError, match="no pixel has a finite value"):
        read_film(save(np.full((3, 4), np.nan, np.float32), tmp_path / "film.nii"))


def test_volumes_are_refused(tmp_path, read_film):
    path = save(np.zeros((7, 5, 2), np.int16), tmp_path / "film.nii")
    with pytest.raises(FilmError, match=r"a volume of shape 7x5x2, not a film\. Give one projection"):
        read_film(path)


def test_colour(tmp_path, read_film):
    rgb = np.zeros((7, 5, 1), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    for channel in "RGB":
        rgb[channel] = (VALUES[..., None] // 16).astype(np.uint8)
    np.testing.assert_array_equal(read_film(save(rgb, tmp_path / "film.nii"))[0], VALUES // 16)
    rgb["R"] = 255 - rgb["R"]
    with pytest.raises(FilmError, match="real colour"):
        read_film(save(rgb, tmp_path / "film.nii"))


@pytest.mark.parametrize("name", ["film.nii", "film.nii.gz"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_cut_file_is_refused(name, part, tmp_path, read_film):
    path = save(np.random.default_rng(0).integers(0, 4096, (70, 50)).astype(np.int16), tmp_path / name)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(FilmError):
        read_film(path)


def test_giants_are_refused(tmp_path, read_film):
    with pytest.raises(FilmError, match="limit of 34"):
        read_film(save(VALUES, tmp_path / "film.nii"), max_pixels=34)
