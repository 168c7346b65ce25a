"""Pixel and centre metrics."""

from cmnet_monai.metrics.centres import BodyHits, CentreMatch, bodies_hit, centre_error, match_centres
from cmnet_monai.metrics.films import FilmAveragePrecision, FilmCentreMetric, FilmPixelMetric
from cmnet_monai.metrics.pixels import accuracy, average_precision, confusion_counts, dice, precision, recall

__all__ = [
    "BodyHits",
    "CentreMatch",
    "FilmAveragePrecision",
    "FilmCentreMetric",
    "FilmPixelMetric",
    "accuracy",
    "average_precision",
    "bodies_hit",
    "centre_error",
    "confusion_counts",
    "dice",
    "match_centres",
    "precision",
    "recall",
]
