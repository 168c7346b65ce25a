from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from cmnet_monai.conventions import LABEL_OF_LEVEL, LEVEL_OF_LABEL
from cmnet_monai.morphometry.spine import find_regions, shown_area
from cmnet_monai.morphometry.wrong_film import not_lateral_reason

LEVELS = ("T12", "L1", "L2", "L3", "L4", "L5", "S1")
T12, L2, L4, S1 = (LABEL_OF_LEVEL[level] for level in ("T12", "L2", "L4", "S1"))


def column(above_px: int = 20, below_px: int = 90, levels: Sequence[str] = LEVELS) -> np.ndarray:
    """A gently curved spine, bodies 60 x 40 px and 60 px apart, with film above the first and below the last."""
    label_map = np.zeros((200, above_px + 60 * (len(levels) - 1) + 40 + below_px), np.uint8)
    for i, level in enumerate(levels):
        x = 60 + round(54 * (i / (len(levels) - 1) - 0.5) ** 2)
        label_map[x : x + 60, above_px + 60 * i : above_px + 40 + 60 * i] = LABEL_OF_LEVEL[level]
    return label_map


def reason(label_map: np.ndarray, **options: object) -> str | None:
    valid = shown_area(options.pop("valid_area", None), label_map)
    return not_lateral_reason(find_regions(label_map), valid, **options)


def moved(label_map: np.ndarray, label: int, pixels: int, axis: int) -> np.ndarray:
    there = np.roll(label_map == label, pixels, axis)
    return np.where(there, label, np.where(label_map == label, 0, label_map))


def shrunk(label_map: np.ndarray, *labels: int) -> np.ndarray:
    """Each of the bodies with the upper quarter of its rows alone."""
    small = label_map.copy()
    for label in labels:
        first = np.flatnonzero((label_map == label).any(axis=0))[0]
        small[:, first + 10 :][small[:, first + 10 :] == label] = 0
    return small


def test_lateral_lumbar_column_is_one() -> None:
    assert reason(column()) is None
    assert reason(column(), expects_s1=True) is None


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda m: np.where(m < LABEL_OF_LEVEL["L3"], 0, m), "only 3 vertebral bodies"),
        (np.zeros_like, "only 0 vertebral bodies"),
        (lambda m: np.where((m > 0) & (m < S1), m - 6, 0), "no lumbar body"),
        (lambda m: np.ascontiguousarray(m.T), "does not run down"),
        (lambda m: moved(m, L2, 60, 0), "smooth curve"),
        (lambda m: moved(m, L2, 38, 1), "even steps"),
        (lambda m: shrunk(m, L2, L4), "differ much in size"),
    ],
)
def test_what_does_not_look_lateral(spoil: Callable[[np.ndarray], np.ndarray], words: str) -> None:
    assert words in (reason(spoil(column()).astype(np.uint8)) or "")


def test_more_bodies_than_a_lumbar_film_shows() -> None:
    nine = ("T9", "T10", "T11", *LEVELS)
    assert reason(column(levels=nine)) is None
    assert (reason(column(levels=("T8", *nine))) or "").startswith("10 vertebral bodies were found, more than")


def test_one_crumb_is_no_reason_wherever_it_is() -> None:
    for label in (T12, L2):
        crumb = shrunk(column(), label)
        assert (crumb == label).sum() * 4 == (column() == label).sum()
        assert reason(crumb) is None, LEVEL_OF_LABEL[label]


def test_bodies_that_the_edge_cuts_are_not_compared_in_size() -> None:
    cut = shrunk(column(), L2)[:, 53:]  # leaves seven of T12's forty rows: two of six would be too many
    assert reason(cut) is None
    valid = np.ones(cut.shape, bool)
    assert reason(cut, valid_area=valid) is None


def test_missing_sacrum_counts_where_it_was_looked_for() -> None:
    without = np.where(column() == S1, 0, column()).astype(np.uint8)
    assert reason(without) is None
    assert "sacrum" in (reason(without, expects_s1=True) or "")


@pytest.mark.parametrize(
    ("above_px", "below_px", "words"),
    [
        # Centres of T12 and S1 lie 20 px inside what is drawn, steps are 60 px: (above + 19.5) / 60 against 3.
        (160, 300, None),
        (161, 300, "upper part"),
        # More than half a step, 30 px, further from the upper edge than from the lower one.
        (49, 20, None),
        (51, 20, "lower edge"),
    ],
)
def test_spine_that_begins_too_low(above_px: int, below_px: int, words: str | None) -> None:
    found = reason(column(above_px, below_px))
    assert found is None if words is None else words in (found or "")


def test_upside_down_sacrum_above_is_seen_by_where_the_bodies_lie() -> None:
    upside_down = column(20, 260)[::-1, ::-1]
    renamed = np.zeros_like(upside_down)
    for old, new in zip(reversed(LEVELS[:-1]), LEVELS[1:]):  # the network counts from what is lowest
        renamed[upside_down == LABEL_OF_LEVEL[old]] = LABEL_OF_LEVEL[new]
    assert "upper part" in (reason(renamed) or "")


def test_empty_border_does_not_count_as_film() -> None:
    label_map = column(200, 90)
    valid = np.ones(label_map.shape, bool)
    valid[:, :180] = False
    assert "upper part" in (reason(label_map) or "")
    assert reason(label_map, valid_area=valid) is None


def test_missed_level_does_not_lengthen_the_step() -> None:
    gap = np.where(column(160, 300) == L4, 0, column(160, 300)).astype(np.uint8)
    assert reason(gap) is None
    gap = np.where(column(161, 300) == L4, 0, column(161, 300)).astype(np.uint8)
    assert "upper part" in (reason(gap) or "")
