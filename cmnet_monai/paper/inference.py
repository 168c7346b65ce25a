"""Probability maps of test films, as an experiment's inference makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, ScaleIntensityRanged, ScaleIntensityRangePercentilesd
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from cmnet_monai.conventions import CENTRE_CHANNEL, VERTEBRA_CHANNEL
from cmnet_monai.decode import find_centres
from cmnet_monai.paper.definitions import ALL_BODIES, NO_PROMPT, OWN_CENTRES, Inference
from cmnet_monai.transforms import (
    CarryCentresd,
    CentrePrompt,
    CentresFromLabeld,
    CropBorderd,
    FourierAmplitudeMix,
    HistogramEqualized,
    ResizeWithPadd,
    SelectVertebrae,
    load_film,
    mean_amplitude,
)

Points = NDArray[np.float64]
CENTRE_THRESHOLD = 0.3
"""Least probability of a centre that is found, as in the bundle's inference."""
BATCH = 4


class FilmPreparation:
    """From a datalist item to the network's input, and from its maps back to the film.

    Args:
        spatial_size: (x, y) size of the grid.
        inference: says whether films are equalised, and whose centres are true.
    """

    def __init__(self, spatial_size: Sequence[int], inference: Inference) -> None:
        grey = (
            HistogramEqualized("image")
            if inference.equalise
            else ScaleIntensityRangePercentilesd("image", lower=0.5, upper=99.5, b_min=0, b_max=255, clip=True)
        )
        resize = ResizeWithPadd("image", spatial_size=spatial_size, mode="bilinear")
        self.to_grid = Compose([CropBorderd("image", source_key="image"), grey, resize])
        self.pipeline = Compose(
            [
                *load_film(),
                CentresFromLabeld("label", protocol="visible" if inference.truth == ALL_BODIES else "lumbar"),
                *self.to_grid.transforms,
                ScaleIntensityRanged("image", a_min=0.0, a_max=255.0, b_min=0.0, b_max=1.0, clip=True),
                CarryCentresd("points", refer_key="image"),
            ]
        )

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """``image`` (1, x, y) on the grid, ``label`` (1, x, y) at the film's size, ``points`` (N, 2) on the grid."""
        return dict(self.pipeline({key: item[key] for key in ("image", "label", "centres") if key in item}))

    def back(self, maps: Tensor, image: MetaTensor) -> Tensor:
        """Maps (C, x, y) of the grid at the film's own size."""
        record = deepcopy(image.applied_operations)  # which the inverse takes apart
        with_record = MetaTensor(maps, meta=image.meta, applied_operations=record)
        return _plain(self.to_grid.inverse({"image": with_record})["image"])


def _plain(image: Any) -> Tensor:
    return torch.as_tensor(image).as_subclass(Tensor)


def disturb(points: Points, inference: Inference, grid: Sequence[int], rng: np.random.Generator) -> Points:
    """Shift points by noise, leave some out and add false ones; see `Inference`.

    Args:
        points: (N, 2), (x, y) pixels of the grid.
        inference: how much.
        grid: (x, y) size.
        rng: draws the noise; the same draws are made whatever `points` are.
    Returns:
        (M, 2), with M = max(N - missed, 0) + extra.
    """
    missed, extra = inference.missed, inference.extra
    kept = points[rng.permutation(len(points))[min(missed, len(points)) :]] if missed else points
    shifted = kept + inference.jitter_px * rng.standard_normal(kept.shape)
    return np.concatenate([shifted, rng.uniform(size=(extra, 2)) * np.asarray(grid) - 0.5])


class Predictor:
    """Maps of films, one by one, with the prompt of an `Inference`.

    Args:
        network: CM-Net, or a `SingleHead`, in evaluation mode.
        inference: how it is used.
        sigma_px: standard deviation of the prompt's Gaussians, that of the training's heatmap.
        seed: of the centre noise.
        change: changes a film (1, 1, x, y) before the network sees it; None leaves it.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        inference: Inference,
        sigma_px: float,
        seed: int = 0,
        change: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.network, self.inference, self.seed, self.change = network, inference, seed, change
        self.prompt = CentrePrompt(sigma_px)

    def __call__(self, image: Tensor, true_xy: Points, number: int, device: Any = "cpu") -> Tensor:
        """Probability maps (C, x, y) of film `number`, (1, x, y), whose true centres (N, 2) are on the grid."""
        film = _plain(image)[None].to(device)
        film = film if self.change is None else self.change(film)
        with torch.inference_mode():
            maps = torch.sigmoid(self.network(film))
            if self.inference.prompt != NO_PROMPT:
                points = centres_in(maps[0]) if self.inference.prompt == OWN_CENTRES else true_xy
                rng = np.random.default_rng([self.seed, number, 11])
                points = disturb(points, self.inference, film.shape[2:], rng)
                prompt = self.prompt(points, tuple(film.shape[2:]))[None].to(device)
                maps = torch.sigmoid(self.network(torch.cat((film, prompt), dim=1)))
        return maps[0].float().cpu()


def centres_in(maps: Tensor) -> Points:
    """Centres (N, 2) that maps (C, x, y) show, pixels of the grid."""
    return np.asarray(find_centres(maps[CENTRE_CHANNEL].float().cpu().numpy(), CENTRE_THRESHOLD)[0], dtype=np.float64)


def vertebra_map(maps: Tensor, inference: Inference) -> Tensor:
    """The map (1, x, y) whose mask is measured: every vertebra, or those that are named L1-L5."""
    if not inference.by_name:
        return maps[VERTEBRA_CHANNEL : VERTEBRA_CHANNEL + 1]
    return torch.as_tensor(SelectVertebrae(centre_threshold=CENTRE_THRESHOLD)(maps)[0])


def adapt_batch_statistics(network: nn.Module, films: Sequence[Tensor], device: torch.device) -> None:
    """Estimate the statistics of batch norms anew, on films of another domain (Li et al., 2016, adaptive batch norm).

    Args:
        network: changed in place.
        films: prepared films, (1, x, y), of one size.
        device: of the network.
    Raises:
        ValueError: the network has no batch norms: group and instance norms keep no statistics to estimate.
    """
    if not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules()):
        raise ValueError("the network has no batch norms; there are no statistics to estimate anew")
    plain = [_plain(film) for film in films]
    update_bn([torch.stack(plain[i : i + BATCH]) for i in range(0, len(plain), BATCH)], network, device)
    network.eval()


def fourier_to_training_domain(films: Iterable[Tensor]) -> Callable[[Tensor], Tensor]:
    """Gives films (1, 1, x, y) the mean amplitudes of prepared training films (1, x, y) in the lowest frequencies."""
    reference, mix = mean_amplitude(films), FourierAmplitudeMix()
    return lambda film: torch.stack([_plain(mix(one.cpu(), reference)) for one in film]).to(film.device)
