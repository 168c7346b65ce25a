from __future__ import annotations

import numpy as np
import pytest

from cmnet_monai.decode import name_levels

# A spine of seven bodies, 40 px apart, L5 at the bottom.
COLUMN = np.array([[50.0 + 2 * i, 40.0 * i + 30] for i in range(7)])
S1 = np.array([70.0, 40.0 * 7 + 30])


def levels(centres: np.ndarray, s1: np.ndarray | None) -> list[str]:
    return [body.level for body in name_levels(centres, np.ones(len(centres)), s1)]


def test_names_count_up_from_s1() -> None:
    assert levels(COLUMN, S1) == ["T11", "T12", "L1", "L2", "L3", "L4", "L5"]


def test_order_of_input_does_not_matter_and_regions_follow() -> None:
    order = [3, 0, 6, 1, 5, 2, 4]
    bodies = name_levels(COLUMN[order], np.arange(7) / 10, S1)
    assert [b.level for b in bodies] == ["T11", "T12", "L1", "L2", "L3", "L4", "L5"]
    assert [order[b.region - 1] for b in bodies] == list(range(7))
    assert [round(b.score * 10) for b in bodies] == [order.index(i) for i in range(7)]


@pytest.mark.parametrize("missing", [1, 2, 3, 4, 5])
def test_missed_body_leaves_a_gap(missing: int) -> None:
    names = ["T11", "T12", "L1", "L2", "L3", "L4", "L5"]
    kept = [i for i in range(7) if i != missing]
    assert levels(COLUMN[kept], S1) == [names[i] for i in kept]


def test_missed_l5_is_seen_from_the_distance_to_s1() -> None:
    assert levels(COLUMN[:6], S1)[-1] == "L4"


def test_without_s1_the_lowest_is_l5_and_the_evidence_says_so() -> None:
    bodies = name_levels(COLUMN, np.ones(7))
    assert bodies[-1].level == "L5"
    assert {b.evidence for b in bodies} == {"lowest body taken for L5"}


def test_body_below_s1_is_left_out() -> None:
    centres = np.vstack([COLUMN, [[80.0, 380.0]]])
    assert levels(centres, S1) == ["T11", "T12", "L1", "L2", "L3", "L4", "L5"]


def test_no_body_gives_no_name() -> None:
    assert name_levels(np.empty((0, 2)), [], S1) == []


def test_single_body_above_s1_is_l5() -> None:
    assert levels(COLUMN[6:], S1) == ["L5"]


def test_labels_are_verse_codes() -> None:
    assert [b.label for b in name_levels(COLUMN, np.ones(7), S1)] == [18, 19, 20, 21, 22, 23, 24]


def weighed(lumbar: list[float], s1: np.ndarray | None, centres: np.ndarray = COLUMN) -> tuple[list[str], str]:
    bodies = name_levels(centres, np.ones(len(centres)), s1, lumbar=lumbar)
    return [body.level for body in bodies], bodies[0].evidence


def test_lumbar_look_that_agrees_leaves_the_count_from_s1() -> None:
    names, evidence = weighed([0.1, 0.2, 0.9, 1.0, 1.0, 1.0, 0.9], S1)
    assert names == ["T11", "T12", "L1", "L2", "L3", "L4", "L5"] and evidence == "counted from S1"


@pytest.mark.parametrize("s1", [S1, None])
def test_a_body_that_surely_is_thoracic_outvotes_the_count(s1: np.ndarray | None) -> None:
    # L5 was taken for S1, or was not seen: what is counted as L1 looks thoracic.
    names, evidence = weighed([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0], s1)
    assert names == ["T10", "T11", "T12", "L1", "L2", "L3", "L4"]
    assert evidence == "counted from what looks lumbar"


def test_doubtful_look_does_not_outvote_s1_but_may_the_guess_without_it() -> None:
    # For a shift by one: log(0.8 / 0.2) = 1.39, less than 2.5 and more than 1.
    lumbar = [0.0, 0.0, 0.2, 1.0, 1.0, 1.0, 1.0]
    assert weighed(lumbar, S1)[0][-1] == "L5"
    assert weighed(lumbar, None)[0][-1] == "L4"


def test_lowest_body_that_does_not_look_lumbar_is_the_sacrum_and_left_out() -> None:
    names, _ = weighed([0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0], None)
    assert names == ["T12", "L1", "L2", "L3", "L4", "L5"]


def test_film_without_t12_and_l5_is_named_from_s1() -> None:
    names, evidence = weighed([1.0] * 4, S1, COLUMN[2:6])
    assert names == ["L1", "L2", "L3", "L4"] and evidence == "counted from S1"


def test_equal_likelihoods_keep_the_count() -> None:
    names, evidence = weighed([0.5] * 7, None)
    assert names[-1] == "L5" and evidence == "lowest body taken for L5"


def said(names: dict[int, str], s1: np.ndarray | None = S1, centres: np.ndarray = COLUMN) -> tuple[list[str], set[str]]:
    bodies = name_levels(centres, np.ones(len(centres)), s1, lumbar=[1.0] * len(centres), said=names)
    return [body.level for body in bodies], {body.evidence for body in bodies}


def test_level_that_a_reader_says_shifts_all_names_and_outvotes_everything() -> None:
    assert said({6: "L4"}) == (["T10", "T11", "T12", "L1", "L2", "L3", "L4"], {"user"})
    assert said({0: "T11"}) == (["T11", "T12", "L1", "L2", "L3", "L4", "L5"], {"user"})
    assert said({3: "L1"}, None)[0] == ["T10", "T11", "T12", "L1", "L2", "L3", "L4"]


def test_bodies_below_l5_are_left_out() -> None:
    assert said({5: "L5"}, None)[0] == ["T12", "L1", "L2", "L3", "L4", "L5"]


def test_two_levels_that_a_reader_says_split_the_count_between_them() -> None:
    # From L5 up T12 would be the body of rank 5; it is said to be that of rank 6, so one of the bodies between is none.
    names, _ = said({6: "L5", 0: "T12"})
    assert names == ["T12", "L1", "L2", "L3", "L4", "L5"]
    # And said to be higher, a level is missing below it.
    assert said({6: "L5", 0: "T9"})[0] == ["T9", "T12", "L1", "L2", "L3", "L4", "L5"]


def test_missed_body_stays_a_gap_above_a_level_that_a_reader_says() -> None:
    assert said({5: "L4"}, None, np.delete(COLUMN, 3, axis=0))[0] == ["T10", "T11", "T12", "L2", "L3", "L4"]


def test_saying_nothing_is_as_ever() -> None:
    assert said({}) == (["T11", "T12", "L1", "L2", "L3", "L4", "L5"], {"counted from S1"})
