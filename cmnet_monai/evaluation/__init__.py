"""Measurements on films with known outlines, and the recipe that the shipped weights are made by."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmnet_monai.evaluation.film_scores import BodyScore, FilmScore, score_film, summarise

__all__ = ["BodyScore", "FilmScore", "score_film", "summarise"]


def __getattr__(name: str) -> Any:
    """Import on first use: MONAI takes seconds, a command's help must not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.film_scores"), name)
