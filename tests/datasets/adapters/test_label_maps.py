from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmnet_monai.datasets.adapters.label_maps import draw_outlines
from cmnet_monai.datasets.adapters.records import Outline
from cmnet_monai.io import FilmError

FILM = Path("film.png")


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=float)


def test_pixels_whose_centre_is_inside_or_on_the_outline_are_the_bodys() -> None:
    labels, centres = draw_outlines(
        [Outline(20, (box(2, 3, 5, 4),)), Outline(21, (box(1.6, 6.4, 4.4, 8.6),))], (9, 12), FILM
    )
    expected = np.zeros((9, 12), np.uint8)
    expected[2:6, 3:5] = 20
    expected[2:5, 7:9] = 21
    np.testing.assert_array_equal(labels, expected)
    assert labels.dtype == np.uint8 and centres == [(3.5, 3.5), (3.0, 7.5)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_overlap_goes_to_the_nearer_centroid_whatever_the_order(order: tuple[int, int]) -> None:
    # Rows 0-6 and 4-12: centroids at rows 3 and 8; of the shared rows 4-6, row 4 and 5 are nearer to 3.
    bodies = [Outline(22, (box(0, 0, 3, 6),)), Outline(21, (box(0, 4, 3, 12),))]
    labels, _ = draw_outlines([bodies[i] for i in order], (4, 14), FILM)
    assert labels[1].tolist() == [22] * 6 + [21] * 7 + [0]


def test_parts_of_a_body_share_its_label_and_nameless_bodies_become_a_binary_mask() -> None:
    parts = (box(0, 0, 1, 1), box(1, 1, 3, 2))
    labels, _ = draw_outlines([Outline(0, parts), Outline(0, (box(5, 5, 6, 6),))], (8, 8), FILM)
    assert set(np.unique(labels)) == {0, 1}
    assert int(labels.sum()) == 4 + 6 - 1 + 4  # they share the pixel (1, 1)


def test_what_sticks_out_a_little_is_cut_off() -> None:
    labels, _ = draw_outlines([Outline(24, (box(-2, 90, 4, 104),))], (30, 100), FILM)
    assert int((labels == 24).sum()) == 5 * 10


@pytest.mark.parametrize(
    ("outlines", "reason"),
    [
        ([], "no vertebra"),
        ([Outline(20, (box(0, 0, 2, 2),)), Outline(0, (box(3, 3, 5, 5),))], "some vertebrae have a level"),
        ([Outline(22, (box(0, 0, 2, 2),)), Outline(22, (box(3, 3, 5, 5),))], "L3 is outlined 2 times"),
        ([Outline(22, (box(0, 0, 2, 2)[:2],))], "L3 has 2 points"),
        ([Outline(22, (box(0, 0, 2, 40),))], r"leaves the film, which is 10 x 20 pixels"),
        ([Outline(26, (box(1.2, 1.2, 1.8, 1.8),))], "S1 encloses no pixel"),
    ],
)
def test_what_cannot_be_drawn_is_named(outlines: list[Outline], reason: str) -> None:
    with pytest.raises(FilmError, match=reason) as caught:
        draw_outlines(outlines, (10, 20), FILM)
    assert caught.value.path == "film.png" and caught.value.remedy
