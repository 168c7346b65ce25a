from __future__ import annotations

import numpy as np
import pytest

from cmnet_monai.synthetic.detector import develop
from cmnet_monai.synthetic.domains import LOOKS, add_equipment, lower_resolution, random_look


@pytest.mark.parametrize("look", LOOKS)
def test_look_is_drawn_as_asked(look: str) -> None:
    for seed in range(10):
        name, exposure = random_look(np.random.default_rng(seed), look)
        assert name == look and (exposure.local > 0) == (look == "b")


def test_looks_are_mixed_with_odd_films_by_default() -> None:
    names = [random_look(np.random.default_rng(seed))[0] for seed in range(120)]
    assert set(names) == {"a", "b", "odd"} and 8 <= names.count("odd") <= 34


def test_looks_differ_in_detail() -> None:
    # A bright slab of bone with a fine line in it, on a broad slope of soft tissue.
    signal = np.linspace(-1.5, 1.5, 300, dtype=np.float32)[:, None] * np.ones((1, 200), np.float32)
    signal[140:180] += 0.4
    signal[158:160] += 0.3
    ratio = {}
    for look in LOOKS:
        films = [develop(signal, random_look(np.random.default_rng(s), look)[1], 0.4) for s in range(20)]
        fine = [np.abs(np.diff(film[150:170, 100])).max() for film in films]
        broad = [np.ptp(film[:, 100]) for film in films]
        ratio[look] = float(np.median(np.divide(fine, broad)))
    assert ratio["b"] > 1.25 * ratio["a"]


def test_unknown_look_is_named() -> None:
    with pytest.raises(ValueError, match="unknown look 'agfa': choose one of a, b"):
        random_look(np.random.default_rng(0), "agfa")


def test_lower_resolution_keeps_the_mean_and_loses_the_detail() -> None:
    noise = np.random.default_rng(0).uniform(0, 1, (700, 1000)).astype(np.float32)
    soft = lower_resolution(noise, np.random.default_rng(1))
    assert soft.shape == noise.shape
    assert soft.mean() == pytest.approx(noise.mean(), abs=2e-3)
    # Means of at least (700 / 760) x (1000 / 760) pixels, then enlarged: well below white noise.
    assert soft.std() < 0.85 * noise.std()
    flat = np.full((300, 410), 0.25, np.float32)
    np.testing.assert_allclose(lower_resolution(flat, np.random.default_rng(2)), 0.25, atol=1e-5)


def test_equipment_marks_are_weak_and_repeat() -> None:
    for seed in range(30):
        first, second = (np.zeros((90, 120), np.float32) for _ in range(2))
        add_equipment(first, np.random.default_rng(seed))
        add_equipment(second, np.random.default_rng(seed))
        np.testing.assert_array_equal(first, second)
        # A body adds about 0.5 to the log signal; the tube's fall-off alone may come near it.
        assert np.abs(first).max() < 0.6
