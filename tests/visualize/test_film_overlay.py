from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.film_result import FilmIdentity, FilmResult, Flag, LabelMap
from cmnet_monai.io import level_colours
from cmnet_monai.transforms import FilmResultd
from cmnet_monai.visualize import write_overlay
from cmnet_monai.visualize.overlay import FLAG_COLOUR

L4, L5 = LABEL_OF_LEVEL["L4"], LABEL_OF_LEVEL["L5"]


def drawn(
    tmp_path: Path, labels: np.ndarray, height_px: int = 600, anterior: str = "", flags: Any = (), name: str = "film"
) -> np.ndarray:
    """The picture, (row, column, channel), of a film on which bodies are white, measured if its front is said."""
    pixels = 4000 * (labels > 0).astype(np.uint16)
    result = FilmResult(FilmIdentity(name, labels.shape), "run", LabelMap.of(labels))
    if anterior:
        item = {"labels": labels[None], "film": pixels[None], "shown": name}
        result = FilmResultd("labels", anterior=anterior)(item)["result"]
    texts = tuple(Flag("cut_off", None, text) for text in flags)
    write_overlay(tmp_path / "film.png", pixels, replace(result, flags=texts), height_px)
    with Image.open(tmp_path / "film.png") as picture:
        return np.asarray(picture.convert("RGB")).astype(float)


def box_of(found: np.ndarray) -> np.ndarray:
    """First and last column and row of what is True in (row, column)."""
    rows, columns = np.nonzero(found)
    return np.array([columns.min(), columns.max(), rows.min(), rows.max()])


def hue_is(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where the picture has a colour, pale or full."""
    paint = np.array(colour, float) - min(colour)
    excess = picture - picture.min(axis=2, keepdims=True)
    cosine = (excess @ paint) / np.maximum(np.linalg.norm(excess, axis=2) * np.linalg.norm(paint), 1e-9)
    return (cosine > 0.98) & (excess.max(axis=2) > 60)


@pytest.mark.parametrize("shape", [(120, 300), (700, 180), (60, 900), (90, 100)])
def test_outline_lies_on_the_body_whatever_the_films_size(tmp_path: Path, shape: tuple[int, int]) -> None:
    labels = np.zeros(shape, np.uint8)
    body = tuple(slice(round(0.3 * n), round(0.7 * n)) for n in shape)
    labels[body] = L4
    picture = drawn(tmp_path, labels)
    title_and_words = round(0.04 * 600)
    white = picture.min(axis=2) > 240
    white[:title_and_words] = False
    outline, inside = box_of(hue_is(picture, level_colours()[L4][1])), box_of(white)
    assert np.abs(outline - inside).max() <= 3  # the line runs round the white body, a pixel or two wide
    pixel = (inside[1] - inside[0] + 1) / (body[0].stop - body[0].start)
    height = (inside[3] - inside[2] + 1) / (body[1].stop - body[1].start)
    assert pixel == pytest.approx(height, rel=0.06)  # not stretched
    assert picture.shape[0] == 600 and 0.4 * 600 <= picture.shape[1] <= 1.6 * 600


def test_level_has_its_colour_of_the_table_and_heights_stand_behind(tmp_path: Path) -> None:
    labels = np.zeros((200, 300), np.uint8)
    labels[60:120, 40:100], labels[60:120, 130:190] = L4, L5
    picture = drawn(tmp_path, labels)
    for label in (L4, L5):
        assert hue_is(picture, level_colours()[label][1]).sum() > 200
    rows = slice(40, 500)  # below the title, above the words
    behind, front = 240, 122  # the bodies lie between, columns 60 to 120 of the film's 200
    for side, there, empty in (
        ("left", slice(behind, None), slice(front)),
        ("right", slice(front), slice(behind, None)),
    ):
        with_heights = drawn(tmp_path, labels, anterior=side)
        assert with_heights[rows, there].max() > 150 > 1 > with_heights[rows, empty].max(), side


def test_flags_stand_below_the_film_and_long_ones_are_wrapped(tmp_path: Path) -> None:
    labels = np.zeros((120, 300), np.uint8)
    red = tuple(int(FLAG_COLOUR[i : i + 2], 16) for i in (1, 3, 5))
    counts = []
    for flags in ([], ["HHH"], ["HHH HH HHHH " * 9], ["HHH"] * 20):
        rows = hue_is(drawn(tmp_path, labels, 1200, flags=flags), red).any(axis=1)
        assert not rows[:1000].any()  # the film
        counts.append(int(np.count_nonzero(np.diff(rows.astype(int)) == 1)))
    assert counts[:2] == [0, 1] and counts[2] > 1
    assert counts[3] == 7  # six, and one line that says how many more


def test_long_title_stays_on_the_picture(tmp_path: Path) -> None:
    picture = drawn(tmp_path, np.zeros((120, 300), np.uint8), name="a very long name of a film " * 20)
    assert picture[:20].max() > 200 and picture[:20, :2].max() < 60 and picture[:20, -2:].max() < 60


def test_no_plotting_library_is_loaded() -> None:
    code = "import sys, cmnet_monai.visualize as v; v.write_overlay; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
