"""Probability maps of test films, as an experiment asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, ScaleIntensityRanged, ScaleIntensityRangePercentilesd
from numpy.typing import NDArray
from torch import Tensor

from cmnet_monai.conventions import CENTRE_CHANNEL, VERTEBRA_CHANNEL
from cmnet_monai.decode import find_centres
from cmnet_monai.paper.definitions import ALL_BODIES, NO_GUIDE, OWN_CENTRES, Asking
from cmnet_monai.transforms import (
    CarryCentresd,
    CentrePrompt,
    CentresFromLabeld,
    CropBorderd,
    HistogramEqualized,
    ResizeWithPadd,
    SelectVertebrae,
    load_film,
)

Points = NDArray[np.float64]
CENTRE_THRESHOLD = 0.3
"""Least probability of a centre that is found, as in the bundle's inference."""


class FilmPreparation:
    """From a datalist item to the network's input, and from its maps back to the film.

    Args:
        spatial_size: (x, y) size of the grid.
        asking: says whether films are equalised, and whose centres are true.
    """

    def __init__(self, spatial_size: Sequence[int], asking: Asking) -> None:
        protocol = "visible" if asking.truth == ALL_BODIES else "lumbar"
        grey = (
            HistogramEqualized("image")
            if asking.equalise
            else ScaleIntensityRangePercentilesd("image", lower=0.5, upper=99.5, b_min=0, b_max=255, clip=True)
        )
        resize = ResizeWithPadd("image", spatial_size=spatial_size, mode="bilinear")
        self.to_grid = Compose([CropBorderd("image", source_key="image"), grey, resize])
        self.chain = Compose(
            [
                *load_film(),
                CentresFromLabeld("label", protocol=protocol),
                *self.to_grid.transforms,
                ScaleIntensityRanged("image", a_min=0.0, a_max=255.0, b_min=0.0, b_max=1.0, clip=True),
                CarryCentresd("points", refer_key="image"),
            ]
        )

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """``image`` (1, x, y) on the grid, ``label`` (1, x, y) at the film's size, ``points`` (N, 2) on the grid."""
        return dict(self.chain({key: item[key] for key in ("image", "label", "centres") if key in item}))

    def back(self, maps: Tensor, image: MetaTensor) -> Tensor:
        """Maps (C, x, y) of the grid at the film's own size."""
        record = deepcopy(image.applied_operations)  # which the inverse takes apart
        with_record = MetaTensor(maps, meta=image.meta, applied_operations=record)
        return torch.as_tensor(self.to_grid.inverse({"image": with_record})["image"]).as_subclass(Tensor)


def disturb(points: Points, asking: Asking, grid: Sequence[int], rng: np.random.Generator) -> Points:
    """Shift points by noise, leave some out and add false ones; see `Asking`.

    Args:
        points: (N, 2), (x, y) pixels of the grid.
        asking: how much.
        grid: (x, y) size.
        rng: draws the noise; the same draws are made whatever `points` are.
    Returns:
        (M, 2), with M = max(N - missed, 0) + extra.
    """
    kept = points[rng.permutation(len(points))[min(asking.missed, len(points)) :]] if asking.missed else points
    shifted = kept + asking.jitter_px * rng.standard_normal(kept.shape)
    false = rng.uniform(size=(asking.extra, 2)) * np.asarray(grid) - 0.5
    return np.concatenate([shifted, false])


class Asker:
    """Ask a network about films one by one, with the guide of an `Asking`.

    Args:
        network: CM-Net, or a `SingleHead`, in evaluation mode.
        asking: how it is asked.
        sigma_px: standard deviation of the prompt's Gaussians, that of the training's heatmap.
        seed: of the centre noise.
        change: changes a film (1, 1, x, y) before it is asked about; None leaves it.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        asking: Asking,
        sigma_px: float,
        seed: int = 0,
        change: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.network, self.asking, self.seed, self.change = network, asking, seed, change
        self.prompt = CentrePrompt(sigma_px)

    def __call__(self, image: Tensor, true_xy: Points, number: int, device: Any = "cpu") -> Tensor:
        """Probability maps (C, x, y) of film `number`, (1, x, y), whose true centres (N, 2) are on the grid."""
        film = torch.as_tensor(image).as_subclass(Tensor)[None].to(device)
        film = film if self.change is None else self.change(film)
        with torch.inference_mode():
            maps = torch.sigmoid(self.network(film))
            if self.asking.guide != NO_GUIDE:
                points = true_xy if self.asking.guide != OWN_CENTRES else centres_in(maps[0])
                rng = np.random.default_rng([self.seed, number, 11])
                points = disturb(points, self.asking, film.shape[2:], rng)
                prompt = self.prompt(points, tuple(film.shape[2:]))[None].to(device)
                maps = torch.sigmoid(self.network(torch.cat((film, prompt), dim=1)))
        return maps[0].float().cpu()


def centres_in(maps: Tensor) -> Points:
    """Centres (N, 2) that maps (C, x, y) show, pixels of the grid."""
    return np.asarray(find_centres(maps[CENTRE_CHANNEL].float().cpu().numpy(), CENTRE_THRESHOLD)[0], dtype=np.float64)


def vertebra_map(maps: Tensor, asking: Asking) -> Tensor:
    """The map (1, x, y) whose mask is measured: every vertebra, or those that are named L1-L5."""
    if not asking.by_name:
        return maps[VERTEBRA_CHANNEL : VERTEBRA_CHANNEL + 1]
    return torch.as_tensor(SelectVertebrae(centre_threshold=CENTRE_THRESHOLD)(maps)[0])
