"""Centres that a reader gave on a film, as further input channels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from cmnet_monai.decode import GivenCentres
from cmnet_monai.transforms.post_vertebrae import grid_to_film
from cmnet_monai.transforms.prompts import CentrePrompt

NOTHING_GIVEN = GivenCentres((), ())


class GivenCentrePromptd(MapTransform):
    """Append two channels to a film, with what a reader gave on it: all its centres, and centres that add to the found.

    Each channel is zero where an item carries no such centres. `cmnet_monai.engines.FilmInferer` takes such a film.

    Args:
        keys: the film on the network's grid, (1, x, y), one key; its metadata lead back to the film's own pixels.
        points_key: the item's `GivenCentres`, in pixels of the film; need not be there. They leave as an array that
            collates (`GivenCentres.rows`).
        sigma_px: standard deviation of the Gaussians in pixels of the grid: that of the training.
        allow_missing_keys: do not raise where a key is missing.

    >>> given = GivenCentres(((3.0, 5.0),), ("L3",))
    >>> item = GivenCentrePromptd(sigma_px=2.0)({"image": torch.full((1, 8, 12), 0.25), "given_centres": given})
    >>> item["image"].shape, item["image"][:, 3, 5].tolist()  # the film, centres that are all, centres that add
    (torch.Size([3, 8, 12]), [0.25, 1.0, 0.0])
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
        """Make (1, x, y) a (3, x, y); the record of what was done to the film stays."""
        result = dict(data)
        for key in self.key_iterator(result):
            image = result[key]
            given: GivenCentres = result.get(self.points_key, NOTHING_GIVEN)
            points = np.array(given.moved(np.linalg.inv(grid_to_film(image))).xy_px).reshape(-1, 2)
            shape = tuple(image.shape[1:])
            prompts = [self.prompt(points if given.adds == adds else None, shape) for adds in (False, True)]
            plain = image.as_tensor() if isinstance(image, MetaTensor) else torch.as_tensor(image)
            every = torch.cat([plain, *(prompt.to(plain) for prompt in prompts)])
            if isinstance(image, MetaTensor):
                every = MetaTensor(every, meta=image.meta, applied_operations=image.applied_operations)
            result[key] = every
            result[self.points_key] = torch.from_numpy(given.rows())
        return result


GivenCentrePromptD = GivenCentrePromptDict = GivenCentrePromptd
