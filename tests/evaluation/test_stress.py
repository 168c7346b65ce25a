from __future__ import annotations

import numpy as np
import pytest

from cmnet_monai.decode import VertebraReading
from cmnet_monai.evaluation.stress import VARIANTS, NameScore, score_names, stress_table


def film() -> tuple[np.ndarray, np.ndarray]:
    """A film (60, 200), brighter downwards, and its label map: L1 to L5 of 20 x 20 px every 30 px, from row 20 on."""
    labels = np.zeros((60, 200), dtype=np.uint8)
    for i, code in enumerate(range(20, 25)):
        labels[20:40, 20 + 30 * i : 40 + 30 * i] = code
    return np.tile(np.linspace(0, 1, 200), (60, 1)), labels


def reading(label_map: np.ndarray, flagged: bool = False) -> VertebraReading:
    return VertebraReading((), label_map, label_map > 99, 0.7, (), flagged)


def test_parts_meet_in_the_middle_of_l2_and_each_keeps_what_it_shows() -> None:
    pixels, labels = film()
    upper, above = VARIANTS["above the middle of L2"](pixels, labels)
    lower, below = VARIANTS["below the middle of L2"](pixels, labels)
    # L2 lies in rows 50 to 69, so the cut is above row 59: nine rows above, eleven below.
    assert upper.shape == (60, 59) and lower.shape == (60, 141)
    assert set(np.unique(above)) == {0, 20} and set(np.unique(below)) == {0, 21, 22, 23, 24}
    np.testing.assert_array_equal(np.concatenate([upper, lower], axis=1), pixels)


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_variants_keep_film_and_labels_of_one_size_and_range(name: str) -> None:
    pixels, labels = VARIANTS[name](*film())
    assert pixels.shape == labels.shape and labels.dtype == np.uint8
    assert pixels.min() >= 0 and pixels.max() <= 1 and set(np.unique(labels)) <= {0, 20, 21, 22, 23, 24}


def test_tilts_go_to_opposite_sides() -> None:
    places = [np.argwhere(VARIANTS[f"tilted by {d} degrees"](*film())[1] == 20).mean(axis=0) for d in (30, -30)]
    assert places[0][0] < places[1][0] - 50 or places[1][0] < places[0][0] - 50


def test_right_names_shifted_names_and_a_missed_body() -> None:
    _, labels = film()
    assert score_names(reading(labels), labels) == NameScore(5, 5, 5, 0, 0.7, False)
    shifted = np.where(labels > 0, labels - 1, 0).astype(np.uint8)
    # What is called L1 is L2 and so on; L1 itself is called T12, which is no lumbar name.
    assert score_names(reading(shifted, True), labels) == NameScore(5, 5, 0, 4, 0.7, True)
    missed = np.where(labels == 22, 0, labels).astype(np.uint8)
    assert score_names(reading(missed), labels) == NameScore(5, 4, 4, 0, 0.7, False)


def test_half_a_body_is_not_found() -> None:
    _, labels = film()
    third = labels.copy()
    third[:, 20:34] = 0  # six of twenty rows of L1 are left: Dice 12 / 26
    assert score_names(reading(third), labels).found == 4


def test_table_counts_films_by_what_went_wrong() -> None:
    right, flagged = NameScore(5, 5, 5, 0, 0.9, False), NameScore(5, 5, 5, 0, 0.4, True)
    shifted, missed = NameScore(5, 4, 0, 5, 0.5, True), NameScore(5, 4, 4, 1, 0.8, False)
    figures = {
        "bins": [{"from": 0.5, "to": 1.0, "bodies": 4, "mean_confidence": 0.65, "share_right": 0.5}],
        "ece": 0.15,
        "brier": 0.2,
    }
    rows = stress_table({("a", "mirrored"): [right, flagged, shifted, missed]}, figures).splitlines()
    # 18 and 14 of 20 bodies; one film all of whose names are shifted; two with a wrong name, one of them flagged.
    assert rows[2] == "| a | mirrored | 4 | 20 | 90.0 % | 70.0 % | 1 | 2 | 1 | 1 |"
    assert "| 0.5 to 1 | 4 | 0.65 | 0.50 |" in rows
