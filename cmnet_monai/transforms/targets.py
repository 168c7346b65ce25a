"""The training target: centre heatmap, vertebra mask, landmarks of the protocol, and what no one outlined."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_numpy, convert_to_tensor

from cmnet_monai.conventions import (
    BODY_LABELS,
    LABEL_OF_LEVEL,
    LABELS_DOWNWARDS,
    LEVEL_CHANNEL,
    LEVEL_COORDINATE,
    LUMBAR_CHANNEL,
    LUMBAR_LABELS,
    LUMBAR_PROTOCOL,
    S1_CHANNEL,
    S1_LABEL,
    UNKNOWN_TARGET,
    VERTEBRA_CHANNEL,
    channel_names,
)
from cmnet_monai.transforms.centres import is_binary_mask, labels_of_protocol, whole_labels

_L1_AND_HIGHER = set(BODY_LABELS) - {LABEL_OF_LEVEL[level] for level in ("L2", "L3", "L4", "L5", "L6")}


class TargetFromLabel(Transform):
    """Stack what the network learns: channel 0 the centre heatmap, 1 the vertebrae, then what the protocol adds.

    Of a binary mask (0 and 1, or 0 and 255) all is vertebra and nothing S1; which part is lumbar is not known.

    Args:
        protocol: "lumbar": vertebra is L1-L5; "visible": every thoracic and lumbar body, with S1 as a further channel;
            "levels": as "visible", with L1-L5 as one channel more; "coordinate": as "levels", with the level of each
            body (`cmnet_monai.conventions.LEVEL_COORDINATE`) as one more, not known (-1) outside of bodies.
        open_top: what lies above the topmost outlined body counts as not known (-1, which `DualHeadDiceLoss` leaves
            out) in the channels of centres and vertebrae, and in that of L1-L5 where the topmost is below L1. For
            readers who stop at L1 or T12 although the film shows more. Not for protocol "lumbar", where nothing above
            L1 is vertebra, and not for binary masks.

    >>> label = np.zeros((1, 4, 6), dtype=np.uint8)
    >>> label[0, 1, 1], label[0, 2, 4] = 24, 26  # L5, S1
    >>> target = TargetFromLabel("visible")(label, np.zeros((1, 4, 6), dtype=np.float32))
    >>> target.shape, float(target[1].sum()), float(target[2].sum())  # centre, vertebra, S1
    (torch.Size([3, 4, 6]), 1.0, 1.0)
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self, protocol: str = LUMBAR_PROTOCOL, open_top: bool = False) -> None:
        self.wanted = labels_of_protocol(protocol)
        self.protocol = protocol
        self.channels = len(channel_names(protocol))
        self.open_top = open_top and self.channels > S1_CHANNEL

    def __call__(  # type: ignore[override]
        self, label: NdarrayOrTensor, heatmap: NdarrayOrTensor
    ) -> torch.Tensor:
        """Build the target.

        Args:
            label: label map in VerSe codes or binary mask, (1, x, y).
            heatmap: centre heatmap, (1, x, y), 0 to 1.
        Returns:
            (2 to 5, x, y), float32, 0 to 1 (-1 where not known); a MetaTensor where ``label`` is one.
        Raises:
            ValueError: the two differ in size.
        """
        values = whole_labels(label)
        centre = np.asarray(convert_to_numpy(heatmap), dtype=np.float32)
        if centre.shape != (1, *values.shape):
            raise ValueError(f"The heatmap has shape {centre.shape}, the label map (x, y) = {values.shape}.")
        highest = max(int(values.max(initial=0)), S1_LABEL, *self.wanted)
        binary = is_binary_mask(values)
        counts = np.zeros((LEVEL_CHANNEL + 1, highest + 1), dtype=np.float32)
        counts[LEVEL_CHANNEL] = UNKNOWN_TARGET
        if binary:
            counts[VERTEBRA_CHANNEL, 1:] = 1.0
            counts[LUMBAR_CHANNEL, 1:] = UNKNOWN_TARGET
        else:
            counts[VERTEBRA_CHANNEL, list(self.wanted)] = 1.0
            counts[S1_CHANNEL, S1_LABEL] = 1.0
            counts[LUMBAR_CHANNEL, list(LUMBAR_LABELS)] = 1.0
            for code in set(LEVEL_COORDINATE) & set(range(highest + 1)):
                counts[LEVEL_CHANNEL, code] = LEVEL_COORDINATE[code]
        target = np.concatenate([centre, counts[VERTEBRA_CHANNEL : self.channels, values]])
        if self.open_top and not binary:
            above = above_bodies(values)
            target[:S1_CHANNEL, above] = UNKNOWN_TARGET
            if not set(np.unique(values)) & _L1_AND_HIGHER:
                target[LUMBAR_CHANNEL : LUMBAR_CHANNEL + 1, above] = UNKNOWN_TARGET
        return convert_to_dst_type(target, convert_to_tensor(label, track_meta=True), dtype=torch.float32)[0]


def above_bodies(values: np.ndarray, margin: float = 0.15) -> np.ndarray:
    """Which pixels lie above the topmost body of a label map, along the axis from the second body to it.

    Args:
        values: label map in VerSe codes, (x, y).
        margin: pixels nearer to the topmost body than this share of its length along the axis do not count: the disc.
    Returns:
        (x, y), bool; all False with fewer than two bodies.
    """
    levels = [level for level in LABELS_DOWNWARDS if level != S1_LABEL and (values == level).any()]
    if len(levels) < 2:
        return np.zeros(values.shape, dtype=bool)
    first, second = (np.argwhere(values == level) for level in levels[:2])
    axis = first.mean(axis=0) - second.mean(axis=0)
    axis /= max(float(np.hypot(*axis)), 1e-6)
    reach = first @ axis
    border = reach.max() + margin * (reach.max() - reach.min())
    x, y = np.arange(values.shape[0])[:, None], np.arange(values.shape[1])[None, :]
    return np.asarray(x * axis[0] + y * axis[1] > border)


class TargetFromLabeld(MapTransform):
    """Dictionary version of :class:`TargetFromLabel`.

    Args:
        keys: the label map, one key.
        heatmap_key: the centre heatmap.
        target_key: where the target goes.
        protocol: see :class:`TargetFromLabel`.
        open_top: see :class:`TargetFromLabel`.
        allow_missing_keys: ignore a key that is not in the data.

    >>> label = np.zeros((1, 4, 6), dtype=np.uint8)
    >>> label[0, 1:3, 2], label[0, 1:3, 4] = 20, 21  # L1 above L2
    >>> item = {"label": label, "heatmap": np.zeros((1, 4, 6), dtype=np.float32)}
    >>> target = TargetFromLabeld(protocol="visible", open_top=True)(item)["target"]
    >>> target[1, 1].tolist()  # the reader stopped at L1: what is above it is not known
    [-1.0, -1.0, 1.0, 0.0, 1.0, 0.0]
    """

    backend = TargetFromLabel.backend

    def __init__(
        self,
        keys: KeysCollection = "label",
        heatmap_key: str = "heatmap",
        target_key: str = "target",
        protocol: str = LUMBAR_PROTOCOL,
        open_top: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"TargetFromLabeld takes one key, got {self.keys}.")
        self.heatmap_key, self.target_key = heatmap_key, target_key
        self.stack = TargetFromLabel(protocol, open_top)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the target."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[self.target_key] = self.stack(d[key], d[self.heatmap_key])
        return d


TargetFromLabelD = TargetFromLabelDict = TargetFromLabeld
