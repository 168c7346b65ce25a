"""Random scaling, rotation and shift that keep the aspect ratio, for an image and its label map alike."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection, SequenceStr
from monai.transforms import RandAffined, RandAffineGrid, Resample


class _SameScaleGrid(RandAffineGrid):
    """MONAI's random affine grid with one magnification for all axes, drawn evenly on a logarithmic scale."""

    def __init__(self, log_magnification: tuple[float, float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.log_magnification = log_magnification

    def randomize(self, data: Any | None = None) -> None:
        """Draw the parameters; a grid stretched by 1/m magnifies the image by m."""
        super().randomize(data)
        self.scale_params = [math.exp(-self.R.uniform(*self.log_magnification))] * 2


class RandSimilarityd(RandAffined):
    """``RandAffined`` with one magnification for both axes: a vertebra changes its size, but not its shape.

    MONAI's own draws a factor for each axis. Interpolation is done in float32. Invertible and recorded as
    ``RandAffined`` is. Within ``Compose(lazy=True)`` pending steps are carried out before it and it is carried out at
    once: a pending ``RandAffined`` forgets its mode, so that label maps would come out interpolated.

    Args:
        keys: arrays (C, x, y) on one grid.
        prob: probability of the change.
        magnification: smallest and largest; both positive.
        rotation_deg: largest rotation either way.
        translation_px: largest shift along (x, y) either way, in pixels.
        spatial_size: (x, y) size of the result; None for that of the input. A fixed size saves making the grid anew.
        mode: "bilinear" or "nearest", one for all keys or one for each.
        padding_mode: "zeros", "border" or "reflection".
        allow_missing_keys: ignore keys that are not in the data.

    >>> import torch
    >>> label = torch.zeros(1, 64, 96)
    >>> label[:, 20:40, 30:60] = 24
    >>> move = RandSimilarityd("label", prob=1.0, rotation_deg=10, mode="nearest").set_random_state(seed=0)
    >>> moved = move({"label": label})["label"]
    >>> moved.shape, moved.unique().tolist()  # no value between background and label
    (torch.Size([1, 64, 96]), [0.0, 24.0])
    """

    backend = RandAffined.backend

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.8,
        magnification: tuple[float, float] = (0.8, 1.25),
        rotation_deg: float = 20.0,
        translation_px: Sequence[float] = (0.0, 0.0),
        spatial_size: Sequence[int] | None = None,
        mode: SequenceStr = "bilinear",
        padding_mode: SequenceStr = "zeros",
        allow_missing_keys: bool = False,
    ) -> None:
        low, high = magnification
        if not 0 < low <= high:
            raise ValueError(f"magnification must be two positive rising numbers, got {magnification}.")
        super().__init__(
            keys,
            spatial_size=tuple(spatial_size) if spatial_size is not None else None,
            prob=prob,
            mode=mode,
            padding_mode=padding_mode,
            cache_grid=spatial_size is not None,
            allow_missing_keys=allow_missing_keys,
        )
        angle = math.radians(rotation_deg)
        self.rand_affine.rand_affine_grid = _SameScaleGrid(
            (math.log(low), math.log(high)),
            rotate_range=[(-angle, angle)],
            translate_range=[(-abs(shift), abs(shift)) for shift in translation_px],
        )
        self.rand_affine.resampler = Resample(dtype=np.float32)

    @property
    def requires_current_data(self) -> bool:
        """Pending steps are carried out first."""
        return True

    def __call__(self, data: Mapping[Hashable, Any], lazy: bool | None = None) -> dict[Hashable, Any]:
        """Change the arrays under ``keys``, all in the same way; never pending, whatever ``lazy`` says."""
        return dict(super().__call__(data, lazy=False))


RandSimilarityD = RandSimilarityDict = RandSimilarityd
