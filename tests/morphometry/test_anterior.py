from __future__ import annotations

import numpy as np
import pytest

from cmnet_monai.morphometry import find_anterior
from cmnet_monai.synthetic import generate_film


@pytest.mark.parametrize(("seed", "region"), [(3, "lumbar"), (8, "lumbar"), (2, "thoracic")])
def test_side_is_found_on_synthetic_films_of_both_sides(seed: int, region: str) -> None:
    for side in ("left", "right"):
        labels = generate_film(seed, height_px=320, faces=side, region=region).label_map
        assert find_anterior(labels).side == side


def test_mirroring_turns_the_bend_around() -> None:
    labels = generate_film(5, height_px=320).label_map
    a, b = find_anterior(labels), find_anterior(labels[::-1])
    assert a.bend_deg == pytest.approx(-b.bend_deg, abs=1e-6)
    assert {a.side, b.side} == {"left", "right"}


def test_straight_or_short_spines_are_unknown() -> None:
    labels = np.zeros((120, 200), np.uint8)
    assert find_anterior(labels).side == "unknown"
    labels[40:80, 20:50] = 22
    assert find_anterior(labels).evidence == "too few bodies"
    labels[40:80, 60:90] = 23
    found = find_anterior(labels)
    assert (found.side, found.evidence) == ("unknown", "lordosis")
    assert found.bend_deg == pytest.approx(0, abs=0.5)
