from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmnet_monai.visualize import save_overlay
from cmnet_monai.visualize.canvas import film_window
from cmnet_monai.visualize.overlay import PREDICTED, TRUE

SIZE = (120, 300)
HEIGHT = 1000


def colour_of(code: str) -> np.ndarray:
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], float)


def draw(tmp_path: Path, **arguments: object) -> np.ndarray:
    """The picture (row, column, channel) of a grey film."""
    film = np.linspace(0, 4000, SIZE[0] * SIZE[1]).reshape(SIZE)
    mask = arguments.pop("mask_xy", np.zeros(SIZE, bool))
    save_overlay(tmp_path / "overlay.png", film, mask, height_px=HEIGHT, **arguments)
    with Image.open(tmp_path / "overlay.png") as picture:
        return np.asarray(picture.convert("RGB"), float)


def extent(picture: np.ndarray, code: str) -> tuple[float, float, float, float] | None:
    """x from, x to, y from, y to of a colour, in pixels of the film; None where it is missing."""
    rows, columns = np.nonzero(np.abs(picture - colour_of(code)).max(axis=2) < 60)
    if not len(rows):
        return None
    # The film fills the lower 96 % of the height and keeps its aspect, centred.
    scale = 0.96 * picture.shape[0] / SIZE[1]
    left = (picture.shape[1] - SIZE[0] * scale) / 2
    x, y = (columns + 0.5 - left) / scale - 0.5, (rows + 0.5 - 0.04 * picture.shape[0]) / scale - 0.5
    return x.min(), x.max(), y.min(), y.max()


def test_outlines_are_where_the_masks_are(tmp_path: Path) -> None:
    predicted, true = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    predicted[20:50, 60:100] = True
    true[70:110, 200:290] = True
    picture = draw(tmp_path, mask_xy=predicted, truth_xy=true)
    assert picture.shape == (HEIGHT, 0.4 * HEIGHT, 3)
    # The outline runs half a pixel outside the mask's pixels; a line is about half a pixel of the film wide.
    assert extent(picture, PREDICTED) == pytest.approx((19.5, 49.5, 59.5, 99.5), abs=1)
    assert extent(picture, TRUE) == pytest.approx((69.5, 109.5, 199.5, 289.5), abs=1)


def test_centre_is_where_it_is_said_to_be(tmp_path: Path) -> None:
    with_name = draw(tmp_path, centres=[{"x_px": 30.0, "y_px": 250.0, "level": "L3"}])
    without = draw(tmp_path, centres=[{"x_px": 30.0, "y_px": 250.0, "level": ""}])
    x0, x1, y0, y1 = extent(without, PREDICTED)
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((30, 250), abs=0.5)
    assert extent(with_name, PREDICTED)[1] > x1 + 2  # the name stands to the right


def test_nothing_found_draws_the_film_alone(tmp_path: Path) -> None:
    picture = draw(tmp_path)
    assert extent(picture, PREDICTED) is None and extent(picture, TRUE) is None
    inside = picture[200:900, 50:350, 0]
    assert np.corrcoef(inside.mean(axis=0), np.arange(inside.shape[1]))[0, 1] > 0.99  # x grows to the right


@pytest.mark.parametrize("title", ["cost $^{_$", "100 % of L1_L5", "脊椎"])
@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_title_is_printed_as_it_is(tmp_path: Path, title: str) -> None:
    picture = draw(tmp_path, title=title)
    assert picture[: int(0.04 * HEIGHT)].max() > 100


def test_window_leaves_extreme_values_out_and_is_never_empty() -> None:
    film = np.concatenate([np.arange(1000.0), [1e9]]).reshape(7, 143)
    low, high = film_window(film)
    assert 5 < low < 15 and 990 < high < 1000
    low, high = film_window(np.full((4, 6), 7.0))
    assert high > low == 7.0


def test_failed_picture_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        draw(tmp_path, centres=[{"level": "L1"}])
    assert list(tmp_path.iterdir()) == []
