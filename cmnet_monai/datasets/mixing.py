"""Training on several data sets at once: their items in one list, and a sampler that draws each in its share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed as dist
from torch.utils.data import Sampler

from cmnet_monai.datasets.datalist import read_datalist

SOURCE_KEY = "source"


def read_sources(dataset_dirs: Sequence[str | Path], section: str | Sequence[str] = "training") -> list[dict[str, Any]]:
    """Items of several data sets, one after the other; ``source`` says which of the folders an item comes from.

    Args:
        dataset_dirs: folders with a datalist, or datalist files.
        section: see `read_datalist`.
    Raises:
        FileNotFoundError: a folder has no datalist.
        ValueError: a datalist has no items in the section.

    >>> import tempfile
    >>> from cmnet_monai.datasets import write_datalist
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, films in (("real", ["a.dcm"]), ("synthetic", ["a.dcm", "b.dcm"])):
    ...         write_datalist(f"{folder}/{name}/datalist.json", {"training": [{"image": film} for film in films]})
    ...     items = read_sources([f"{folder}/real", f"{folder}/synthetic"])
    >>> [(item["source"], Path(item["image"]).parent.name, Path(item["image"]).name) for item in items]
    [(0, 'real', 'a.dcm'), (1, 'synthetic', 'a.dcm'), (1, 'synthetic', 'b.dcm')]
    """
    return [
        {**item, SOURCE_KEY: number}
        for number, folder in enumerate(dataset_dirs)
        for item in read_datalist(folder, section)
    ]


class MixSampler(Sampler[int]):
    """Draw every epoch a fixed number of films, each data set in its share, in random order.

    A data set with fewer films than its share asks for is gone through again and again; film i of N drawn for the
    r-th time has the index ``i + r * N``, so that a `SeededCacheDataset` changes each draw differently. A larger one is
    sampled anew every epoch. The order follows from seed and epoch alone; processes take turns.

    Args:
        data: items with ``source``, see `read_sources`; without it all are source 0.
        shares: share of each source in an epoch, scaled to a sum of 1; None: films count alike.
        length: films of an epoch, over all processes; 0 for as many as there are.
        seed: seed of the order.
        num_replicas: number of processes; None asks PyTorch's process group.
        rank: number of this process; None likewise.
    Raises:
        ValueError: there is not one share for each source, a share is negative or not finite, a data set without films
            has one, or all are 0.

    >>> items = [{"source": 0}] * 2 + [{"source": 1}] * 6
    >>> sampler = MixSampler(items, shares=[1, 1], length=8)  # half of an epoch is of the two films of the first set
    >>> drawn = list(sampler)
    >>> sorted(index for index in drawn if index % 8 < 2), sum(index % 8 >= 2 for index in drawn)  # 8: film 0 once more
    ([0, 1, 8, 9], 4)
    >>> sampler.set_epoch(1)
    >>> list(sampler) == drawn
    False
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        shares: Sequence[float] | None = None,
        length: int = 0,
        seed: int = 0,
        num_replicas: int | None = 1,
        rank: int | None = 0,
    ) -> None:
        num_replicas = dist.get_world_size() if num_replicas is None else num_replicas
        rank = dist.get_rank() if rank is None else rank
        sources = np.array([int(item.get(SOURCE_KEY, 0)) for item in data], dtype=int)
        count = int(sources.max(initial=-1)) + 1
        counts = np.bincount(sources, minlength=count).astype(float)
        wanted = counts if shares is None else np.asarray(list(shares), dtype=float)
        if wanted.shape != counts.shape or not np.isfinite(wanted).all() or (wanted < 0).any() or wanted.sum() <= 0:
            raise ValueError(f"Give one share, not negative, for each of the {count} data sets; got {shares}.")
        if (wanted[counts == 0] > 0).any():
            raise ValueError(f"A data set without films has no share; films are {counts.astype(int).tolist()}.")
        self.items = [np.flatnonzero(sources == number) for number in range(count)]
        self.total = len(sources)
        self.length = -(-(length or self.total) // num_replicas) * num_replicas
        self.draws = _whole_parts(wanted / wanted.sum(), self.length)
        self.seed, self.num_replicas, self.rank, self.epoch = seed, num_replicas, rank, 0

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of ``epoch`` from now on."""
        self.epoch = int(epoch)

    def __len__(self) -> int:
        """Films of an epoch in this process."""
        return self.length // self.num_replicas

    def __iter__(self) -> Iterator[int]:
        """Indices of this process's films, in random order."""
        random = np.random.default_rng([self.seed, self.epoch, 5])
        chosen = [self._draw(random, number, draws) for number, draws in enumerate(self.draws)]
        order = random.permutation(np.concatenate(chosen))
        return iter(order[self.rank :: self.num_replicas].tolist())

    def _draw(self, random: np.random.Generator, number: int, draws: int) -> np.ndarray:
        items = self.items[number]
        rounds = [random.permutation(items) + r * self.total for r in range(-(-draws // max(len(items), 1)))]
        return np.concatenate(rounds)[:draws] if rounds else np.zeros(0, dtype=int)


def _whole_parts(shares: np.ndarray, total: int) -> list[int]:
    """Whole numbers of a given sum in proportion to shares: the largest remainders are rounded up."""
    exact = shares * total
    parts = np.floor(exact + 1e-9).astype(int)
    for i in np.argsort(parts - exact, kind="stable")[: total - int(parts.sum())]:
        parts[i] += 1
    return [int(part) for part in parts]
