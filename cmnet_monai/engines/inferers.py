"""How the network is asked: once or twice, and beside its mirror image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from monai.inferers import SimpleInferer
from torch import Tensor

from cmnet_monai.conventions import CENTRE_CHANNEL
from cmnet_monai.decode import drop_crowded, find_centres, with_given
from cmnet_monai.transforms import CentrePrompt

LEFT_RIGHT = 2
"""The axis of (B, C, x, y) along which a film is mirrored."""


class FilmInferer(SimpleInferer):
    """Run CM-Net on films (B, 1, x, y), or on films with what a reader gave (B, 3, x, y).

    The second channel holds all centres of a film, the third centres that add to those that the network finds; zeros
    are none (`cmnet_monai.transforms.GivenCentrePromptd`). A film of which all centres are given is asked once, with
    them as its prompt. One with centres to add is asked twice: what the first pass finds, and they, each in place of a
    found one beside it, are the prompt of the second.

    Args:
        mirror: average the logits with those of the mirrored film, mirrored back.
        passes: 1, or 2: the centres that the first pass finds become the prompt of the second (design of the method:
            centres as an input, here found by the network itself).
        sigma_px: standard deviation of the prompt's Gaussians, in pixels of the grid: that of the training.
        centre_threshold: least probability of a centre that becomes part of the prompt.
    Raises:
        ValueError: ``passes`` is neither 1 nor 2.

    >>> films, network = torch.rand(2, 1, 64, 96), torch.nn.Conv2d(1, 3, 3, padding=1)
    >>> FilmInferer(mirror=True)(films, network).shape
    torch.Size([2, 3, 64, 96])
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
        logits = self._look(inputs[:, :2], network, *args, **kwargs)
        guided, added = (_is_lit(inputs[:, channel : channel + 1]) for channel in (1, 2))
        again = added | ~guided if self.passes == 2 else added
        if not bool(again.any()):
            return logits
        found = torch.sigmoid(logits[again, CENTRE_CHANNEL]).float().cpu()
        additions: Iterable[Tensor | None] = (
            inputs[again, 2].float().cpu() if inputs.shape[1] > 2 else [None] * len(found)
        )
        prompts = [self._prompt_from(film, clicks) for film, clicks in zip(found, additions)]
        prompt = torch.stack(prompts).to(device=inputs.device, dtype=inputs.dtype)
        answer = self._look(torch.cat([inputs[again, :1], prompt], dim=1), network, *args, **kwargs)
        return answer if bool(again.all()) else logits.index_copy(0, again.nonzero().flatten(), answer)

    def _look(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        logits = network(inputs, *args, **kwargs)
        if self.mirror:
            mirrored = network(inputs.flip(LEFT_RIGHT), *args, **kwargs)
            logits = 0.5 * (logits + mirrored.flip(LEFT_RIGHT))
        return logits

    def _prompt_from(self, centre_map: Tensor, clicks: Tensor | None) -> Tensor:
        points, scores = find_centres(np.asarray(centre_map), self.centre_threshold)
        if clicks is not None:
            points, scores = with_given(points, scores, find_centres(np.asarray(clicks), smoothing_px=0)[0])
        return self.prompt(drop_crowded(points, scores), centre_map.shape)


def _is_lit(channel: Tensor) -> Tensor:
    """Which films of a batch (B, 0 or 1, x, y) have anything in a channel, (B,)."""
    if not channel.shape[1]:
        return torch.zeros(len(channel), dtype=torch.bool, device=channel.device)
    return channel.flatten(1).amax(dim=1) > 0
