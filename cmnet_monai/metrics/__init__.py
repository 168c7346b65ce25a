"""Pixel and centre metrics, and paired statistics."""

from cmnet_monai.metrics.centres import BodyHits, CentreMatch, bodies_hit, centre_error, match_centres
from cmnet_monai.metrics.films import FilmAveragePrecision, FilmCentreMetric, FilmPixelMetric
from cmnet_monai.metrics.pixels import accuracy, average_precision, confusion_counts, dice, precision, recall
from cmnet_monai.metrics.statistics import Comparison, Interval, PairTest, compare, holm, mean_interval

__all__ = [
    "BodyHits",
    "CentreMatch",
    "Comparison",
    "FilmAveragePrecision",
    "FilmCentreMetric",
    "FilmPixelMetric",
    "Interval",
    "PairTest",
    "accuracy",
    "average_precision",
    "bodies_hit",
    "centre_error",
    "compare",
    "confusion_counts",
    "dice",
    "holm",
    "match_centres",
    "mean_interval",
    "precision",
    "recall",
]
