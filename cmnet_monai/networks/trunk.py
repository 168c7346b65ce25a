"""Context and localisation pathways shared by the modified U-Net and CM-Net."""

from __future__ import annotations

import math

import torch
from monai.networks.blocks import ADN, Convolution
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 6
SIZE_MULTIPLE = 2 ** (LEVELS - 1)
GROUPS = 8
NEGATIVE_SLOPE = 0.01
ACT = ("leakyrelu", {"negative_slope": NEGATIVE_SLOPE, "inplace": True})
NORM = ("group", {"num_groups": GROUPS})


def conv_norm_act(in_channels: int, out_channels: int, kernel_size: int = 3, strides: int = 1) -> Convolution:
    """Convolution -> GroupNorm(8) -> LeakyReLU(0.01); no bias, because the norm's offset takes its place."""
    return Convolution(
        2,
        in_channels,
        out_channels,
        strides=strides,
        kernel_size=kernel_size,
        adn_ordering="NA",
        act=ACT,
        norm=NORM,
        bias=False,
    )


class ContextModule(nn.Module):
    """Pre-activation residual block: x + [GN -> LReLU -> 3x3 -> Dropout2d -> GN -> LReLU -> 3x3].

    Args:
        channels: channels of input and output, a multiple of 8.
        dropout: probability with which a whole feature map is dropped between the convolutions, in training only.
    """

    def __init__(self, channels: int, dropout: float = 0.3) -> None:
        super().__init__()
        self.adn = ADN(ordering="NA", in_channels=channels, act=ACT, norm=NORM, norm_dim=2)
        self.conv1 = Convolution(
            2,
            channels,
            channels,
            adn_ordering="DNA",
            act=ACT,
            norm=NORM,
            dropout=dropout if dropout > 0 else None,
            dropout_dim=2,
            bias=False,
        )
        self.conv2 = Convolution(2, channels, channels, bias=False, conv_only=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, W, H) to (B, C, W, H)."""
        return x + self.conv2(self.conv1(self.adn(x)))


class UpModule(nn.Module):
    """Nearest-neighbour doubling of the size -> 3x3 convolution to half the channels -> GN -> LReLU.

    Args:
        in_channels: channels of the coarser input; the output has half of them.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.conv = conv_norm_act(in_channels, in_channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 2C, W, H) to (B, C, 2W, 2H)."""
        return self.conv(self.upsample(x))


class LocalisationModule(nn.Module):
    """Joins the pathways: concatenation with the skip -> 3x3 -> 1x1 that halves the channels, each with GN -> LReLU.

    Args:
        channels: channels of each of the two inputs, and of the output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv_norm_act(2 * channels, 2 * channels)
        self.conv2 = conv_norm_act(2 * channels, channels, kernel_size=1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map (B, C, W, H) and its skip of the same shape to (B, C, W, H)."""
        return self.conv2(self.conv1(torch.cat((x, skip), dim=1)))


class PyramidHead(nn.Module):
    """1x1 convolutions at the three finest levels; the logits are upsampled (bilinear) and summed.

    Args:
        base_channels: channels of the finest level; the next ones have twice and four times as many.
        out_channels: logit channels.
        initial_probability: the probability that the head gives everywhere before training, through the finest bias.
            A small one spares a Dice loss the first steps, in which it only learns that most pixels are background.
    """

    def __init__(self, base_channels: int, out_channels: int, initial_probability: float = 0.5) -> None:
        super().__init__()
        if not 0.0 < initial_probability < 1.0:
            raise ValueError(f"initial_probability must be between 0 and 1, got {initial_probability}")
        self.fine = nn.Conv2d(base_channels, out_channels, kernel_size=1)
        self.middle = nn.Conv2d(2 * base_channels, out_channels, kernel_size=1)
        self.coarse = nn.Conv2d(4 * base_channels, out_channels, kernel_size=1)
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.initial_probability = initial_probability
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Small weights, so that the finest bias alone decides the first probabilities."""
        for name, parameter in self.named_parameters():
            nn.init.normal_(parameter, std=0.01) if name.endswith("weight") else nn.init.zeros_(parameter)
        odds = self.initial_probability / (1.0 - self.initial_probability)
        nn.init.constant_(self.get_parameter("fine.bias"), math.log(odds))

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> Tensor:
        """Map features of sizes (W, H), (W/2, H/2), (W/4, H/4) to logits (B, out_channels, W, H)."""
        logits = self.upsample(self.coarse(coarse)) + self.middle(middle)
        return self.upsample(logits) + self.fine(fine)


class ContextLocalisationTrunk(nn.Module):
    """The two pathways of Isensee et al. (2017, arXiv 1802.10508) in two dimensions and with six levels.

    Every convolution that computes feature maps is followed by GroupNorm(8) and LeakyReLU(0.01), apart from those
    inside the pre-activation context modules. The channels of the levels are base x (1, 2, 4, 8, 16, 32).

    Args:
        in_channels: channels of the input.
        base_channels: channels of the finest level, a multiple of 8 (the number of groups).
        dropout: of the context modules.

    Raises:
        ValueError: `base_channels` is not a positive multiple of 8, or `dropout` is outside [0, 1).
    """

    def __init__(self, in_channels: int, base_channels: int = 16, dropout: float = 0.3) -> None:
        super().__init__()
        if base_channels <= 0 or base_channels % GROUPS:
            raise ValueError(f"base_channels must be a positive multiple of {GROUPS} (GroupNorm), got {base_channels}")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        channels = [base_channels * 2**level for level in range(LEVELS)]
        self.down = nn.ModuleList([conv_norm_act(in_channels, channels[0])])
        self.down.extend(conv_norm_act(c, 2 * c, strides=2) for c in channels[:-1])
        self.context = nn.ModuleList(ContextModule(c, dropout) for c in channels)
        self.up = nn.ModuleList(UpModule(2 * c) for c in reversed(channels[:-1]))
        self.localisation = nn.ModuleList(LocalisationModule(c) for c in reversed(channels[:-1]))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """He initialisation for LeakyReLU(0.01); norms start as the identity."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=NEGATIVE_SLOPE, nonlinearity="leaky_relu")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (B, in_channels, W, H), W and H multiples of 32, to the features of the three finest levels.

        Returns:
            Localisation features (B, base, W, H), (B, 2 base, W/2, H/2), (B, 4 base, W/4, H/4).
        """
        skips: list[Tensor] = []
        for down, context in zip(self.down, self.context):
            x = context(down(x))
            skips.append(x)
        features: list[Tensor] = []
        x = skips.pop()
        for up, localisation in zip(self.up, self.localisation):
            x = localisation(up(x), skips.pop())
            features.append(x)
        return features[-1], features[-2], features[-3]


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
