"""Films that show less of the spine: a random part of a film from top to bottom, fitted into the grid anew."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from monai.config import KeysCollection
from monai.data import MetaTensor, get_track_meta
from monai.transforms import MapTransform, RandomizableTransform, SpatialCrop
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_numpy, convert_to_tensor, ensure_tuple_rep

from cmnet_monai.transforms.centres import CarryCentresd, whole_labels
from cmnet_monai.transforms.resize import ResizeWithPad

Code = TypeVar("Code", bound=np.integer)


class RandPartOfFilmd(MapTransform, RandomizableTransform):
    """Keep a random part of a film, cut straight across, and fit it into the grid as a film of that size would be.

    A network that always sees L1 to S1 learns to count from the top, and takes S1 for L5 on a film that begins at L2.
    A body of which less than half is left loses its label and its centre, as on films that were made so. Not
    invertible: for training.

    Args:
        keys: film and label map, (C, x, y), of one size; the first is the film, whose padding is 0.
        label_key: which of them is the label map.
        points_key: points (N, 2) with the affine of their grid; those cut off are dropped. None or absent: none.
        prob: probability of a cut.
        least: smallest part that is kept, as a share of the film's height; above 0, at most 1.
        mode: "bilinear" or "nearest", one for each key.
        allow_missing_keys: ignore keys that are not in the data.
    Raises:
        ValueError: ``least`` is out of range.

    >>> import torch
    >>> film, label = torch.zeros(1, 60, 100), torch.zeros(1, 60, 100)
    >>> film[:, 10:50] = 0.5  # padding on both sides
    >>> label[:, 20:40, 10:30], label[:, 20:40, 70:90] = 20, 24  # L1, L5
    >>> cut = RandPartOfFilmd(["image", "label"], prob=1.0, least=0.5).set_random_state(seed=4)
    >>> part = cut({"image": film, "label": label})
    >>> part["label"].unique().tolist(), int((part["image"][0] > 0).any(dim=1).sum())  # the lower part, magnified
    ([0.0, 24.0], 51)
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        keys: KeysCollection = ("image", "label"),
        label_key: str = "label",
        points_key: str | None = "points",
        prob: float = 0.25,
        least: float = 0.45,
        mode: str | tuple[str, ...] = ("bilinear", "nearest"),
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        if not 0 < least <= 1:
            raise ValueError(f"least must be above 0 and at most 1, got {least}.")
        self.label_key, self.points_key, self.least = label_key, points_key, least
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        self._top, self._bottom = 0.0, 1.0

    def randomize(self, data: Any = None) -> None:
        """Draw the part's top and bottom, shares of the film's height; often one of them is the film's own."""
        super().randomize(None)
        share = self.R.uniform(self.least, 1.0)
        self._top = float(np.clip(self.R.uniform(-0.5, 1.5), 0.0, 1.0)) * (1.0 - share)
        self._bottom = self._top + share

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Cut every key in the same way."""
        d = dict(data)
        self.randomize()
        present = list(self.key_iterator(d, self.mode))
        if not self._do_transform or not present:
            return d
        start, end = self._window(d[present[0][0]])
        crop = SpatialCrop(roi_start=start, roi_end=end)
        parts = {key: crop(convert_to_tensor(d[key], track_meta=get_track_meta())) for key, _ in present}
        if self.label_key in parts:
            whole = whole_labels(d[self.label_key])
            kept = without_slivers(whole_labels(parts[self.label_key]), whole)
            parts[self.label_key] = convert_to_dst_type(kept[None], parts[self.label_key])[0]
        resized = {key: ResizeWithPad(tuple(d[key].shape[1:]), mode)(parts[key]) for key, mode in present}
        if self.points_key in d and isinstance(d[self.points_key], MetaTensor):
            for grid in (parts, resized):  # what was cut off is dropped on the first
                film = grid[present[0][0]]
                d = {**CarryCentresd(self.points_key, refer_key="film")({**d, "film": film})}
                d.pop("film")
        return {**d, **resized}

    def _window(self, film: Any) -> tuple[tuple[int, int], tuple[int, int]]:
        """First and last pixel (exclusive), (x, y), of the part: without padding."""
        seen = (np.asarray(convert_to_numpy(film)) != 0).any(axis=0)
        columns, rows = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        if not len(columns):
            return (0, 0), (seen.shape[0], seen.shape[1])
        height = int(rows[-1]) + 1 - int(rows[0])
        top = int(rows[0]) + min(int(self._top * height), height - 1)
        bottom = int(rows[0]) + max(round(self._bottom * height), top + 1 - int(rows[0]))
        return (int(columns[0]), top), (int(columns[-1]) + 1, bottom)


def without_slivers(part: npt.NDArray[Code], whole: npt.NDArray[np.integer], least: float = 0.5) -> npt.NDArray[Code]:
    """A cut label map without the bodies of which too little is left.

    Args:
        part: label map after the cut, any shape.
        whole: label map before it.
        least: share of a body's pixels that keeps its label.

    >>> without_slivers(np.array([20, 21, 21]), np.array([20, 20, 20, 21, 21])).tolist()  # a third of L1 is left
    [0, 21, 21]
    """
    before = np.bincount(whole.ravel())
    left = np.bincount(part.ravel(), minlength=len(before))
    gone = np.flatnonzero(left < least * before)
    return np.where(np.isin(part, gone[gone > 0]), 0, part).astype(part.dtype)


RandPartOfFilmD = RandPartOfFilmDict = RandPartOfFilmd
