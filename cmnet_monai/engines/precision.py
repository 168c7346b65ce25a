"""Networks at reduced precision, on CPUs too."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16}


class AutocastNetwork(nn.Module):
    """A network that computes in bfloat16 and returns float32.

    MONAI's trainer knows mixed precision on CUDA only; on CPUs with bfloat16 instructions it is about three times
    as fast as float32, with channels last. Weights stay float32, and checkpoints hold those of the wrapped network.

    Args:
        module: the network.
        dtype: type to compute in.
    """

    def __init__(self, module: nn.Module, dtype: torch.dtype = torch.bfloat16) -> None:
        super().__init__()
        self.module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.dtype = dtype
        for part in module.modules():
            if isinstance(part, nn.GroupNorm):
                part.register_forward_pre_hook(_channels_apart)
                part.register_forward_hook(_channels_together)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, W, H) to logits as the wrapped network does."""
        with torch.autocast(x.device.type, dtype=self.dtype):
            logits = self.module(x.contiguous(memory_format=torch.channels_last))
        return logits.float()


def _channels_apart(norm: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """A norm's input, for training on CPUs: the gradient of group norm is many times slower with channels last."""
    x = inputs[0]
    return (x.contiguous(),) if norm.training and x.device.type == "cpu" else inputs


def _channels_together(norm: nn.Module, _inputs: tuple[Tensor, ...], normed: Tensor) -> Tensor:
    """Output of such a norm with channels last again, as the convolution that follows wants it."""
    if norm.training and normed.device.type == "cpu":
        return normed.contiguous(memory_format=torch.channels_last)
    return normed


def with_precision(network: nn.Module, precision: str = "fp32") -> nn.Module:
    """The network itself, its weights in channels-last order ("fp32"), or wrapped to compute in bfloat16 ("bf16").

    Raises:
        ValueError: the precision is unknown.

    >>> layer = nn.Conv2d(1, 1, kernel_size=1, bias=False)
    >>> _ = nn.init.constant_(layer.weight, 1 / 3)
    >>> for precision in ("fp32", "bf16"):  # bfloat16 has about three digits
    ...     logits = with_precision(layer, precision)(torch.ones(1, 1, 8, 12))
    ...     print(logits.dtype, round(float(logits[0, 0, 0, 0].detach()), 6))
    torch.float32 0.333333
    torch.float32 0.333984
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is one of {', '.join(PRECISIONS)}; got {precision!r}")
    dtype = PRECISIONS[precision]
    if dtype is None:
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return AutocastNetwork(network, dtype)


def bare(network: nn.Module) -> nn.Module:
    """The network inside wrappers for precision and distribution."""
    while isinstance(getattr(network, "module", None), nn.Module):
        network = network.module  # type: ignore[assignment]
    return network
