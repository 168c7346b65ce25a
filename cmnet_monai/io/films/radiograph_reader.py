"""The MONAI image reader for radiographs."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import ImageReader

from cmnet_monai.conventions import USER
from cmnet_monai.io.errors import FilmError, notes_of_film
from cmnet_monai.io.films import sniff
from cmnet_monai.io.films.film import Film
from cmnet_monai.io.films.size_limits import MAX_PIXELS, refuse_giant_file

_NOT_ONE_FILE = "Give one file per film; films are never stacked"


@dataclass(frozen=True)
class FilmHandle:
    """What `RadiographReader.read` returns: the names of files that nobody has opened yet."""

    paths: tuple[str, ...]


class RadiographReader(ImageReader):
    """Read one radiograph: bone bright, axes (x, y), spacing with its provenance, no fallback to another reader.

    DICOM (CR, DX, SC, and single frames of XA, RF or RT Image; with or without file extension, preamble or file meta
    header; every transfer syntax that an installed decoder knows), PNG, JPEG, TIFF, BMP and NIfTI, told apart by
    content and never by name. Modality lookup tables and rescale are applied; MONOCHROME1 and Presentation LUT Shape
    INVERSE are inverted once. No window is applied. In picture and NIfTI files bone is taken to be bright.

    MONAI's `LoadImage` swallows every exception of `read` and then tries its next reader, so `read` opens nothing and
    all decoding, and every error, is in `get_data`::

        LoadImaged("image", reader="cmnet_monai.io.RadiographReader")

    Metadata (all keys always present): ``affine`` (3, 3) float64 RAS, ``original_affine``, ``space``,
    ``spatial_shape``, ``original_channel_dim`` ("no_channel"), ``spacing_xy_mm`` (sx, sy; nan when unknown),
    ``spacing_provenance``, ``polarity_inverted``, ``valid_area`` (x, y) bool, ``photometric_interpretation``,
    ``bits_stored``, ``modality``, ``transfer_syntax``, ``patient_orientation``, ``view_projection`` and ``body_part``
    (see `FilmView`), ``reader_notes`` (what is in doubt about the header, in sentences; mostly ""); `LoadImage` adds
    ``filename_or_obj``.

    Args:
        spacing_xy_mm: (sx, sy) in mm that the user knows to be right for every film read; provenance ``user``.
        max_pixels: films of more pixels are refused before they are decoded.

    Raises:
        ValueError: an argument is unknown or out of range. (Never TypeError: `LoadImage` would take that for a
            reader without arguments and drop them all.)

    >>> import tempfile
    >>> from monai.transforms import LoadImage
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("L", (30, 50), color=90).save(f"{folder}/film.png")
    ...     film = LoadImage(reader=RadiographReader(spacing_xy_mm=(0.2, 0.2)))(f"{folder}/film.png")
    >>> film.shape, film.meta["spacing_provenance"]
    (torch.Size([30, 50]), 'user')
    """

    def __init__(
        self,
        spacing_xy_mm: Sequence[float] | float | None = None,
        max_pixels: int = MAX_PIXELS,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if args or kwargs:
            raise ValueError(
                f"RadiographReader takes spacing_xy_mm and max_pixels; got also {len(args)} more positional arguments "
                f"and {sorted(kwargs)}."
            )
        self.spacing_xy_mm = _checked_spacing(spacing_xy_mm)
        if isinstance(max_pixels, bool) or not isinstance(max_pixels, (int, np.integer)) or max_pixels < 1:
            raise ValueError(f"max_pixels must be a positive integer, got {max_pixels!r}.")
        self.max_pixels = int(max_pixels)

    def verify_suffix(self, filename: Sequence[os.PathLike | str] | os.PathLike | str) -> bool:
        """Any name will do: the content decides."""
        return True

    def read(self, data: Sequence[os.PathLike | str] | os.PathLike | str, **kwargs: Any) -> FilmHandle:
        """A handle on the file; nothing is opened and nothing raised."""
        names = [data] if isinstance(data, (str, os.PathLike)) else list(data)
        return FilmHandle(tuple(str(name) for name in names))

    def get_data(self, img: FilmHandle) -> tuple[np.ndarray, dict]:
        """Decode the film.

        Args:
            img: what `read` returned.
        Returns:
            Pixels (x, y), bone bright, and metadata.
        Raises:
            FilmError: the file is missing, is not one grey single-frame radiograph, or is damaged.
        """
        if len(img.paths) != 1:
            raise FilmError(
                img.paths[0] if img.paths else "", f"{len(img.paths)} files were given as one film", _NOT_ONE_FILE
            )
        film = read_film(Path(img.paths[0]), self.max_pixels)
        if self.spacing_xy_mm is not None:
            film = film.with_spacing(self.spacing_xy_mm, USER)
        return film.pixels, film.metadata()


def read_film(path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> Film:
    """Read one film of any supported format, told by its content.

    Raises:
        FilmError: the file is missing, is not one grey single-frame radiograph, or is damaged.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("L", (30, 50), color=90).save(f"{folder}/film.png")
    ...     film = read_film(f"{folder}/film.png")
    >>> film.pixels.shape, film.provenance  # (x, y); a picture has no spacing, and none is invented
    ((30, 50), 'none')
    """
    path = Path(path)
    if path.is_dir():
        if not os.access(path, os.R_OK | os.X_OK):
            raise FilmError(path, "this folder cannot be listed", "Check its rights")
        raise FilmError(path, "this is a folder, not a film", _NOT_ONE_FILE)
    try:
        refuse_giant_file(path, max_pixels)
        kind = sniff.file_kind(path)
        with notes_of_film() as notes:
            film = _read(path, kind, max_pixels)
        return replace(film, notes=tuple(notes)) if notes else film
    except (FilmError, MemoryError):
        raise
    except OSError as error:
        raise FilmError(
            path, f"the file cannot be read ({error.strerror or type(error).__name__})", "Check its name and rights"
        ) from error
    except Exception as error:
        # Broken headers make the format libraries raise anything; their text may quote the header, so it is left out.
        raise FilmError(path, f"the file is damaged ({type(error).__name__})", "Copy or export it again") from error


def _read(path: Path, kind: str, max_pixels: int) -> Film:
    if kind == sniff.DICOM:
        from cmnet_monai.io.films.dicom_film import read_dicom

        return read_dicom(path, max_pixels)
    if kind == sniff.RASTER:
        from cmnet_monai.io.films.raster import read_raster

        return read_raster(path, max_pixels)
    if kind == sniff.NIFTI:
        from cmnet_monai.io.films.nifti_film import read_nifti

        return read_nifti(path, max_pixels)
    raise FilmError(path, f"this is {kind}", "Give a radiograph as DICOM, PNG, JPEG, TIFF, BMP or NIfTI")


def _checked_spacing(spacing_xy_mm: Sequence[float] | float | None) -> tuple[float, float] | None:
    if spacing_xy_mm is None:
        return None
    try:
        values = [float(v) for v in np.broadcast_to(np.asarray(spacing_xy_mm, float), (2,))]
    except (TypeError, ValueError):
        values = [math.nan]
    if not all(math.isfinite(v) and v > 0 for v in values):
        raise ValueError(f"spacing_xy_mm must be two positive numbers of mm, got {spacing_xy_mm!r}.")
    return values[0], values[1]
