from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.evaluation import BodyScore, FilmScore, score_film, summarise

SIZE = (60, 130)
LUMBAR = ["L1", "L2", "L3", "L4", "L5"]
# Bodies 20 wide (x 10 to 29) and 10 high, 15 apart; T12 begins at y = 5, S1 at y = 95.
TOP_PX = {level: 5 + 15 * number for number, level in enumerate(["T12", *LUMBAR, "S1"])}
CENTRE_XY = {level: (19.5, top + 4.5) for level, top in TOP_PX.items()}


def label_map(*levels: str, x0: int = 10, x1: int = 30) -> np.ndarray:
    labels = np.zeros(SIZE, dtype=np.uint8)
    for level in levels:
        labels[x0:x1, TOP_PX[level] : TOP_PX[level] + 10] = LABEL_OF_LEVEL[level]
    return labels


def centre(level: str, at: str | tuple[float, float] | None = None, shift: tuple[float, float] = (0, 0)) -> dict:
    x, y = at if isinstance(at, tuple) else CENTRE_XY[at or level]
    return {"level": level, "x_px": x + shift[0], "y_px": y + shift[1]}


TRUTH = label_map("T12", *LUMBAR, "S1")
PERFECT = label_map(*LUMBAR) > 0
NAMED = [centre(level) for level in LUMBAR]


def test_perfect_result_has_full_marks() -> None:
    film, bodies = score_film("a", PERFECT, NAMED, TRUTH)
    assert film == FilmScore("a", dice=1.0, precision=1.0, recall=1.0, bodies=5, found=5, named=5, false=0)
    assert [body.level for body in bodies] == LUMBAR
    for body in bodies:
        assert (body.film, body.dice, body.found, body.named, body.centre_error_px) == ("a", 1.0, True, True, 0.0)
        assert body.width_px == pytest.approx(20.0)
        assert math.isnan(body.confidence)


@pytest.mark.parametrize(
    ("x0", "x1", "dice", "precision", "recall"),
    [
        (12, 32, 0.9, 0.9, 0.9),  # moved by 2: 18 of 20 columns in common
        (10, 25, 2 * 15 / 35, 1.0, 0.75),  # too narrow
        (10, 50, 2 * 20 / 60, 0.5, 1.0),  # too wide
        (40, 60, 0.0, 0.0, 0.0),  # beside
    ],
)
def test_overlap_is_that_of_the_rectangles(x0: int, x1: int, dice: float, precision: float, recall: float) -> None:
    film, bodies = score_film("a", label_map(*LUMBAR, x0=x0, x1=x1) > 0, NAMED, TRUTH)
    assert (film.dice, film.precision, film.recall) == pytest.approx((dice, precision, recall))
    if dice > 0:
        assert [body.dice for body in bodies] == pytest.approx([dice] * 5)


def test_thoracic_bodies_and_sacrum_in_the_mask_are_too_much() -> None:
    film, _ = score_film("a", TRUTH > 0, NAMED, TRUTH)
    assert (film.dice, film.precision, film.recall) == pytest.approx((2 * 5 / 12, 5 / 7, 1.0))


def test_names_shifted_by_one_level_are_found_but_not_named() -> None:
    shifted = [centre(name, at=level) for name, level in zip(["T12", "L1", "L2", "L3", "L4"], LUMBAR)]
    film, bodies = score_film("a", PERFECT, shifted, TRUTH)
    assert (film.dice, film.found, film.named, film.false) == (1.0, 5, 0, 0)
    assert [body.dice for body in bodies] == [0.0] * 5  # the region called L1 is the body of L2, and so on
    assert [body.centre_error_px for body in bodies] == [0.0] * 5


def test_two_swapped_names_leave_the_others_named() -> None:
    swapped = [centre("L1"), centre("L3", at="L2"), centre("L2", at="L3"), centre("L4"), centre("L5")]
    film, bodies = score_film("a", PERFECT, swapped, TRUTH)
    assert (film.found, film.named) == (5, 3)
    assert [body.named for body in bodies] == [True, False, False, True, True]
    assert [body.dice for body in bodies] == [1.0, 0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("at", "false"),
    [
        (CENTRE_XY["S1"], 1),
        ((50.0, 60.0), 1),  # in no body
        ((19.5, 32.0), 1),  # in the disc between L1 and L2, whose rows are 30 to 34
        ((-5.0, 30.0), 1),  # off the film
        ((19.0, 400.0), 1),
        ((-0.6, 25.0), 1),
        (CENTRE_XY["T12"], 0),  # a body, though not of L1-L5
        ((9.5, 24.0), 0),  # half a pixel from the centre of a body's first column: rounds into it
        ((9.4, 24.0), 1),
        ((29.4, 29.4), 0),
        ((29.5, 24.0), 1),
    ],
)
def test_centre_outside_every_body_is_false(at: tuple[float, float], false: int) -> None:
    film, _ = score_film("a", PERFECT, [*NAMED, centre("T11", at=at)], TRUTH)
    assert (film.false, film.found, film.named) == (false, 5, 5)


def test_centre_error_is_that_of_the_nearest_centre_inside_the_body() -> None:
    centres = [centre("L3", shift=(3.0, 4.0)), centre("L2", at="L3", shift=(-1.5, 2.0)), centre("L4", shift=(30, 0))]
    _, bodies = score_film("a", PERFECT, centres, TRUTH)
    found = {body.level: body for body in bodies}
    assert found["L3"].centre_error_px == pytest.approx(2.5)
    assert found["L3"].centre_error == pytest.approx(2.5 / 20)
    assert found["L3"].found and found["L3"].named
    assert not found["L4"].found and math.isnan(found["L4"].centre_error_px)  # ten columns outside
    assert math.isnan(found["L4"].centre_error)


def test_region_without_a_name_counts_for_no_level() -> None:
    mask = label_map("L3", "L4", "L5") > 0
    film, bodies = score_film("a", mask, [centre("L5")], TRUTH)
    assert [body.dice for body in bodies] == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert (film.dice, film.found) == (pytest.approx(0.75), 1)


def test_centre_beside_its_region_names_it_nevertheless() -> None:
    # The centre of a curved body may lie outside it, here a row above.
    centres = [centre("L3"), centre("L4", shift=(0, -5.5)), centre("L5")]
    film, bodies = score_film("a", label_map("L3", "L4", "L5") > 0, centres, TRUTH)
    assert [body.dice for body in bodies] == [0.0, 0.0, 1.0, 1.0, 1.0]
    assert (film.found, film.named, film.false) == (2, 2, 1)


def test_touching_bodies_are_parted_between_their_centres() -> None:
    mask = np.zeros(SIZE, dtype=bool)
    mask[10:30, TOP_PX["L2"] : TOP_PX["L3"] + 10] = True  # the disc of 5 rows is filled
    _, bodies = score_film("a", mask, [centre("L2"), centre("L3")], TRUTH)
    dice = {body.level: body.dice for body in bodies}
    # 10 rows each, and the 5 rows of the disc to either: 2 * 10 / (10 + 10 + n), with n from 0 to 5.
    rows = {level: 20 / dice[level] - 20 for level in ("L2", "L3")}
    assert rows["L2"] + rows["L3"] == pytest.approx(5.0)
    assert min(rows.values()) >= 0


def test_empty_result_scores_nothing() -> None:
    film, bodies = score_film("a", np.zeros(SIZE, dtype=bool), [], TRUTH)
    assert film == FilmScore("a", dice=0.0, precision=0.0, recall=0.0, bodies=5, found=0, named=0, false=0)
    assert [(body.dice, body.found, body.named) for body in bodies] == [(0.0, False, False)] * 5


@pytest.mark.parametrize(("mask", "dice", "precision"), [(PERFECT, 0.0, 0.0), (np.zeros(SIZE), 1.0, 1.0)])
def test_film_without_lumbar_bodies_wants_an_empty_mask(mask: np.ndarray, dice: float, precision: float) -> None:
    film, bodies = score_film("a", mask, [], label_map("T12"))
    assert (film.dice, film.precision, film.recall, film.bodies) == (dice, precision, 1.0, 0)
    assert bodies == []


def test_mirrored_film_has_the_same_scores() -> None:
    mask = label_map("L2", "L3", "L4", x0=13, x1=28) > 0
    centres = [centre("L2", shift=(2, 1)), centre("L3", at="L4", shift=(-3, 0)), centre("L5", at=(50.0, 90.0))]
    mirrored = [{**c, "x_px": SIZE[0] - 1 - c["x_px"]} for c in centres]
    plain = score_film("a", mask, centres, TRUTH)
    other = score_film("a", mask[::-1], mirrored, TRUTH[::-1])
    assert plain[0] == other[0]
    for one, two in zip(plain[1], other[1]):
        assert (one.dice, one.found, one.named, one.width_px) == (two.dice, two.found, two.named, two.width_px)
        assert one.centre_error_px == pytest.approx(two.centre_error_px, nan_ok=True)


def tilted(angle_deg: float) -> np.ndarray:
    """L3-L5 and S1 on a straight spine that leans by an angle; bodies 40 wide and 20 high, 30 apart."""
    turn = np.deg2rad(angle_deg)
    x, y = np.indices((200, 240))
    across = (x - 100) * np.cos(turn) + (y - 120) * np.sin(turn)
    along = -(x - 100) * np.sin(turn) + (y - 120) * np.cos(turn)
    labels = np.zeros(x.shape, dtype=np.uint8)
    for level, position in (("L3", -60), ("L4", -30), ("L5", 0), ("S1", 30)):
        inside = (np.abs(across) < 20) & (np.abs(along - position) < 10)
        labels[inside] = LABEL_OF_LEVEL[level]
    return labels


@pytest.mark.parametrize("angle_deg", [-60.0, -30.0, 0.0, 20.0, 45.0, 90.0])
def test_width_is_square_to_the_spine_at_any_angle(angle_deg: float) -> None:
    _, bodies = score_film("a", np.zeros((200, 240)), [], tilted(angle_deg))
    # Pixels in steps of one row up to the edges: 40 px to within 1.5. At 30 degrees the extent along x would be 44.6.
    assert [body.width_px for body in bodies] == pytest.approx([40.0] * 3, abs=1.5)


def test_sacrum_tells_the_direction_of_the_lowest_body() -> None:
    labels = tilted(30.0)
    labels[np.isin(labels, [LABEL_OF_LEVEL["L3"], LABEL_OF_LEVEL["L4"]])] = 0
    _, bodies = score_film("a", np.zeros((200, 240)), [], labels)
    assert [body.width_px for body in bodies] == pytest.approx([40.0], abs=1.5)


def test_width_of_a_single_body_is_its_extent_along_x() -> None:
    _, bodies = score_film("a", np.zeros(SIZE), [], label_map("L3", x0=4, x1=37))
    assert [body.width_px for body in bodies] == [33.0]


def test_trust_in_an_outline_is_that_of_its_level() -> None:
    _, bodies = score_film("a", PERFECT, NAMED, TRUTH, {"L2": 0.4, "S1": 0.1})
    assert [body.confidence for body in bodies] == pytest.approx([float("nan"), 0.4, *[float("nan")] * 3], nan_ok=True)


def test_sizes_that_differ_are_named() -> None:
    with pytest.raises(ValueError, match=r"film 7: the mask is \(x, y\) = \(130, 60\), the label map \(60, 130\)"):
        score_film("film 7", PERFECT.T, NAMED, TRUTH)


BODY = BodyScore("a", "L1", float("nan"), 1.0, True, True, 2.0, 20.0)
FILM = FilmScore("a", dice=0.9, precision=1.0, recall=0.8, bodies=2, found=2, named=2, false=0)


def test_summary_of_films_by_hand() -> None:
    films = [
        FILM,
        replace(FILM, film="b", dice=0.85, precision=0.5, recall=0.6, named=1, false=2),
        replace(FILM, film="c", dice=0.2, precision=0.0, recall=0.1, found=1, named=0, false=1),
    ]
    found = summarise(films, [BODY])
    assert found["films"] == 3
    assert found["mean_dice"] == pytest.approx(0.65)
    assert (found["median_dice"], found["lowest_dice"]) == (0.85, 0.2)
    assert found["films_under_0.85"] == 1
    assert (found["mean_precision"], found["mean_recall"]) == pytest.approx((0.5, 0.5))
    assert (found["films_all_named"], found["false_centres"]) == (1, 3)


def test_summary_of_bodies_by_hand_keeps_weak_outlines_apart() -> None:
    bodies = [
        BODY,  # trust unknown: firm
        replace(BODY, level="L2", confidence=0.9, dice=0.8, named=False, centre_error_px=6.0),
        replace(BODY, level="L2", confidence=0.5, dice=0.4, centre_error_px=1.0, width_px=10.0),
        replace(BODY, level="L5", confidence=0.1, dice=0.0, found=False, named=False, centre_error_px=float("nan")),
    ]
    found = summarise([FILM], bodies)
    assert (found["bodies"], found["bodies_found"], found["bodies_named"]) == (4, 3, 2)
    assert found["median_centre_error_of_width"] == pytest.approx(0.1)  # of 0.1, 0.3 and 0.1
    assert found["mean_body_dice"] == pytest.approx(0.9)
    assert (found["weak_bodies"], found["mean_weak_body_dice"]) == (2, pytest.approx(0.2))
    assert found["body_dice_by_level"] == pytest.approx({"L1": 1.0, "L2": 0.6, "L5": 0.0})


def test_summary_where_nothing_was_found_has_no_centre_error() -> None:
    lost = replace(BODY, dice=0.0, found=False, named=False, centre_error_px=float("nan"), confidence=0.2)
    found = summarise([FILM], [lost])
    assert math.isnan(found["median_centre_error_of_width"]) and math.isnan(found["mean_body_dice"])
    assert found["mean_weak_body_dice"] == 0.0
