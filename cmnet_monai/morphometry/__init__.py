"""From named vertebrae to measurements: corners, heights, discs, slips, grades, flags."""

from cmnet_monai.morphometry.anterior import Facing, find_anterior
from cmnet_monai.morphometry.bright_objects import bright_object_scores
from cmnet_monai.morphometry.corners import BodyPoints, find_body_points, fit_body_points
from cmnet_monai.morphometry.film import measure_film, measure_points
from cmnet_monai.morphometry.flags import FLAG_CODES, Flag, find_flags
from cmnet_monai.morphometry.grades import Deformity, classify_deformity, genant_grade, meyerding_grade
from cmnet_monai.morphometry.measures import BodyMorphometry, DiscMorphometry, FilmMorphometry, Length
from cmnet_monai.morphometry.outlines import polygon_outline, region_outline
from cmnet_monai.morphometry.region_statistics import RegionStatistics, region_statistics
from cmnet_monai.morphometry.scale import FilmScale

__all__ = [
    "FLAG_CODES",
    "BodyMorphometry",
    "BodyPoints",
    "Deformity",
    "DiscMorphometry",
    "Facing",
    "FilmMorphometry",
    "FilmScale",
    "Flag",
    "Length",
    "RegionStatistics",
    "bright_object_scores",
    "classify_deformity",
    "find_anterior",
    "find_body_points",
    "find_flags",
    "fit_body_points",
    "genant_grade",
    "measure_film",
    "measure_points",
    "meyerding_grade",
    "polygon_outline",
    "region_outline",
    "region_statistics",
]
