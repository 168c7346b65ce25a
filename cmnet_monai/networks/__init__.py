"""The modified U-Net and CM-Net."""

from cmnet_monai.networks.cmnet import CMNet
from cmnet_monai.networks.modified_unet import ModifiedUNet

__all__ = ["CMNet", "ModifiedUNet"]
