from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cmnet_monai.io import FilmError

RNG = np.random.default_rng(8)
GREY8 = RNG.integers(0, 256, (5, 7)).astype(np.uint8)  # rows, columns
GREY16 = RNG.integers(0, 65536, (5, 7)).astype(np.uint16)


def save(array: np.ndarray, path, **options):
    Image.fromarray(array).save(path, **options)
    return path


def save_by_simpleitk(array: np.ndarray, path):
    sitk = pytest.importorskip("SimpleITK")
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=array.ndim == 3), str(path))
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_eight_bit_grey(suffix, tmp_path, read_film):
    pixels, meta = read_film(save(GREY8, tmp_path / f"film{suffix}"))
    np.testing.assert_array_equal(pixels, GREY8.T)
    assert meta["bits_stored"] == 8
    assert meta["spacing_provenance"] == "none"
    assert np.isnan(meta["spacing_xy_mm"]).all()
    assert meta["polarity_inverted"] is False
    assert meta["valid_area"].all()
    np.testing.assert_array_equal(meta["affine"], np.diag([-1, -1, 1]))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey(suffix, tmp_path, read_film):
    pixels, meta = read_film(save(GREY16, tmp_path / f"film{suffix}"))
    np.testing.assert_array_equal(pixels, GREY16.T)
    assert meta["bits_stored"] == 16


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits"])
def test_compressed_tiff(compression, tmp_path, read_film):
    path = save(GREY16, tmp_path / "film.tif", compression=compression)
    np.testing.assert_array_equal(read_film(path)[0], GREY16.T)


def test_big_endian_tiff_and_white_is_zero(tmp_path, read_film):
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "film.tif"
    for array in (GREY8, GREY16):
        tifffile.imwrite(path, array, byteorder=">", photometric="minisblack")
        np.testing.assert_array_equal(read_film(path)[0], array.T)
        tifffile.imwrite(path, array, photometric="miniswhite")
        pixels, meta = read_film(path)
        np.testing.assert_array_equal(pixels, np.iinfo(array.dtype).max - array.T)
        assert meta["polarity_inverted"] is True
        assert meta["photometric_interpretation"] == "MONOCHROME1"


def test_float_tiff(tmp_path, read_film):
    values = GREY16.astype(np.float32) / 3
    np.testing.assert_array_equal(read_film(save(values, tmp_path / "film.tif"))[0], values.T)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_equal_channels_are_grey(suffix, tmp_path, read_film):
    path = save(np.repeat(GREY8[..., None], 3, axis=2), tmp_path / f"film{suffix}")
    np.testing.assert_array_equal(read_film(path)[0], GREY8.T)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_channels_keep_their_depth(suffix, channels, tmp_path, read_film):
    deep = np.repeat(GREY16[..., None], channels, axis=2)
    valid = np.ones(GREY16.shape, bool)
    if channels == 4:
        deep[..., 3] = 65535
        deep[2, 3, 3] = 0
        valid[2, 3] = False
    pixels, meta = read_film(save_by_simpleitk(deep, tmp_path / f"film{suffix}"))
    np.testing.assert_array_equal(pixels[valid.T], GREY16.T[valid.T])
    np.testing.assert_array_equal(meta["valid_area"], valid.T)
    assert meta["bits_stored"] == 16


def test_sixteen_bit_grey_with_alpha_is_refused_rather_than_reduced(tmp_path, read_film):
    path = save_by_simpleitk(np.repeat(GREY16[..., None], 2, axis=2), tmp_path / "film.png")
    with pytest.raises(FilmError, match="16-bit grey picture with transparency is not supported"):
        read_film(path)


def test_grey_palette(tmp_path, read_film):
    picture = Image.fromarray(np.array([[0, 1, 2], [2, 2, 0]], np.uint8), mode="P")
    picture.putpalette([10, 10, 10, 200, 200, 200, 90, 90, 90])
    picture.save(tmp_path / "film.png")
    assert read_film(tmp_path / "film.png")[0].T.tolist() == [[10, 200, 90], [90, 90, 10]]
    picture.putpalette([10, 10, 10, 200, 0, 0, 90, 90, 90])
    picture.save(tmp_path / "film.png")
    with pytest.raises(FilmError, match="real colour"):
        read_film(tmp_path / "film.png")


def test_transparent_pixels_are_outside_the_valid_area(tmp_path, read_film):
    rgba = np.repeat(GREY8[..., None], 4, axis=2)
    rgba[..., 3] = 255
    rgba[1, 2] = 255, 0, 0, 0  # a transparent pixel's colour is not seen
    pixels, meta = read_film(save(rgba, tmp_path / "film.png"))
    valid = np.ones((5, 7), bool)
    valid[1, 2] = False
    np.testing.assert_array_equal(meta["valid_area"], valid.T)
    np.testing.assert_array_equal(pixels[valid.T], GREY8.T[valid.T])
    rgba[..., 3] = 0
    with pytest.raises(FilmError, match="transparent"):
        read_film(save(rgba, tmp_path / "film.png"))


def test_jpeg_grey_and_grey_in_colour(tmp_path, read_film):
    smooth = np.add.outer(np.arange(40), 3 * np.arange(56)).astype(np.uint8)
    path = save(smooth, tmp_path / "film.jpg", quality=95)
    np.testing.assert_array_equal(read_film(path)[0], np.asarray(Image.open(path)).T)
    path = save(np.repeat(smooth[..., None], 3, axis=2), tmp_path / "film.jpg", quality=75)
    assert np.abs(read_film(path)[0].astype(int) - smooth.T).max() <= 12  # quality 75, in levels of 255


def test_real_colour_and_cmyk_are_refused(tmp_path, read_film):
    rgb = RNG.integers(0, 256, (5, 7, 3)).astype(np.uint8)
    for suffix in (".png", ".tif", ".jpg"):
        with pytest.raises(FilmError, match="real colour"):
            read_film(save(rgb, tmp_path / f"film{suffix}"))
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / "film.jpg")
    with pytest.raises(FilmError, match="colour mode CMYK is not supported"):
        read_film(tmp_path / "film.jpg")


def test_pages_and_animations_are_refused(tmp_path, read_film):
    pages = [Image.fromarray(GREY8), Image.fromarray(GREY8)]
    for suffix in (".tif", ".png"):
        path = tmp_path / f"film{suffix}"
        pages[0].save(path, save_all=True, append_images=[Image.fromarray(255 - GREY8)])
        with pytest.raises(FilmError, match="holds 2 pictures"):
            read_film(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_a_picture_turned_by_a_tag_is_refused(suffix, tmp_path, read_film):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(GREY8, tmp_path / f"film{suffix}", exif=exif)
    with pytest.raises(FilmError, match="EXIF orientation 6"):
        read_film(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_cut_picture_is_refused(suffix, part, tmp_path, read_film):
    noise = RNG.integers(0, 256, (60, 70)).astype(np.uint8)
    path = save(noise, tmp_path / f"film{suffix}")
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(FilmError):
        read_film(path)


def test_giants_are_refused(tmp_path, read_film):
    path = save(GREY8, tmp_path / "film.png")
    with pytest.raises(FilmError, match="7 x 5 pixels, more than the limit of 34"):
        read_film(path, max_pixels=34)


@pytest.mark.parametrize(
    ("data", "name"), [(b"%PDF-1.7", "a PDF"), (b"PK\x03\x04", "a ZIP"), (b"GIF89a", "a GIF"), (b"hello", "an unknown")]
)
def test_other_files_are_named(data, name, tmp_path, read_film):
    path = tmp_path / "film.png"
    path.write_bytes(data + bytes(400))
    with pytest.raises(FilmError, match=f"this is {name}"):
        read_film(path)
