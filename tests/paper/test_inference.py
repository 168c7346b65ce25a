from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cmnet_monai.networks import CMNet
from cmnet_monai.paper.definitions import Inference
from cmnet_monai.paper.inference import Predictor, adapt_batch_statistics, disturb, fourier_to_training_domain

POINTS = np.array([[20.0, 10.0 + 20 * i] for i in range(5)])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_no_noise_leaves_the_points() -> None:
    assert disturb(POINTS, Inference(prompt="true"), (64, 128), rng()).tolist() == POINTS.tolist()


def test_jitter_has_the_wanted_standard_deviation() -> None:
    many = np.zeros((4000, 2))
    found = disturb(many, Inference(prompt="true", jitter_px=3.0), (64, 128), rng())
    assert found.std(axis=0) == pytest.approx([3.0, 3.0], rel=0.05)  # 4,000 draws know it to about 1 %
    assert found.mean(axis=0) == pytest.approx([0.0, 0.0], abs=0.2)


@pytest.mark.parametrize(("missed", "left"), [(1, 4), (4, 1), (9, 0)])
def test_missed_points_are_left_out(missed: int, left: int) -> None:
    found = disturb(POINTS, Inference(prompt="true", missed=missed), (64, 128), rng())
    assert len(found) == left == len({tuple(p) for p in found} & {tuple(p) for p in POINTS})


def test_false_points_lie_on_the_grid() -> None:
    found = disturb(np.zeros((0, 2)), Inference(prompt="own", extra=500), (64, 128), rng())
    assert found.shape == (500, 2) and (found >= -0.5).all() and (found < [63.5, 127.5]).all()
    assert found.max(axis=0) == pytest.approx([63.5, 127.5], abs=2.0)


def test_noise_needs_a_prompt() -> None:
    with pytest.raises(ValueError, match="centre noise needs a prompt"):
        Inference(jitter_px=2.0)
    with pytest.raises(ValueError, match="no such prompt"):
        Inference(prompt="luck")


class Recorder:
    """A network whose centre map shows one peak; notes what it sees."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x)
        logits = torch.full((1, 2, *x.shape[2:]), -10.0)
        logits[0, 0, 28:33, 48:53] = 10.0
        return logits


def peak_of(prompt: torch.Tensor) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(prompt.argmax()), prompt.shape))


@pytest.mark.parametrize(("source", "peak"), [("true", (40, 20)), ("own", (30, 50))])
def test_the_prompt_is_the_true_centre_or_that_of_the_first_pass(source: str, peak: tuple[int, int]) -> None:
    network = Recorder()
    film = torch.rand(1, 64, 96)
    Predictor(network, Inference(prompt=source), sigma_px=2.0)(film, np.array([[40.0, 20.0]]), 0)
    first, second = network.seen
    assert first.shape[1] == 1 and torch.equal(second[:, :1], first)
    assert peak_of(second[0, 1]) == peak and float(second[0, 1].max()) == pytest.approx(1.0, abs=1e-3)


def test_without_a_prompt_the_network_runs_once() -> None:
    network = Recorder()
    maps = Predictor(network, Inference(), sigma_px=2.0)(torch.rand(1, 64, 96), np.array([[40.0, 20.0]]), 0)
    assert len(network.seen) == 1 and maps.shape == (2, 64, 96) and float(maps.max()) > 0.99


def test_noise_is_the_same_for_a_film_and_seed_and_differs_between_them() -> None:
    def prompt(seed: int, number: int) -> torch.Tensor:
        network = Recorder()
        Predictor(network, Inference(prompt="true", jitter_px=5.0), 2.0, seed)(
            torch.zeros(1, 64, 96), np.array([[30, 40.0]]), number
        )
        return network.seen[1][0, 1]

    assert torch.equal(prompt(0, 3), prompt(0, 3))
    assert peak_of(prompt(0, 3)) != peak_of(prompt(0, 4)) and peak_of(prompt(0, 3)) != peak_of(prompt(1, 3))


def test_batch_statistics_become_those_of_the_new_films_and_weights_stay() -> None:
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1)).eval()
    network[0].running_mean.fill_(7.0)
    weight = network[1].weight.detach().clone()
    films = [torch.full((1, 6, 8), value) for value in (0.2, 0.4, 0.6, 0.8)]
    adapt_batch_statistics(network, films, torch.device("cpu"))
    assert float(network[0].running_mean) == pytest.approx(0.5)
    assert float(network[0].running_var) == pytest.approx(0.05, rel=0.02)  # of all pixels, with Bessel's correction
    assert torch.equal(network[1].weight, weight) and not network.training


def test_group_norms_have_nothing_to_estimate() -> None:
    with pytest.raises(ValueError, match="no batch norms"):
        adapt_batch_statistics(CMNet(base_channels=8), [torch.rand(1, 32, 32)], torch.device("cpu"))


def test_fourier_gives_films_the_brightness_of_the_training() -> None:
    change = fourier_to_training_domain(torch.full((1, 32, 48), value) for value in (0.3, 0.5))
    changed = change(0.6 + 0.1 * torch.rand(1, 1, 32, 48))
    assert changed.shape == (1, 1, 32, 48) and float(changed.mean()) == pytest.approx(0.4, abs=1e-4)
