"""What a structured report says of each vertebra, disc and the lumbar spine, taken from a film's result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cmnet_monai.film_result import FilmResult, Measure, Vertebra
from cmnet_monai.io.dicom.codes import EVALUATION_VALUES, EVALUATIONS, LUMBAR_SPINE, MEASUREMENTS, SITES, UNITS


@dataclass(frozen=True)
class MeasuredSite:
    """What was measured on one vertebra, one disc, or the lumbar spine as a whole.

    Points are (x, y) in pixels of the film; the middle of the top-left pixel is (0, 0).

    Attributes:
        site: a level ("L1"), two neighbours for the disc between them ("L4-L5"), or "lumbar spine".
        measurements: its numbers: names of ``codes.MEASUREMENTS``, units of ``codes.UNITS``, finite values.
        evaluations: its findings in words, such as ``{"genant_candidate": "1"}``: names and values of
            ``codes.EVALUATION_VALUES``.
        flags: what to look at before its numbers are trusted, in sentences.
        centre_xy: its centre.
        superior_end_plate_xy: two or more points of the upper end plate, from anterior to posterior.
        inferior_end_plate_xy: the same of the lower one.
    Raises:
        ValueError: the site, a measurement or an evaluation has no code, or points are not finite (x, y) pairs.

    >>> site = MeasuredSite("L4-L5", [Measure("disc_middle", 8.5, "mm")])
    >>> site.measurements[0].value
    8.5
    >>> MeasuredSite("L4-S1")  # no neighbours
    Traceback (most recent call last):
        ...
    ValueError: a site is a level, a disc such as 'L4-L5' or 'lumbar spine', got 'L4-S1'.
    """

    site: str
    measurements: Sequence[Measure] = ()
    evaluations: Mapping[str, str] = field(default_factory=dict)
    flags: Sequence[str] = ()
    centre_xy: Sequence[float] | None = None
    superior_end_plate_xy: Sequence[Sequence[float]] | None = None
    inferior_end_plate_xy: Sequence[Sequence[float]] | None = None

    def __post_init__(self) -> None:
        if self.site not in SITES:
            raise ValueError(f"a site is a level, a disc such as 'L4-L5' or 'lumbar spine', got {self.site!r}.")
        for measure in self.measurements:
            if measure.name not in MEASUREMENTS:
                raise ValueError(f"{measure.name!r} has no code; known: {', '.join(MEASUREMENTS)}.")
            if measure.unit not in UNITS:
                raise ValueError(f"the unit of {measure.name!r} is one of {', '.join(UNITS)}, got {measure.unit!r}.")
            if measure.value is None or not math.isfinite(measure.value):
                raise ValueError(f"the value of {measure.name!r} must be finite, got {measure.value}.")
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


def measured_sites(result: FilmResult) -> list[MeasuredSite]:
    """Every vertebra and disc of a film, and the lumbar spine where there is anything to say of it.

    Candidates for grades stay out: they are not validated. Flags of the film, and of bodies that have no group
    of their own, belong to the lumbar spine.
    """
    slips = {disc.upper: tuple(m for m in disc.measures if m.name == "slip") for disc in result.discs}
    sites = [_vertebra(result, body, slips.get(body.level, ())) for body in result.vertebrae]
    sites += [
        MeasuredSite(f"{disc.upper}-{disc.lower}", _coded(m for m in disc.measures if m.name.startswith("disc_")))
        for disc in result.discs
    ]
    named = {body.level for body in result.vertebrae}
    whole, flags = _coded(result.measures), [flag.text for flag in result.flags if flag.level not in named]
    if whole or flags:
        sites.append(MeasuredSite(LUMBAR_SPINE, whole, flags=flags))
    return sites


def _vertebra(result: FilmResult, body: Vertebra, slip: Sequence[Measure]) -> MeasuredSite:
    measures = [*body.measures, *(m for m in slip if m.unit == "percent")]
    if body.confidence is not None:
        measures.append(Measure("confidence", body.confidence, "1"))
    upper = lower = None
    if body.corners_xy_px is not None and body.end_plates_xy_px is not None:
        corners, plates = body.corners_xy_px, body.end_plates_xy_px
        upper, lower = (corners[0], plates[0], corners[1]), (corners[3], plates[1], corners[2])
    flags = [flag.text for flag in result.flags_of(body.level)]
    return MeasuredSite(body.level, _coded(measures), {}, flags, body.centre_xy_px, upper, lower)


def _coded(measures: Iterable[Measure]) -> tuple[Measure, ...]:
    """Those that have a code and a value."""
    return tuple(m for m in measures if m.name in MEASUREMENTS and m.value is not None and math.isfinite(m.value))
