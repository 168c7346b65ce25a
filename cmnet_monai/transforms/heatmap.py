"""The centre heatmap: one channel, the maximum of one Gaussian a vertebra."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_numpy, ensure_tuple_rep


class CentreHeatmap(Transform):
    """Render points as one map: at each pixel the largest of ``exp(-d^2 / (2 sigma^2))``, d its distance to a point.

    The peak is 1 at the point itself, wherever it lies between the pixels, so a pixel shows 1 only if the point hits
    its centre, and the point can be read back below a pixel (``vertebrae.find_centres``). Beyond ``truncate`` sigma
    the map is 0. (MONAI's GenerateHeatmap rounds points to whole pixels and blurs the full grid once a point.)

    Args:
        sigma_px: standard deviation, in pixels of the grid.
        truncate: radius of the rendered square, in sigma.

    >>> heatmap = CentreHeatmap(sigma_px=2.0)(np.array([[3.0, 5.0]]), (8, 12))
    >>> heatmap.shape, float(heatmap[0, 3, 5]), round(float(heatmap[0, 5, 5]), 3)  # exp(-0.5) at one sigma
    (torch.Size([1, 8, 12]), 1.0, 0.607)
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, sigma_px: float = 8.0, truncate: float = 4.0) -> None:
        if not (math.isfinite(sigma_px) and sigma_px > 0 and truncate > 0):
            raise ValueError(f"sigma_px and truncate must be positive, got {sigma_px} and {truncate}.")
        self.sigma_px = float(sigma_px)
        self.truncate = float(truncate)

    def __call__(  # type: ignore[override]
        self, points: NdarrayOrTensor, spatial_size: Sequence[int]
    ) -> torch.Tensor:
        """Render the points.

        Args:
            points: (N, 2), (x, y) in pixels; N may be 0. Points outside the grid show what of them reaches in.
            spatial_size: (x, y) size of the grid.
        Returns:
            (1, x, y), float32, 0 to 1.
        Raises:
            ValueError: ``points`` is not (N, 2) or not finite.
        """
        xy = np.asarray(convert_to_numpy(points), dtype=np.float64)
        if xy.ndim != 2 or xy.shape[1] != 2:
            raise ValueError(f"Points have shape (N, 2), (x, y), got {tuple(xy.shape)}.")
        if not np.isfinite(xy).all():
            raise ValueError("A point is not finite: drop such points before the heatmap is rendered.")
        out = np.zeros(tuple(spatial_size), dtype=np.float32)
        for point in xy:
            (x0, gx), (y0, gy) = (self._profile(centre, size) for centre, size in zip(point, out.shape))
            window = out[x0 : x0 + len(gx), y0 : y0 + len(gy)]
            np.maximum(window, np.multiply.outer(gx, gy), out=window)
        return torch.from_numpy(out[None])

    def _profile(self, centre: float, size: int) -> tuple[int, np.ndarray]:
        """First pixel and values of the one-dimensional Gaussian that lie on an axis of ``size`` pixels."""
        radius = self.truncate * self.sigma_px
        first = min(max(math.ceil(centre - radius), 0), size)
        last = max(min(math.floor(centre + radius), size - 1), first - 1)
        distance = (np.arange(first, last + 1) - centre) / self.sigma_px
        return first, np.exp(-0.5 * distance**2).astype(np.float32)


class CentreHeatmapd(MapTransform):
    """Dictionary version of :class:`CentreHeatmap`.

    Args:
        keys: points, each (N, 2), in pixels of the image under ``refer_key``.
        refer_key: image whose grid (and metadata) the map gets.
        names: keys of the maps, one for each of ``keys``.
        sigma_px: standard deviation, in pixels of the grid.
        truncate: radius of the rendered square, in sigma.
        allow_missing_keys: ignore keys that are not in the data.

    >>> item = {"points": np.array([[3.0, 5.0]]), "image": torch.zeros(1, 8, 12)}
    >>> heatmap = CentreHeatmapd("points", refer_key="image", sigma_px=2.0)(item)["heatmap"]
    >>> heatmap.shape, float(heatmap[0, 3, 5])
    (torch.Size([1, 8, 12]), 1.0)
    """

    backend = CentreHeatmap.backend

    def __init__(
        self,
        keys: KeysCollection = "points",
        refer_key: str = "image",
        names: KeysCollection = "heatmap",
        sigma_px: float = 8.0,
        truncate: float = 4.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.refer_key = refer_key
        self.names = ensure_tuple_rep(names, len(self.keys))
        self.codec = CentreHeatmap(sigma_px, truncate)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Render the points under ``keys``."""
        d = dict(data)
        for key, name in self.key_iterator(d, self.names):
            image = d[self.refer_key]
            heatmap = self.codec(d[key], image.shape[1:])
            d[name] = convert_to_dst_type(heatmap, image, dtype=np.float32)[0]
        return d


CentreHeatmapD = CentreHeatmapDict = CentreHeatmapd
