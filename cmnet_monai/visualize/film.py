"""A film with everything that was read from it: bodies, end plates, heights, names, flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import LEVEL_OF_LABEL
from cmnet_monai.io import Film, atomic_write, printable
from cmnet_monai.visualize.overlay import film_window

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cmnet_monai.morphometry import BodyMorphometry, FilmMorphometry

COLOURS = ("#ffb000", "#22d3ee", "#a3e635")
"""Outlines of neighbours differ; the order is fixed by the level, so a level has one colour on every film."""
S1_COLOUR, PLATE_COLOUR, FLAG_COLOUR = "#c084fc", "#ffffff", "#ff6b6b"
MOST_FLAGS = 6


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
    shown = [str(flag["text"]) for flag in flags[:MOST_FLAGS]]
    if len(flags) > MOST_FLAGS:
        shown.append(f"and {len(flags) - MOST_FLAGS} more")
    foot = 0.02 + 0.022 * len(shown)
    figure, axes = _film_figure(film, height_px, foot)
    _draw_outlines(axes, labels_xy)
    for body in () if measures is None else measures.bodies:
        _draw_body(axes, body)
    width, height = film.pixels.shape
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    unit = "" if measures is None else f"   heights Ha / Hm / Hp in {'mm' if measures.scale.in_mm else 'px'}"
    figure.text(
        0.5, 0.98, printable(f"{title}{unit}"), color="white", ha="center", va="center", fontsize=9, parse_math=False
    )
    for number, text in enumerate(reversed(shown)):
        figure.text(0.01, 0.012 + 0.022 * number, text, color=FLAG_COLOUR, va="center", fontsize=8, parse_math=False)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, facecolor="black")


def _film_figure(film: Film, height_px: int, foot: float) -> tuple[Any, Any]:
    """A black figure of this height with the film between a line above and a share `foot` of it below; its axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = film.pixels.shape
    figure_width = max(width / height, 0.5) * height_px / 100
    figure = Figure(figsize=(figure_width, height_px / 100), dpi=100, facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, foot, 1.0, 0.96 - foot))
    axes.set_axis_off()
    low, high = film_window(film.pixels)
    axes.imshow(film.pixels.T, cmap="gray", vmin=low, vmax=high, interpolation="antialiased")
    return figure, axes


def _draw_outlines(axes: Axes, labels: NDArray[np.integer]) -> None:
    for label in (int(value) for value in np.unique(labels) if int(value) in LEVEL_OF_LABEL):
        level = LEVEL_OF_LABEL[label]
        colour = S1_COLOUR if level == "S1" else COLOURS[label % len(COLOURS)]
        inside = labels == label
        axes.contour(inside.astype(float).T, levels=[0.5], colors=[colour], linewidths=1.1)
        x, y = (float(v) for v in np.argwhere(inside).mean(axis=0))
        axes.annotate(level, (x, y), color=colour, ha="center", va="center", fontsize=10, fontweight="bold")


def _draw_body(axes: Axes, body: BodyMorphometry) -> None:
    corners, plates = body.points.corners_xy_px, body.points.plates_xy_px
    for plate in ((corners[0], plates[0], corners[1]), (corners[3], plates[1], corners[2])):
        line = np.array(plate)
        axes.plot(line[:, 0], line[:, 1], "-o", color=PLATE_COLOUR, linewidth=0.8, markersize=2.5)
    lengths = (body.anterior, body.middle, body.posterior)
    values = [length.mm if length.mm is not None else length.px for length in lengths]
    x, y = 0.5 * (corners[1] + corners[2])
    side = 1 if corners[1][0] > corners[0][0] else -1
    text = " / ".join(f"{value:.1f}" if body.anterior.mm is not None else f"{value:.0f}" for value in values)
    axes.annotate(
        text,
        (float(x), float(y)),
        (10 * side, 0),
        textcoords="offset points",
        color=PLATE_COLOUR,
        ha="left" if side > 0 else "right",
        va="center",
        fontsize=7.5,
    )


def draw_overlay(pixels_xy: NDArray, result: Any, height_px: int = 1200) -> Any:
    """A picture of a film with what was found on it."""
    import tempfile

    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        write_overlay(f"{folder}/o.png", pixels_xy, result, height_px)
        return Image.open(f"{folder}/o.png").convert("RGB")


def write_overlay(path: str | Path, pixels_xy: NDArray, result: Any, height_px: int = 1200) -> None:
    """Write a PNG of a film with what was found on it, see `save_reading`."""
    film = Film(pixels_xy, np.ones(pixels_xy.shape, dtype=bool), bits_stored=16)
    flags = [{"text": flag.text} for flag in result.flags]
    save_reading(path, film, result.labels.array, None, flags, result.film.name, height_px)
