"""The centre prompt: points a reader gives, or a first pass finds, as a further input channel."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.transforms import MapTransform, RandomizableTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_numpy, ensure_tuple_rep

from cmnet_monai.transforms.heatmap import CentreHeatmap


class CentrePrompt(Transform):
    """Render given points as the prompt channel, as :class:`CentreHeatmap` renders the target; no points give zeros.

    Args:
        sigma_px: standard deviation, in pixels of the grid; that of the training's heatmap.

    >>> prompt = CentrePrompt(sigma_px=2.0)
    >>> float(prompt([[3.0, 5.0]], (8, 12))[0, 3, 5]), float(prompt(None, (8, 12)).max())
    (1.0, 0.0)
    """

    backend = CentreHeatmap.backend

    def __init__(self, sigma_px: float = 8.0) -> None:
        self.codec = CentreHeatmap(sigma_px)

    def __call__(  # type: ignore[override]
        self, points: NdarrayOrTensor | None, spatial_size: Sequence[int]
    ) -> torch.Tensor:
        """Render ``points`` (N, 2), (x, y) in pixels of the grid, or None, as (1, x, y), float32."""
        return self.codec(np.zeros((0, 2)) if points is None else points, spatial_size)


class RandCentrePrompt(RandomizableTransform):
    """Render the true centres as an imperfect prompt, so that one network learns to work with and without it.

    With probability ``1 - prob`` the prompt is empty. Else each centre is left out with ``drop_prob``, the others are
    shifted by Gaussian noise, and with ``false_prob`` one false centre is added anywhere on the grid.

    Args:
        prob: probability of a prompt at all.
        jitter_px: standard deviation of the shift along each axis, in pixels of the grid.
        drop_prob: probability that a centre is left out.
        false_prob: probability of one false centre.
        sigma_px: standard deviation of the rendered Gaussian, in pixels of the grid.

    >>> points = [[6.0, 10.0], [6.0, 30.0], [6.0, 50.0]]
    >>> forgetful = RandCentrePrompt(prob=1.0, jitter_px=0.0, drop_prob=0.4, false_prob=0.0, sigma_px=2.0)
    >>> _ = forgetful.set_random_state(seed=3)
    >>> prompt = forgetful(points, (16, 64))
    >>> prompt.shape, [round(float(prompt[0, 6, y]), 2) for y in (10, 30, 50)]  # the second is left out
    (torch.Size([1, 16, 64]), [1.0, 0.0, 1.0])
    >>> float(RandCentrePrompt(prob=0.0)(points, (16, 64)).max())  # no prompt at all
    0.0
    """

    backend = CentreHeatmap.backend

    def __init__(
        self,
        prob: float = 0.5,
        jitter_px: float = 4.0,
        drop_prob: float = 0.1,
        false_prob: float = 0.1,
        sigma_px: float = 8.0,
    ) -> None:
        super().__init__(prob)
        self.jitter_px, self.drop_prob, self.false_prob = jitter_px, drop_prob, false_prob
        self.codec = CentreHeatmap(sigma_px)
        self._prompt_xy = np.zeros((0, 2))

    def randomize(self, data: tuple[np.ndarray, Sequence[int]]) -> None:
        """Draw the prompted points from the true ones (N, 2) and the (x, y) size of the grid."""
        super().randomize(None)
        points, spatial_size = data
        self._prompt_xy = np.zeros((0, 2))
        if not self._do_transform:
            return
        kept = points[self.R.uniform(size=len(points)) >= self.drop_prob]
        shifted = kept + self.R.normal(0.0, self.jitter_px, size=kept.shape)
        false = np.zeros((0, 2))
        if self.R.uniform() < self.false_prob:
            false = (self.R.uniform(size=2) * np.asarray(spatial_size) - 0.5)[None]
        self._prompt_xy = np.concatenate([shifted, false])

    def __call__(  # type: ignore[override]
        self, points: NdarrayOrTensor, spatial_size: Sequence[int], randomize: bool = True
    ) -> torch.Tensor:
        """Render a random prompt.

        Args:
            points: true centres (N, 2), (x, y) in pixels of the grid.
            spatial_size: (x, y) size of the grid.
            randomize: draw anew; else the points drawn last are rendered.
        Returns:
            (1, x, y), float32, 0 to 1.
        """
        if randomize:
            xy = np.asarray(convert_to_numpy(points), dtype=np.float64).reshape(-1, 2)
            self.randomize((xy, tuple(spatial_size)))
        return self.codec(self._prompt_xy, spatial_size)


class _PromptMap(MapTransform):
    """Keys and metadata of the two prompt transforms' dictionary versions."""

    def __init__(
        self, keys: KeysCollection, refer_key: str, names: KeysCollection, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.refer_key = refer_key
        self.names = ensure_tuple_rep(names, len(self.keys))

    def _write(self, prompt: torch.Tensor, image: Any) -> Any:
        return convert_to_dst_type(prompt, image, dtype=np.float32)[0]


class CentrePromptd(_PromptMap):
    """Dictionary version of :class:`CentrePrompt`. Join the result to the image with ``ConcatItemsd``.

    Args:
        keys: points, each (N, 2), in pixels of the image under ``refer_key``.
        refer_key: image whose grid the prompt gets.
        names: keys of the prompts, one for each of ``keys``.
        sigma_px: standard deviation, in pixels of the grid.
        allow_missing_keys: write an empty prompt where the points are not in the data.

    >>> item = {"image": torch.zeros(1, 8, 12), "points": torch.tensor([[3.0, 5.0]])}
    >>> prompt = CentrePromptd(sigma_px=2.0)(item)["prompt"]
    >>> prompt.shape, float(prompt[0, 3, 5]), round(float(prompt[0, 3, 7]), 3)  # two pixels away: exp(-1 / 2)
    (torch.Size([1, 8, 12]), 1.0, 0.607)
    """

    backend = CentrePrompt.backend

    def __init__(
        self,
        keys: KeysCollection = "points",
        refer_key: str = "image",
        names: KeysCollection = "prompt",
        sigma_px: float = 8.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, refer_key, names, allow_missing_keys)
        self.prompt = CentrePrompt(sigma_px)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the prompts."""
        d = dict(data)
        image = d[self.refer_key]
        for key, name in zip(self.keys, self.names):
            if key not in d and not self.allow_missing_keys:
                raise KeyError(f"CentrePromptd: {key!r} is not in the data, and allow_missing_keys is False.")
            d[name] = self._write(self.prompt(d.get(key), image.shape[1:]), image)
        return d


class RandCentrePromptd(_PromptMap, RandomizableTransform):
    """Dictionary version of :class:`RandCentrePrompt`. Join the result to the image with ``ConcatItemsd``.

    Args:
        keys: true centres, each (N, 2), in pixels of the image under ``refer_key``.
        refer_key: image whose grid the prompt gets.
        names: keys of the prompts, one for each of ``keys``.
        prob: probability of a prompt at all.
        jitter_px: standard deviation of the shift along each axis, in pixels of the grid.
        drop_prob: probability that a centre is left out.
        false_prob: probability of one false centre.
        sigma_px: standard deviation of the rendered Gaussian, in pixels of the grid.
        allow_missing_keys: ignore keys that are not in the data.

    >>> prompt = RandCentrePromptd(prob=1.0, jitter_px=0.0, drop_prob=0.0, false_prob=0.0, sigma_px=2.0)
    >>> item = {"image": torch.zeros(1, 40, 60), "points": torch.tensor([[10.0, 20.0], [12.0, 44.0]])}
    >>> prompt(item)["prompt"].nonzero()[:, 1].unique().numel(), float(prompt(item)["prompt"][0, 12, 44])
    (19, 1.0)
    """

    backend = RandCentrePrompt.backend

    def __init__(
        self,
        keys: KeysCollection = "points",
        refer_key: str = "image",
        names: KeysCollection = "prompt",
        prob: float = 0.5,
        jitter_px: float = 4.0,
        drop_prob: float = 0.1,
        false_prob: float = 0.1,
        sigma_px: float = 8.0,
        allow_missing_keys: bool = False,
    ) -> None:
        _PromptMap.__init__(self, keys, refer_key, names, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.prompt = RandCentrePrompt(prob, jitter_px, drop_prob, false_prob, sigma_px)

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandCentrePromptd:
        """Set the random state of this transform and of the one it wraps."""
        super().set_random_state(seed, state)
        self.prompt.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the prompts."""
        d = dict(data)
        for key, name in self.key_iterator(d, self.names):
            image = d[self.refer_key]
            d[name] = self._write(self.prompt(d[key], image.shape[1:]), image)
        return d


CentrePromptD = CentrePromptDict = CentrePromptd
RandCentrePromptD = RandCentrePromptDict = RandCentrePromptd
