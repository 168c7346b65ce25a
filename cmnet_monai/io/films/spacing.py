"""Pixel spacing of a projection radiograph, with where it comes from.

A radiograph magnifies, so a number of millimetres per pixel means nothing without its origin (DICOM PS3.3,
10.7.1.3): Imager Pixel Spacing is measured in the plane of the detector, Pixel Spacing in the patient only where a
calibration was made.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from cmnet_monai.conventions import CALIBRATED, DETECTOR, NO_SPACING, UNSPECIFIED
from cmnet_monai.io.errors import warn_of_film
from cmnet_monai.io.films.film import UNKNOWN_SPACING

if TYPE_CHECKING:
    from pydicom import Dataset

_SAME = 1e-4
"""Relative difference below which two spacings are the same number, printed differently."""


def film_spacing(dataset: Dataset) -> tuple[tuple[float, float], str]:
    """Spacing (sx, sy) in mm and its provenance; (nan, nan) and ``none`` where the file gives no usable one.

    - ``calibrated``: Pixel Spacing with a calibration type or description, or differing from Imager Pixel Spacing.
    - ``detector``: Imager Pixel Spacing (or Nominal Scanned Pixel Spacing of a digitised film) alone, or Pixel Spacing
      equal to it: magnified by an unknown factor.
    - ``unspecified``: Pixel Spacing alone.
    - ``none``: absent, or zero, negative or malformed.
    """
    pixel = pair_xy(dataset.get("PixelSpacing"))
    plane = pair_xy(dataset.get("ImagerPixelSpacing")) or pair_xy(dataset.get("NominalScannedPixelSpacing"))
    if pixel is None:
        if plane is None:
            _warn_of_aspect_ratio(dataset)
            return UNKNOWN_SPACING, NO_SPACING
        return plane, DETECTOR
    if _says_calibrated(dataset):
        return pixel, CALIBRATED
    if plane is None:
        return pixel, UNSPECIFIED
    same = all(math.isclose(a, b, rel_tol=_SAME) for a, b in zip(pixel, plane))
    return pixel, DETECTOR if same else CALIBRATED


def pair_xy(value: Any) -> tuple[float, float] | None:
    """Two positive numbers that DICOM gives as (row, column), that is (y, x), as (x, y); None where there are none."""
    try:
        sy, sx = (float(v) for v in value)
    except (TypeError, ValueError):
        return None
    if not (math.isfinite(sx) and math.isfinite(sy) and sx > 0 and sy > 0):
        return None
    return sx, sy


def _says_calibrated(dataset: Dataset) -> bool:
    kind = str(dataset.get("PixelSpacingCalibrationType") or "").strip()
    text = str(dataset.get("PixelSpacingCalibrationDescription") or "").strip()
    return bool(kind or text)


def _warn_of_aspect_ratio(dataset: Dataset) -> None:
    ratio = pair_xy(dataset.get("PixelAspectRatio"))
    if ratio is not None and not math.isclose(ratio[0], ratio[1], rel_tol=_SAME):
        warn_of_film("The film has no spacing and pixels that are not square; angles and ratios on it are distorted.")
