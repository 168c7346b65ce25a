"""A film's result as a volume of one slice, for programs that know no flat images."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from monai.transforms import MapTransform
from monai.utils import TransformBackends, convert_to_numpy, convert_to_tensor


class AsVolumed(MapTransform):
    """Give maps a third axis of length 1 and a (4, 4) affine, and say the same in the film's metadata.

    MONAI Label's `Restored` and `Writer` take the shape and the affine of the image's metadata for those of the result;
    with a flat film the geometry would be lost or the writer fail.

    Args:
        keys: maps (C, x, y) on the film's grid; they become (C, x, y, 1).
        refer_key: the film, whose ``spatial_shape`` and ``original_affine`` become those of the volume.
        allow_missing_keys: ignore keys that are not in the data.

    >>> affine = torch.tensor(np.diag([-0.2, -0.3, 1.0]))
    >>> film, mask = (MetaTensor(torch.zeros(1, 30, 50), affine=affine) for _ in range(2))
    >>> done = AsVolumed("mask")({"image": film, "mask": mask})
    >>> done["mask"].shape, done["mask"].affine.diagonal().tolist()
    (torch.Size([1, 30, 50, 1]), [-0.2, -0.3, 1.0, 1.0])
    >>> done["image"].meta["spatial_shape"].tolist()
    [30, 50, 1]
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, keys: KeysCollection, refer_key: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.refer_key = refer_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the axis."""
        d = dict(data)
        film = d.get(self.refer_key)
        for key in self.key_iterator(d):
            flat = convert_to_tensor(d[key], track_meta=True)
            affine = film.meta.get("original_affine", flat.affine) if isinstance(film, MetaTensor) else flat.affine
            affine = torch.as_tensor(to_affine_nd(3, np.asarray(convert_to_numpy(affine), dtype=np.float64)))
            d[key] = MetaTensor(flat.as_tensor().unsqueeze(-1), affine=affine)
            if isinstance(film, MetaTensor):
                told = film.clone()
                told.meta["spatial_shape"] = np.array(d[key].shape[1:])
                told.meta["original_affine"] = affine
                d[self.refer_key] = told
        return d


AsVolumeD = AsVolumeDict = AsVolumed
