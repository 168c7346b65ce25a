"""Measurements on films with known outlines, and the recipe that the shipped weights are made by."""

from cmnet_monai.evaluation.film_scores import BodyScore, FilmScore, score_film, summarise

__all__ = ["BodyScore", "FilmScore", "score_film", "summarise"]
