"""From probability maps to vertebrae: centres, single bodies, levels."""

from cmnet_monai.vertebrae.centres import CentrePeaks, find_centres
from cmnet_monai.vertebrae.crowding import drop_crowded, merge_crowded
from cmnet_monai.vertebrae.levels import NamedBody, name_levels
from cmnet_monai.vertebrae.parting import part_bodies
from cmnet_monai.vertebrae.reading import VertebraReading, read_maps

__all__ = [
    "CentrePeaks",
    "NamedBody",
    "VertebraReading",
    "drop_crowded",
    "find_centres",
    "merge_crowded",
    "name_levels",
    "part_bodies",
    "read_maps",
]
