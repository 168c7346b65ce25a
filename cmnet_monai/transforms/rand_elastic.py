"""Random smooth deformation of a film, its label map and its centres."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor, get_track_meta
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import TransformBackends, convert_to_tensor, ensure_tuple_rep
from torch.nn import functional as F

_INVERSE_STEPS = 12


class RandElasticd(MapTransform, RandomizableTransform):
    """Bend films by a smooth random displacement, images and label maps alike, and carry points along.

    The displacement is interpolated (bicubic) from random vectors at a few control points, so neighbouring vertebrae
    move, tilt and change their size a little, each in its own way. MONAI's Rand2DElastic does not carry points, and its
    deformation cannot be found from the affine afterwards; hence this class. Not invertible: for training.

    Args:
        keys: images and label maps, (C, x, y), of one size.
        points_key: points (N, 2), (x, y) in pixels of that grid, moved with the image; None or absent: none.
        prob: probability of a deformation.
        magnitude_px: largest standard deviation of the vectors along each axis; each film draws its own below it.
        control: number of control points along (x, y).
        mode: "bilinear" or "nearest", one for each key.
        allow_missing_keys: ignore keys that are not in the data.
    Raises:
        ValueError: the images differ in size.

    >>> bend = RandElasticd(["image", "label"], prob=1.0, magnitude_px=3.0)
    >>> _ = bend.set_random_state(seed=0)
    >>> label = torch.zeros(1, 64, 96)
    >>> label[0, 28:33, 50:55] = 22
    >>> points = torch.tensor([[30.0, 52.0]])
    >>> bent = bend({"image": label / 22, "label": label, "points": points})
    >>> centre = bent["label"][0].nonzero().float().mean(dim=0)
    >>> bool((centre - points[0]).norm() > 2), bool((centre - bent["points"][0]).norm() < 0.5)  # the point went along
    (True, True)
    >>> bent["label"].unique().tolist()  # labels are never mixed
    [0.0, 22.0]
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        keys: KeysCollection,
        points_key: str | None = "points",
        prob: float = 0.5,
        magnitude_px: float = 4.0,
        control: Sequence[int] = (5, 8),
        mode: str | Sequence[str] = ("bilinear", "nearest"),
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.points_key, self.magnitude_px, self.control = points_key, magnitude_px, tuple(control)
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        self._vectors = np.zeros((2, *self.control))

    def randomize(self, data: Any = None) -> None:
        """Draw the vectors at the control points, (2, x, y), in pixels."""
        super().randomize(None)
        scale = self.R.uniform(0.0, self.magnitude_px)
        self._vectors = self.R.normal(0.0, scale, size=(2, *self.control))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Deform every key in the same way."""
        d = dict(data)
        self.randomize()
        present = list(self.key_iterator(d, self.mode))
        if not self._do_transform or not present:
            return d
        sizes = {tuple(d[key].shape[1:]) for key, _ in present}
        if len(sizes) > 1:
            raise ValueError(f"RandElasticd deforms images of one size, got (x, y) = {sorted(sizes)}.")
        move = displacement(self._vectors, sizes.pop())
        for key, mode in present:
            d[key] = warp(convert_to_tensor(d[key], track_meta=get_track_meta()), move, mode)
        if self.points_key is not None and self.points_key in d:
            d[self.points_key] = carry_points(d[self.points_key], move)
        return d


def displacement(vectors: np.ndarray, spatial_size: Sequence[int]) -> torch.Tensor:
    """Displacement (2, x, y) in pixels of a grid, from vectors (2, m, n) at control points that span it."""
    coarse = torch.from_numpy(np.asarray(vectors, dtype=np.float32))[None]
    return F.interpolate(coarse, size=tuple(spatial_size), mode="bicubic", align_corners=True)[0]


def warp(image: torch.Tensor, move: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Image (C, x, y) whose pixel p shows what lay at ``p + move(p)``; 0 outside. Metadata stays."""
    nx, ny = move.shape[1:]
    x = torch.arange(nx, dtype=torch.float32)[:, None] + move[0]
    y = torch.arange(ny, dtype=torch.float32)[None, :] + move[1]
    # grid_sample takes (last axis, first axis), -1 to 1 from the first to the last pixel centre.
    grid = torch.stack([2 * y / max(ny - 1, 1) - 1, 2 * x / max(nx - 1, 1) - 1], dim=-1)[None]
    plain = image.as_tensor() if isinstance(image, MetaTensor) else image
    moved = F.grid_sample(plain[None].float(), grid, mode=mode, padding_mode="zeros", align_corners=True)[0]
    return (
        MetaTensor(moved, meta=image.meta, applied_operations=image.applied_operations)
        if isinstance(image, MetaTensor)
        else moved
    )


def carry_points(points: torch.Tensor, move: torch.Tensor) -> torch.Tensor:
    """Where points (N, 2) of an image lie after `warp` with ``move``: p with ``p + move(p) = q``, by iteration."""
    plain = points.as_tensor() if isinstance(points, MetaTensor) else torch.as_tensor(points)
    goal = plain.to(torch.float32)
    size = torch.tensor(move.shape[1:], dtype=torch.float32)
    moved = goal.clone()
    for _ in range(_INVERSE_STEPS):
        at = 2 * moved / (size - 1).clamp(min=1) - 1
        found = F.grid_sample(
            move[None], at.flip(-1)[None, None], mode="bilinear", padding_mode="border", align_corners=True
        )
        moved = goal - found[0, :, 0].T
    return MetaTensor(moved, meta=points.meta) if isinstance(points, MetaTensor) else moved


RandElasticD = RandElasticDict = RandElasticd
