"""Pictures of a film with what was found on it: outlines, names, end plates, heights, flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import LEVEL_OF_LABEL
from cmnet_monai.io import Film, level_colours
from cmnet_monai.morphometry.spine import find_regions
from cmnet_monai.visualize.canvas import Colour, FilmCanvas

if TYPE_CHECKING:
    from cmnet_monai.morphometry import BodyMorphometry, FilmMorphometry

PREDICTED, TRUE = "#ffb000", "#22d3ee"
PLATE_COLOUR, FLAG_COLOUR = "#ffffff", "#ff6b6b"
MOST_FLAGS = 6
_LEGEND = "Coloured: outline and name of each body, one colour a level. "
_MEASURED = "White: end plates and their middles; heights anterior / middle / posterior in "


def save_reading(
    path: str | Path,
    film: Film,
    labels_xy: NDArray[np.integer],
    measures: FilmMorphometry | None,
    flags: Sequence[Mapping[str, Any]] = (),
    title: str = "",
    height_px: int = 1200,
) -> None:
    """Write a PNG of a film with the outline and name of each body, its end plates, heights, and the flags below.

    Heights are anterior / middle / posterior, in millimetres where these may be given, else in pixels of the film.

    Args:
        path: the PNG file; it appears whole or not at all.
        film: the film.
        labels_xy: label map in VerSe codes, (x, y).
        measures: from the same label map; None draws outlines and names alone.
        flags: records with ``text``, the first `MOST_FLAGS` of which are shown.
        title: a line above the film; no identifiers of a patient.
        height_px: height of the picture.

    >>> import tempfile
    >>> from PIL import Image
    >>> from cmnet_monai.morphometry import measure_film
    >>> labels = np.zeros((80, 120), dtype=np.uint8)  # (x, y)
    >>> labels[20:60, 10:40], labels[20:60, 50:80] = 23, 24  # L4, L5
    >>> film = Film(labels.astype(np.uint16), np.ones(labels.shape, dtype=bool), bits_stored=12)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_reading(f"{folder}/film.png", film, labels, measure_film(labels, anterior="left"), height_px=300)
    ...     picture = np.asarray(Image.open(f"{folder}/film.png").convert("RGB")).astype(int)
    >>> picture.shape, bool((picture.max(axis=2) - picture.min(axis=2) > 100).any())  # coloured outlines on grey
    ((300, 200, 3), True)
    """
    legend = _LEGEND if measures is None else f"{_LEGEND}{_MEASURED}{'mm' if measures.scale.in_mm else 'px'}."
    notes: list[tuple[str, Colour]] = [(legend, "#bbbbbb")]
    notes += [(str(flag["text"]), FLAG_COLOUR) for flag in flags[:MOST_FLAGS]]
    if len(flags) > MOST_FLAGS:
        notes.append((f"and {len(flags) - MOST_FLAGS} more", FLAG_COLOUR))
    canvas = FilmCanvas(film.pixels, height_px, title, notes)
    colours = level_colours()
    regions = find_regions(labels_xy)
    for label, region in regions.items():
        canvas.outline(region.inside, colours[label][1], (region.box[0].start, region.box[1].start))
    for body in () if measures is None else measures.bodies:
        _draw_body(canvas, body)
    for label, region in regions.items():
        canvas.words(region.centre_xy_px, LEVEL_OF_LABEL[label], colours[label][1], 20)
    canvas.save(path)


def _draw_body(canvas: FilmCanvas, body: BodyMorphometry) -> None:
    corners, plates = body.points.corners_xy_px, body.points.plates_xy_px
    canvas.line(np.array([corners[0], plates[0], corners[1]]), PLATE_COLOUR, 1.0, dots=2.2)
    canvas.line(np.array([corners[3], plates[1], corners[2]]), PLATE_COLOUR, 1.0, dots=2.2)
    lengths = (body.anterior, body.middle, body.posterior)
    text = " / ".join(f"{length.px:.0f}" if length.mm is None else f"{length.mm:.1f}" for length in lengths)
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
    canvas.save(path)
