"""The numbers that the source paper prints (Lim and Kim, 2023)."""

from __future__ import annotations

from collections.abc import Mapping

_NUMBERS = ("dice", "accuracy", "precision", "recall", "average_precision")
_AUPRC = "average_precision"
_BOTH = {
    "lumbar": ("CM-Net, lumbar films", dict(zip(_NUMBERS, (0.974, 0.998, 0.916, 0.906, 0.912))), ""),
    "thoracic": ("CM-Net, thoracic films", {"dice": 0.836, "precision": 0.912, "recall": 0.801, "accuracy": 0.982}, ""),
    "domain_a_on_b": ("CM-Net, films of another manufacturer", {"dice": 0.845}, ""),
}
PUBLISHED: Mapping[str, Mapping[str, tuple[str, Mapping[str, float], str]]] = {
    "table1": {
        "unet": ("U-Net", dict(zip(_NUMBERS, (0.945, 0.996, 0.854, 0.892, 0.873))), ""),
        "modified_unet": ("Modified U-Net", dict(zip(_NUMBERS, (0.965, 0.996, 0.895, 0.867, 0.892))), ""),
        "cmnet": (
            "CM-Net",
            _BOTH["lumbar"][1],
            "precision and recall give F1 0.911, not 0.974: the DSC was averaged another way, which the paper does not "
            "say",
        ),
    },
    "table2": {
        "unet": ("U-Net", {"dice": 0.945}, "95 % interval 0.958-0.972, which does not hold its own mean"),
        "modified_unet": ("Modified U-Net", {"dice": 0.965}, "95 % interval 0.956-0.976"),
        "cmnet": ("CM-Net", {"dice": 0.974}, "95 % interval 0.967-0.981; difference between the networks p < 0.001"),
    },
    "table3": _BOTH,
    "figures": {
        "unet": ("U-Net", {_AUPRC: 0.873}, ""),
        "modified_unet": ("Modified U-Net", {_AUPRC: 0.892}, ""),
        "cmnet": ("CM-Net", {_AUPRC: 0.912}, ""),
    },
}
"""By experiment and row: its title, values and what is odd about it; "dice" is the paper's DSC, however averaged."""
