"""The modified U-Net, one head."""

from __future__ import annotations

from torch import Tensor, nn

from cmnet_monai.networks.shapes import check_input, pad_to_multiple
from cmnet_monai.networks.trunk import ContextLocalisationTrunk, PyramidHead


class ModifiedUNet(nn.Module):
    """Isensee et al. (2017, arXiv 1802.10508) in two dimensions with six levels, the paper's baseline.

    Any input size: zeros are appended on the right and at the bottom up to a multiple of 32, and cropped off the
    logits.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the logits.
        base_channels: channels of the finest level, a multiple of 8.
        dropout: of the context modules' feature maps, in training only.
        initial_probability: what the sigmoid of the untrained logits is.

    Raises:
        ValueError: an argument is out of range; in forward, the input's rank or channels are wrong.

    >>> import torch
    >>> network = ModifiedUNet(out_channels=2, base_channels=8)
    >>> network(torch.zeros(1, 1, 48, 100)).shape  # any size
    torch.Size([1, 2, 48, 100])
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        base_channels: int = 16,
        dropout: float = 0.3,
        initial_probability: float = 0.5,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.trunk = ContextLocalisationTrunk(in_channels, base_channels, dropout)
        self.head = PyramidHead(base_channels, out_channels, initial_probability)

    def forward(self, x: Tensor) -> Tensor:
        """Map films (B, in_channels, W, H) to logits (B, out_channels, W, H)."""
        check_input(x, self.in_channels, self.in_channels)
        fine, middle, coarse = self.trunk(pad_to_multiple(x))
        logits = self.head(fine, middle, coarse)
        return logits[:, :, : x.shape[2], : x.shape[3]]
