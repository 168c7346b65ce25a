from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from ignite.engine import Engine
from torch.utils.data import DataLoader

from cmnet_monai.datasets import MixSampler, SeededCacheDataset, read_sources
from cmnet_monai.engines import EpochSeed

FEW, MANY = 3, 10
FILMS = FEW + MANY
ITEMS = [{"image": i, "source": 0 if i < FEW else 1} for i in range(FILMS)]


def draws_of(sampler: MixSampler, epoch: int = 0) -> list[int]:
    sampler.set_epoch(epoch)
    return list(sampler)


def by_source(indices: list[int]) -> dict[int, int]:
    return dict(Counter(int(ITEMS[i % FILMS]["source"]) for i in indices))


@pytest.mark.parametrize(
    ("shares", "length", "expected"),
    [
        ([0.5, 0.5], 12, {0: 6, 1: 6}),
        ([3, 1], 8, {0: 6, 1: 2}),
        ([0.2, 0.2], 8, {0: 4, 1: 4}),  # scaled to a sum of 1
        ([0.3, 0.7], 7, {0: 2, 1: 5}),  # 2.1 and 4.9
        ([1, 1], 5, {0: 3, 1: 2}),  # of equal remainders the first is rounded up
        ([0, 1], 4, {1: 4}),
        ([1, 0], 4, {0: 4}),
        (None, 6, {0: 1, 1: 5}),  # 6 * 3 / 13 = 1.4 and 4.6
        ([1, 1], 0, {0: 7, 1: 6}),  # as many as there are films
    ],
)
def test_each_data_set_is_drawn_in_its_share(shares: list | None, length: int, expected: dict) -> None:
    sampler = MixSampler(ITEMS, shares, length)
    for epoch in range(5):
        drawn = draws_of(sampler, epoch)
        assert len(drawn) == len(sampler) == (length or FILMS)
        assert by_source(drawn) == expected


def test_largest_remainders_are_rounded_up_among_three_data_sets() -> None:
    items = [{"source": number} for number in (0, 1, 2) for _ in range(9)]
    drawn = draws_of(MixSampler(items, [0.5, 0.3, 0.2], 7))  # 3.5, 2.1, 1.4
    assert Counter(i // 9 for i in drawn) == {0: 4, 1: 2, 2: 1}


def test_film_drawn_again_has_the_index_of_its_further_draw() -> None:
    drawn = draws_of(MixSampler(ITEMS, [0.5, 0.5], 14))
    of_few = sorted(i for i in drawn if i % FILMS < FEW)
    assert of_few[:6] == [0, 1, 2, 13, 14, 15]  # each film twice before any comes a third time
    assert len(of_few) == 7 and of_few[6] in (26, 27, 28)
    of_many = [i for i in drawn if i % FILMS >= FEW]
    assert len(set(of_many)) == 7 and max(of_many) < FILMS  # none twice, since there are enough


def test_without_shares_every_film_is_drawn_once() -> None:
    drawn = draws_of(MixSampler(ITEMS))
    assert sorted(drawn) == list(range(FILMS)) and drawn != list(range(FILMS))
    assert sorted(draws_of(MixSampler(ITEMS, length=2 * FILMS))) == list(range(2 * FILMS))


def test_items_without_a_source_are_one_data_set() -> None:
    assert sorted(draws_of(MixSampler([{"image": i} for i in range(5)], [1.0]))) == [0, 1, 2, 3, 4]


def test_order_follows_from_seed_and_epoch_alone() -> None:
    whole = MixSampler(ITEMS, [1, 2], 9, seed=4)
    epochs = [draws_of(whole, epoch) for epoch in range(4)]
    assert len({tuple(epoch) for epoch in epochs}) == 4
    resumed = MixSampler(ITEMS, [1, 2], 9, seed=4)
    assert draws_of(resumed, 3) == list(resumed) == epochs[3]
    assert draws_of(MixSampler(ITEMS, [1, 2], 9, seed=5), 3) != epochs[3]


def test_large_data_set_is_sampled_anew_every_epoch() -> None:
    sampler = MixSampler(ITEMS, [0, 1], 4)
    chosen = {frozenset(draws_of(sampler, epoch)) for epoch in range(30)}
    assert len(chosen) > 10
    assert frozenset().union(*chosen) == set(range(FEW, FILMS))


def test_data_sets_are_mixed_within_an_epoch() -> None:
    # In 30 epochs of 6 + 6 films the first half would hold one source alone with a chance of 30 * 2 / 924.
    sampler = MixSampler(ITEMS, [0.5, 0.5], 12)
    halves = [by_source(draws_of(sampler, epoch)[:6]) for epoch in range(30)]
    assert sum(len(half) == 1 for half in halves) <= 2


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_processes_partition_the_epoch(processes: int) -> None:
    samplers = [MixSampler(ITEMS, [1, 1], 10, 7, num_replicas=processes, rank=rank) for rank in range(processes)]
    parts = [draws_of(sampler, 2) for sampler in samplers]
    total = -(-10 // processes) * processes  # rounded up, so that all processes take as many steps
    assert {len(part) for part in parts} == {len(sampler) for sampler in samplers} == {total // processes}
    together = [i for part in parts for i in part]
    assert len(set(together)) == total
    assert sorted(together) == sorted(draws_of(MixSampler(ITEMS, [1, 1], total, 7), 2))


def test_processes_are_those_of_the_group_when_none_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 4)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 3)
    asked = MixSampler(ITEMS, None, 8, 1, num_replicas=None, rank=None)
    assert draws_of(asked) == draws_of(MixSampler(ITEMS, None, 8, 1, num_replicas=4, rank=3))


@pytest.mark.parametrize(
    "shares", [[1.0], [1, 1, 1], [], [1, -0.1], [0, 0], [float("nan"), 1], [float("inf"), 1], [1, float("nan")]]
)
def test_senseless_shares_are_named(shares: list) -> None:
    with pytest.raises(ValueError, match="one share, not negative, for each of the 2 data sets") as error:
        MixSampler(ITEMS, shares)
    assert str(shares) in str(error.value)


def test_share_of_a_data_set_without_films_is_an_error() -> None:
    items = [{"source": 0}, {"source": 2}, {"source": 2}]
    with pytest.raises(ValueError, match=r"films are \[1, 0, 2\]"):
        MixSampler(items, [1, 1, 1], 6)
    assert sorted(draws_of(MixSampler(items, [1, 0, 1], 6))) == [0, 1, 2, 3, 4, 6]


def test_no_films_are_an_error() -> None:
    with pytest.raises(ValueError, match="each of the 0 data sets"):
        MixSampler([])


def test_training_draws_the_order_and_the_samples_of_its_epoch() -> None:
    dataset = SeededCacheDataset(ITEMS, seed=1)
    sampler = MixSampler(ITEMS, [0.5, 0.5], 8, seed=1)
    seen: dict[int, list[int]] = {}
    engine = Engine(lambda engine, batch: seen.setdefault(engine.state.epoch, []).extend(batch["image"].tolist()))
    EpochSeed(dataset, sampler).attach(engine)
    engine.run(DataLoader(dataset, batch_size=3, sampler=sampler), max_epochs=3)
    expected = MixSampler(ITEMS, [0.5, 0.5], 8, seed=1)
    for epoch in (1, 2, 3):
        assert seen[epoch] == [i % FILMS for i in draws_of(expected, epoch)]


def write_datalist(folder: Path, **sections: list) -> Path:
    folder.mkdir()
    (folder / "datalist.json").write_text(json.dumps(sections))
    return folder


def test_sources_are_numbered_in_the_order_of_their_folders(tmp_path: Path) -> None:
    first = write_datalist(tmp_path / "b", training=[{"image": "1.png"}, {"image": "2.png", "source": 9}])
    second = write_datalist(tmp_path / "a", training=[{"image": "1.png", "label": "l.png"}], test=[{"image": "t.png"}])
    items = read_sources([first, str(second)])
    assert [(item["source"], item["image"]) for item in items] == [
        (0, str(first / "1.png")),
        (0, str(first / "2.png")),
        (1, str(second / "1.png")),
    ]
    assert items[2]["label"] == str(second / "l.png")
    assert read_sources([second], "test") == [{"image": str(second / "t.png"), "source": 0}]


def test_folder_without_films_is_named(tmp_path: Path) -> None:
    full = write_datalist(tmp_path / "full", training=[{"image": "1.png"}])
    empty = write_datalist(tmp_path / "empty", training=[], test=[{"image": "1.png"}])
    with pytest.raises(ValueError, match=r"empty.*no films in training"):
        read_sources([full, empty])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_sources([full, tmp_path / "nowhere"])
