from __future__ import annotations

import numpy as np
import pytest
import torch

from cmnet_monai.paper.definitions import Asking
from cmnet_monai.paper.predictions import Asker, disturb

POINTS = np.array([[20.0, 10.0 + 20 * i] for i in range(5)])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_no_noise_leaves_the_points() -> None:
    assert disturb(POINTS, Asking(guide="true"), (64, 128), rng()).tolist() == POINTS.tolist()


def test_jitter_has_the_asked_standard_deviation() -> None:
    many = np.zeros((4000, 2))
    found = disturb(many, Asking(guide="true", jitter_px=3.0), (64, 128), rng())
    assert found.std(axis=0) == pytest.approx([3.0, 3.0], rel=0.05)  # 4,000 draws know it to about 1 %
    assert found.mean(axis=0) == pytest.approx([0.0, 0.0], abs=0.2)


@pytest.mark.parametrize(("missed", "left"), [(1, 4), (4, 1), (9, 0)])
def test_missed_points_are_left_out(missed: int, left: int) -> None:
    found = disturb(POINTS, Asking(guide="true", missed=missed), (64, 128), rng())
    assert len(found) == left == len({tuple(p) for p in found} & {tuple(p) for p in POINTS})


def test_false_points_lie_on_the_grid() -> None:
    found = disturb(np.zeros((0, 2)), Asking(guide="own", extra=500), (64, 128), rng())
    assert found.shape == (500, 2) and (found >= -0.5).all() and (found < [63.5, 127.5]).all()
    assert found.max(axis=0) == pytest.approx([63.5, 127.5], abs=2.0)


def test_noise_needs_a_guide() -> None:
    with pytest.raises(ValueError, match="centre noise needs a guide"):
        Asking(jitter_px=2.0)
    with pytest.raises(ValueError, match="no such guide"):
        Asking(guide="luck")


class Recorder:
    """A network whose centre map shows one peak; notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[torch.Tensor] = []

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.asked.append(x)
        logits = torch.full((1, 2, *x.shape[2:]), -10.0)
        logits[0, 0, 28:33, 48:53] = 10.0
        return logits


def peak_of(prompt: torch.Tensor) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(prompt.argmax()), prompt.shape))


@pytest.mark.parametrize(("guide", "peak"), [("true", (40, 20)), ("own", (30, 50))])
def test_the_guide_is_the_true_centre_or_that_of_the_first_pass(guide: str, peak: tuple[int, int]) -> None:
    network = Recorder()
    film = torch.rand(1, 64, 96)
    Asker(network, Asking(guide=guide), sigma_px=2.0)(film, np.array([[40.0, 20.0]]), 0)
    first, second = network.asked
    assert first.shape[1] == 1 and torch.equal(second[:, :1], first)
    assert peak_of(second[0, 1]) == peak and float(second[0, 1].max()) == pytest.approx(1.0, abs=1e-3)


def test_without_a_guide_the_network_is_asked_once() -> None:
    network = Recorder()
    maps = Asker(network, Asking(), sigma_px=2.0)(torch.rand(1, 64, 96), np.array([[40.0, 20.0]]), 0)
    assert len(network.asked) == 1 and maps.shape == (2, 64, 96) and float(maps.max()) > 0.99


def test_noise_is_the_same_for_a_film_and_seed_and_differs_between_them() -> None:
    def prompt(seed: int, number: int) -> torch.Tensor:
        network = Recorder()
        Asker(network, Asking(guide="true", jitter_px=5.0), 2.0, seed)(
            torch.zeros(1, 64, 96), np.array([[30, 40.0]]), number
        )
        return network.asked[1][0, 1]

    assert torch.equal(prompt(0, 3), prompt(0, 3))
    assert peak_of(prompt(0, 3)) != peak_of(prompt(0, 4)) and peak_of(prompt(0, 3)) != peak_of(prompt(1, 3))
