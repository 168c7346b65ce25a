"""The dual-head Dice loss."""

from cmnet_monai.losses.dual_head_dice import DualHeadDiceLoss

__all__ = ["DualHeadDiceLoss"]
