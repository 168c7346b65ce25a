"""Pixels and millimetres: when lengths may be given in millimetres, and which pixels are not square."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import CALIBRATED, NO_SPACING, SPACING_PROVENANCES, USER

Array = NDArray[np.floating]


@dataclass(frozen=True)
class FilmScale:
    """The pixels of a film.

    Args:
        spacing_xy_mm: width and height of a pixel, or None where they are not known; NaN is taken for None.
        provenance: where the spacing comes from, one of `conventions.SPACING_PROVENANCES`.
        millimetres: give lengths in millimetres; None gives them where the spacing is calibrated or the user's own. The
            ratio of width to height is used whatever the provenance, since magnification does not change it.
    Raises:
        ValueError: the spacing is not positive, its provenance is unknown or missing, or millimetres are asked for
            without it.

    >>> scale = FilmScale((0.2, 0.4), "detector")  # magnified by an unknown factor: ratios, but no millimetres
    >>> scale.aspect_yx, scale.mm(np.array([3.0, 2.0]))
    (2.0, None)
    >>> round(FilmScale((0.2, 0.4), "calibrated").mm(np.array([3.0, 2.0])), 3)  # 0.6 mm across, 0.8 mm down
    1.0
    """

    spacing_xy_mm: tuple[float, float] | None = None
    provenance: str = NO_SPACING
    millimetres: bool | None = None

    def __post_init__(self) -> None:
        if self.provenance not in SPACING_PROVENANCES:
            raise ValueError(f"provenance is one of {', '.join(SPACING_PROVENANCES)}; got {self.provenance!r}")
        if self.spacing_xy_mm is not None and any(math.isnan(v) for v in self.spacing_xy_mm):
            object.__setattr__(self, "spacing_xy_mm", None)
        if self.spacing_xy_mm is None:
            if self.millimetres:
                raise ValueError("millimetres need a pixel spacing, and this film has none")
            return
        sx, sy = self.spacing_xy_mm
        if not (math.isfinite(sx) and math.isfinite(sy) and sx > 0 and sy > 0):
            raise ValueError(f"a pixel spacing (x, y) is positive; got {self.spacing_xy_mm}")
        if self.provenance == NO_SPACING:
            raise ValueError('a pixel spacing needs its provenance, such as "user"; got "none"')

    @property
    def aspect_yx(self) -> float:
        """Height of a pixel divided by its width; 1 where the spacing is not known."""
        return 1.0 if self.spacing_xy_mm is None else self.spacing_xy_mm[1] / self.spacing_xy_mm[0]

    @property
    def in_mm(self) -> bool:
        """Whether lengths are given in millimetres."""
        if self.spacing_xy_mm is None:
            return False
        return self.provenance in (CALIBRATED, USER) if self.millimetres is None else self.millimetres

    @property
    def assumption(self) -> str:
        """What was taken for granted, in words; empty where the spacing is known."""
        return "" if self.spacing_xy_mm is not None else "spacing unknown, pixels taken to be square"

    def square(self, points_xy_px: Array) -> Array:
        """Points or steps in units of a pixel's width, the same in x and y: for angles and ratios."""
        return points_xy_px * np.array([1.0, self.aspect_yx])

    def mm(self, step_xy_px: Array) -> float | None:
        """Length of a step in millimetres, or None where none are given."""
        if not self.in_mm or self.spacing_xy_mm is None:
            return None
        return float(np.linalg.norm(step_xy_px * np.asarray(self.spacing_xy_mm)))

    def records(self) -> dict[str, float | str | None]:
        """The spacing as columns of a table."""
        sx, sy = self.spacing_xy_mm or (None, None)
        return {"spacing_x_mm": sx, "spacing_y_mm": sy, "spacing_provenance": self.provenance}
