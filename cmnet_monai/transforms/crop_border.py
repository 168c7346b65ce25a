"""Cutting off what is on the edges of a film and shows nothing: padding, shutter, collimator."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import CropForeground, CropForegroundd
from monai.utils import convert_to_numpy, ensure_tuple_rep

from cmnet_monai.conventions import META_SHOWN_BOX, META_VALID_AREA

# Grey values of a film's range are taken from at most about this many pixels a side.
_SAMPLES = 512


class CropBorder(CropForeground):
    """Cut rows and columns off the edges of a film that show nothing, so that its content fills the network's grid.

    First the box around the valid area of the film's metadata (``META_VALID_AREA``: padding and shutter are outside) is
    taken, then rows and columns at its edges are cut off while they are nearly constant: of one line's pixels, all but
    an ``outliers`` share at either end lie within ``tolerance`` times the film's own range (1st to 99th percentile). So
    noise in a border and a burnt-in letter keep no line, and air that is burnt out at a film's edge goes too: nothing
    is to be seen there. A side keeps lines beyond the share ``most`` of the film, and a film that would be cut off
    whole stays as it is.

    The inverse (MONAI's) pads with zeros to the film's size. Other arrays of the film are cut alike by
    :class:`CropBorderd`.

    Args:
        tolerance: spread of an empty line, as a share of the film's range.
        outliers: share of a line's pixels at either end of its values that do not count.
        most: largest share of the film's width or height that is cut off at each side of the valid area's box.

    >>> film = np.zeros((1, 100, 200))
    >>> film[:, 10:90] = np.random.default_rng(0).random((1, 80, 200))  # black borders left and right
    >>> CropBorder()(film).shape
    torch.Size([1, 80, 200])
    """

    def __init__(self, tolerance: float = 0.05, outliers: float = 0.05, most: float = 0.4) -> None:
        super().__init__(allow_smaller=True)
        if not (0 <= tolerance < 1 and 0 <= outliers < 0.5 and 0 <= most < 0.5):
            raise ValueError(
                f"tolerance lies in [0, 1), outliers and most in [0, 0.5), got {tolerance}, {outliers}, {most}."
            )
        self.tolerance, self.outliers, self.most = tolerance, outliers, most

    def compute_bounding_box(self, img: NdarrayOrTensor) -> tuple[np.ndarray, np.ndarray]:
        """First and one past the last (x, y) that stay, of a film (C, x, y)."""
        film = np.asarray(convert_to_numpy(img))
        if film.ndim != 3 or film.size == 0:
            raise ValueError(f"CropBorder needs a non-empty film of shape (C, x, y), got {tuple(film.shape)}.")
        valid = np.asarray(img.meta.get(META_VALID_AREA, True)) if isinstance(img, MetaTensor) else np.True_
        box = _box_of(np.broadcast_to(valid != 0, film.shape[1:]))
        kept = film[:, box[0, 0] : box[0, 1], box[1, 0] : box[1, 1]]
        inner = self._without_empty_lines(kept)
        return box[:, 0] + inner[:, 0], box[:, 0] + inner[:, 1]

    def _without_empty_lines(self, film: np.ndarray) -> np.ndarray:
        """((x0, x1), (y0, y1)), half-open, of a film (C, x, y) without the empty lines at its edges."""
        size = film.shape[1:]
        whole = np.array([[0, size[0]], [0, size[1]]])
        sample = film[:, :: max(1, size[0] // _SAMPLES), :: max(1, size[1] // _SAMPLES)]
        low, high = np.percentile(sample, (1, 99)) if np.isfinite(sample).all() else (np.nan, np.nan)
        widest = self.tolerance * float(high - low)
        if not widest >= 0:
            return whole  # not finite: the equalisation says what is wrong
        limits = (self.most * np.array(size)).astype(int)
        box, before = whole.copy(), None
        while before is None or not np.array_equal(box, before):
            before = box.copy()
            for axis, end in ((0, 0), (0, 1), (1, 0), (1, 1)):
                while abs(box[axis, end] - whole[axis, end]) < limits[axis] and self._is_empty(
                    film, box, axis, end, widest
                ):
                    box[axis, end] += 1 if end == 0 else -1
        stopped = np.abs(box - whole) >= limits[:, None]
        return whole if bool(stopped.all(axis=1).any()) else box  # nothing but empty lines: no border, a blank film

    def _is_empty(self, film: np.ndarray, box: np.ndarray, axis: int, end: int, widest: float) -> bool:
        at = box[axis, 0] if end == 0 else box[axis, 1] - 1
        other = slice(*box[1 - axis])
        line = film[:, at, other] if axis == 0 else film[:, other, at]
        low, high = np.quantile(line, (self.outliers, 1 - self.outliers), axis=1)
        return bool((high - low <= widest).all())

    def crop_pad(
        self, img: torch.Tensor, box_start: np.ndarray, box_end: np.ndarray, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Cut ``img``, and the valid area in its metadata, to a box, which the metadata then hold."""
        valid = img.meta.get(META_VALID_AREA) if isinstance(img, MetaTensor) else None
        out = super().crop_pad(img, box_start, box_end, *args, **kwargs)
        if isinstance(out, MetaTensor):
            out.meta = {**out.meta, META_SHOWN_BOX: np.stack([box_start, box_end], axis=1)}
            if valid is not None:
                cut = np.asarray(valid)[box_start[0] : box_end[0], box_start[1] : box_end[1]]
                out.meta = {**out.meta, META_VALID_AREA: cut}
        return out


def _box_of(inside: np.ndarray) -> np.ndarray:
    """((x0, x1), (y0, y1)), half-open, around what is True in (x, y); everything where nothing is."""
    if not inside.any():
        return np.array([[0, inside.shape[0]], [0, inside.shape[1]]])
    lines = [np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0)]
    return np.array([[int(line[0]), int(line[-1]) + 1] for line in lines])


class CropBorderd(CropForegroundd):
    """Dictionary version of :class:`CropBorder`.

    Args:
        keys: arrays (C, x, y) on one grid, such as a film and its label map.
        source_key: the film that decides what is cut.
        tolerance: see :class:`CropBorder`.
        outliers: see :class:`CropBorder`.
        most: see :class:`CropBorder`.
        allow_missing_keys: ignore keys that are not in the data.

    >>> film, label = np.zeros((1, 100, 200)), np.zeros((1, 100, 200))
    >>> film[:, 10:90] = np.random.default_rng(0).random((1, 80, 200))  # black borders left and right
    >>> label[0, 15, 60] = 22
    >>> cut = CropBorderd(["image", "label"])({"image": film, "label": label})
    >>> cut["label"].shape, float(cut["label"][0, 5, 60])
    (torch.Size([1, 80, 200]), 22.0)
    """

    def __init__(
        self,
        keys: KeysCollection,
        source_key: str = "image",
        tolerance: float = 0.05,
        outliers: float = 0.05,
        most: float = 0.4,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(
            keys, source_key, start_coord_key=None, end_coord_key=None, allow_missing_keys=allow_missing_keys
        )
        self.cropper = CropBorder(tolerance, outliers, most)
        self.mode = ensure_tuple_rep("constant", len(self.keys))

    def __call__(self, data: Mapping[Hashable, Any], lazy: bool | None = None) -> dict[Hashable, Any]:
        """Cut the arrays under ``keys``."""
        return dict(super().__call__(data, lazy=lazy))


CropBorderD = CropBorderDict = CropBorderd
