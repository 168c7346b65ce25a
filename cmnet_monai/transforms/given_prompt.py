"""Centres that a reader gave on a film, as the network's second input channel."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from cmnet_monai.transforms.post_vertebrae import grid_to_film
from cmnet_monai.transforms.prompts import CentrePrompt


class GivenCentrePromptd(MapTransform):
    """Append a prompt channel with the centres that an item carries; zeros where it carries none.

    Args:
        keys: the film on the network's grid, (1, x, y), one key; its metadata lead back to the film's own pixels.
        points_key: the centres, (N, 2), (x, y) in pixels of the film; need not be there.
        sigma_px: standard deviation of the Gaussians in pixels of the grid: that of the training.
        allow_missing_keys: do not raise where a key is missing.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        points_key: str = "given_centres",
        sigma_px: float = 8.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"GivenCentrePromptd takes one key, got {self.keys}.")
        self.points_key = points_key
        self.prompt = CentrePrompt(sigma_px)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Make (1, x, y) a (2, x, y); the record of what was done to the film stays, the centres go."""
        result = dict(data)
        for key in self.key_iterator(result):
            image = result[key]
            film_xy = np.asarray(result.get(self.points_key, ()), dtype=np.float64).reshape(-1, 2)
            homogeneous = np.concatenate([film_xy, np.ones((len(film_xy), 1))], axis=1)
            grid_xy = (homogeneous @ np.linalg.inv(grid_to_film(image)).T)[:, :2]
            prompt = torch.as_tensor(self.prompt(grid_xy, tuple(image.shape[1:])))
            plain = image.as_tensor() if isinstance(image, MetaTensor) else torch.as_tensor(image)
            both = torch.cat([plain, prompt.to(plain)])
            if isinstance(image, MetaTensor):
                both = MetaTensor(both, meta=image.meta, applied_operations=image.applied_operations)
            result[key] = both
            result.pop(self.points_key, None)  # lists of different lengths do not collate
        return result


GivenCentrePromptD = GivenCentrePromptDict = GivenCentrePromptd
