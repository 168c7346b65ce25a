"""Networks without a centre head in CM-Net's place, so that one training loop serves them all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cmnet_monai.networks.cmnet import CMNet, ModifiedUNet
from cmnet_monai.networks.trunk import check_input, pad_to_multiple

BASELINES = ("unet", "unet_batch_norm", "modified_unet", "dynunet", "segresnet", "swin_unetr")
"""Names of the networks that `make_baseline` makes."""

NO_CENTRE = -20.0
"""Logit of the centre channel of a network that has none: a probability of 2e-9, and no gradient."""


class SingleHead(nn.Module):
    """A segmentation network that takes and gives what CM-Net does.

    A centre prompt is not looked at, and the centre channel says everywhere that there is no centre. With the loss
    weights ``w_centre=0`` and those of CM-Net else, such a network is trained as CM-Net's segmentation head is.

    Args:
        network: maps films (B, 1, W, H), both sizes multiples of 32, to logits (B, C, W, H).
        initial_probability: what the sigmoid of the logits is where the network gives 0, added as a constant; spares
            Dice losses the first steps, as in `CMNet`.

    Raises:
        ValueError: the probability is not between 0 and 1; in forward, the input's rank or channels are wrong.

    >>> network = SingleHead(nn.Conv2d(1, 1, 3, padding=1))
    >>> logits = network(torch.zeros(2, 2, 32, 64))  # film and prompt, which is not looked at
    >>> logits.shape, bool((logits[:, 0].sigmoid() < 1e-3).all())  # no centre anywhere
    (torch.Size([2, 2, 32, 64]), True)
    """

    def __init__(self, network: nn.Module, initial_probability: float = 0.5) -> None:
        super().__init__()
        if not 0.0 < initial_probability < 1.0:
            raise ValueError(f"initial_probability must be between 0 and 1, got {initial_probability}")
        self.network = network
        self.offset = math.log(initial_probability / (1.0 - initial_probability))

    def forward(self, x: Tensor) -> Tensor:
        """Map films (B, 1, W, H), or films and prompts (B, 2, W, H), to logits (B, 1 + C, W, H), centre first."""
        check_input(x, 1, 2)
        logits = self.network(pad_to_multiple(x[:, :1]))[:, :, : x.shape[2], : x.shape[3]] + self.offset
        return torch.cat((torch.full_like(logits[:, :1], NO_CENTRE), logits), dim=1)


def _make(name: str, out_channels: int, base: int, dropout: float) -> nn.Module:
    from monai.networks import nets

    features = (*(2 * base * 2**level for level in range(5)), 2 * base)
    filters, strides = [min(2 * base * 2**level, 512) for level in range(6)], [1, 2, 2, 2, 2, 2]
    some = dropout or None  # these networks take None for no dropout
    if name == "modified_unet":
        return ModifiedUNet(1, out_channels, base, dropout)
    if name == "dynunet":
        return nets.DynUNet(2, 1, out_channels, [3] * 6, strides, strides[1:], filters=filters, dropout=some)
    if name == "segresnet":
        return nets.SegResNet(2, 2 * base, 1, out_channels, dropout_prob=some)
    if name == "swin_unetr":
        return nets.SwinUNETR(1, out_channels, feature_size=12 * max(base // 8, 1), drop_rate=dropout, spatial_dims=2)
    norm = "batch" if name == "unet_batch_norm" else ("instance", {"affine": True})
    return nets.BasicUNet(2, 1, out_channels, features=features, dropout=dropout, norm=norm)


def make_baseline(
    name: str, out_channels: int = 1, base_channels: int = 16, dropout: float = 0.1, initial_probability: float = 0.05
) -> SingleHead:
    """A baseline of about CM-Net's size, ready for the bundle's training.

    Args:
        name: "unet" (MONAI's BasicUNet, five levels, instance norm, 32 to 512 channels at base 16), "unet_batch_norm"
            (the same with batch norm), "modified_unet", "dynunet" (nnU-Net's architecture, six levels), "segresnet" or
            "swin_unetr".
        out_channels: segmentation channels: 1 with the label protocol "lumbar".
        base_channels: width, in the measure of CM-Net's ``base_channels``; the default nets have 6 to 21 million
            parameters, CM-Net 13 million.
        dropout: probability; where it acts is each network's own choice.
        initial_probability: see `SingleHead`.
    Raises:
        ValueError: there is no such baseline.

    >>> make_baseline("modified_unet", base_channels=8)(torch.zeros(1, 1, 64, 32)).shape  # centre, vertebra
    torch.Size([1, 2, 64, 32])
    """
    if name not in BASELINES:
        raise ValueError(f"a network is cmnet, cmnet_finest_head, {', '.join(sorted(BASELINES))}; got {name!r}")
    return SingleHead(_make(name, out_channels, base_channels, dropout), initial_probability)


def make_network(
    name: str = "cmnet",
    channel_names: Sequence[str] = ("centre", "vertebra"),
    base_channels: int = 16,
    dropout: float = 0.3,
    initial_probability: float = 0.5,
) -> nn.Module:
    """The network of some weights, by the names of its channels.

    Args:
        name: "cmnet", "cmnet_finest_head" (without deep supervision, see `finest_head_only`) or a name of
            `make_baseline`.
        channel_names: of the logits, see `cmnet_monai.conventions.channel_names`; "corner" may stand last.
        base_channels: see `CMNet`.
        dropout: see `CMNet`.
        initial_probability: see `CMNet`.
    Raises:
        ValueError: there is no such network.

    >>> network = make_network("cmnet", ("centre", "vertebra", "s1"), base_channels=8)
    >>> network.eval()(torch.zeros(1, 1, 64, 32)).shape
    torch.Size([1, 3, 64, 32])
    """
    if name not in ("cmnet", "cmnet_finest_head"):
        return make_baseline(name, len(channel_names) - 1, base_channels, dropout, initial_probability)
    channels = {f"{channel}_channel": channel in channel_names for channel in ("s1", "lumbar", "level", "corner")}
    network = CMNet(base_channels, dropout=dropout, initial_probability=initial_probability, **channels)
    return finest_head_only(network) if name == "cmnet_finest_head" else network


def finest_head_only(network: CMNet) -> CMNet:
    """Turn a new CM-Net's deep supervision off: its heads read the finest level alone.

    The heads' weights at the two coarser levels are set to 0 and frozen; the state_dict keeps its entries.

    Args:
        network: changed in place.
    Returns:
        The same network.

    >>> network = finest_head_only(CMNet(base_channels=8))
    >>> coarse = list(network.segmentation_head.coarse.parameters())
    >>> float(sum(weight.abs().sum() for weight in coarse)), any(weight.requires_grad for weight in coarse)
    (0.0, False)
    >>> network.eval()(torch.zeros(1, 1, 64, 32)).shape
    torch.Size([1, 2, 64, 32])
    """
    for head in (network.centre_head, network.segmentation_head):
        for layer in (head.middle, head.coarse):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
                parameter.requires_grad_(False)
    return network
