from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from cmnet_monai.conventions import LUMBAR_LABELS, S1_LABEL
from cmnet_monai.datasets.adapters.corners import names_from_below, polygon_area, quadrilateral, s1_below_plate

BODY = np.array([[10.0, 20.0], [52.0, 26.0], [49.0, 61.0], [8.0, 55.0]])  # goes round clockwise on the film


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_any_order_of_corners_goes_round_the_same_body(order: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(quadrilateral(BODY[list(order)]), BODY)


def test_area_is_that_of_the_shoelace_by_hand() -> None:
    # 10*26-52*20 + 52*61-49*26 + 49*55-8*61 + 8*20-10*55 = -780 + 1898 + 2207 - 390
    assert polygon_area(quadrilateral(BODY[[2, 0, 3, 1]])) == pytest.approx(2935 / 2)


@pytest.mark.parametrize("degrees", [0, 30, 60, 90, 135])
def test_tilted_bodies_keep_their_area_where_the_two_upper_corners_mislead(degrees: float) -> None:
    turn = np.deg2rad(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    turned = BODY @ rotation.T
    assert polygon_area(quadrilateral(turned[[3, 1, 0, 2]])) == pytest.approx(2935 / 2)


@pytest.mark.parametrize(
    ("corners", "reason"),
    [
        (BODY[:3], "four corners"),
        (np.array([[0, 0], [1, 1], [2, 2], [3, 3.0]]), "no area"),
        (np.array([[5.0, 5.0]] * 4), "no area"),
        (np.array([[0, 0], [9, 0], [9, 9], [0, np.inf]]), "four corners"),
    ],
)
def test_corners_that_make_no_body_are_an_error(corners: np.ndarray, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        quadrilateral(corners)


@pytest.mark.parametrize("faces", [-1.0, 1.0])
def test_s1_hangs_from_its_plate_for_both_ways_of_facing(faces: float) -> None:
    # Front at x = faces * 30 and 30 lower than the back: a plate of length 50 that falls forwards by 3 : 4.
    anterior, posterior = np.array([faces * 40.0, 130.0]), np.array([0.0, 100.0])
    outline = s1_below_plate(anterior, posterior, np.array([faces * 5.0, 60.0]))
    # Along the plate (-faces*40, -30); square to it, down and back: (-faces*30, 40).
    lower_posterior = posterior + 0.8 * np.array([-faces * 30.0, 40.0])
    lower_anterior = anterior + 0.5 * np.array([-faces * 40.0, -30.0]) + 0.9 * np.array([-faces * 30.0, 40.0])
    np.testing.assert_allclose(outline, [anterior, posterior, lower_posterior, lower_anterior], atol=1e-9)
    np.testing.assert_allclose(outline[2:], [[-faces * 24, 132], [-faces * 7, 151]], atol=1e-9)


def test_s1_without_a_plate_or_under_no_body_is_an_error() -> None:
    with pytest.raises(ValueError, match="end plate of S1"):
        s1_below_plate(np.array([3.0, 4.0]), np.array([3.0, 4.0]), np.array([0.0, 0.0]))
    with pytest.raises(ValueError, match="end plate of S1"):
        s1_below_plate(np.array([0.0, 4.0]), np.array([8.0, 4.0]), np.array([3.0, 4.0]))


def test_nameless_bodies_are_named_by_their_count_only_where_there_are_five_or_six() -> None:
    assert tuple(names_from_below(5)) == LUMBAR_LABELS
    assert tuple(names_from_below(6)) == (*LUMBAR_LABELS, S1_LABEL)
    assert tuple(names_from_below(4)) == (0, 0, 0, 0) and set(names_from_below(7)) == {0}
