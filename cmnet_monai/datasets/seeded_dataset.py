"""A cached data set whose random samples depend on seed, epoch and index alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import CacheDataset
from monai.transforms import Randomizable


class SeededCacheDataset(CacheDataset):
    """A ``CacheDataset`` that draws the random state of each item from (seed, epoch, index).

    The samples of an epoch are therefore the same for any number of workers, start method, cache rate and batch order,
    and a resumed run gets those it would have got. Call :meth:`set_epoch` before each epoch's iterator is made; the
    epoch lies in shared memory, so persistent workers follow. Not for ``ThreadDataLoader(use_thread_workers=True)``,
    whose threads share one transform. The order of the items is the sampler's.

    Args:
        data: items for the transform.
        transform: transforms or a ``Compose``; every random one must be a MONAI ``Randomizable``.
        seed: seed of the whole run, not negative.
        cache_rate: share of the items whose deterministic part is kept in memory.
        kwargs: further arguments of ``CacheDataset``.

    >>> from monai.transforms import RandShiftIntensity
    >>> films = SeededCacheDataset([np.zeros((1, 2, 3))] * 4, RandShiftIntensity(1.0, prob=1.0), seed=1, progress=False)
    >>> shifts = [float(films[index].max()) for index in (0, 1, 2)]
    >>> [float(films[index].max()) for index in (2, 0, 1)] == [shifts[2], shifts[0], shifts[1]], len(set(shifts))
    (True, 3)
    >>> films.set_epoch(1)
    >>> float(films[0].max()) == shifts[0]
    False
    """

    def __init__(
        self,
        data: Sequence[Any],
        transform: Sequence[Callable] | Callable | None = None,
        seed: int = 0,
        cache_rate: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}.")
        self.seed = int(seed)
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()
        super().__init__(data=data, transform=transform, cache_rate=cache_rate, **kwargs)

    @property
    def epoch(self) -> int:
        """The epoch whose samples are drawn."""
        return int(self._epoch.item())

    def set_epoch(self, epoch: int) -> None:
        """Draw the samples of ``epoch`` (from 0 on) from now on, in every worker."""
        if epoch < 0:
            raise ValueError(f"epoch must not be negative, got {epoch}.")
        self._epoch.fill_(int(epoch))

    def item_seed(self, index: int) -> int:
        """Seed of one item of the present epoch, 32 bits; ``index + r * len(self)`` is its further draw r."""
        draw, item = divmod(index, len(self))
        entropy = [self.seed, self.epoch, item, *([draw] if draw > 0 else [])]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])

    def _transform(self, index: int) -> Any:
        if isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed=self.item_seed(index))
        return super()._transform(index % len(self))
