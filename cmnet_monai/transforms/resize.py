"""Resizing to a fixed grid with the aspect ratio kept, as one invertible step."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, SequenceStr
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import MetaTensor, get_track_meta
from monai.transforms import InvertibleTransform, MapTransform, TraceableTransform
from monai.transforms.utils import create_translate, scale_affine
from monai.utils import TraceKeys, TransformBackends, convert_to_tensor, ensure_tuple_rep

from cmnet_monai.conventions import META_VALID_AREA, PAPER_SPATIAL_SIZE

_MODES = ("bilinear", "nearest")


class ResizeWithPad(InvertibleTransform):
    """Fit a film into a grid: one scale for both axes, the rest of the grid filled with zeros on both sides.

    The scale is ``min(W' / W, H' / H)``; the scaled size is rounded to whole pixels, at least one. Pixels are areas
    (half-pixel centres), so the point (x, y) of the film lies at ``((x + 0.5) w / W - 0.5 + left, (y + 0.5) h / H -
    0.5 + top)`` of the grid, (w, h) being the scaled size. The affine says the same.

    ``bilinear`` shrinks with a filter as wide as the scale demands (``antialias`` of PyTorch), so that no pixel of the
    film is skipped, and gives float32. ``nearest`` takes the pixel under the centre and keeps the dtype: for label
    maps.

    The inverse cuts the padding off and resizes back to the exact size of the film, bilinear or
    (``Invertd(nearest_interp=True)``) nearest. The transform is not lazy: within ``Compose(lazy=True)`` pending steps
    are carried out before it.

    Args:
        spatial_size: (x, y) size of the grid.
        mode: "bilinear" or "nearest".

    >>> resize = ResizeWithPad((64, 128))
    >>> on_grid = resize(torch.ones(1, 200, 300))  # scaled by 0.32 to 64 x 96, 16 rows of zeros above and below
    >>> on_grid.shape, float(on_grid[0, 0, 15]), round(float(on_grid[0, 0, 16]), 3)
    (torch.Size([1, 64, 128]), 0.0, 1.0)
    >>> resize.inverse(on_grid).shape
    torch.Size([1, 200, 300])
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, spatial_size: Sequence[int] = PAPER_SPATIAL_SIZE, mode: str = "bilinear") -> None:
        self.spatial_size = tuple(int(size) for size in spatial_size)
        if len(self.spatial_size) != 2 or min(self.spatial_size) < 1:
            raise ValueError(f"spatial_size must be two positive numbers (x, y), got {spatial_size}.")
        self.mode = _known_mode(mode)

    def __call__(self, img: NdarrayOrTensor, mode: str | None = None) -> torch.Tensor:
        """Fit ``img`` into the grid.

        Args:
            img: (C, x, y).
            mode: "bilinear" or "nearest"; the one of the constructor by default.
        Returns:
            ``(C, *spatial_size)``; a MetaTensor if metadata is tracked.
        Raises:
            ValueError: the shape is not (C, x, y), an axis is empty, or the mode is unknown.
        """
        mode = self.mode if mode is None else _known_mode(mode)
        film: torch.Tensor = convert_to_tensor(img, track_meta=get_track_meta())
        if film.ndim != 3 or 0 in film.shape:
            raise ValueError(f"ResizeWithPad needs a non-empty array of shape (C, x, y), got {tuple(film.shape)}.")
        source = tuple(int(size) for size in film.shape[1:])
        inner, offset = fit_inside(source, self.spatial_size)
        resized = _resample(_plain(film), inner, mode)
        out = resized.new_zeros((resized.shape[0], *self.spatial_size))
        out[:, offset[0] : offset[0] + inner[0], offset[1] : offset[1] + inner[1]] = resized
        extra = {
            "mode": mode,
            "inner_size": list(inner),
            "offset": list(offset),
            "spatial_size": list(self.spatial_size),
        }
        return self._tracked(out, film, _grid_to_source(source, inner, offset), extra, source)

    def inverse(self, data: torch.Tensor) -> torch.Tensor:
        """Bring a map on the grid back to the film.

        Args:
            data: ``(C, *spatial_size)`` with the record of the forward step.
        Returns:
            (C, x, y) of the film's size.
        Raises:
            ValueError: ``data`` is not on the grid of the forward step.
        """
        record = self.pop_transform(data)
        extra = record[TraceKeys.EXTRA_INFO]
        inner, offset, grid = (_ints(extra[name]) for name in ("inner_size", "offset", "spatial_size"))
        source = _ints(record[TraceKeys.ORIG_SIZE])
        if tuple(data.shape[1:]) != grid:
            raise ValueError(
                f"ResizeWithPad can only invert maps on its grid, (x, y) = {grid}, but got {tuple(data.shape[1:])}."
                " Resize the map to the grid first."
            )
        cut = _plain(data)[:, offset[0] : offset[0] + inner[0], offset[1] : offset[1] + inner[1]]
        mode = extra["mode"][0] if isinstance(extra["mode"], (list, tuple)) else extra["mode"]
        out = _resample(cut, source, "nearest" if str(mode).startswith("nearest") else "bilinear")
        with self.trace_transform(False):
            return self._tracked(out, data, np.linalg.inv(_grid_to_source(source, inner, offset)), None, grid)

    def _tracked(
        self, out: torch.Tensor, img: torch.Tensor, affine: np.ndarray, extra: dict | None, orig_size: tuple[int, ...]
    ) -> torch.Tensor:
        """Give ``out`` the metadata of ``img``, moved by ``affine``."""
        if not isinstance(img, MetaTensor):
            return out
        meta = TraceableTransform.track_transform_meta(
            img,
            sp_size=out.shape[1:],
            affine=affine,
            extra_info=extra,
            orig_size=orig_size,
            transform_info=self.get_transform_info(),
            lazy=False,
        )
        meta.meta.pop(META_VALID_AREA, None)  # it belongs to the grid that was left
        return convert_to_tensor(out, track_meta=True).copy_meta_from(meta)


def fit_inside(source: Sequence[int], grid: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Size of a film inside a grid, and where it begins.

    Args:
        source: (x, y) size of the film.
        grid: (x, y) size of the grid.
    Returns:
        Scaled size (w, h) and number of padding pixels (left, top); an odd remainder is one larger right and below.

    >>> fit_inside((200, 300), (64, 128))
    ((64, 96), (0, 16))
    """
    scale = min(grid[0] / source[0], grid[1] / source[1])
    w, h = (min(max(int(side * scale + 0.5), 1), room) for side, room in zip(source, grid))
    return (w, h), ((grid[0] - w) // 2, (grid[1] - h) // 2)


def _grid_to_source(source: Sequence[int], inner: Sequence[int], offset: Sequence[int]) -> np.ndarray:
    """(3, 3) matrix from pixels of the grid to pixels of the film."""
    shift = create_translate(2, [-float(value) for value in offset])
    return np.asarray(scale_affine(tuple(source), tuple(inner)) @ shift, dtype=np.float64)


def _resample(img: torch.Tensor, size: Sequence[int], mode: str) -> torch.Tensor:
    """Resize (C, x, y) to ``size``, half-pixel centres."""
    source = img.shape[1:]
    if mode == "nearest":
        if tuple(source) == tuple(size):
            return img
        x, y = (_nearest_index(old, new, img.device) for old, new in zip(source, size))
        return img.index_select(1, x).index_select(2, y)
    img = img.to(torch.float32)
    if tuple(source) == tuple(size):
        return img
    shrinks = any(new < old for old, new in zip(source, size))
    return torch.nn.functional.interpolate(
        img.unsqueeze(0), size=tuple(size), mode="bilinear", align_corners=False, antialias=shrinks
    )[0]


def _nearest_index(old: int, new: int, device: torch.device) -> torch.Tensor:
    index = ((2 * torch.arange(new, device=device) + 1) * old).div(2 * new, rounding_mode="floor")
    return index.clamp_(max=old - 1)


def _plain(img: torch.Tensor) -> torch.Tensor:
    return img.as_tensor() if isinstance(img, MetaTensor) else img


def _ints(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _known_mode(mode: str) -> str:
    if mode not in _MODES:
        raise ValueError(f"mode must be one of {_MODES}, got {mode!r}.")
    return mode


class ResizeWithPadd(MapTransform, InvertibleTransform):
    """Dictionary version of :class:`ResizeWithPad`.

    Args:
        keys: arrays (C, x, y).
        spatial_size: (x, y) size of the grid.
        mode: "bilinear" or "nearest", one for all keys or one for each.
        allow_missing_keys: ignore keys that are not in the data.

    >>> film, label = torch.rand(1, 200, 300), torch.full((1, 200, 300), 24)
    >>> fit = ResizeWithPadd(["image", "label"], (64, 128), mode=["bilinear", "nearest"])
    >>> item = fit({"image": film, "label": label})
    >>> item["image"].shape, item["label"].unique().tolist()  # 0 is the padding
    (torch.Size([1, 64, 128]), [0, 24])
    >>> fit.inverse(item)["label"].shape
    torch.Size([1, 200, 300])
    """

    backend = ResizeWithPad.backend

    def __init__(
        self,
        keys: KeysCollection,
        spatial_size: Sequence[int] = PAPER_SPATIAL_SIZE,
        mode: SequenceStr = "bilinear",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        for name in self.mode:
            _known_mode(name)
        self.resizer = ResizeWithPad(spatial_size)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Fit the arrays under ``keys`` into the grid."""
        d = dict(data)
        for key, mode in self.key_iterator(d, self.mode):
            d[key] = self.resizer(d[key], mode)
        return d

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Bring the maps under ``keys`` back to the film."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.resizer.inverse(d[key])
        return d


ResizeWithPadD = ResizeWithPadDict = ResizeWithPadd
