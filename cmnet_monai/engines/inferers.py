"""How the network is asked: once or twice, and beside its mirror image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from monai.inferers import SimpleInferer
from torch import Tensor

from cmnet_monai.conventions import CENTRE_CHANNEL
from cmnet_monai.transforms import CentrePrompt
from cmnet_monai.vertebrae import drop_crowded, find_centres

LEFT_RIGHT = 2
"""The axis of (B, C, x, y) along which a film is mirrored."""


class FilmInferer(SimpleInferer):
    """Run CM-Net on films (B, 1, x, y), or on films with a centre prompt (B, 2, x, y); one of zeros is none.

    Args:
        mirror: average the logits with those of the mirrored film, mirrored back.
        passes: 1, or 2: the centres that the first pass finds become the prompt of the second (design of the method:
            centres as an input, here found by the network itself). A film whose prompt is given is asked once.
        sigma_px: standard deviation of the prompt's Gaussians, in pixels of the grid: that of the training.
        centre_threshold: least probability of a centre that becomes part of the prompt.
    Raises:
        ValueError: ``passes`` is neither 1 nor 2.
    """

    def __init__(
        self, mirror: bool = False, passes: int = 1, sigma_px: float = 8.0, centre_threshold: float = 0.3
    ) -> None:
        super().__init__()
        if passes not in (1, 2):
            raise ValueError(f"passes is 1 or 2, got {passes}")
        self.mirror, self.passes, self.centre_threshold = mirror, passes, centre_threshold
        self.prompt = CentrePrompt(sigma_px)

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Logits (B, C, x, y)."""
        logits = self._look(inputs, network, *args, **kwargs)
        alone = torch.ones(len(inputs), dtype=torch.bool, device=inputs.device)
        if inputs.shape[1] > 1:
            alone = inputs[:, 1:].flatten(1).amax(dim=1) <= 0
        if self.passes == 2 and bool(alone.any()):
            prompts = [self._prompt_from(film) for film in torch.sigmoid(logits[alone, CENTRE_CHANNEL]).float().cpu()]
            prompt = torch.stack(prompts).to(device=inputs.device, dtype=inputs.dtype)
            again = self._look(torch.cat([inputs[alone, :1], prompt], dim=1), network, *args, **kwargs)
            logits = again if bool(alone.all()) else logits.index_copy(0, alone.nonzero().flatten(), again)
        return logits

    def _look(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        logits = network(inputs, *args, **kwargs)
        if self.mirror:
            mirrored = network(inputs.flip(LEFT_RIGHT), *args, **kwargs)
            logits = 0.5 * (logits + mirrored.flip(LEFT_RIGHT))
        return logits

    def _prompt_from(self, centre_map: Tensor) -> Tensor:
        points, scores = find_centres(np.asarray(centre_map), self.centre_threshold)
        return self.prompt(drop_crowded(points, scores), centre_map.shape)
