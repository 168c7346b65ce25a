"""Histogram equalisation that is exact for films of 8 to 16 bits."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_numpy

from cmnet_monai.conventions import META_VALID_AREA

# Values are counted in a table of this many slots where each slot holds one value, else sorted.
_SLOTS = 1 << 20
# A row or column shorter than this is never taken for a border: a single pixel is always "constant".
_SHORTEST_BORDER_PX = 16


class HistogramEqualize(Transform):
    """Spread the grey values of a film evenly over 0 to 255, from the exact distribution of its own values.

    A value v becomes ``255 (F(v) - F(v_min)) / (1 - F(v_min))``, F being the share of valid pixels that are not
    brighter than v: the darkest value becomes 0 and the brightest 255. Only the order of the values counts, so
    exposure, gamma, window or bit depth of the film do not change the result. Each channel is equalised by itself.

    Pixels outside the valid area take no part and become 0. The valid area is ``mask`` if given, else the film's
    metadata (``META_VALID_AREA``, which ``RadiographReader`` sets), else the whole film; with
    ``ignore_constant_border`` it is then shrunk by the rows and columns at its edges that hold one single value,
    as collimators leave them in films without metadata. That frame must be exact: a border with noise, a tilted edge or
    burnt-in text is part of the film. Rows and columns of fewer than 16 pixels are never a border.

    A film of one single value becomes 0 everywhere.

    Args:
        ignore_constant_border: leave out constant rows and columns at the edges.
        keep_valid_area: keep ``META_VALID_AREA`` in the metadata. By default it is removed, because arrays of
            different size do not collate into a batch.

    >>> film = np.array([[[100, 100, 700, 4000]]])
    >>> HistogramEqualize()(film).tolist()  # shares 0.5, 0.75, 1 of the pixels are not brighter
    [[[0.0, 0.0, 127.5, 255.0]]]
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self, ignore_constant_border: bool = True, keep_valid_area: bool = False) -> None:
        self.ignore_constant_border = ignore_constant_border
        self.keep_valid_area = keep_valid_area

    def __call__(self, img: NdarrayOrTensor, mask: NdarrayOrTensor | None = None) -> NdarrayOrTensor:
        """Equalise one film.

        Args:
            img: (C, x, y), any real dtype.
            mask: valid area, (x, y) or (1, x, y), non-zero where valid; wins over the metadata.
        Returns:
            (C, x, y), float32, 0 to 255, same kind of array as ``img``.
        Raises:
            ValueError: ``img`` is not (C, x, y), the valid area has another shape or is empty, or a valid pixel is NaN
                or infinite.
        """
        film = np.asarray(convert_to_numpy(img))
        film = film.astype(np.float32) if film.dtype == np.float16 else film
        if film.ndim != 3 or film.size == 0:
            raise ValueError(f"HistogramEqualize needs a non-empty film of shape (C, x, y), got {tuple(film.shape)}.")
        valid = self._valid_area(img, mask, film)
        channels = [_equalize_channel(channel, valid) for channel in film]
        out = channels[0][None] if len(channels) == 1 else np.stack(channels)
        result = convert_to_dst_type(out, img, dtype=np.float32)[0]
        if isinstance(result, MetaTensor) and not self.keep_valid_area:
            result.meta = {key: value for key, value in result.meta.items() if key != META_VALID_AREA}
        return result

    def _valid_area(self, img: NdarrayOrTensor, mask: NdarrayOrTensor | None, film: np.ndarray) -> np.ndarray | None:
        """Valid area (x, y), or None where every pixel is valid."""
        shape = film.shape[1:]
        if mask is None and isinstance(img, MetaTensor):
            mask = img.meta.get(META_VALID_AREA)
        valid = None
        if mask is not None:
            valid = np.asarray(convert_to_numpy(mask)) != 0
            valid = valid[0] if valid.ndim == 3 and valid.shape[0] == 1 else valid
            if valid.shape != shape:
                raise ValueError(
                    f"The valid area has shape {tuple(valid.shape)}, the film (x, y) = {tuple(shape)}. Equalise before"
                    " any step that changes the grid, or pass the mask of this grid."
                )
            if not valid.any():
                raise ValueError("The valid area of the film is empty: all of it is padding, nothing can be equalised.")
            valid = None if valid.all() else valid
        if not self.ignore_constant_border:
            return valid
        box = _inner_box(film, valid)
        if box == (0, shape[0], 0, shape[1]):
            return valid
        inside = np.zeros(shape, dtype=bool)
        inside[box[0] : box[1], box[2] : box[3]] = True
        return inside if valid is None else inside & valid


def _inner_box(film: np.ndarray, valid: np.ndarray | None) -> tuple[int, int, int, int]:
    """Half-open box (x0, x1, y0, y1) of the film (C, x, y) without the constant rows and columns at its edges."""
    x0, x1, y0, y1 = 0, film.shape[1], 0, film.shape[2]
    if valid is not None:
        columns, rows = np.flatnonzero(valid.any(axis=1)), np.flatnonzero(valid.any(axis=0))
        x0, x1, y0, y1 = int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1
    start = box = (x0, x1, y0, y1)

    def constant(line: np.ndarray) -> bool:
        return line.shape[-1] >= _SHORTEST_BORDER_PX and bool((line == line[..., :1]).all())

    while True:
        while x0 < x1 and constant(film[:, x0, y0:y1]):
            x0 += 1
        while x0 < x1 and constant(film[:, x1 - 1, y0:y1]):
            x1 -= 1
        while y0 < y1 and constant(film[:, x0:x1, y0]):
            y0 += 1
        while y0 < y1 and constant(film[:, x0:x1, y1 - 1]):
            y1 -= 1
        if x0 >= x1 or y0 >= y1:
            return start  # a film of one value has no border
        if box == (x0, x1, y0, y1):
            return box
        box = (x0, x1, y0, y1)


def _equalize_channel(channel: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """Equalised channel (x, y) as float32, 0 where not valid."""
    values = channel if valid is None else channel[valid]
    low, high = values.min(), values.max()  # NaN if any value is
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int((~np.isfinite(values)).sum())
        raise ValueError(
            f"{bad} of {values.size} valid pixels are NaN or infinite. Replace them, or leave them out by a mask,"
            " before HistogramEqualize."
        )
    if low == high:
        return np.zeros(channel.shape, dtype=np.float32)
    equalised = _by_counting(channel, valid, low, high)
    return _by_sorting(channel, valid) if equalised is None else equalised


def _table(counts: np.ndarray) -> np.ndarray:
    """Grey value 0 to 255 of each value, from the number of pixels of each value in rising order."""
    at_or_below = np.cumsum(counts, dtype=np.float64)
    darkest = at_or_below[np.flatnonzero(counts)[0]]
    return np.clip(255.0 * (at_or_below - darkest) / (at_or_below[-1] - darkest), 0.0, 255.0).astype(np.float32)


def _by_counting(channel: np.ndarray, valid: np.ndarray | None, low: Any, high: Any) -> np.ndarray | None:
    """Equalise values that fall into slots of a table one by one, as whole or evenly spaced numbers do; None if not."""
    inside = channel if valid is None else np.where(valid, channel, low)  # the lowest becomes 0
    slots = _whole_slots(inside, low, high)
    if slots is None:
        span = float(high) - float(low)
        if not float(np.finfo(np.float32).tiny) * _SLOTS < span < float(np.finfo(np.float32).max):
            return None
        exact = inside if inside.dtype.kind == "f" else inside.astype(np.float64)
        slots = (exact - low).astype(np.float32)
        slots *= np.float32((_SLOTS - 1) / span)
        slots = np.rint(slots, out=slots).astype(np.int32)
        found = np.zeros(_SLOTS, dtype=inside.dtype)
        found[slots] = inside
        if not np.array_equal(found[slots], inside):
            return None
    counted = slots.ravel(order="K") if valid is None else slots[valid]
    return _table(np.bincount(counted))[slots]


def _whole_slots(inside: np.ndarray, low: Any, high: Any) -> np.ndarray | None:
    """Values minus the lowest, if all are whole and fit into the table; else None."""
    if float(high) - float(low) >= _SLOTS or float(low) != int(low):
        return None
    if inside.dtype.kind != "f":
        return inside.astype(np.int64) - int(low)
    if max(abs(float(low)), abs(float(high))) >= 2**31:
        return None
    slots = inside.astype(np.int32)
    if not np.array_equal(slots, inside):
        return None
    slots -= np.int32(low)
    return slots


def _by_sorting(channel: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """Equalise arbitrary numbers by the rank of each among the distinct valid ones."""
    values = channel.ravel() if valid is None else channel[valid]
    order = np.argsort(values)
    ranked = values[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    counts = np.diff(last, prepend=-1)
    out = np.empty(values.shape, dtype=np.float32)
    out[order] = np.repeat(_table(counts), counts)
    if valid is None:
        return out.reshape(channel.shape)
    spread = np.zeros(channel.shape, dtype=np.float32)
    spread[valid] = out
    return spread


class HistogramEqualized(MapTransform):
    """Dictionary version of :class:`HistogramEqualize`.

    Args:
        keys: films, each (C, x, y).
        mask_key: key of a valid area, (x, y) or (1, x, y), for all ``keys``; None to use the metadata.
        ignore_constant_border: leave out constant rows and columns at the edges.
        keep_valid_area: keep ``META_VALID_AREA`` in the metadata.
        allow_missing_keys: ignore keys that are not in the data.

    >>> import torch
    >>> dark = torch.linspace(100, 130, 2000).reshape(1, 40, 50)
    >>> flat = HistogramEqualized("image")({"image": dark})["image"]
    >>> float(flat.min()) < 1, float(flat.max())
    (True, 255.0)
    """

    backend = HistogramEqualize.backend

    def __init__(
        self,
        keys: KeysCollection,
        mask_key: str | None = None,
        ignore_constant_border: bool = True,
        keep_valid_area: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.mask_key = mask_key
        self.equalize = HistogramEqualize(ignore_constant_border, keep_valid_area)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Equalise the films under ``keys``."""
        d = dict(data)
        mask = None
        if self.mask_key is not None:
            if self.mask_key not in d:
                raise KeyError(f"HistogramEqualized: mask_key {self.mask_key!r} is not in the data.")
            mask = d[self.mask_key]
        for key in self.key_iterator(d):
            d[key] = self.equalize(d[key], mask)
        return d


HistogramEqualizeD = HistogramEqualizeDict = HistogramEqualized
