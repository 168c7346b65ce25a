"""CM-Net for lateral lumbar radiographs: reader, transforms, networks, losses and workflows on MONAI."""

from cmnet_monai._version import __version__

__all__ = ["__version__"]
