from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cmnet_monai.synthetic.detector import (
    Exposure,
    add_marker,
    collimate,
    develop,
    expose,
    quantise,
    random_exposure,
    transmission,
)


@pytest.fixture
def clean() -> Exposure:
    return Exposure(
        counts=1e9, scatter=0.0, blur_px=0.01, centre=0.0, latitude=1.0, linear=0.0, edge=0.0, edge_mm=2.0, flatten=0.0,
        bits_stored=12,
    )  # fmt: skip


def test_slab_transmits_as_beer_and_lambert_say() -> None:
    # 100 mm of 0.0195 / mm.
    assert transmission(np.full((3, 2), 1.95, np.float32))[0, 0] == pytest.approx(np.exp(-1.95), rel=1e-6)


def test_slab_is_measured_as_its_optical_depth(clean: Exposure) -> None:
    depth = np.full((40, 30), 5.0, np.float32)
    depth[20:] += 0.7
    signal = expose(depth, 5.0, clean, 0.4, np.random.default_rng(0))
    # The detector's electronic noise is 0.14 % of the signal.
    assert signal[:15].mean() == pytest.approx(0.0, abs=1e-3)
    assert signal[25:].mean() == pytest.approx(0.7, abs=1e-3)


def test_scatter_weakens_contrast(clean: Exposure) -> None:
    depth = np.full((120, 120), 5.0, np.float32)
    depth[58:62] += 0.7
    fog = expose(depth, 5.0, replace(clean, scatter=1.0), 1.0, np.random.default_rng(0))
    # Equal parts of scatter: -log((exp(-0.7) + 1) / 2) at first order.
    contrast = fog[59:61].mean() - fog[20:40].mean()
    assert contrast == pytest.approx(-np.log((np.exp(-0.7) + 1) / 2), abs=0.03)


def test_noise_falls_with_the_root_of_the_dose(clean: Exposure) -> None:
    depth = np.full((200, 200), 5.0, np.float32)
    noise = [
        expose(depth, 5.0, replace(clean, counts=counts), 0.4, np.random.default_rng(1)).std() for counts in (100, 1600)
    ]
    assert noise[0] / noise[1] == pytest.approx(4.0, rel=0.05)


def test_tone_curve_keeps_bone_bright_and_centres_mid_grey(clean: Exposure) -> None:
    ramp = np.linspace(-2, 2, 50, dtype=np.float32)[:, None] * np.ones((1, 4), np.float32)
    film = develop(ramp, clean, 0.4)
    assert (np.diff(film[:, 0]) > 0).all()
    assert develop(np.zeros((2, 2), np.float32), clean, 0.4)[0, 0] == pytest.approx(0.5)
    assert develop(np.ones((2, 2), np.float32), clean, 0.4)[0, 0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_edge_enhancement_overshoots_at_an_edge(clean: Exposure) -> None:
    step = np.zeros((60, 10), np.float32)
    step[30:] = 1.0
    plain = develop(step, clean, 0.4)
    sharp = develop(step, replace(clean, edge=0.8), 0.4)
    assert sharp[30, 5] > plain[30, 5] + 0.02 and sharp[29, 5] < plain[29, 5] - 0.02
    assert sharp[2, 5] == pytest.approx(plain[2, 5], abs=1e-3)


def test_collimator_never_hides_what_it_must_keep() -> None:
    keep = np.array([[30.0, 25.0], [70.0, 110.0]])
    shut = 0
    for seed in range(40):
        film, valid = collimate(np.full((100, 140), 0.4, np.float32), keep, np.random.default_rng(seed))
        assert valid[30:71, 25:111].all()
        assert (film[valid] == np.float32(0.4)).all()
        if not valid.all():
            shut += 1
            assert np.unique(film[~valid]).size == 1
    assert 5 < shut < 35


def test_marker_stays_away_from_the_vertebrae() -> None:
    points = np.array([[150.0, float(y)] for y in range(20, 400, 20)])
    written = 0
    for seed in range(20):
        film = np.full((300, 400), 0.4, np.float32)
        add_marker(film, points, "R", np.random.default_rng(seed))
        assert (film[140:161] == np.float32(0.4)).all()
        written += bool((film != np.float32(0.4)).any())
    assert written > 10


@pytest.mark.parametrize("bits", [12, 14, 16])
def test_stored_values_fit_their_bits(bits: int) -> None:
    for seed in range(8):
        film = np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)
        stored = quantise(film, bits, np.random.default_rng(seed))
        assert stored.dtype == np.uint16
        assert stored.max() <= 2**bits - 1
        assert stored.max() > 0.55 * 2**bits
        assert (np.diff(stored.ravel().astype(int)) >= 0).all()


def test_exposures_vary_and_repeat() -> None:
    assert random_exposure(np.random.default_rng(3)) == random_exposure(np.random.default_rng(3))
    drawn = [random_exposure(np.random.default_rng(seed)) for seed in range(60)]
    assert {e.bits_stored for e in drawn} == {12, 14, 15, 16}
    assert max(e.counts for e in drawn) > 10 * min(e.counts for e in drawn)
