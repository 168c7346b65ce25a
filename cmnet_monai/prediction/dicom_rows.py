"""The tables' names for measurements, and those of the structured report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from cmnet_monai.io import MeasuredSite, measured_site
from cmnet_monai.io.dicom.codes import LUMBAR_SPINE
from cmnet_monai.morphometry import FilmMorphometry

_BODY = MappingProxyType(
    {
        "height_anterior": "ha",
        "height_middle": "hm",
        "height_posterior": "hp",
        "depth_middle": "width",
    }
)
_DISC = MappingProxyType({"disc_anterior": "disc_ha", "disc_middle": "disc_hm", "disc_posterior": "disc_hp"})
_PLAIN = MappingProxyType(
    {
        "ha_hp_ratio": "ha_hp",
        "hm_hp_ratio": "hm_hp",
        "grey_mean": "pixel_mean",
        "grey_sd": "pixel_sd",
        "confidence": "confidence",
        "genant_candidate": "genant_grade",
        "deformity_candidate": "deformity",
    }
)


def report_sites(
    bodies: Sequence[Mapping[str, Any]],
    discs: Sequence[Mapping[str, Any]],
    film: Mapping[str, Any],
    measures: FilmMorphometry | None,
) -> list[MeasuredSite]:
    """Every vertebra, disc and the lumbar spine as sites of a structured report.

    Args:
        bodies: rows of the table of bodies.
        discs: rows of the table of discs.
        film: the film's row.
        measures: where the end plates' points come from; None where nothing could be measured.
    """
    points = {} if measures is None else {body.level: body.points for body in measures.bodies}
    slips = {row["upper"]: row for row in discs}
    sites = []
    for row in bodies:
        site = {"level": row["level"], "x_px": row.get("x_px"), "y_px": row.get("y_px")}
        site |= _lengths(row, _BODY) | {new: row.get(old) for old, new in _PLAIN.items()}
        if row["level"] in points:
            corners, plates = points[row["level"]].corners_xy_px, points[row["level"]].plates_xy_px
            site["superior_end_plate_xy"] = [list(p) for p in (corners[0], plates[0], corners[1])]
            site["inferior_end_plate_xy"] = [list(p) for p in (corners[3], plates[1], corners[2])]
        if row["level"] in slips:
            slip = slips[row["level"]]
            site |= {"slip_percent": slip["slip_percent"], "meyerding_grade": slip["meyerding_candidate"]}
        sites.append(measured_site(site))
    sites += [measured_site({"site": f"{row['upper']}-{row['lower']}", **_lengths(row, _DISC)}) for row in discs]
    angles = {key: film.get(key) for key in ("lordosis_l1_l5_deg", "lordosis_l1_s1_deg")}
    if any(value is not None for value in angles.values()):
        sites.append(measured_site({"site": LUMBAR_SPINE, **angles}))
    return sites


def _lengths(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {f"{new}_{unit}": row.get(f"{old}_{unit}") for old, new in names.items() for unit in ("px", "mm")}
