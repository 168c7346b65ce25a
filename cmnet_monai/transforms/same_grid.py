"""A label map laid on its film's grid."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform


class SameGridd(MapTransform):
    """Give label maps the affine of their film, pixel for pixel.

    A label map is often a PNG without spacing while its film is a DICOM file with one; without this step, points found
    on the label map would be carried to other places of the film.

    Args:
        keys: label maps, (C, x, y), as they were read.
        refer_key: the film, (C, x, y), as it was read.
        allow_missing_keys: ignore keys that are not in the data.

    Raises:
        ValueError: when called, a label map and its film differ in size.

    >>> import torch
    >>> film = MetaTensor(torch.zeros(1, 3, 5), affine=torch.diag(torch.tensor([-0.25, -0.5, 1.0])))
    >>> SameGridd("label")({"image": film, "label": torch.ones(1, 3, 5)})["label"].affine.diagonal().tolist()
    [-0.25, -0.5, 1.0]
    >>> SameGridd("label")({"image": film, "label": torch.ones(1, 5, 3)})
    Traceback (most recent call last):
        ...
    ValueError: the film: its label is (5, 3) pixels (x, y), the film (3, 5); make the label map at the film's own size
    """

    def __init__(self, keys: KeysCollection, refer_key: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.refer_key = refer_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Lay every label map on the grid of the film."""
        result = dict(data)
        film = result[self.refer_key]
        for key in self.key_iterator(result):
            label = result[key]
            if tuple(label.shape[1:]) != tuple(film.shape[1:]):
                name = film.meta.get("filename_or_obj", "the film") if isinstance(film, MetaTensor) else "the film"
                raise ValueError(
                    f"{name}: its {key} is {tuple(label.shape[1:])} pixels (x, y), the film {tuple(film.shape[1:])}; "
                    "make the label map at the film's own size"
                )
            if isinstance(film, MetaTensor):
                laid = label.clone() if isinstance(label, MetaTensor) else MetaTensor(label)
                laid.affine = film.affine.clone()
                laid.meta["original_affine"] = film.affine.clone()
                result[key] = laid
        return result


SameGridD = SameGridDict = SameGridd
