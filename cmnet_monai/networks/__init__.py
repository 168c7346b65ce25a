"""The modified U-Net, CM-Net, and the networks that it is compared with."""

from cmnet_monai.networks.baselines import SingleHead, finest_head_only, make_baseline, make_network
from cmnet_monai.networks.cmnet import CMNet, ModifiedUNet
from cmnet_monai.networks.export import export_onnx, export_program
from cmnet_monai.networks.inference import keep_freed_memory, prepare_for_inference
from cmnet_monai.networks.programs import OnnxNetwork, TensorRtNetwork

__all__ = [
    "CMNet",
    "ModifiedUNet",
    "OnnxNetwork",
    "SingleHead",
    "TensorRtNetwork",
    "export_onnx",
    "export_program",
    "finest_head_only",
    "keep_freed_memory",
    "make_baseline",
    "make_network",
    "prepare_for_inference",
]
