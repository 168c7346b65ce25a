"""Outlines drawn as a label map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import LEVEL_OF_LABEL
from cmnet_monai.datasets.adapters.records import UNKNOWN_LEVEL, Outline
from cmnet_monai.io import FilmError

BINARY_VALUE = 1
"""Value of every vertebra in a map of outlines without levels."""

FRACTIONS = 1024
"""Points are rounded to this part of a pixel, so that a pixel on a border does not hang on the last bit of a number."""

MAX_OUTSIDE = 0.05
"""How far a point may lie outside the film, as a share of the film's longer side."""


def draw_outlines(
    outlines: Sequence[Outline], size_xy_px: tuple[int, int], file: Path
) -> tuple[NDArray[np.uint8], list[tuple[float, float]]]:
    """Draw outlines as a label map in VerSe codes, or as a binary mask where their levels are unknown.

    A pixel is a vertebra's where its centre lies inside or on the polygon. Where two vertebrae overlap, the pixel goes
    to the one whose centroid is nearer (of two as near, to the lower label): the order of the outlines does not matter.
    What sticks out of the film is cut off.

    Args:
        outlines: the vertebrae, at least one.
        size_xy_px: the film's columns and rows.
        file: the file to name in an error.
    Returns:
        The map (x, y), and the centroid (x, y) of each vertebra's part on the film, from the whole polygon.
    Raises:
        FilmError: there is no outline, some have levels and others not, one has a level twice, encloses no pixel, or
            lies outside the film.
    """
    _check_levels(outlines, file)
    ordered = sorted(outlines, key=lambda outline: outline.label)
    pixels = [_pixels_of(outline, size_xy_px, file) for outline in ordered]
    centroids = [points.mean(axis=0) for points in pixels]
    owner = np.full(size_xy_px, -1, dtype=np.int32)
    for i, points in enumerate(pixels):
        x, y = points.T
        held = owner[x, y]
        taken = held >= 0
        nearer = np.ones(len(points), dtype=bool)
        if taken.any():
            rivals = np.stack(centroids)[held[taken]]
            mine = ((points[taken] - centroids[i]) ** 2).sum(axis=1)
            nearer[taken] = mine < ((points[taken] - rivals) ** 2).sum(axis=1)
        owner[x[nearer], y[nearer]] = i
    values = np.array([0, *(outline.label or BINARY_VALUE for outline in ordered)], dtype=np.uint8)
    return values[owner + 1], [(float(x), float(y)) for x, y in centroids]


def _check_levels(outlines: Sequence[Outline], file: Path) -> None:
    labels = [outline.label for outline in outlines]
    if not labels:
        raise FilmError(file, "no vertebra is outlined", "Outline at least one, or take the film out")
    named = [label for label in labels if label != UNKNOWN_LEVEL]
    if named and len(named) < len(labels):
        raise FilmError(file, "some vertebrae have a level and others not", "Name all of them or none")
    twice = sorted({label for label in named if named.count(label) > 1})
    if twice:
        level = LEVEL_OF_LABEL.get(twice[0], str(twice[0]))
        raise FilmError(file, f"{level} is outlined {named.count(twice[0])} times", "Name each level once")


def _pixels_of(outline: Outline, size_xy_px: tuple[int, int], file: Path) -> NDArray[np.int64]:
    """Pixels (N, 2) of a vertebra, each once."""
    from skimage.draw import polygon

    level = LEVEL_OF_LABEL.get(outline.label, "a vertebra")
    margin = MAX_OUTSIDE * max(size_xy_px)
    found = []
    for points in outline.parts:
        if len(points) < 3:
            raise FilmError(file, f"the outline of {level} has {len(points)} points", "A polygon has three or more")
        if (points < -margin).any() or (points > np.asarray(size_xy_px) - 1 + margin).any():
            raise FilmError(
                file,
                f"the outline of {level} leaves the film, which is {size_xy_px[0]} x {size_xy_px[1]} pixels",
                "Check that film and annotation belong together and have the same size",
            )
        exact = np.round(points * FRACTIONS) / FRACTIONS
        x, y = polygon(exact[:, 0], exact[:, 1], shape=size_xy_px)
        found.append(np.stack([x, y], axis=1))
    pixels = found[0] if len(found) == 1 else np.unique(np.concatenate(found), axis=0)
    if not len(pixels):
        raise FilmError(file, f"the outline of {level} encloses no pixel of the film", "Check the annotation")
    return pixels.astype(np.int64)
