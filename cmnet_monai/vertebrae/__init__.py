"""From probability maps to vertebrae: centres, single bodies, levels, and from those to measurements."""

from cmnet_monai.vertebrae.bright_objects import bright_object_scores
from cmnet_monai.vertebrae.centres import CentrePeaks, find_centres
from cmnet_monai.vertebrae.confidence import Calibration, fit_calibration, uncertainties
from cmnet_monai.vertebrae.corners import BodyPoints, find_body_points, fit_body_points
from cmnet_monai.vertebrae.crowding import drop_crowded, merge_crowded, with_given
from cmnet_monai.vertebrae.facing import Facing, find_anterior
from cmnet_monai.vertebrae.flags import FLAG_CODES, Flag, find_flags
from cmnet_monai.vertebrae.given import SAID_BY_USER, GivenCentres, heed_levels
from cmnet_monai.vertebrae.grades import Deformity, classify_deformity, genant_grade, meyerding_grade
from cmnet_monai.vertebrae.levels import NamedBody, name_levels
from cmnet_monai.vertebrae.measures import BodyMorphometry, DiscMorphometry, FilmMorphometry, Length
from cmnet_monai.vertebrae.morphometry import measure_film, measure_points
from cmnet_monai.vertebrae.outlines import polygon_outline, region_outline
from cmnet_monai.vertebrae.parting import part_bodies
from cmnet_monai.vertebrae.reading import VertebraReading, read_maps
from cmnet_monai.vertebrae.region_statistics import RegionStatistics, region_statistics
from cmnet_monai.vertebrae.scale import FilmScale

__all__ = [
    "FLAG_CODES",
    "SAID_BY_USER",
    "BodyMorphometry",
    "BodyPoints",
    "Calibration",
    "CentrePeaks",
    "Deformity",
    "DiscMorphometry",
    "Facing",
    "FilmMorphometry",
    "FilmScale",
    "Flag",
    "GivenCentres",
    "Length",
    "NamedBody",
    "RegionStatistics",
    "VertebraReading",
    "bright_object_scores",
    "classify_deformity",
    "drop_crowded",
    "find_anterior",
    "find_body_points",
    "find_centres",
    "find_flags",
    "fit_body_points",
    "fit_calibration",
    "genant_grade",
    "heed_levels",
    "measure_film",
    "measure_points",
    "merge_crowded",
    "meyerding_grade",
    "name_levels",
    "part_bodies",
    "polygon_outline",
    "read_maps",
    "region_outline",
    "region_statistics",
    "uncertainties",
    "with_given",
]
