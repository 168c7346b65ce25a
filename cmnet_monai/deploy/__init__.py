"""The bundle as one file, its network in other formats, and the licences that come along."""

from cmnet_monai.deploy.artifact import BUNDLE_NAME, package_bundle
from cmnet_monai.deploy.licences import PackageLicence, installed_licences, licences_page
from cmnet_monai.deploy.programs import FORMATS, export_network, export_torchscript

__all__ = [
    "BUNDLE_NAME",
    "FORMATS",
    "PackageLicence",
    "export_network",
    "export_torchscript",
    "installed_licences",
    "licences_page",
    "package_bundle",
]
