from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Lambdad, RandGaussianNoised

from cmnet_monai.transforms import (
    RandCollimation,
    RandCollimationd,
    RandDiscs,
    RandDiscsd,
    RandLocalContrast,
    RandLocalContrastd,
    RandSimilarityd,
    WithinFilm,
)

BOX = (slice(None), slice(10, 70), slice(0, 130))  # the film within a grid of 80 x 150


def padded_film(seed: int = 0) -> torch.Tensor:
    film = torch.zeros(1, 80, 150)
    film[BOX] = 0.2 + 0.6 * torch.rand(1, 60, 130, generator=torch.Generator().manual_seed(seed))
    return film


@pytest.mark.parametrize("transform", [RandCollimation, RandDiscs, RandLocalContrast])
def test_probability_zero_changes_nothing(transform) -> None:
    assert torch.equal(transform(prob=0.0)(padded_film()), padded_film())


@pytest.mark.parametrize("transform", [RandCollimation, RandDiscs, RandLocalContrast])
def test_padding_and_range_are_kept_and_input_is_untouched(transform) -> None:
    film = padded_film()
    random = transform(prob=1.0).set_random_state(seed=1)
    outside = torch.ones_like(film, dtype=torch.bool)
    outside[BOX] = False
    changed = 0
    for _ in range(10):
        result = random(film)
        changed += not torch.equal(result, film)
        assert result.min() >= 0
        assert result.max() <= 1
        if transform is not RandDiscs:  # a disc at the film's edge may reach out; WithinFilm cuts it
            assert not result[outside].any()
    assert changed >= 9  # a border can be drawn narrower than a pixel
    assert torch.equal(film, padded_film())


@pytest.mark.parametrize(
    "transform",
    [
        RandCollimationd("image", prob=0.7),
        RandDiscsd("image", prob=0.7),
        RandLocalContrastd("image", prob=0.7),
        RandSimilarityd("image", prob=0.7, translation_px=(3, 5)),
        WithinFilm("image", [RandDiscsd("image", prob=0.7), RandGaussianNoised("image", prob=0.7)]),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_same_seed_gives_the_same_films(transform) -> None:
    def films(seed: int) -> torch.Tensor:
        transform.set_random_state(seed=seed)
        return torch.stack([transform({"image": padded_film()})["image"] for _ in range(6)])

    assert torch.equal(films(5), films(5))
    assert not torch.equal(films(5), films(6))


@pytest.mark.parametrize(
    "kind", [np.asarray, torch.as_tensor, lambda film: MetaTensor(film, affine=np.diag([2.0, 3, 1]))]
)
@pytest.mark.parametrize("transform", [RandCollimation, RandDiscs, RandLocalContrast])
def test_kinds_of_array_give_the_same_film(transform, kind) -> None:
    expected = transform(prob=1.0).set_random_state(seed=2)(padded_film())
    film = kind(padded_film())
    result = transform(prob=1.0).set_random_state(seed=2)(film)
    assert torch.equal(torch.as_tensor(result), torch.as_tensor(expected))
    if isinstance(film, MetaTensor):
        assert torch.equal(result.affine, film.affine)


def test_collimation_covers_no_more_than_asked_and_leaves_the_inside() -> None:
    film = padded_film()
    random = RandCollimation(prob=1.0, max_fraction=0.2, side_prob=1.0, grey_prob=0.0).set_random_state(seed=0)
    widths = []
    for _ in range(200):
        result = random(film)
        columns, rows = (np.flatnonzero((result[0] != 0).any(axis).numpy()) for axis in (1, 0))
        box = (0, slice(columns[0], columns[-1] + 1), slice(rows[0], rows[-1] + 1))
        assert torch.equal(result[box], film[box])
        widths.append([columns[0] - 10, 69 - columns[-1], rows[0], 129 - rows[-1]])
    widest = np.max(widths, axis=0)
    assert (widest <= [12, 12, 26, 26]).all()
    assert (widest >= [10, 10, 23, 23]).all()  # the whole range is used


def test_collimation_never_covers_the_vertebrae() -> None:
    label = torch.zeros(1, 80, 150)
    label[0, 12:20, 3:125] = 21
    random = RandCollimationd("image", prob=1.0, max_fraction=0.45, side_prob=1.0, keep_key="label")
    random.set_random_state(seed=0)
    for _ in range(50):
        result = random({"image": padded_film(), "label": label})
        assert torch.equal(result["image"][label > 0], padded_film()[label > 0])
        assert torch.equal(result["label"], label)


def test_grey_collimation_has_one_value_within_the_film() -> None:
    random = RandCollimation(prob=1.0, max_fraction=0.2, side_prob=1.0, grey_prob=1.0).set_random_state(seed=0)
    result = random(padded_film())
    border = result[0, 10, 1:130]
    assert border.unique().numel() == 1
    assert border[0] > 0


def test_discs_are_small_flat_and_near_the_local_grey() -> None:
    ramp = torch.linspace(0.2, 0.8, 150).expand(1, 80, 150).clone()
    random = RandDiscs(prob=1.0, number=(1, 1), radius_px=(4.0, 4.0), contrast=0.0).set_random_state(seed=0)
    changed = 0
    for _ in range(40):
        result = random(ramp)
        difference = (result - ramp).abs()
        inside = difference > 0
        changed += bool(inside.any())
        assert difference.max() < 8 * 0.6 / 149  # a mean over 8 pixels either way of a linear ramp
        columns, rows = (np.flatnonzero(inside[0].any(axis).numpy()) for axis in (1, 0))
        if len(columns):
            assert columns[-1] - columns[0] <= 9
            assert rows[-1] - rows[0] <= 9
    assert changed == 40


def test_discs_lie_all_over_the_film() -> None:
    random = RandDiscs(prob=1.0, number=(50, 50)).set_random_state(seed=0)
    random.randomize((10, 70, 0, 130))
    xy = random._discs[:, :2]
    assert xy.min(axis=0) == pytest.approx([10, 0], abs=6)
    assert xy.max(axis=0) == pytest.approx([70, 130], abs=12)


def test_local_contrast_keeps_black_white_and_order_of_neighbours() -> None:
    film = torch.zeros(1, 64, 96)
    film[:, :, 32:] = 1.0
    film[:, 10:20, 40:50] = 0.5
    random = RandLocalContrast(prob=1.0, strength=0.5).set_random_state(seed=0)
    result = random(film)
    assert torch.equal(result == 0, film == 0)
    assert torch.equal(result == 1, film == 1)
    patch = result[0, 10:20, 40:50]
    assert patch.min() > 0
    assert patch.max() < 1
    assert patch.std() < 0.1  # smooth


def test_within_film_restores_padding_and_range() -> None:
    spoil = Lambdad("image", func=lambda image: image * 3 - 0.9 + 1.2 * (image == 0))
    film = padded_film()
    result = WithinFilm("image", [spoil])({"image": film})["image"]
    expected = (film * 3 - 0.9).clamp(0, 1) * (film != 0)
    assert torch.equal(torch.as_tensor(result), expected)


def test_within_film_keeps_metadata() -> None:
    film = MetaTensor(padded_film(), affine=np.diag([2.0, 3, 1]))
    result = WithinFilm("image", [RandGaussianNoised("image", prob=1.0)])({"image": film})["image"]
    assert torch.equal(result.affine, film.affine)


def test_too_wide_a_collimation_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"got 0\.5"):
        RandCollimation(max_fraction=0.5)
