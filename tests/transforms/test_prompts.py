from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from cmnet_monai.transforms import CentreHeatmap, CentrePrompt, CentrePromptd, RandCentrePrompt, RandCentrePromptd

SIZE = (60, 100)
POINTS = np.array([[30.0, 10.0], [31.0, 40.0], [29.0, 70.0]])


def draws(n: int, **kwargs) -> list[np.ndarray]:
    prompt = RandCentrePrompt(**kwargs).set_random_state(seed=0)
    found = []
    for _ in range(n):
        prompt.randomize((POINTS, SIZE))
        found.append(prompt._prompt_xy)
    return found


def test_prompt_is_rendered_as_the_target_is() -> None:
    assert torch.equal(CentrePrompt(5.0)(POINTS, SIZE), CentreHeatmap(5.0)(POINTS, SIZE))


def test_missing_points_give_an_empty_prompt() -> None:
    data = CentrePromptd(allow_missing_keys=True)({"image": torch.zeros(1, *SIZE)})
    assert data["prompt"].shape == (1, *SIZE)
    assert not data["prompt"].any()
    with pytest.raises(KeyError, match="points"):
        CentrePromptd()({"image": torch.zeros(1, *SIZE)})


def test_prompt_is_empty_as_often_as_asked() -> None:
    empty = [len(xy) == 0 for xy in draws(2000, prob=0.3, drop_prob=0, false_prob=0)]
    assert np.mean(empty) == pytest.approx(0.7, abs=0.05)  # five standard errors


def test_unchanged_prompt_shows_the_true_centres() -> None:
    prompt = RandCentrePrompt(prob=1, jitter_px=0, drop_prob=0, false_prob=0, sigma_px=4.0)
    assert torch.equal(prompt(POINTS, SIZE), CentreHeatmap(4.0)(POINTS, SIZE))


def test_jitter_has_the_stated_spread_on_both_axes() -> None:
    shifts = np.concatenate([xy - POINTS for xy in draws(1000, prob=1, jitter_px=4.0, drop_prob=0, false_prob=0)])
    np.testing.assert_allclose(shifts.std(axis=0), 4.0, rtol=0.06)  # four standard errors of 3000 draws
    np.testing.assert_allclose(shifts.mean(axis=0), 0.0, atol=0.4)


def test_centres_are_dropped_and_added_as_often_as_asked() -> None:
    dropped = np.mean([len(xy) for xy in draws(2000, prob=1, drop_prob=0.2, false_prob=0)])
    assert dropped == pytest.approx(2.4, abs=0.08)
    added = draws(2000, prob=1, jitter_px=0, drop_prob=1.0, false_prob=0.25)
    assert np.mean([len(xy) for xy in added]) == pytest.approx(0.25, abs=0.05)
    false = np.concatenate(added)
    assert (false >= -0.5).all()
    assert (false < np.array(SIZE) - 0.5).all()
    np.testing.assert_allclose(false.mean(axis=0), [29.5, 49.5], atol=6)  # anywhere on the grid


def test_same_seed_gives_the_same_prompt() -> None:
    data = {"image": MetaTensor(torch.zeros(1, *SIZE)), "points": torch.from_numpy(POINTS)}
    first, second = (RandCentrePromptd(prob=1).set_random_state(seed=7)(data)["prompt"] for _ in range(2))
    other = RandCentrePromptd(prob=1).set_random_state(seed=8)(data)["prompt"]
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_film_without_centres_can_still_be_prompted_falsely() -> None:
    prompt = RandCentrePrompt(prob=1, false_prob=1.0, sigma_px=4.0).set_random_state(seed=0)
    assert prompt(np.zeros((0, 2)), SIZE).max() > 0.5
    assert not RandCentrePrompt(prob=1, false_prob=0.0)(np.zeros((0, 2)), SIZE).any()
