"""Masks and label maps as files in the film's own pixel grid."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cmnet_monai.io.errors import FilmError
from cmnet_monai.io.files.atomic import atomic_write
from cmnet_monai.io.films.size_limits import MAX_PIXELS

if TYPE_CHECKING:
    from nibabel import Nifti1Image

_SIXTEEN_BITS = 65535
# Files are packed with zlib's Z_RLE: masks and label maps are runs of one value, so they get as small as with a slow
# level, in a fifth of the time.


def write_mask_png(path: str | os.PathLike, mask_xy: np.ndarray, foreground: int = 255) -> Path:
    """Write a binary mask as an 8-bit grey PNG of the film's size.

    Args:
        path: file to write, whole or not at all.
        mask_xy: (x, y); whatever is not zero is foreground.
        foreground: grey value of the foreground, 1 to 255.
    Returns:
        The path.
    Raises:
        ValueError: the mask is not (x, y), or `foreground` is out of range.

    >>> import tempfile
    >>> from PIL import Image
    >>> mask = np.zeros((30, 50), dtype=bool)  # (x, y)
    >>> mask[10:20, 12:18] = True
    >>> with tempfile.TemporaryDirectory() as folder, Image.open(write_mask_png(f"{folder}/m.png", mask)) as picture:
    ...     picture.size, picture.mode, picture.getpixel((10, 12)), picture.getpixel((12, 10))
    ((30, 50), 'L', 255, 0)
    """
    if not 1 <= foreground <= 255:
        raise ValueError(f"foreground must be 1 to 255, got {foreground}.")
    mask = _two_dimensional(mask_xy) != 0
    return write_label_png(path, mask * np.uint8(foreground))


def write_label_png(path: str | os.PathLike, labels_xy: np.ndarray) -> Path:
    """Write a label map as a grey PNG of the film's size whose grey values are the labels.

    Args:
        path: file to write, whole or not at all.
        labels_xy: (x, y), whole numbers from 0; 8 bits up to 255, 16 bits up to 65535.
    Returns:
        The path.
    Raises:
        ValueError: the labels are not (x, y) or not such numbers.

    >>> import tempfile
    >>> from PIL import Image
    >>> labels = np.zeros((30, 50), dtype=np.uint16)  # (x, y)
    >>> labels[10:20, 12:18] = 300  # more than 8 bits hold
    >>> with tempfile.TemporaryDirectory() as folder, Image.open(write_label_png(f"{folder}/l.png", labels)) as picture:
    ...     picture.size, picture.getpixel((10, 12)), picture.getpixel((12, 10))
    ((30, 50), 300, 0)
    """
    from PIL import Image

    labels = _whole_numbers(labels_xy, _SIXTEEN_BITS)
    labels = labels.astype(np.uint8 if labels.max(initial=0) <= 255 else np.uint16)
    with atomic_write(path) as temporary:
        picture = Image.fromarray(np.ascontiguousarray(labels.T))
        picture.save(temporary, format="PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return Path(path)


def read_label_map(path: str | os.PathLike) -> np.ndarray:
    """Read a label map or mask, as stored: palette indices stay indices, no polarity, no rescale to grey.

    Args:
        path: PNG, TIFF or BMP of one channel, or NIfTI of one slice.
    Returns:
        Labels (x, y), uint8 or uint16.
    Raises:
        FilmError: the file is missing or damaged, or holds anything but whole numbers from 0 to 65535.

    >>> import tempfile
    >>> labels = np.zeros((30, 50), dtype=np.uint8)  # (x, y)
    >>> labels[10:20, 12:18] = 24  # L5
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = read_label_map(write_label_png(f"{folder}/labels.png", labels))
    >>> again.shape, int(again[10, 12]), bool((again == labels).all())
    ((30, 50), 24, True)
    """
    from cmnet_monai.io.films import sniff

    path = Path(path)
    try:
        kind = sniff.file_kind(path)
    except OSError as error:
        raise FilmError(path, f"the label map cannot be opened ({error.strerror})", "Check the name") from error
    if kind == sniff.NIFTI:
        from cmnet_monai.io.films.nifti_film import read_nifti

        values = read_nifti(path, MAX_PIXELS).pixels
    elif kind == sniff.RASTER:
        values = _picture_indices(path)
    else:
        raise FilmError(
            path,
            "a DICOM object is not a label map" if kind == sniff.DICOM else f"the label map is {kind}",
            "Give it as PNG or NIfTI",
        )
    try:
        labels = _whole_numbers(values, _SIXTEEN_BITS)
    except ValueError as error:
        raise FilmError(path, "the label map has values that are not labels", "Labels are whole numbers") from error
    return labels.astype(np.uint8 if labels.max(initial=0) <= 255 else np.uint16)


def _picture_indices(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG", "TIFF", "BMP")) as picture:
            values = np.asarray(picture)
    except Exception as error:
        raise FilmError(
            path, f"the label map cannot be decoded ({type(error).__name__})", "Give it as PNG or NIfTI"
        ) from error
    if values.ndim != 2:
        raise FilmError(path, f"the label map has {values.shape[-1]} channels", "Save it as a grey or palette PNG")
    return np.ascontiguousarray(values.T)


def write_nifti(
    path: str | os.PathLike, array_xy: np.ndarray, affine: np.ndarray | None = None, *, spacing_known: bool = True
) -> Path:
    """Write a mask, label map or film as NIfTI in the film's pixel grid; the same arguments give the same bytes.

    The array is stored as (x, y, 1), so that nibabel and SimpleITK see the grid that SimpleITK sees in the DICOM film:
    for a film's own affine that is identity direction, origin 0 and the film's spacing.

    Args:
        path: file to write (``.nii`` or ``.nii.gz``), whole or not at all.
        array_xy: (x, y); booleans and labels up to 255 are stored as uint8, other types as they are.
        affine: pixel to RAS in mm, (3, 3) as in a film's metadata or (4, 4); identity direction and unit spacing
            when None. The spacing of the third axis is 1.
        spacing_known: False writes units unknown, so that nobody takes the unit spacing for millimetres.
    Returns:
        The path.
    Raises:
        ValueError: the array is not (x, y), the affine is not invertible, or the suffix is not NIfTI's.

    >>> import tempfile
    >>> import nibabel
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_nifti(f"{folder}/mask.nii.gz", np.ones((30, 50), dtype=bool), np.diag([-0.2, -0.2, 1.0]))
    ...     image = nibabel.load(path)
    ...     image.shape, image.header.get_zooms()[:2] == (np.float32(0.2),) * 2
    ((30, 50, 1), True)
    """
    path = Path(path)
    name = path.name.lower()
    if not name.endswith((".nii", ".nii.gz")):
        raise ValueError(f"{path}: a NIfTI file is named .nii or .nii.gz.")
    image = _nifti(_two_dimensional(array_xy), _affine_3d(affine), "mm" if spacing_known else "unknown")
    data = image.to_bytes()
    if name.endswith(".gz"):
        packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
        data = packer.compress(data) + packer.flush()
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    return path


def _nifti(array: np.ndarray, affine: np.ndarray, unit: str) -> Nifti1Image:
    import nibabel

    if array.dtype == bool or (array.dtype.kind in "iu" and array.min() >= 0 and array.max() <= 255):
        array = array.astype(np.uint8)
    elif array.dtype in (np.int64, np.uint64):
        array = array.astype(np.int32)
    image = nibabel.Nifti1Image(array[:, :, np.newaxis], affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    image.header.set_xyzt_units(unit)
    return image


def _affine_3d(affine: np.ndarray | None) -> np.ndarray:
    matrix = np.diag([-1.0, -1.0, 1.0]) if affine is None else np.asarray(affine, np.float64)
    if matrix.shape == (3, 3):
        full = np.eye(4)
        full[np.ix_([0, 1, 3], [0, 1, 3])] = matrix
        matrix = full
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or np.linalg.det(matrix[:3, :3]) == 0:
        raise ValueError(f"affine must be an invertible (3, 3) or (4, 4) matrix, got shape {matrix.shape}.")
    return matrix


def _two_dimensional(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"expected a non-empty (x, y) array, got shape {array.shape}.")
    return array


def _whole_numbers(values: np.ndarray, highest: int) -> np.ndarray:
    values = _two_dimensional(values)
    if values.dtype.kind not in "buif":
        raise ValueError(f"labels must be numbers, got {values.dtype}.")
    if values.dtype.kind == "f" and not np.array_equal(values, np.floor(values)):
        raise ValueError("labels must be whole numbers.")
    if values.dtype.kind != "b" and (values.min() < 0 or values.max() > highest):
        raise ValueError(f"labels must lie between 0 and {highest}, got {values.min()} to {values.max()}.")
    return values
