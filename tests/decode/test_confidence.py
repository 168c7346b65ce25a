from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from scipy.stats import entropy

from cmnet_monai.decode import Calibration, fit_calibration, uncertainties


def test_uncertainty_is_the_mean_entropy_of_body_and_rim() -> None:
    maps, regions = np.zeros((30, 50)), np.zeros((30, 50), int)
    regions[10:15, 10:20] = 1
    maps[10:15, 10:20] = 0.9
    maps[8:10, 10:20] = 0.3  # two columns of the rim
    around = np.zeros_like(maps, dtype=bool)
    for x, y in np.argwhere(regions == 1):
        for dx in range(-2, 3):
            for dy in range(-2, 3):
                around[x + dx, y + dy] |= np.hypot(dx, dy) <= 2
    expected = np.mean([entropy([p, 1 - p]) for p in maps[around]])
    assert uncertainties(maps, regions, 1, rim_px=2) == [pytest.approx(expected)]


def test_rim_keeps_off_other_bodies_and_ends_at_the_edge() -> None:
    maps, regions = np.zeros((20, 40)), np.zeros((20, 40), int)
    regions[0:6, 0:10], regions[0:6, 10:20] = 1, 2
    maps[0:6, 0:10], maps[0:6, 10:20] = 1.0, 0.5
    sure, unsure = uncertainties(maps, regions, 2)
    assert sure == 0 and 0.25 < unsure < np.log(2)
    assert uncertainties(maps, np.zeros_like(regions), 0) == []


def test_confidence_by_hand() -> None:
    # 0.9 has log-odds log 9; log 0.1 = -log 10: 1 + 0.5 log 9 + 2 log 10 = log(e * 3 * 100).
    odds = np.e * 300
    assert float(Calibration(1.0, 0.5, -2.0)(0.9, 0.1)) == pytest.approx(odds / (1 + odds))


def test_confidence_rises_with_the_score_and_falls_with_the_uncertainty() -> None:
    rng = np.random.default_rng(3)
    score, blur = rng.random(400), rng.uniform(0.01, 0.6, 400)
    fitted = fit_calibration(score, blur, rng.random(400) < score)
    grid = np.linspace(0, 1, 21)
    assert (np.diff(fitted(grid, np.full(21, 0.1))) >= 0).all() and fitted.score_weight > 0
    assert (np.diff(fitted(np.full(21, 0.7), grid)) <= 0).all()


def test_fit_finds_the_model_that_made_the_outcomes() -> None:
    rng = np.random.default_rng(0)
    score, blur = rng.uniform(0.3, 0.99, 40_000), rng.uniform(0.03, 0.5, 40_000)
    made = Calibration(-2.0, 0.8, -1.5)
    fitted = fit_calibration(score, blur, rng.random(40_000) < made(score, blur))
    # The standard errors of the three constants are about 0.04, 0.015 and 0.02.
    found = [fitted.intercept, fitted.score_weight, fitted.uncertainty_weight]
    np.testing.assert_allclose(found, [-2.0, 0.8, -1.5], atol=0.12)
    assert Calibration.from_record(fitted.record()) == fitted


def test_weight_that_would_point_the_wrong_way_is_nought() -> None:
    score = np.tile([0.2, 0.9], 50)
    fitted = fit_calibration(score, np.full(100, 0.1), score < 0.5)
    assert fitted.score_weight == 0
    # Of 50 right and 50 wrong the smoothed targets 51/52 and 1/52 have the mean one half.
    assert float(fitted(0.9, 0.1)) == pytest.approx(0.5, abs=1e-3)
    assert special.logit(float(fitted(0.2, 0.1))) == pytest.approx(0, abs=1e-2)


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(ValueError, match="3 and 0"):
        fit_calibration([0.5] * 3, [0.1] * 3, [True] * 3)
    with pytest.raises(ValueError, match="2 scores, 3 unc"):
        fit_calibration([0.5] * 2, [0.1] * 3, [True] * 3)
    for wrong in ((0.0, -1.0, 0.0), (0.0, 1.0, 1.0), (float("nan"), 1.0, -1.0)):
        with pytest.raises(ValueError, match="weighs"):
            Calibration(*wrong)
