from __future__ import annotations

import numpy as np
import pytest

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.morphometry import FLAG_CODES, bright_object_scores, find_flags
from cmnet_monai.synthetic import generate_film

SHAPE = (200, 470)
LEVELS = ("T12", "L1", "L2", "L3", "L4", "L5", "S1")


def column(levels: tuple[str, ...] = LEVELS) -> np.ndarray:
    """A gently curved spine, bodies 60 x 40 px and 60 px apart."""
    label_map = np.zeros(SHAPE, np.uint8)
    for i, level in enumerate(LEVELS):
        if level in levels:
            x = 60 + round(1.5 * (i - 3) ** 2)
            label_map[x : x + 60, 20 + 60 * i : 60 + 60 * i] = LABEL_OF_LEVEL[level]
    return label_map


def codes(label_map: np.ndarray, **options) -> list[tuple[str, str | None]]:
    return [(flag.code, flag.level) for flag in find_flags(label_map, **options)]


def test_whole_spine_raises_nothing() -> None:
    assert codes(column(), scores=dict.fromkeys(LEVELS, 0.9)) == []


def test_missed_level_is_named() -> None:
    flags = find_flags(column(tuple(level for level in LEVELS if level != "L3")))
    assert [(f.code, f.level) for f in flags] == [("fewer_than_five_lumbar", None), ("missed_level", "L3")]
    assert flags[0].text == "4 of five lumbar bodies were found; missing: L3."
    assert flags[1].text == "L3 was not found between L2 and L4."


def test_body_whose_calibrated_confidence_is_low_is_flagged_once() -> None:
    sure = {"L1": 0.95, "L2": 0.85, "L3": 0.2}
    flags = find_flags(column(), scores={"L1": 0.9, "L2": 0.9, "L3": 0.4}, confidences=sure)
    assert [(f.code, f.level) for f in flags] == [("low_confidence", "L2"), ("low_confidence", "L3")]
    assert flags[0].text == "L2 may be wrong: its confidence is 0.85 (limit 0.90)."


def test_given_centre_without_a_body_is_flagged() -> None:
    label_map = column()
    (x, y), *_ = np.argwhere(label_map == LABEL_OF_LEVEL["L2"])
    # A fiftieth of 470 rows is 9.4 px.
    assert codes(label_map, given_xy=[(x + 10, y + 10), (x - 9, y + 20)]) == []
    (flag,) = find_flags(label_map, given_xy=[(x - 10, y + 20)])
    assert flag.code == "given_centre_missed" and flag.text.endswith(f"at x {x - 10}, y {y + 20}.")


def test_missed_l5_is_a_gap_before_s1() -> None:
    assert ("missed_level", "L5") in codes(column(("L1", "L2", "L3", "L4", "S1")))


def test_sixth_lumbar_body_is_flagged_and_is_no_gap_where_absent() -> None:
    label_map = column()
    label_map[label_map == LABEL_OF_LEVEL["T12"]] = 0
    shifted = label_map.copy()
    for old, new in (("L1", "L2"), ("L2", "L3"), ("L3", "L4"), ("L4", "L5"), ("L5", "L6")):
        shifted[label_map == LABEL_OF_LEVEL[old]] = LABEL_OF_LEVEL[new]
    assert codes(shifted) == [("more_than_five_lumbar", None)]


def test_body_at_the_edge_or_at_the_collimator_is_cut() -> None:
    label_map = column()
    assert codes(label_map[:, 30:]) == [("cut_off", "T12")]
    valid = np.ones(SHAPE, bool)
    valid[:, :21] = False
    assert codes(label_map, valid_area=valid) == [("cut_off", "T12")]


def test_low_confidence_has_a_limit() -> None:
    scores = dict.fromkeys(LEVELS, 0.9) | {"L2": 0.4}
    assert codes(column(), scores=scores) == [("low_confidence", "L2")]
    assert codes(column(), scores=scores, least_score=0.3) == []


def test_screw_is_seen_in_its_body() -> None:
    label_map, rng = column(), np.random.default_rng(0)
    pixels = rng.normal(500, 10, SHAPE) + 100 * (label_map > 0)
    assert codes(label_map, pixels=pixels) == []
    pixels[label_map == LABEL_OF_LEVEL["S1"]] += 300  # S1 is not looked at
    y = int(np.argwhere(label_map == LABEL_OF_LEVEL["L4"])[:, 1].mean())
    x = int(np.argwhere(label_map == LABEL_OF_LEVEL["L4"])[:, 0].min())
    pixels[x + 10 : x + 60, y - 3 : y + 3] = 2000
    assert codes(label_map, pixels=pixels) == [("implant_or_cement_suspected", "L4")]


def test_scores_of_bright_things_do_not_depend_on_gain_and_offset() -> None:
    film = generate_film(9001, kind="implant", height_px=320)
    a = bright_object_scores(film.pixels, film.label_map)
    b = bright_object_scores(2.0 * film.pixels + 50, film.label_map)
    assert a == pytest.approx(b)
    assert max(a.values()) > 1


def test_film_on_which_most_bodies_are_doubtful_is_flagged() -> None:
    scores = dict.fromkeys(("L1", "L2", "L3", "L4", "L5"), 0.65) | {"L1": 0.9, "L2": 0.9}
    assert [f.code for f in find_flags(column(), scores)] == ["not_a_lateral_lumbar_film"]
    assert codes(column(), scores=scores | {"L3": 0.75}) == []


def test_film_without_the_sacrum_is_flagged_where_it_was_looked_for_and_no_reader_said_more() -> None:
    label_map = column()
    label_map[label_map == LABEL_OF_LEVEL["S1"]] = 0
    assert codes(label_map) == []
    (flag,) = find_flags(label_map, expects_s1=True)
    assert flag.code == "not_a_lateral_lumbar_film" and "sacrum" in flag.text
    x, y = np.argwhere(label_map == LABEL_OF_LEVEL["L5"]).mean(axis=0)
    assert codes(label_map, expects_s1=True, given_xy=[(x, y)]) == []
    assert codes(column(), expects_s1=True) == []


def test_doubts_of_the_reader_come_first() -> None:
    flags = find_flags(column(("L1", "L2", "L3", "L4", "L5")), notes=["The header contradicts itself."])
    assert [(f.code, f.level, f.text) for f in flags] == [("doubtful_header", None, "The header contradicts itself.")]


def test_every_code_is_listed_and_bad_input_named() -> None:
    assert len(set(FLAG_CODES)) == len(FLAG_CODES) == 10
    with pytest.raises(ValueError, match="film and label map have one shape"):
        find_flags(column(), pixels=np.ones((5, 5)))
    with pytest.raises(ValueError, match="valid area and label map"):
        find_flags(column(), valid_area=np.ones((5, 5), bool))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"view": "frontal"}, "the view is frontal"),
        ({"view": "contradictory"}, "the view is contradictory"),
        ({"view": "lateral", "body_part": "KNEE"}, "the body part is KNEE"),
        ({"view": "lateral", "body_part": "LSPINE"}, ""),
        ({}, ""),
    ],
)
def test_a_header_that_says_another_view_or_part_is_flagged_whatever_was_found(header: dict, words: str) -> None:
    labels = np.zeros((80, 260), dtype=np.uint8)
    for label in range(20, 25):
        labels[20:60, 40 * (label - 20) + 10 : 40 * (label - 20) + 40] = label
    texts = [flag.text for flag in find_flags(labels, **header) if flag.code == "not_a_lateral_lumbar_film"]
    assert len(texts) == bool(words) and all(words in text for text in texts)
