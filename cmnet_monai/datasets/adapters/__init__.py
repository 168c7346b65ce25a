"""Public data sets, one module a format: each lists the films of a folder with their annotations as `Case`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from cmnet_monai.datasets.adapters.buu_lspine import find_buu_lspine
from cmnet_monai.datasets.adapters.folder import find_folder
from cmnet_monai.datasets.adapters.mendeley import find_mendeley
from cmnet_monai.datasets.adapters.polygons import find_coco, find_labelme
from cmnet_monai.datasets.adapters.records import Case, Options, Outline, Pending
from cmnet_monai.datasets.adapters.verse import find_verse

ADAPTERS: Mapping[str, Callable[[Path, Options], list[Pending]]] = MappingProxyType(
    {
        "buu-lspine": find_buu_lspine,
        "mendeley": find_mendeley,
        "verse": find_verse,
        "coco": find_coco,
        "labelme": find_labelme,
        "folder": find_folder,
    }
)
"""The function that lists a format's cases, by the name of the format."""

__all__ = ["ADAPTERS", "Case", "Options", "Outline", "Pending"]
