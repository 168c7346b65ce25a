from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose, MapTransform, RandFlipd, RandGaussianNoised, ToTensord

from cmnet_monai.datasets.seeded_dataset import SeededCacheDataset


class AddChannel(MapTransform):
    """A deterministic step that a cache can hold; counts nothing, changes the values."""

    def __call__(self, data: Any) -> dict:
        return {**data, "image": torch.full((1, 4, 6), float(data["image"]))}


ITEMS = [{"image": float(i)} for i in range(7)]


def steps() -> Compose:
    nested = Compose([RandGaussianNoised("image", prob=0.5), RandFlipd("image", prob=0.5, spatial_axis=0)])
    return Compose([ToTensord("image"), AddChannel("image"), RandGaussianNoised("image", prob=1.0), nested])


def epoch_of(dataset: SeededCacheDataset, epoch: int, **loader: Any) -> torch.Tensor:
    dataset.set_epoch(epoch)
    return torch.cat(
        [batch["image"].as_subclass(torch.Tensor) for batch in DataLoader(dataset, batch_size=2, **loader)]
    )


def test_epochs_items_and_seeds_differ() -> None:
    dataset = SeededCacheDataset(ITEMS, steps(), seed=1)
    first, second = epoch_of(dataset, 0), epoch_of(dataset, 1)
    assert not torch.equal(first, second)
    noise = first - torch.arange(7.0)[:, None, None, None]
    assert len({round(float(item.flatten()[0]), 5) for item in noise}) == 7
    assert not torch.equal(first, epoch_of(SeededCacheDataset(ITEMS, steps(), seed=2), 0))


@pytest.mark.parametrize("cache_rate", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_epoch_is_the_same_for_any_workers_and_cache(cache_rate: float, workers: int) -> None:
    expected = epoch_of(SeededCacheDataset(ITEMS, steps(), seed=5), 3)
    dataset = SeededCacheDataset(ITEMS, steps(), seed=5, cache_rate=cache_rate, progress=False)
    assert torch.equal(epoch_of(dataset, 3, num_workers=workers), expected)


def test_spawned_workers_draw_the_same_epoch() -> None:
    # A spawned worker imports what it unpickles, and the tests are no package: classes of libraries only.
    items = [{"image": torch.full((1, 4, 6), float(i))} for i in range(3)]
    chain = Compose([RandGaussianNoised("image", prob=1.0), RandFlipd("image", prob=0.5, spatial_axis=0)])
    dataset = SeededCacheDataset(items, chain, seed=5)
    spawned = epoch_of(dataset, 2, num_workers=1, multiprocessing_context="spawn")
    assert torch.equal(spawned, epoch_of(dataset, 2))


def test_persistent_workers_follow_the_epoch() -> None:
    dataset = SeededCacheDataset(ITEMS, steps(), seed=5)
    loader = DataLoader(dataset, batch_size=2, num_workers=2, persistent_workers=True)
    for epoch in (0, 1, 4):
        dataset.set_epoch(epoch)
        found = torch.cat([batch["image"] for batch in loader])
        assert torch.equal(found, epoch_of(SeededCacheDataset(ITEMS, steps(), seed=5), epoch))


def test_resumed_run_draws_what_it_would_have_drawn() -> None:
    whole = SeededCacheDataset(ITEMS, steps(), seed=9)
    for epoch in range(3):
        through = epoch_of(whole, epoch)
    resumed = SeededCacheDataset(ITEMS, steps(), seed=9)
    assert torch.equal(epoch_of(resumed, 2), through)


def test_order_and_repetition_do_not_matter() -> None:
    dataset = SeededCacheDataset(ITEMS, steps(), seed=0)
    forward = [dataset[i]["image"] for i in range(7)]
    for i in reversed(range(7)):
        assert torch.equal(dataset[i]["image"], forward[i])
    assert torch.equal(dataset[-1]["image"], forward[6])
    assert torch.equal(next(iter(dataset[2:4]))["image"], forward[2])


@pytest.mark.parametrize("cache_rate", [0.0, 0.5, 1.0])
def test_further_draws_of_an_item_differ_and_do_not_depend_on_the_cache(cache_rate: float) -> None:
    dataset = SeededCacheDataset(ITEMS, steps(), seed=5, cache_rate=cache_rate, progress=False)
    uncached = SeededCacheDataset(ITEMS, steps(), seed=5)
    for item in (0, 4, 6):
        draws = [dataset[item + r * len(ITEMS)]["image"] for r in range(4)]
        # The noise has a standard deviation of at most 0.1 each time: the film is the same, its change is not.
        assert all(round(float(draw.mean())) == item for draw in draws)
        assert len({float(draw.flatten()[0]) for draw in draws}) == 4
        for r, draw in enumerate(draws):
            assert torch.equal(uncached[item + r * len(ITEMS)]["image"], draw)


def test_first_draw_has_the_seed_it_had_before_there_were_further_ones() -> None:
    dataset = SeededCacheDataset(ITEMS, steps(), seed=11)
    dataset.set_epoch(3)
    assert dataset.item_seed(6) == np.random.SeedSequence([11, 3, 6]).generate_state(1)[0]
    assert dataset.item_seed(6 + 2 * 7) == np.random.SeedSequence([11, 3, 6, 2]).generate_state(1)[0]
    assert dataset.item_seed(-1) == dataset.item_seed(6)
    assert len({dataset.item_seed(i) for i in range(10 * len(ITEMS))}) == 10 * len(ITEMS)


def test_engine_that_sets_the_epoch_at_its_start_gets_that_epoch() -> None:
    dataset = SeededCacheDataset(ITEMS, steps(), seed=3)
    seen: dict[int, list[torch.Tensor]] = {}
    engine = Engine(lambda engine, batch: seen.setdefault(engine.state.epoch, []).append(batch["image"]))
    engine.add_event_handler(Events.EPOCH_STARTED, lambda engine: dataset.set_epoch(engine.state.epoch))
    engine.run(DataLoader(dataset, batch_size=2, num_workers=2), max_epochs=3)
    for epoch in (1, 2, 3):
        assert torch.equal(torch.cat(seen[epoch]), epoch_of(SeededCacheDataset(ITEMS, steps(), seed=3), epoch))


def test_dataset_keeps_its_epoch_through_pickling() -> None:
    dataset = SeededCacheDataset(ITEMS, steps(), seed=3)
    dataset.set_epoch(4)
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.epoch == 4
    assert torch.equal(copy[1]["image"], dataset[1]["image"])


def test_nothing_is_cached_by_default_and_it_is_a_cache_dataset() -> None:
    dataset = SeededCacheDataset(ITEMS, steps())
    assert isinstance(dataset, CacheDataset)
    assert dataset.cache_num == 0


@pytest.mark.parametrize(
    "call", [lambda: SeededCacheDataset(ITEMS, seed=-1), lambda: SeededCacheDataset(ITEMS).set_epoch(-1)]
)
def test_negative_seed_or_epoch_is_an_error(call) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        call()
