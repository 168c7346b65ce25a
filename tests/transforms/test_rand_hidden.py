"""Burnt-in marks, objects and poor quality: random changes of grey values that hide bone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cmnet_monai.transforms import (
    RandBurntIn,
    RandBurntInd,
    RandLowQuality,
    RandLowQualityd,
    RandObjects,
    RandObjectsd,
    rand_burnt_in,
    rand_objects,
)

SIZE = (90, 140)
RANDOM = [RandBurntIn, RandObjects, RandLowQuality]
TWINS = [(RandBurntIn, RandBurntInd), (RandObjects, RandObjectsd), (RandLowQuality, RandLowQualityd)]


def film() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.2, 0.8, (1, *SIZE)).astype(np.float32)


@pytest.mark.parametrize("kind", RANDOM)
def test_values_stay_in_range_and_the_seed_decides(kind: type) -> None:
    before = film()
    changes = set()
    for seed in range(25):
        first, again = (np.asarray(kind(prob=1.0).set_random_state(seed=seed)(before)) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        assert first.shape == before.shape and first.dtype == np.float32
        assert first.min() >= 0 and first.max() <= 1
        changes.add(float(np.abs(first - before).mean()))
    assert len(changes) > 15  # one film in eight keeps its quality, and small things may lie outside
    np.testing.assert_array_equal(before, film())


@pytest.mark.parametrize(("kind", "twin"), TWINS)
def test_dictionary_version_does_as_the_array_version(kind: type, twin: type) -> None:
    one, other = kind(prob=1.0).set_random_state(seed=4), twin("image", prob=1.0).set_random_state(seed=4)
    np.testing.assert_array_equal(np.asarray(other({"image": film()})["image"]), np.asarray(one(film())))
    untouched = twin("image", prob=0.0)({"image": torch.from_numpy(film())})["image"]
    np.testing.assert_array_equal(np.asarray(untouched), film())


@pytest.mark.parametrize("draw", rand_burnt_in._KINDS, ids=lambda draw: draw.__name__)
def test_every_mark_changes_some_pixels_and_not_all(draw) -> None:  # type: ignore[no-untyped-def]
    shares = []
    for seed in range(12):
        changed = np.full(SIZE, 0.5, np.float32)
        draw(changed, np.random.default_rng(seed))
        shares.append(float((changed != 0.5).mean()))
    assert max(shares) > 0.005 and min(shares) < 0.95


def test_grid_has_straight_lines_at_one_distance() -> None:
    found = 0
    for seed in range(20):
        marked = np.full(SIZE, 0.5, np.float32)
        rand_burnt_in._grid(marked, np.random.default_rng(seed))
        lines = np.flatnonzero((marked != 0.5).all(axis=1))  # columns that are painted from top to bottom
        starts = lines[np.diff(lines, prepend=-9) > 1]
        if len(starts) > 2:
            assert np.ptp(np.diff(starts)) <= 1  # pixels are whole
            found += 1
    assert found > 2


def test_things_lie_on_outlined_bodies_more_often_than_chance() -> None:
    label = np.zeros((1, *SIZE), np.uint8)
    label[:, 70:86, 110:136] = 24
    on = [0, 0]
    for seed in range(60):
        for i, bodies in enumerate((None, label)):
            lay = RandObjects(prob=1.0, number=(1, 1)).set_random_state(seed=seed)
            changed = np.asarray(lay(np.full((1, *SIZE), 0.5, np.float32), bodies))
            on[i] += int((changed[label > 0] != 0.5).any())
    assert on[1] > 1.5 * on[0]


def test_gas_darkens_and_metal_brightens() -> None:
    kinds = {kind.__name__: i for i, kind in enumerate(rand_objects._KINDS)}
    for name, i in kinds.items():
        lay = RandObjects(prob=1.0)
        for seed in range(5):
            lay.set_random_state(seed=seed).randomize()
            lay._kinds = [i]
            change = np.asarray(lay(np.full((1, *SIZE), 0.5, np.float32), randomize=False)) - 0.5
            assert (change <= 0).all() if name == "_gas" else (change >= 0).all()


def test_each_loss_of_quality_does_what_it_says() -> None:
    before = film()
    spoil = RandLowQuality(prob=1.0)
    spoil.set_random_state(seed=0).randomize()
    spoil._factor, spoil._height, spoil._quality = 0.5, None, None
    pressed = np.asarray(spoil(before, randomize=False))
    np.testing.assert_allclose(pressed - before.mean(), 0.5 * (before - before.mean()), atol=1e-5)
    spoil._factor, spoil._height = None, 70  # every two pixels become one
    halved = torch.nn.functional.avg_pool2d(torch.from_numpy(before), 2)
    shrunk = torch.nn.functional.avg_pool2d(torch.from_numpy(np.asarray(spoil(before, randomize=False))), 2)
    assert float((shrunk - halved).abs().mean()) < float((halved - halved.mean()).abs().mean())
    assert np.asarray(spoil(before, randomize=False)).std() < 0.6 * before.std()
    spoil._height, spoil._quality = None, 10
    blocks = np.asarray(spoil(before, randomize=False))
    assert 0.02 < np.abs(blocks - before).mean() < 0.3
