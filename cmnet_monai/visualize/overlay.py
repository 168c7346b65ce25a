"""A film with the outline of its mask and its centres drawn on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.io import atomic_write, printable

PREDICTED, TRUE = "#ffb000", "#22d3ee"


def film_window(film_xy: NDArray[np.floating]) -> tuple[float, float]:
    """Grey values that a film is shown between: its 1st and 99.5th percentile."""
    low, high = np.percentile(film_xy, (1.0, 99.5))
    return float(low), float(max(high, low + 1e-6))


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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = film_xy.shape
    size = (max(width / height, 0.35) * height_px / 100, height_px / 100)
    figure = Figure(figsize=size, dpi=100, facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 0.96))
    axes.set_axis_off()
    low, high = film_window(film_xy)
    axes.imshow(film_xy.T, cmap="gray", vmin=low, vmax=high, interpolation="antialiased")
    for outline, colour in ((truth_xy, TRUE), (mask_xy, PREDICTED)):
        if outline is not None and np.any(outline):
            axes.contour(np.asarray(outline, dtype=float).T, levels=[0.5], colors=[colour], linewidths=1.1)
    for centre in centres:
        axes.plot(centre["x_px"], centre["y_px"], "+", color=PREDICTED, markersize=9, markeredgewidth=1.4)
        offset = (7, -3)
        axes.annotate(
            str(centre["level"]), (centre["x_px"], centre["y_px"]), offset, textcoords="offset points", color=PREDICTED
        )
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    figure.text(0.5, 0.98, printable(title), color="white", ha="center", va="center", fontsize=9, parse_math=False)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, facecolor="black")
