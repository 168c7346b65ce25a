"""CM-Net: centres and masks from one trunk, with an optional centre prompt."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmnet_monai.conventions import LEVEL_CHANNEL, VERTEBRA_CHANNEL
from cmnet_monai.networks.trunk import ContextLocalisationTrunk, PyramidHead, check_input, pad_to_multiple


class CMNet(nn.Module):
    """The modified U-Net with a centre head, a segmentation head and a centre prompt as second input channel.

    The input is a film (B, 1, W, H) scaled to 0..1 with padding 0, or film and prompt (B, 2, W, H). The prompt is a
    heatmap 0..1 of vertebral centres; a missing prompt is the same as one of zeros. The logits are one tensor
    (B, 2 to 6, W, H) in the order of `cmnet_monai.conventions`: centre, vertebra, S1, lumbar, level; corners are last.

    Any input size: zeros are appended on the right and at the bottom up to a multiple of 32, and cropped off the
    logits.

    Args:
        base_channels: channels of the finest level, a multiple of 8.
        s1_channel: whether the segmentation head has a second channel, for S1.
        lumbar_channel: whether it has a third one, for L1-L5 on their own; needs ``s1_channel``.
        level_channel: whether it has a fourth one, for the level of the body that a pixel lies in; needs
            ``lumbar_channel``.
        corner_channel: whether it has a last one, for the corners of the bodies.
        dropout: of the context modules' feature maps, in training only.
        initial_probability: what the sigmoid of the untrained logits is, in both heads; that of levels is 0.5.

    Raises:
        ValueError: an argument is out of range, or a channel lacks the one that it needs; in forward, the input's rank
            or channels are wrong.

    >>> network = CMNet(base_channels=8, s1_channel=True)
    >>> network(torch.zeros(1, 1, 48, 100)).shape  # centres, vertebrae, S1; any size
    torch.Size([1, 3, 48, 100])
    """

    def __init__(
        self,
        base_channels: int = 16,
        s1_channel: bool = False,
        dropout: float = 0.3,
        initial_probability: float = 0.5,
        lumbar_channel: bool = False,
        corner_channel: bool = False,
        level_channel: bool = False,
    ) -> None:
        super().__init__()
        if lumbar_channel and not s1_channel:
            raise ValueError("lumbar_channel needs s1_channel: the channels are centre, vertebra, S1, lumbar")
        if level_channel and not lumbar_channel:
            raise ValueError("level_channel needs lumbar_channel: the channels are centre, vertebra, S1, lumbar, level")
        self.trunk = ContextLocalisationTrunk(2, base_channels, dropout)
        self.centre_head = PyramidHead(base_channels, 1, initial_probability)
        channels = 1 + s1_channel + lumbar_channel + level_channel + corner_channel
        self.segmentation_head = PyramidHead(base_channels, channels, initial_probability)
        if level_channel:
            nn.init.zeros_(self.segmentation_head.get_parameter("fine.bias").data[LEVEL_CHANNEL - VERTEBRA_CHANNEL])

    def forward(self, x: Tensor) -> Tensor:
        """Map films (B, 1, W, H), or films and prompts (B, 2, W, H), to logits (B, 2 to 6, W, H)."""
        check_input(x, 1, 2)
        width, height = x.shape[2], x.shape[3]
        if x.shape[1] == 1:
            x = torch.cat((x, torch.zeros_like(x)), dim=1)
        fine, middle, coarse = self.trunk(pad_to_multiple(x))
        centre = self.centre_head(fine, middle, coarse)
        segmentation = self.segmentation_head(fine, middle, coarse)
        logits = torch.cat((centre, segmentation), dim=1)
        return logits[:, :, :width, :height]


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
