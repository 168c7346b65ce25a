from __future__ import annotations

import pytest

from cmnet_monai.morphometry import Deformity, classify_deformity, genant_grade, meyerding_grade


@pytest.mark.parametrize(
    ("loss", "grade"), [(0, 0), (19.9, 0), (20, 1), (25, 1), (25.1, 2), (40, 2), (40.1, 3), (80, 3), (-5, 0)]
)
def test_genant_grade_of_a_loss(loss: float, grade: int) -> None:
    assert genant_grade(loss) == grade


@pytest.mark.parametrize(
    ("heights", "neighbours", "kind", "grade", "loss"),
    [
        ((29, 27, 28), (), "none", 0, 100 / 28),
        ((21, 25, 30), (), "wedge", 2, 30.0),
        ((24, 28, 30), (), "wedge", 1, 20.0),
        ((29, 15, 30), (), "biconcave", 3, 50.0),
        ((21, 21, 30), (), "biconcave", 2, 30.0),
        ((20, 19, 20), ((30, 30), (28, 28)), "crush", 2, 100 * (1 - 20 / 29)),
        ((20, 19, 20), (), "none", 0, 5.0),  # nothing to compare with
        ((28, 25, 22), ((28, 28),), "none", 0, 0.0),  # L5: low behind alone
        ((12, 20, 28), ((28, 28),), "wedge", 3, 100 * 16 / 28),
    ],
)
def test_deformity_of_three_heights(heights, neighbours, kind, grade, loss) -> None:
    found = classify_deformity(*heights, neighbours)
    assert (found.kind, found.grade) == (kind, grade)
    assert found.loss_percent == pytest.approx(loss)


def test_deformity_does_not_depend_on_the_unit() -> None:
    a = classify_deformity(21.0, 25.0, 30.0, ((29.0, 30.0),))
    b = classify_deformity(210.0, 250.0, 300.0, ((290.0, 300.0),))
    assert a == b == Deformity("wedge", 2, pytest.approx(30.0))


def test_heights_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        classify_deformity(10, 10, 0)


@pytest.mark.parametrize(
    ("slip", "grade"),
    [(0, 0), (4.9, 0), (5, 1), (25, 1), (25.1, 2), (50.1, 3), (75.1, 4), (100, 4), (101, 5), (-12, 1), (-3, 0)],
)
def test_meyerding_grade_of_a_slip(slip: float, grade: int) -> None:
    assert meyerding_grade(slip) == grade


def test_least_slip_is_a_choice() -> None:
    assert meyerding_grade(7, least_percent=8) == 0
