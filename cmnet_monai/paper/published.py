"""The numbers that the source paper prints (Lim and Kim, 2023), for the experiments that answer them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Published:
    """A row of the paper.

    Args:
        title: what the paper calls it.
        values: by name of metric, see `METRICS`; "dice" is the paper's DSC, whichever way it was averaged.
        note: what is odd about it.
    """

    title: str
    values: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


def _row(dice: float, accuracy: float, precision: float, recall: float, average_precision: float) -> dict[str, float]:
    return {
        "dice": dice,
        "accuracy": accuracy,
        "precision": precision,
        "recall": recall,
        "average_precision": average_precision,
    }


UNET = Published("U-Net", _row(0.945, 0.996, 0.854, 0.892, 0.873))
MODIFIED = Published("Modified U-Net", _row(0.965, 0.996, 0.895, 0.867, 0.892))
CMNET = Published(
    "CM-Net",
    _row(0.974, 0.998, 0.916, 0.906, 0.912),
    "precision and recall give F1 0.911, not 0.974: the DSC was averaged another way, which the paper does not say",
)
THORACIC = Published("CM-Net, thoracic films", {"dice": 0.836, "precision": 0.912, "recall": 0.801, "accuracy": 0.982})
OTHER_MAKER = Published("CM-Net, films of another manufacturer", {"dice": 0.845})

PUBLISHED: Mapping[str, Mapping[str, Published]] = {
    "table1": {"unet": UNET, "modified_unet": MODIFIED, "cmnet": CMNET},
    "table2": {
        "unet": Published("U-Net", {"dice": 0.945}, "95 % interval 0.958-0.972, which does not hold its own mean"),
        "modified_unet": Published("Modified U-Net", {"dice": 0.965}, "95 % interval 0.956-0.976"),
        "cmnet": Published(
            "CM-Net", {"dice": 0.974}, "95 % interval 0.967-0.981; difference between the networks p < 0.001"
        ),
    },
    "table3": {
        "lumbar": Published("CM-Net, lumbar films", CMNET.values),
        "thoracic": THORACIC,
        "look_a_on_b": OTHER_MAKER,
    },
    "figures": {
        "unet": Published("U-Net", {"average_precision": 0.873}),
        "modified_unet": Published("Modified U-Net", {"average_precision": 0.892}),
        "cmnet": Published("CM-Net", {"average_precision": 0.912}),
    },
}
"""By experiment and variant."""
