"""From probability maps to named vertebrae: centres, single bodies, levels."""

from cmnet_monai.decode.centres import CentrePeaks, find_centres
from cmnet_monai.decode.confidence import Calibration, fit_calibration, uncertainties
from cmnet_monai.decode.given_centres import SAID_BY_USER, GivenCentres, heed_levels
from cmnet_monai.decode.instances import part_bodies
from cmnet_monai.decode.levels import NamedBody, name_levels
from cmnet_monai.decode.pipeline import VertebraReading, read_maps
from cmnet_monai.decode.suppression import drop_crowded, merge_crowded, with_given

__all__ = [
    "SAID_BY_USER",
    "Calibration",
    "CentrePeaks",
    "GivenCentres",
    "NamedBody",
    "VertebraReading",
    "drop_crowded",
    "find_centres",
    "fit_calibration",
    "heed_levels",
    "merge_crowded",
    "name_levels",
    "part_bodies",
    "read_maps",
    "uncertainties",
    "with_given",
]
