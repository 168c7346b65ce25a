"""From probability maps to named vertebrae: centres, candidates, the likeliest chain of levels."""

from cmnet_monai.decode.centres import CentrePeaks, find_centres
from cmnet_monai.decode.confidence import Calibration, fit_calibration, uncertainties
from cmnet_monai.decode.given_centres import SAID_BY_USER, GivenCentres, heed_levels
from cmnet_monai.decode.instances import part_bodies
from cmnet_monai.decode.naming import NamingModel, name_candidates, shipped_model
from cmnet_monai.decode.pipeline import NamedBody, VertebraReading, read_maps
from cmnet_monai.decode.suppression import drop_crowded, with_given

__all__ = [
    "SAID_BY_USER",
    "Calibration",
    "CentrePeaks",
    "GivenCentres",
    "NamedBody",
    "NamingModel",
    "VertebraReading",
    "drop_crowded",
    "find_centres",
    "fit_calibration",
    "heed_levels",
    "name_candidates",
    "part_bodies",
    "read_maps",
    "shipped_model",
    "uncertainties",
    "with_given",
]
