"""The training target: centre heatmap, vertebra mask and, for the visible protocol, S1."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_numpy, convert_to_tensor

from cmnet_monai.conventions import LUMBAR_PROTOCOL, S1_LABEL, VISIBLE_PROTOCOL
from cmnet_monai.transforms.centres import is_binary_mask, labels_of_protocol, whole_labels


class TargetFromLabel(Transform):
    """Stack what the network learns: channel 0 the centre heatmap, 1 the vertebrae, 2 S1 (protocol "visible" only).

    Of a binary mask (0 and 1, or 0 and 255) all is vertebra and nothing S1.

    Args:
        protocol: "lumbar": vertebra is L1-L5; "visible": every thoracic and lumbar body, with S1 as a further channel.
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self, protocol: str = LUMBAR_PROTOCOL) -> None:
        self.wanted = labels_of_protocol(protocol)
        self.protocol = protocol

    def __call__(  # type: ignore[override]
        self, label: NdarrayOrTensor, heatmap: NdarrayOrTensor
    ) -> torch.Tensor:
        """Build the target.

        Args:
            label: label map in VerSe codes or binary mask, (1, x, y).
            heatmap: centre heatmap, (1, x, y), 0 to 1.
        Returns:
            (2, x, y) or (3, x, y), float32, 0 to 1; a MetaTensor where ``label`` is one.
        Raises:
            ValueError: the two differ in size.
        """
        values = whole_labels(label)
        centre = np.asarray(convert_to_numpy(heatmap), dtype=np.float32)
        if centre.shape != (1, *values.shape):
            raise ValueError(f"The heatmap has shape {centre.shape}, the label map (x, y) = {values.shape}.")
        highest = max(int(values.max(initial=0)), S1_LABEL, *self.wanted)
        counts = np.zeros((2, highest + 1), dtype=np.float32)
        if is_binary_mask(values):
            counts[0, 1:] = 1.0
        else:
            counts[0, list(self.wanted)] = 1.0
            counts[1, S1_LABEL] = 1.0
        channels = [centre, counts[0][values][None]]
        if self.protocol == VISIBLE_PROTOCOL:
            channels.append(counts[1][values][None])
        target = np.concatenate(channels)
        return convert_to_dst_type(target, convert_to_tensor(label, track_meta=True), dtype=torch.float32)[0]


class TargetFromLabeld(MapTransform):
    """Dictionary version of :class:`TargetFromLabel`.

    Args:
        keys: the label map, one key.
        heatmap_key: the centre heatmap.
        target_key: where the target goes.
        protocol: "lumbar" or "visible".
        allow_missing_keys: ignore a key that is not in the data.
    """

    backend = TargetFromLabel.backend

    def __init__(
        self,
        keys: KeysCollection = "label",
        heatmap_key: str = "heatmap",
        target_key: str = "target",
        protocol: str = LUMBAR_PROTOCOL,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"TargetFromLabeld takes one key, got {self.keys}.")
        self.heatmap_key, self.target_key = heatmap_key, target_key
        self.stack = TargetFromLabel(protocol)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the target."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[self.target_key] = self.stack(d[key], d[self.heatmap_key])
        return d


TargetFromLabelD = TargetFromLabelDict = TargetFromLabeld
