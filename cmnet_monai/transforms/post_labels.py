"""The label map of a film: every level by its code."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type, convert_to_numpy

from cmnet_monai.conventions import LABEL_OF_LEVEL, LUMBAR


class LabelMapd(MapTransform):
    """Turn the two level maps of `SelectVertebraed`, back on the film's grid, into label map and mask.

    A pixel bears the nearest label where it is more likely than not inside what bears that label. The mask is the
    part of the label map that holds the chosen levels, so the two never disagree.

    Args:
        keys: the map of nearest labels, (1, x, y), one key; it becomes the label map in VerSe codes, uint8.
        inside_key: the probability of being inside what bears the label, (1, x, y).
        mask_key: where the mask of the chosen levels goes, (1, x, y), 0 or 1, uint8.
        levels: names of the mask's levels.
        threshold: least probability inside a body.
        allow_missing_keys: do not raise where a key is missing.

    >>> item = {"labels": np.array([[[20.0, 20.0], [26.0, 26.0]]]), "inside": np.array([[[0.9, 0.2], [0.8, 0.1]]])}
    >>> done = LabelMapd()(item)
    >>> done["labels"].tolist(), done["pred"].tolist()  # L1 and S1; the mask holds L1-L5 alone
    ([[[20, 0], [26, 0]]], [[[1, 0], [0, 0]]])
    """

    def __init__(
        self,
        keys: KeysCollection = "labels",
        inside_key: str = "inside",
        mask_key: str = "pred",
        levels: Sequence[str] = LUMBAR,
        threshold: float = 0.5,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"LabelMapd takes one key, got {self.keys}.")
        self.inside_key, self.mask_key, self.threshold = inside_key, mask_key, threshold
        self.codes = [LABEL_OF_LEVEL[level] for level in levels]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write label map and mask."""
        result = dict(data)
        for key in self.key_iterator(result):
            nearest = np.rint(convert_to_numpy(result[key])).astype(np.uint8)
            labels = np.where(convert_to_numpy(result[self.inside_key]) >= self.threshold, nearest, 0)
            mask = np.isin(labels, self.codes).astype(np.uint8)
            like = result[key]
            result[key] = convert_to_dst_type(labels, like, dtype=torch.uint8)[0]
            result[self.mask_key] = convert_to_dst_type(mask, like, dtype=torch.uint8)[0]
        return result


LabelMapD = LabelMapDict = LabelMapd
