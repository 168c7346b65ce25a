"""The Dice losses of both heads, summed."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules.loss import _Loss

from cmnet_monai.conventions import CENTRE_CHANNEL, LEVEL_CHANNEL, LEVEL_STEP, VERTEBRA_CHANNEL

SURELY_NOT = -30.0
"""A logit whose probability is 0 in float32 sums."""


class DualHeadDiceLoss(_Loss):
    """Weighted sum of the centre head's and the segmentation head's Dice losses.

    loss = w_centre Dice(centre) + w_seg Dice(vertebra, S1, lumbar) + bce_weight BCE + w_level error of the level. The
    Dice of the segmentation head is the mean over its channels. The level has no part in Dice and BCE. With both
    weights 0.5 it is (L_seg + L_centre) / 2 of Lim and Kim (2023). The centre target is a heatmap, so Dice uses soft
    labels (Wang et al., 2023): it is 0 only where prediction and heatmap agree.
    Pixels whose target is negative (`cmnet_monai.conventions.UNKNOWN_TARGET`) are left out.

    Args:
        w_centre: weight of the centre head's Dice.
        w_seg: weight of the segmentation head's Dice.
        bce_weight: weight of an additional binary cross-entropy, the mean over all channels and pixels, to which
            pixels that are left out add 0.
        level_channel: whether `cmnet_monai.conventions.LEVEL_CHANNEL` is there; its error is in levels and counts where
            the target is known, inside outlined bodies: half its square up to half a level, then linear (Huber).
        w_level: weight of that error.
        squared_pred: squares in the denominator, as in V-Net (Milletari et al., 2016).
        batch: sum over the films of a batch before dividing, so that a film without a structure (S1 out of view) does
            not contribute a Dice of its own. False: every film counts alike.
        smooth_nr: added to the numerator.
        smooth_dr: added to the denominator; avoids 0 / 0 where target and prediction are empty.

    Raises:
        ValueError: a weight is negative or all are zero; in forward, the shapes differ or have fewer than two channels.

    >>> target = torch.zeros(1, 2, 8, 8)
    >>> target[:, :, 2:6, 2:6] = 1
    >>> right, wrong = 20 * (2 * target - 1), 20 * (1 - 2 * target)  # logits
    >>> loss = DualHeadDiceLoss()
    >>> round(float(loss(right, target)), 3), round(float(loss(wrong, target)), 3)
    (0.0, 1.0)
    """

    def __init__(
        self,
        w_centre: float = 0.5,
        w_seg: float = 0.5,
        bce_weight: float = 0.0,
        level_channel: bool = False,
        w_level: float = 0.1,
        squared_pred: bool = False,
        batch: bool = False,
        smooth_nr: float = 1e-5,
        smooth_dr: float = 1e-5,
    ) -> None:
        super().__init__()
        weights = {"w_centre": w_centre, "w_seg": w_seg, "bce_weight": bce_weight}
        if min(*weights.values(), w_level) < 0 or max(weights.values()) == 0:
            raise ValueError(f"The weights must not be negative and one must be positive, got {weights}")
        self.w_centre = float(w_centre)
        self.w_seg = float(w_seg)
        self.bce_weight = float(bce_weight)
        self.level_channel, self.w_level = level_channel, float(w_level)
        self.dice = DiceLoss(
            sigmoid=True,
            soft_label=True,
            squared_pred=squared_pred,
            batch=batch,
            smooth_nr=smooth_nr,
            smooth_dr=smooth_dr,
        )

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compare logits (B, 2 to 5, W, H) with a target of the same shape and range 0..1; returns a scalar."""
        if input.shape != target.shape or input.dim() < 3 or input.shape[1] <= VERTEBRA_CHANNEL:
            raise ValueError(
                "Logits and target must both be (B, 2 to 5, W, H): centre, vertebra, S1, lumbar and level, "
                f"got logits {tuple(input.shape)} and target {tuple(target.shape)}"
            )
        if self.level_channel and input.shape[1] <= LEVEL_CHANNEL:
            raise ValueError(f"there is no level channel {LEVEL_CHANNEL} in logits of shape {tuple(input.shape)}")
        target = target.to(input.dtype)
        level = torch.zeros((), dtype=input.dtype, device=input.device)
        if self.level_channel:
            level = level_error(input[:, LEVEL_CHANNEL], target[:, LEVEL_CHANNEL])
            others = [i for i in range(input.shape[1]) if i != LEVEL_CHANNEL]
            input, target = input[:, others], target[:, others]
        unknown = target < 0
        if unknown.any():
            # A pixel that is surely background in both adds nothing to any sum, and has no gradient.
            input, target = input.masked_fill(unknown, SURELY_NOT), target.masked_fill(unknown, 0.0)
        centre = slice(CENTRE_CHANNEL, CENTRE_CHANNEL + 1)
        segmentation = slice(VERTEBRA_CHANNEL, None)
        loss = self.w_centre * self.dice(input[:, centre], target[:, centre])
        loss = loss + self.w_seg * self.dice(input[:, segmentation], target[:, segmentation])
        if self.bce_weight > 0:
            loss = loss + self.bce_weight * F.binary_cross_entropy_with_logits(input, target)
        return torch.as_tensor(loss + self.w_level * level)


def level_error(input: Tensor, target: Tensor) -> Tensor:
    """Mean Huber error in levels of the sigmoid of logits, over the pixels whose target is known; 0 without any.

    Args:
        input: logits of the level channel, any shape.
        target: `cmnet_monai.conventions.LEVEL_COORDINATE` inside bodies, negative elsewhere; same shape.

    >>> target = torch.tensor([0.15, 0.25, -1.0])  # L5, L4, and outside
    >>> round(float(level_error(torch.logit(torch.tensor([0.15, 0.35, 0.9])), target)), 4)  # (0 + (1 - 0.5 / 2)) / 2
    0.375
    """
    known = target >= 0
    wrong = (input.sigmoid() - target)[known] / LEVEL_STEP
    if not wrong.numel():
        return input.sum() * 0.0
    return F.smooth_l1_loss(wrong, torch.zeros_like(wrong), beta=0.5)
