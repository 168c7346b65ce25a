"""Pictures of a film with what was found on it: outlines, names, end plates, heights, flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cmnet_monai.conventions import LEVEL_OF_LABEL
from cmnet_monai.film_result import FilmResult, Vertebra, value_of
from cmnet_monai.io import level_colours
from cmnet_monai.morphometry.spine import find_regions
from cmnet_monai.visualize.canvas import Colour, FilmCanvas, save_picture

PREDICTED, TRUE = "#ffb000", "#22d3ee"
PLATE_COLOUR, FLAG_COLOUR = "#ffffff", "#ff6b6b"
MOST_FLAGS = 6
_LEGEND = "Coloured: outline and name of each body, one colour a level. "
_MEASURED = "White: end plates and their middles; heights anterior / middle / posterior in "


def draw_overlay(pixels_xy: NDArray, result: FilmResult, height_px: int = 1200) -> Image.Image:
    """A film with the outline and name of each body, its end plates, heights, and the flags below.

    Heights are anterior / middle / posterior, in millimetres where these may be given, else in pixels of the film.

    Args:
        pixels_xy: the film, (x, y), bone bright.
        result: what was found on it; the first `MOST_FLAGS` flags are shown.
        height_px: height of the picture.

    >>> from cmnet_monai.film_result import FilmIdentity, LabelMap
    >>> labels = np.zeros((80, 120), dtype=np.uint8)  # (x, y)
    >>> labels[20:60, 10:40], labels[20:60, 50:80] = 23, 24  # L4, L5
    >>> result = FilmResult(FilmIdentity("film", labels.shape), "run", LabelMap.of(labels))
    >>> picture = np.asarray(draw_overlay(10.0 * labels, result, height_px=300)).astype(int)
    >>> picture.shape, bool((picture.max(axis=2) - picture.min(axis=2) > 100).any())  # coloured outlines on grey
    ((300, 200, 3), True)
    """
    unit = "mm" if result.film.in_mm else "px"
    measured = any(body.corners_xy_px for body in result.vertebrae)
    notes: list[tuple[str, Colour]] = [(f"{_LEGEND}{_MEASURED}{unit}." if measured else _LEGEND, "#bbbbbb")]
    notes += [(flag.text, FLAG_COLOUR) for flag in result.flags[:MOST_FLAGS]]
    if len(result.flags) > MOST_FLAGS:
        notes.append((f"and {len(result.flags) - MOST_FLAGS} more", FLAG_COLOUR))
    canvas = FilmCanvas(pixels_xy, height_px, result.film.name, notes)
    colours = level_colours()
    regions = find_regions(result.labels.array)
    for label, region in regions.items():
        canvas.outline(region.inside, colours[label][1], (region.box[0].start, region.box[1].start))
    for body in result.vertebrae:
        _draw_body(canvas, body, unit)
    for label, region in regions.items():
        canvas.words(region.centre_xy_px, LEVEL_OF_LABEL[label], colours[label][1], 20)
    return canvas.finished()


def write_overlay(path: str | Path, pixels_xy: NDArray, result: FilmResult, height_px: int = 1200) -> None:
    """Write `draw_overlay` as a PNG, whole or not at all."""
    save_picture(path, draw_overlay(pixels_xy, result, height_px))


def _draw_body(canvas: FilmCanvas, body: Vertebra, unit: str) -> None:
    if body.corners_xy_px is None or body.end_plates_xy_px is None:
        return
    corners, plates = np.array(body.corners_xy_px), np.array(body.end_plates_xy_px)
    canvas.line(np.array([corners[0], plates[0], corners[1]]), PLATE_COLOUR, 1.0, dots=2.2)
    canvas.line(np.array([corners[3], plates[1], corners[2]]), PLATE_COLOUR, 1.0, dots=2.2)
    heights = [value_of(body.measures, f"height_{part}", unit) for part in ("anterior", "middle", "posterior")]
    text = " / ".join("-" if value is None else f"{value:.1f}" if unit == "mm" else f"{value:.0f}" for value in heights)
    side = 1 if corners[1, 0] > corners[0, 0] else -1
    canvas.words(0.5 * (corners[1] + corners[2]), text, PLATE_COLOUR, 14, "lm" if side > 0 else "rm", aside=12 * side)


def save_overlay(
    path: str | Path,
    film_xy: NDArray[np.floating],
    mask_xy: NDArray[Any],
    centres: Sequence[Mapping[str, Any]] = (),
    truth_xy: NDArray[Any] | None = None,
    title: str = "",
    height_px: int = 1000,
) -> None:
    """Write a PNG of a film with outlines, centres and level names.

    Args:
        path: the PNG file; it appears whole or not at all.
        film_xy: the film, (x, y), bone bright.
        mask_xy: predicted mask, (x, y), drawn in amber.
        centres: records with ``x_px``, ``y_px`` and ``level``, pixels of the film.
        truth_xy: true mask, (x, y), drawn in cyan, if there is one.
        title: a line above the film; no identifiers of a patient.
        height_px: height of the picture.

    >>> import tempfile
    >>> from PIL import Image
    >>> film = np.tile(np.linspace(0, 1000, 120), (80, 1))  # (x, y)
    >>> mask = np.zeros(film.shape, dtype=bool)
    >>> mask[20:60, 30:90] = True
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_overlay(f"{folder}/film.png", film, mask, [{"x_px": 40, "y_px": 60, "level": "L3"}], height_px=300)
    ...     picture = np.asarray(Image.open(f"{folder}/film.png").convert("RGB")).astype(int)
    >>> picture.shape, bool((picture[..., 0] - picture[..., 2] > 100).any())  # rows, columns; amber on grey
    ((300, 200, 3), True)
    """
    canvas = FilmCanvas(film_xy, height_px, title)
    for outline, colour in ((truth_xy, TRUE), (mask_xy, PREDICTED)):
        if outline is not None:
            canvas.outline(outline, colour)
    for centre in centres:
        canvas.cross((centre["x_px"], centre["y_px"]), PREDICTED)
        canvas.words((centre["x_px"], centre["y_px"]), str(centre["level"]), PREDICTED, 18, "ls", aside=9)
    save_picture(path, canvas.finished())
