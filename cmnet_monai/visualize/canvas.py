"""A film as a picture to draw on, in pixels of the film: lines and words that look alike on films of every size."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.measure import find_contours

from cmnet_monai.io import atomic_write, printable

Array = NDArray[np.floating]
Colour = str | tuple[int, int, int]

_FINER = 2
"""Everything is drawn on a picture so many times as large, which is then averaged: smooth lines."""
_WIDTHS = 0.4, 1.6
"""Least and greatest width of a picture as a share of its height."""
_SAMPLES = 512
_HEAD, _LINE = 0.04, 0.018
"""Height of the title and of a line of words below the film, as shares of the picture's height."""


def film_window(film_xy: NDArray) -> tuple[float, float]:
    """Grey values that a film is shown between: about its 1st and 99.5th percentile."""
    sample = film_xy[tuple(slice(None, None, max(1, n // _SAMPLES)) for n in film_xy.shape)]
    low, high = np.percentile(sample, (1.0, 99.5))
    return float(low), float(max(high, low + 1e-6))


class FilmCanvas:
    """A picture of a film on black, with a line above and words below.

    Args:
        film_xy: the film, (x, y), bone bright.
        height_px: height of the picture. Its width is the film's, but from 0.4 to 1.6 times the height.
        title: the line above.
        notes: words below, one note a line or more, each in its colour.
    """

    def __init__(
        self, film_xy: NDArray, height_px: int, title: str = "", notes: Sequence[tuple[str, Colour]] = ()
    ) -> None:
        width, height = film_xy.shape
        self._unit = _FINER * height_px / 1200
        size_x, size_y = round(np.clip(width / height, *_WIDTHS) * height_px) * _FINER, height_px * _FINER
        letters = max(int(size_x / (0.55 * 13 * self._unit)), 20)
        lines = [(line, colour) for note, colour in notes for line in textwrap.wrap(printable(note), letters)]
        head, step = _HEAD * size_y, _LINE * size_y
        room = size_y - head - step * (len(lines) + bool(lines))
        shrink = min(room / height, size_x / width)
        shown_x, shown_y = max(round(width * shrink), 1), max(round(height * shrink), 1)
        left, top = (size_x - shown_x) // 2, round(head + (room - shown_y) / 2)
        self._origin, self._scale = np.array([left, top]), np.array([shown_x / width, shown_y / height])
        self.image = Image.new("RGB", (size_x, size_y))
        self.image.paste(
            _grey_picture(film_xy).resize((shown_y, shown_x)).transpose(Image.Transpose.TRANSPOSE), (left, top)
        )
        self._draw = ImageDraw.Draw(self.image)
        self._words((size_x / 2, head / 2), printable(title), "white", 15, "mm")
        for number, (line, colour) in enumerate(lines):
            self._words((0.01 * size_x, size_y - step * (len(lines) - number)), line, colour, 13, "lm")

    def line(self, points_xy: Array, colour: Colour, width: float = 1.3, dots: float = 0.0) -> None:
        """A line through points (N, 2); ``width`` and the radius of its ``dots`` are for a picture 1,200 px high."""
        points = self._place(points_xy)
        self._draw.line(
            [tuple(point) for point in points.tolist()], fill=colour, width=max(round(width * self._unit), 1)
        )
        radius = dots * self._unit
        for x, y in points if dots else ():
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def outline(self, mask_xy: NDArray[Any], colour: Colour, start_xy: tuple[float, float] = (0.0, 0.0)) -> None:
        """The border of a mask whose first pixel is a given one of the film."""
        for border in find_contours(np.pad(np.asarray(mask_xy) != 0, 1).astype(np.float32), 0.5):
            self.line(border + (np.asarray(start_xy) - 1), colour)

    def cross(self, point_xy: Sequence[float], colour: Colour) -> None:
        """An upright cross."""
        (x, y), arm, width = self._place(np.array(point_xy)), 6 * self._unit, max(round(1.6 * self._unit), 1)
        self._draw.line((x - arm, y, x + arm, y), fill=colour, width=width)
        self._draw.line((x, y - arm, x, y + arm), fill=colour, width=width)

    def words(
        self, point_xy: Sequence[float], text: str, colour: Colour, size: float, anchor: str = "mm", aside: float = 0.0
    ) -> None:
        """Words at a point, anchored as Pillow names it, moved ``aside`` across; all of them on the picture."""
        x, y = self._place(np.array(point_xy))
        self._words((float(x) + aside * self._unit, float(y)), printable(text), colour, size, anchor)

    def finished(self) -> Image.Image:
        """The picture at its own size."""
        return self.image.reduce(_FINER)

    def _place(self, points_xy: Array) -> Array:
        return (points_xy + 0.5) * self._scale + self._origin - 0.5

    def _words(self, place: tuple[float, float], text: str, colour: Colour, size: float, anchor: str) -> None:
        font, edge = _font(max(round(size * self._unit), 6)), max(round(self._unit), 1)
        while len(text) > 1 and font.getlength(text) > 0.97 * self.image.width:
            text = text[:-2] + "…"
        left, _, right, _ = self._draw.textbbox(place, text, font=font, anchor=anchor, stroke_width=edge)
        x = place[0] + max(-left, 0) - max(right - self.image.width, 0)
        self._draw.text(
            (x, place[1]), text, fill=colour, font=font, anchor=anchor, stroke_width=edge, stroke_fill="black"
        )


def save_picture(path: str | Path, picture: Image.Image) -> None:
    """Write a PNG, whole or not at all."""
    with atomic_write(path) as temporary:
        picture.save(temporary, format="PNG", compress_level=3)


def _grey_picture(film_xy: NDArray) -> Image.Image:
    """The film in 8 bits, rows and columns exchanged."""
    low, high = film_window(film_xy)
    grey = np.clip((film_xy.astype(np.float32) - low) * (255 / (high - low)), 0, 255)
    return Image.fromarray(grey.astype(np.uint8))


@lru_cache(maxsize=16)
def _font(size_px: int) -> Any:
    return ImageFont.load_default(size_px)
