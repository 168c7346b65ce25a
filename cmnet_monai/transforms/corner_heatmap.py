"""Corners of the bodies as one channel more of the training target, the further work that CM-Net's authors name."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type

from cmnet_monai.conventions import LUMBAR_PROTOCOL
from cmnet_monai.morphometry import find_body_points
from cmnet_monai.transforms.centres import is_binary_mask, labels_of_protocol, whole_labels
from cmnet_monai.transforms.heatmap import CentreHeatmap


class AppendCornersd(MapTransform):
    """Append a heatmap of the four corners of every body to the target, as its last channel.

    All corners share one channel, so a flipped film needs no renaming. Corners are those of
    `vertebrae.find_body_points`; a body at the edge of the grid or without four sides has none, and neither have the
    bodies of a binary mask.

    Args:
        keys: the label map in VerSe codes, (1, x, y), one key.
        target_key: the target of `TargetFromLabeld`, (C, x, y); it becomes (C + 1, x, y).
        protocol: whose bodies: "lumbar", "visible" or "levels".
        sigma_px: standard deviation of a corner's Gaussian, in pixels of the grid.
        allow_missing_keys: ignore a key that is not in the data.

    >>> label = np.zeros((1, 60, 80), dtype=np.uint8)
    >>> label[0, 10:40, 20:40] = 22  # L3; its corners are half a pixel beyond the pixels' middles
    >>> target = AppendCornersd()({"label": label, "target": torch.zeros(2, 60, 80)})["target"]
    >>> target.shape, (target[2] > 0.95).nonzero().float().mean(dim=0).tolist()  # four corners, the body's middle
    (torch.Size([3, 60, 80]), [24.5, 29.5])
    >>> [bool(target[2, x, y] > 0.95) for x, y in ((10, 20), (39, 20), (39, 39), (10, 39), (25, 30))]
    [True, True, True, True, False]
    """

    def __init__(
        self,
        keys: KeysCollection = "label",
        target_key: str = "target",
        protocol: str = LUMBAR_PROTOCOL,
        sigma_px: float = 4.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.target_key = target_key
        self.wanted = labels_of_protocol(protocol)
        self.render = CentreHeatmap(sigma_px)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Lengthen the target."""
        d = dict(data)
        for key in self.key_iterator(d):
            corners = corners_of(whole_labels(d[key]), self.wanted)
            target = d[self.target_key]
            heatmap = convert_to_dst_type(self.render(corners, target.shape[1:]), target)[0]
            d[self.target_key] = torch.cat((target, heatmap))
        return d


AppendCornersD = AppendCornersDict = AppendCornersd


def corners_of(values: np.ndarray, wanted: tuple[int, ...]) -> np.ndarray:
    """Corners of the bodies of a label map.

    Args:
        values: (x, y), VerSe codes.
        wanted: labels of the bodies that count.
    Returns:
        (N, 2), (x, y) px, four for each body that has them.
    """
    found = [np.empty((0, 2))]
    present = [] if is_binary_mask(values) else [label for label in wanted if (values == label).any()]
    for label in present:
        where = np.argwhere(values == label)
        low, high = where.min(axis=0), where.max(axis=0)
        if (low == 0).any() or (high == np.array(values.shape) - 1).any():
            continue
        region = np.pad(values[low[0] : high[0] + 1, low[1] : high[1] + 1] == label, 2)
        try:
            corners = find_body_points(region, "left").corners_xy_px
        except ValueError:
            continue
        found.append(np.asarray(corners) + low - 2)
    return np.concatenate(found)
