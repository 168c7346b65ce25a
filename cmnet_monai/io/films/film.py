"""One decoded film, as every format's reader hands it over."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from cmnet_monai.conventions import (
    META_BODY_PART,
    META_INVERTED,
    META_NOTES,
    META_PROVENANCE,
    META_SPACING,
    META_VALID_AREA,
    META_VIEW,
    NO_SPACING,
)
from cmnet_monai.io.films.view import FilmView

UNKNOWN_SPACING = (float("nan"), float("nan"))


@dataclass(frozen=True)
class Film:
    """A radiograph whose bone is bright, with what the file says about it.

    Attributes:
        pixels: (x, y), bone bright, modality values (integers where the file's are).
        valid_area: (x, y) bool, False in pixel padding and behind a shutter.
        bits_stored: bits of one stored sample; 32 or 64 for floating point files.
        spacing_xy_mm: (sx, sy) in mm, nan when unknown.
        provenance: one of ``conventions.SPACING_PROVENANCES``.
        inverted: whether the stored polarity was turned round.
        view: what a DICOM header says about the side the film was taken from.
        affine: (3, 3) RAS where the file has one of its own (NIfTI), else None.
        notes: what is in doubt about the header, in sentences.

    >>> film = Film(np.zeros((30, 50), dtype=np.uint16), np.ones((30, 50), dtype=bool), bits_stored=12)
    >>> film.spacing_xy_mm, film.provenance  # nothing is made up
    ((nan, nan), 'none')
    >>> known = film.with_spacing((0.2, 0.3), "user").metadata()
    >>> known["affine"].diagonal().tolist(), known["spacing_provenance"]
    ([-0.2, -0.3, 1.0], 'user')
    """

    pixels: np.ndarray
    valid_area: np.ndarray
    bits_stored: int
    spacing_xy_mm: tuple[float, float] = UNKNOWN_SPACING
    provenance: str = NO_SPACING
    inverted: bool = False
    photometric_interpretation: str = "MONOCHROME2"
    modality: str = ""
    transfer_syntax: str = ""
    view: FilmView = field(default_factory=FilmView)
    affine: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def with_spacing(self, spacing_xy_mm: tuple[float, float], provenance: str) -> Film:
        """The same film with another spacing (sx, sy) in mm; an affine of its own keeps its directions and origin."""
        affine = self.affine
        if affine is not None:
            affine = np.array(affine, np.float64)
            affine[:2, :2] *= np.asarray(spacing_xy_mm) / np.linalg.norm(affine[:2, :2], axis=0)
        return replace(self, spacing_xy_mm=spacing_xy_mm, provenance=provenance, affine=affine)

    def metadata(self) -> dict:
        """Metadata with the same keys and types for every film, without None, so that films collate."""
        affine = film_affine(self.spacing_xy_mm) if self.affine is None else np.asarray(self.affine, np.float64)
        return {
            "affine": affine.copy(),
            "original_affine": affine,
            "space": "RAS",
            "spatial_shape": np.asarray(self.pixels.shape),
            "original_channel_dim": "no_channel",
            META_SPACING: np.asarray(self.spacing_xy_mm, np.float64),
            META_PROVENANCE: self.provenance,
            META_INVERTED: self.inverted,
            META_VALID_AREA: self.valid_area,
            "photometric_interpretation": self.photometric_interpretation,
            "bits_stored": self.bits_stored,
            "modality": self.modality,
            "transfer_syntax": self.transfer_syntax,
            "patient_orientation": "\\".join(self.view.orientation),
            META_VIEW: self.view.projection,
            META_BODY_PART: self.view.body_part,
            META_NOTES: " ".join(self.notes),
        }


def film_affine(spacing_xy_mm: tuple[float, float]) -> np.ndarray:
    """Pixel to RAS affine of a film, (3, 3): diag(-sx, -sy, 1), so that the LPS view has identity direction.

    Args:
        spacing_xy_mm: (sx, sy); 1.0 stands in where it is unknown (nan).

    >>> film_affine((0.2, 0.3)).diagonal().tolist()
    [-0.2, -0.3, 1.0]
    """
    sx, sy = (float(s) if np.isfinite(s) else 1.0 for s in spacing_xy_mm)
    return np.diag([-sx, -sy, 1.0])


def transposed(rows: np.ndarray) -> np.ndarray:
    """(row, column) array as a contiguous (x, y) array in native byte order."""
    return np.ascontiguousarray(rows.T, dtype=rows.dtype.newbyteorder("="))
