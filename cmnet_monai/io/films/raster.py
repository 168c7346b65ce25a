"""PNG, JPEG, TIFF and BMP films."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from cmnet_monai.io.errors import FilmError
from cmnet_monai.io.films.film import Film, transposed
from cmnet_monai.io.films.finite import finite_values
from cmnet_monai.io.films.grey import grey_from_rgb
from cmnet_monai.io.films.size_limits import refuse_giant

if TYPE_CHECKING:
    from pathlib import Path

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
_EXPORT = "Save it as an 8- or 16-bit grey PNG"
_ORIENTATION = 0x0112
_PNG_RGB, _PNG_GREY_ALPHA, _PNG_RGBA = 2, 4, 6
_TIFF_PHOTOMETRIC, _TIFF_BITS, _TIFF_SAMPLES = 262, 258, 277


def read_raster(path: Path, max_pixels: int) -> Film:
    """Read a picture file as a film: bone is taken to be bright and the printed resolution is no spacing.

    Transparent pixels (alpha 0) are outside the valid area. A TIFF whose zero is white is inverted.

    Raises:
        FilmError: real colour, several pages, rotated by an EXIF tag, too large, or damaged.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # max_pixels decides
            picture = Image.open(path, formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise FilmError(path, "the picture is absurdly large", "Check that it is a radiograph") from error
    except Exception as error:
        raise _damaged(path, error) from error
    with picture:
        refuse_giant(picture.width, picture.height, path, max_pixels)
        try:
            _refuse_pages_and_rotation(picture, path)
            values, alpha, bits, inverted = _decode(picture, path)
        except FilmError:
            raise
        except Exception as error:
            raise _damaged(path, error) from error
    values, valid = finite_values(values, path)
    if alpha is not None:
        valid = alpha > 0
    if not valid.any():
        raise FilmError(path, "every pixel is transparent", _EXPORT)
    return Film(
        pixels=transposed(values),
        valid_area=transposed(valid),
        bits_stored=bits,
        inverted=inverted,
        photometric_interpretation="MONOCHROME1" if inverted else "MONOCHROME2",
    )


def _damaged(path: Path, error: Exception) -> FilmError:
    short = str(error).replace(str(path), "").split("\n")[0][:120].strip(" .'\"") or type(error).__name__
    remedy = f"Copy the file again, or s{_EXPORT[1:]}"
    return FilmError(path, f"the picture cannot be decoded ({short})", remedy)


def _refuse_pages_and_rotation(picture: Any, path: Path) -> None:
    if getattr(picture, "n_frames", 1) != 1:
        raise FilmError(path, f"the file holds {picture.n_frames} pictures", "Save the one film as a file of its own")
    orientation = picture.getexif().get(_ORIENTATION, 1)
    if orientation not in (0, 1):
        raise FilmError(
            path,
            f"the picture is stored turned or mirrored (EXIF orientation {orientation})",
            "Save it upright, without an orientation tag",
        )


def _decode(picture: Any, path: Path) -> tuple[np.ndarray, np.ndarray | None, int, bool]:
    """Values (row, column), alpha or None, bits, whether inverted."""
    if picture.format == "TIFF":
        return _decode_tiff(picture, path)
    if picture.format == "PNG" and (colour := _colour_type_of_deep_png(path)) is not None:
        if colour == _PNG_GREY_ALPHA:
            raise FilmError(path, "a 16-bit grey picture with transparency is not supported", _EXPORT)
        return *_split(_by_simpleitk(path), 16, path), False
    return *_grey(picture, path), False


def _grey(picture: Any, path: Path) -> tuple[np.ndarray, np.ndarray | None, int]:
    mode = picture.mode
    if mode in ("1", "L"):
        return np.asarray(picture.convert("L")), None, 8
    if mode in ("I;16", "I;16L", "I;16B", "I;16N", "I"):
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 65535:
            raise FilmError(path, "the picture has values outside 16 bits", _EXPORT)
        return values.astype(np.uint16), None, 16
    if mode == "P":
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    elif mode in ("LA", "PA", "La"):
        picture = picture.convert("RGBA")
    elif mode not in ("RGB", "RGBA", "YCbCr"):
        raise FilmError(path, f"the picture's colour mode {mode} is not supported", _EXPORT)
    elif mode == "YCbCr":
        picture = picture.convert("RGB")
    return _split(np.asarray(picture), 8, path)


def _split(channels: np.ndarray, bits: int, path: Path) -> tuple[np.ndarray, np.ndarray | None, int]:
    """(row, column, 1 to 4 channels) to grey values and alpha."""
    if channels.ndim == 2:
        return channels, None, bits
    count = channels.shape[-1]
    alpha = channels[..., -1] if count in (2, 4) else None
    if count <= 2:
        return np.ascontiguousarray(channels[..., 0]), alpha, bits
    colour = channels[..., :3]
    if alpha is not None:
        colour = np.where(alpha[..., None] > 0, colour, channels.dtype.type(0))  # unseen colours do not count
    return grey_from_rgb(colour, (1 << bits) - 1, path), alpha, bits


def _colour_type_of_deep_png(path: Path) -> int | None:
    """Colour type of a 16-bit PNG of several channels, which Pillow would reduce to 8 bits."""
    with path.open("rb") as file:
        head = file.read(26)
    return head[25] if head[24] == 16 and head[25] in (_PNG_RGB, _PNG_GREY_ALPHA, _PNG_RGBA) else None


def _by_simpleitk(path: Path) -> np.ndarray:
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def _decode_tiff(picture: Any, path: Path) -> tuple[np.ndarray, np.ndarray | None, int, bool]:
    tags = picture.tag_v2
    bits = tags.get(_TIFF_BITS, (1,))
    depth = int(bits[0] if isinstance(bits, tuple) else bits)
    samples = int(tags.get(_TIFF_SAMPLES, 1))
    white_is_zero = tags.get(_TIFF_PHOTOMETRIC) == 0
    if samples > 1 and depth == 16:
        return *_split(_by_simpleitk(path), 16, path), False
    if picture.mode == "F":
        return np.asarray(picture), None, 32, False
    values, alpha, bits_used = _grey(picture, path)
    if white_is_zero and depth == 16:  # Pillow turns 1- and 8-bit pictures round by itself, but not these
        values = np.uint16(65535) - values
    return values, alpha, bits_used, white_is_zero
