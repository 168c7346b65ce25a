"""The modified U-Net and CM-Net."""

from cmnet_monai.networks.cmnet import CMNet
from cmnet_monai.networks.inference import keep_freed_memory, prepare_for_inference
from cmnet_monai.networks.modified_unet import ModifiedUNet

__all__ = ["CMNet", "ModifiedUNet", "keep_freed_memory", "prepare_for_inference"]
