"""NIfTI films: one slice, (x, y) or (x, y, 1)."""

from __future__ import annotations

import gzip
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cmnet_monai.conventions import NO_SPACING, UNSPECIFIED
from cmnet_monai.io.errors import FilmError
from cmnet_monai.io.films.film import UNKNOWN_SPACING, Film, film_affine
from cmnet_monai.io.films.finite import finite_values
from cmnet_monai.io.films.grey import grey_from_rgb
from cmnet_monai.io.films.size_limits import refuse_giant

if TYPE_CHECKING:
    from pathlib import Path

_HEADER_BYTES = 540
_MOST_HEADER_BYTES = 1 << 24
"""Header extensions may stand between header and pixels; more of them than this is damage."""
_MM_PER_UNIT = {"meter": 1000.0, "mm": 1.0, "micron": 0.001}


def read_nifti(path: Path, max_pixels: int) -> Film:
    """Read a NIfTI file of one slice; bone is taken to be bright and the file's own affine is kept.

    The spacing is `unspecified` where the header says in which unit it is, unknown otherwise. Pixels that are not
    finite are outside the valid area and take the lowest finite value.

    Raises:
        FilmError: a volume, real colour, too large, or damaged.
    """
    try:
        kind, shape, needed = _announced(path)
    except Exception as error:
        raise _damaged(path, error) from error
    if len(shape) < 2 or any(n != 1 for n in shape[2:]):
        raise FilmError(
            path,
            f"the file is a volume of shape {'x'.join(str(n) for n in shape)}, not a film",
            "Give one projection radiograph, stored as (x, y) or (x, y, 1)",
        )
    refuse_giant(shape[0], shape[1], path, max_pixels)
    try:
        image = _open(path, kind, needed)
        values = np.asanyarray(image.dataobj).reshape(shape[:2])
    except Exception as error:
        raise _damaged(path, error) from error
    if values.dtype.names:
        rgb = np.stack([values[name] for name in values.dtype.names[:3]], axis=-1)
        values = grey_from_rgb(rgb, 255, path)
    values, valid = finite_values(values, path)
    spacing, provenance = _spacing(image.header)
    return Film(
        pixels=values,
        valid_area=valid,
        bits_stored=8 * values.dtype.itemsize,
        spacing_xy_mm=spacing,
        provenance=provenance,
        affine=_affine_2d(image.affine, spacing),
    )


def _announced(path: Path) -> tuple[Any, tuple[int, ...], int]:
    """Class, shape and bytes up to the last pixel that the header announces; a header file of a pair announces none.

    By content: a single file needs no NIfTI suffix; the pair .hdr and .img goes by name.
    """
    import nibabel

    with _opened(path) as file:
        head = file.read(_HEADER_BYTES)
    kind = nibabel.Nifti2Image if head[4:7] == b"n+2" else nibabel.Nifti1Image
    header = kind.header_class(head[: kind.header_class.template_dtype.itemsize])
    shape = tuple(int(n) for n in header.get_data_shape())
    if head[344:347] == b"ni1":
        return nibabel.Nifti1Pair, shape, 0
    offset = header.get_data_offset()
    if not 0 <= offset <= _MOST_HEADER_BYTES:
        raise ValueError("the pixels lie far behind the header")
    return kind, shape, int(offset) + math.prod(shape) * header.get_data_dtype().itemsize


def _open(path: Path, kind: Any, needed: int) -> Any:
    """The image, from no more bytes than it needs: what a compressed file holds beyond them is never unpacked."""
    if not needed:
        return kind.from_filename(path)
    with _opened(path) as file:
        return kind.from_bytes(file.read(needed))


def _opened(path: Path) -> Any:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")


def _damaged(path: Path, error: Exception) -> FilmError:
    return FilmError(path, f"the NIfTI file cannot be read ({type(error).__name__})", "Copy or export the file again")


def _spacing(header: Any) -> tuple[tuple[float, float], str]:
    unit = _MM_PER_UNIT.get(header.get_xyzt_units()[0])
    sx, sy = (float(z) for z in header.get_zooms()[:2])
    if unit is None or not (np.isfinite([sx, sy]).all() and sx > 0 and sy > 0):
        return UNKNOWN_SPACING, NO_SPACING
    return (sx * unit, sy * unit), UNSPECIFIED


def _affine_2d(affine: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """The in-plane part of the file's affine, or the film's own where the slice lies in another plane."""
    flat = np.asarray(affine, np.float64)[np.ix_([0, 1, 3], [0, 1, 3])]
    scale = np.linalg.norm(np.asarray(affine, np.float64)[:3, :2], axis=0).prod()
    if not np.isfinite(flat).all() or abs(np.linalg.det(flat[:2, :2])) <= 1e-3 * scale:
        return film_affine(spacing)
    return flat
