from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cmnet_monai.engines import FilmInferer
from cmnet_monai.transforms import CentreHeatmap

SIGMA = 5.0
SIZE = (60, 97)


class Weighted(nn.Module):
    """A network whose logits are the film times a weight of each place."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


class ShowsItsFilm:
    """A network that takes the film for the centre map, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.asked.append(x.clone())
        centre = torch.logit(x[:, :1].clamp(1e-6, 1 - 1e-6))
        return torch.cat([centre, torch.full_like(centre, float(len(self.asked)))], dim=1)


def film_of(*points: tuple[float, float], height: float = 1.0) -> Tensor:
    return height * CentreHeatmap(6.0)(torch.tensor(points).reshape(-1, 2), SIZE)[None]


def test_plain_inference_is_the_network() -> None:
    film = torch.randn(2, 1, 2, 3)
    assert torch.equal(FilmInferer()(film, Weighted()), Weighted()(film))


def test_mirror_averages_with_the_mirrored_film_by_hand() -> None:
    film = torch.tensor([[[[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]]]])  # (x, y): two columns of three pixels
    # Plain [[1, 0, 6], [0, 5, 6]]; of the mirrored film [[0, 2, 3], [4, 0, 12]], mirrored back [[4, 0, 12], [0, 2, 3]].
    expected = torch.tensor([[[[2.5, 0.0, 9.0], [0.0, 3.5, 4.5]]]])
    assert torch.equal(FilmInferer(mirror=True)(film, Weighted()), expected)


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("width", [40, 41])
def test_mirrored_film_gives_mirrored_logits(passes: int, width: int) -> None:
    torch.manual_seed(3)
    layers = {channels: nn.Conv2d(channels, 3, 5, padding=2) for channels in (1, 2)}
    for layer in layers.values():
        nn.init.constant_(layer.bias, 0.5)
    inferer = FilmInferer(mirror=True, passes=passes, sigma_px=SIGMA)
    film = torch.randn(2, 1, width, 67)

    def network(x: Tensor) -> Tensor:
        return layers[x.shape[1]](x)

    with torch.no_grad():
        logits, mirrored = inferer(film, network), inferer(film.flip(2), network)
        plain = FilmInferer(passes=passes, sigma_px=SIGMA)(film.flip(2), network)
    # Centres are found to a fraction of a pixel from either side, with rounding in float64.
    torch.testing.assert_close(mirrored, logits.flip(2), atol=1e-4, rtol=0)
    assert (plain - logits.flip(2)).abs().max() > 0.1  # without the mirror it is not so


def test_second_pass_is_prompted_with_the_centres_of_the_first() -> None:
    network = ShowsItsFilm()
    film = torch.cat([film_of((14, 25), (44, 70)), film_of((30, 50))])
    logits = FilmInferer(passes=2, sigma_px=SIGMA)(film, network)
    first, second = network.asked
    assert torch.equal(first, film) and torch.equal(second[:, :1], film)
    for found, points in zip(second[:, 1:], ([(14.0, 25.0), (44.0, 70.0)], [(30.0, 50.0)])):
        expected = CentreHeatmap(SIGMA)(torch.tensor(points), SIZE)
        # The peaks of symmetric blobs are found to some thousandths of a pixel.
        torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)
    assert (logits[:, 1] == 2).all()  # the answer is the second one


def test_faint_centres_are_no_part_of_the_prompt() -> None:
    film = torch.maximum(film_of((14, 25)), film_of((44, 70), height=0.4))
    for threshold, peak in ((0.2, 1.0), (0.5, 0.0)):
        network = ShowsItsFilm()
        FilmInferer(passes=2, sigma_px=SIGMA, centre_threshold=threshold)(film, network)
        assert network.asked[1][0, 1, 14, 25] == pytest.approx(1.0, abs=2e-3)
        assert network.asked[1][0, 1, 44, 70] == pytest.approx(peak, abs=2e-3)


def test_nothing_found_is_an_empty_prompt() -> None:
    network = ShowsItsFilm()
    FilmInferer(passes=2)(torch.zeros(1, 1, *SIZE), network)
    assert network.asked[1].shape == (1, 2, *SIZE) and not network.asked[1].any()


@pytest.mark.parametrize("mirror", [False, True])
def test_given_prompt_stays(mirror: bool) -> None:
    network = ShowsItsFilm()
    inputs = torch.cat([film_of((14, 25)), film_of((40, 80))], dim=1)
    FilmInferer(mirror=mirror, passes=2, sigma_px=SIGMA)(inputs, network)
    expected = [inputs, inputs.flip(2)] if mirror else [inputs]
    assert len(network.asked) == len(expected)
    assert all(torch.equal(asked, given) for asked, given in zip(network.asked, expected))


def test_mirrored_second_pass_is_prompted_in_its_mirror_image() -> None:
    network = ShowsItsFilm()
    FilmInferer(mirror=True, passes=2, sigma_px=SIGMA)(film_of((14, 25)), network)
    assert [asked.shape[1] for asked in network.asked] == [1, 1, 2, 2]
    assert torch.equal(network.asked[3], network.asked[2].flip(2))
    assert network.asked[3][0, 1, 59 - 14, 25] == pytest.approx(1.0, abs=2e-3)


def test_half_precision_and_further_arguments_reach_the_network() -> None:
    def network(x: Tensor, scale: float, shift: float = 0.0) -> Tensor:
        assert x.dtype == torch.bfloat16
        return torch.cat([x[:, :1], x[:, :1]], dim=1) * scale + shift

    film = torch.full((1, 1, 8, 12), 2.0, dtype=torch.bfloat16)
    logits: Any = FilmInferer(mirror=True, passes=2)(film, network, 3.0, shift=-1.0)
    assert logits.dtype == torch.bfloat16 and (logits == 5.0).all()


@pytest.mark.parametrize("passes", [0, 3])
def test_other_numbers_of_passes_are_refused(passes: int) -> None:
    with pytest.raises(ValueError, match=f"passes is 1 or 2, got {passes}"):
        FilmInferer(passes=passes)


def test_films_with_a_given_prompt_are_asked_once_and_the_others_twice() -> None:
    network = ShowsItsFilm()
    films = torch.cat([film_of((14, 25)), film_of((30, 50)), film_of((44, 70))])
    prompts = torch.cat([torch.zeros(1, 1, *SIZE), film_of((20, 20)), torch.zeros(1, 1, *SIZE)])
    logits = FilmInferer(passes=2, sigma_px=SIGMA)(torch.cat([films, prompts], dim=1), network)
    assert [len(asked) for asked in network.asked] == [3, 2]
    assert torch.equal(network.asked[1][:, :1], films[[0, 2]])
    assert [float(value) for value in logits[:, 1, 0, 0]] == [2.0, 1.0, 2.0]
    expected = CentreHeatmap(SIGMA)(torch.tensor([(44.0, 70.0)]), SIZE)
    torch.testing.assert_close(network.asked[1][1, 1:], expected, atol=2e-3, rtol=0)


def test_centres_to_add_join_those_of_the_first_pass_and_replace_the_one_beside_them() -> None:
    # Bodies 25 px apart; the third is missed, and the second's centre lies 7 px too high.
    network = ShowsItsFilm()
    film = film_of((20, 12), (24, 30), (40, 87))
    clicks = film_of((26, 37), (33, 62))
    added = torch.cat([film, torch.zeros_like(film), clicks], dim=1)
    alone = torch.cat([film, torch.zeros(1, 2, *SIZE)], dim=1)
    logits = FilmInferer(passes=1, sigma_px=SIGMA)(torch.cat([alone, added]), network)
    assert [tuple(asked.shape[:2]) for asked in network.asked] == [(2, 2), (1, 2)]
    assert [float(value) for value in logits[:, 1, 0, 0]] == [1.0, 2.0]
    expected = CentreHeatmap(SIGMA)(torch.tensor([(20.0, 12.0), (26.0, 37.0), (33.0, 62.0), (40.0, 87.0)]), SIZE)
    torch.testing.assert_close(network.asked[1][0, 1:], expected, atol=5e-3, rtol=0)
