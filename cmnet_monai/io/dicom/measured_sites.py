"""Measurements as a structured report takes them, and how rows of a table become them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cmnet_monai.io.dicom.codes import (
    EVALUATION_VALUES,
    EVALUATIONS,
    MEASUREMENTS,
    SITES,
    SPACING_PROVENANCE,
    UNITS,
    Concept,
)

_UNIT_OF_SUFFIX = {
    "_px": "px",
    "_px2": "px",
    "_mm": "mm",
    "_mm2": "mm2",
    "_deg": "deg",
    "_percent": "%",
    "_ratio": "ratio",
    "_grey": "grey",
}
_UNIT_WITHOUT_SUFFIX = {
    "ha_hp": "ratio",
    "hm_hp": "ratio",
    "ha_neighbours": "ratio",
    "hm_neighbours": "ratio",
    "hp_neighbours": "ratio",
    "pixel_mean": "grey",
    "pixel_sd": "grey",
    "confidence": "1",
}


@dataclass(frozen=True)
class VertebraMeasurement:
    """One number.

    Attributes:
        name: a name of ``dicom_codes.MEASUREMENTS``, such as ``"ha"``; any other name needs a `concept`.
        value: the number, finite.
        unit: a unit of ``dicom_codes.UNITS``: px, mm, mm2, deg, %, ratio, 1 or grey.
        concept: coded name, where `name` has none.
    Raises:
        ValueError: the name, the unit or the value is none of these.

    >>> VertebraMeasurement("ha", 27.5, "mm").value
    27.5
    >>> VertebraMeasurement("ha", 27.5, "cm")
    Traceback (most recent call last):
        ...
    ValueError: the unit of 'ha' must be one of px, mm, mm2, deg, %, ratio, 1, grey, got 'cm'.
    """

    name: str
    value: float
    unit: str
    concept: Concept | None = None

    def __post_init__(self) -> None:
        if self.concept is None and self.name not in MEASUREMENTS:
            raise ValueError(f"{self.name!r} has no code: give its concept, or one of {', '.join(MEASUREMENTS)}.")
        if self.unit not in UNITS:
            raise ValueError(f"the unit of {self.name!r} must be one of {', '.join(UNITS)}, got {self.unit!r}.")
        if not math.isfinite(self.value):
            raise ValueError(f"the value of {self.name!r} must be finite, got {self.value}.")


@dataclass(frozen=True)
class MeasuredSite:
    """What was measured on one vertebra, one disc, or the lumbar spine as a whole.

    Points are (x, y) in pixels of the film; the middle of the top-left pixel is (0, 0).

    Attributes:
        site: a level ("L1"), two neighbours for the disc between them ("L4-L5"), or "lumbar spine".
        measurements: its numbers.
        evaluations: its findings in words, such as ``{"genant_grade": "1"}``: names and values of
            ``dicom_codes.EVALUATION_VALUES``.
        centre_xy: its centre.
        superior_end_plate_xy: two or more points of the upper end plate, from anterior to posterior.
        inferior_end_plate_xy: the same of the lower one.
    Raises:
        ValueError: the site or an evaluation has no code, or points are not finite (x, y) pairs.

    >>> site = MeasuredSite("L4-L5", [VertebraMeasurement("disc_hm", 8.5, "mm")])
    >>> site.measurements[0].value
    8.5
    >>> MeasuredSite("L4-S1")  # no neighbours
    Traceback (most recent call last):
        ...
    ValueError: a site is a level, a disc such as 'L4-L5' or 'lumbar spine', got 'L4-S1'.
    """

    site: str
    measurements: Sequence[VertebraMeasurement] = ()
    evaluations: Mapping[str, str] = field(default_factory=dict)
    centre_xy: Sequence[float] | None = None
    superior_end_plate_xy: Sequence[Sequence[float]] | None = None
    inferior_end_plate_xy: Sequence[Sequence[float]] | None = None

    def __post_init__(self) -> None:
        if self.site not in SITES:
            raise ValueError(f"a site is a level, a disc such as 'L4-L5' or 'lumbar spine', got {self.site!r}.")
        for name, value in self.evaluations.items():
            if name not in EVALUATION_VALUES:
                raise ValueError(f"{name!r} has no code; known: {', '.join(EVALUATIONS)}.")
            if value not in EVALUATION_VALUES[name]:
                raise ValueError(f"{name}={value!r} has no code; known: {', '.join(EVALUATION_VALUES[name])}.")
        if self.centre_xy is not None:
            _points([self.centre_xy], f"the centre of {self.site}", 1)
        for plate in (self.superior_end_plate_xy, self.inferior_end_plate_xy):
            if plate is not None:
                _points(plate, f"an end plate of {self.site}", 2)


def _points(points_xy: Sequence[Sequence[float]], what: str, least: int) -> None:
    points = np.asarray(points_xy, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < least or not np.isfinite(points).all():
        raise ValueError(f"{what} needs at least {least} finite (x, y), got {np.shape(points_xy)}.")


def measured_site(row: Mapping[str, Any]) -> MeasuredSite:
    """One row of a measurement table as a `MeasuredSite`.

    Keys are ``level`` (or ``site``), ``x_px`` and ``y_px``, ``superior_end_plate_xy`` and ``inferior_end_plate_xy``,
    names of ``dicom_codes.EVALUATION_VALUES``, and names of ``dicom_codes.MEASUREMENTS`` with their unit behind:
    ``ha_px``, ``ha_mm``, ``slip_percent``, ``lordosis_l1_l5_deg``, ``area_px2``; ratios (``ha_hp``), grey values
    (``pixel_mean``) and ``confidence`` stand without. Values that are None or NaN were not measured and are left out,
    as are keys of other things (``film``, ``flags``, ``spacing_provenance``, which `write_dicom_sr` takes).

    Args:
        row: by key.
    Returns:
        The site.
    Raises:
        ValueError: the row names no site, a finding has a value without code, or a number has a unit and an unknown
            name: left out in silence, it would be missed.

    >>> site = measured_site({"level": "L3", "x_px": 40.0, "y_px": 55.0, "ha_mm": 27.5, "ha_hp": 0.9, "film": "a.dcm"})
    >>> site.site, site.centre_xy, [(found.name, found.value, found.unit) for found in site.measurements]
    ('L3', (40.0, 55.0), [('ha', 27.5, 'mm'), ('ha_hp', 0.9, 'ratio')])
    >>> measured_site({"level": "L4-L5", "disc_hm_mm": 8.5, "slip_percent": None}).measurements
    [VertebraMeasurement(name='disc_hm', value=8.5, unit='mm', concept=None)]
    """
    site = str(row.get("level") or row.get("site") or "")
    measurements = [found for key, value in row.items() if (found := _measurement(str(key), value)) is not None]
    x, y = row.get("x_px"), row.get("y_px")
    return MeasuredSite(
        site,
        measurements,
        {name: _word(row[name]) for name in EVALUATIONS if name != SPACING_PROVENANCE and _is_there(row.get(name))},
        (float(x), float(y)) if x is not None and y is not None else None,
        row.get("superior_end_plate_xy"),
        row.get("inferior_end_plate_xy"),
    )


def _measurement(key: str, value: Any) -> VertebraMeasurement | None:
    if key in ("x_px", "y_px") or not _is_number(value):
        return None
    if key in _UNIT_WITHOUT_SUFFIX:
        return VertebraMeasurement(key, float(value), _UNIT_WITHOUT_SUFFIX[key])
    name, underscore, ending = key.rpartition("_")
    unit = _UNIT_OF_SUFFIX.get(underscore + ending)
    return None if unit is None else VertebraMeasurement(name, float(value), unit)


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def _word(value: Any) -> str:
    """A grade is a whole number, even where a table made it 1.0."""
    return f"{value:g}" if _is_number(value) else str(value)


def _is_there(value: Any) -> bool:
    return value is not None and value == value and value != ""
