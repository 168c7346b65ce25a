"""Input checks and padding that survive scripting, tracing and export."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cmnet_monai.networks.trunk import SIZE_MULTIPLE


def check_input(x: Tensor, min_channels: int, max_channels: int) -> None:
    """Raise a ValueError that names the shape unless x is (B, min_channels..max_channels, W, H) and not empty."""
    if torch.jit.is_tracing():
        return
    if x.dim() != 4:
        raise ValueError(f"The network takes a batch of films (B, C, W, H), got {x.dim()} dimensions: {list(x.shape)}")
    channels = x.shape[1]
    if channels < min_channels or channels > max_channels:
        raise ValueError(
            f"The network takes {min_channels} to {max_channels} channels, got {channels} in shape {list(x.shape)}"
        )


def pad_to_multiple(x: Tensor, multiple: int = SIZE_MULTIPLE) -> Tensor:
    """Append zero columns on the right and zero rows at the bottom, so that both sizes become multiples.

    One padding without a branch, so that traced and exported programs keep every size dynamic.
    """
    extra_x = (multiple - x.shape[2] % multiple) % multiple
    extra_y = (multiple - x.shape[3] % multiple) % multiple
    return F.pad(x, (0, extra_y, 0, extra_x))
