"""From the network's probabilities to L1-L5: which bodies they are, and where their centres lie on the film."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_numpy
from scipy import ndimage

from cmnet_monai.conventions import LUMBAR, VERTEBRA_CHANNEL
from cmnet_monai.vertebrae import VertebraReading, read_maps


class SelectVertebrae(Transform):
    """Reduce probability maps to the vertebra map of chosen levels.

    The maps are read (`cmnet_monai.vertebrae.read_maps`); each pixel belongs to its nearest body, and pixels of
    bodies of other levels become 0, as does what the reading dropped: specks, and what is S1 rather. What is left are
    probabilities, so that a mask thresholded after the inverse resize keeps its sub-pixel border.

    Args:
        levels: names of the levels to keep; None keeps every body.
        threshold: least probability inside a body.
        centre_threshold: least probability of a centre.
    """

    backend = [TransformBackends.NUMPY]

    def __init__(
        self, levels: Sequence[str] | None = LUMBAR, threshold: float = 0.5, centre_threshold: float = 0.3
    ) -> None:
        self.levels = None if levels is None else tuple(levels)
        self.threshold = threshold
        self.centre_threshold = centre_threshold

    def __call__(self, maps: NdarrayOrTensor) -> tuple[NdarrayOrTensor, VertebraReading]:
        """Select from maps (C, x, y), 0..1.

        Returns:
            The vertebra map of the chosen levels, (1, x, y), of the input's type, and what was read.
        """
        array = convert_to_numpy(maps)
        reading = read_maps(array, self.threshold, self.centre_threshold)
        dropped = (array[VERTEBRA_CHANNEL] >= self.threshold) & (reading.label_map == 0)
        vertebra = np.where(self._territory(reading) & ~dropped, array[VERTEBRA_CHANNEL], 0).astype(np.float32)
        return convert_to_dst_type(vertebra[None], maps, dtype=torch.float32)[0], reading

    def _territory(self, reading: VertebraReading) -> np.ndarray:
        """Pixels nearer to a chosen body than to any other; none without a body."""
        if not reading.bodies:
            return np.zeros(reading.label_map.shape, dtype=bool)
        nearest = ndimage.distance_transform_edt(reading.label_map == 0, return_distances=False, return_indices=True)
        owner = reading.label_map[tuple(nearest)]
        chosen = [b.label for b in reading.bodies if self.levels is None or b.level in self.levels]
        return np.isin(owner, chosen)


class SelectVertebraed(MapTransform):
    """Dictionary twin of `SelectVertebrae`; centres are returned in pixels of the film.

    Args:
        keys: keys of probability maps, (C, x, y).
        image_key: the film as it entered the network; its metadata leads from the network's grid to the film's.
        centres_key: where the records of the centres go: ``level``, ``label``, ``x_px``, ``y_px``, ``score``,
            ``evidence``, from top to bottom.
        points_key: where the same centres go as points (N, 2), (x, y) in pixels of the film; None leaves them out.
        levels: see `SelectVertebrae`.
        threshold: see `SelectVertebrae`.
        centre_threshold: see `SelectVertebrae`.
        allow_missing_keys: do not raise where a key is missing.
    """

    backend = SelectVertebrae.backend

    def __init__(
        self,
        keys: KeysCollection,
        image_key: str = "image",
        centres_key: str = "centres",
        points_key: str | None = None,
        levels: Sequence[str] | None = LUMBAR,
        threshold: float = 0.5,
        centre_threshold: float = 0.3,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key
        self.centres_key = centres_key
        self.points_key = points_key
        self.select = SelectVertebrae(levels, threshold, centre_threshold)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Select in every key; the centres are those of the last one."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key], reading = self.select(result[key])
            to_film = grid_to_film(result.get(self.image_key))
            result[self.centres_key] = [
                {
                    "level": body.level,
                    "label": body.label,
                    **dict(zip(("x_px", "y_px"), _apply(to_film, body.centre_xy_px))),
                    "score": round(body.score, 4),
                    "evidence": body.evidence,
                }
                for body in reading.bodies
                if self.select.levels is None or body.level in self.select.levels
            ]
            if self.points_key is not None:
                points = [(record["x_px"], record["y_px"]) for record in result[self.centres_key]]
                result[self.points_key] = torch.tensor(points, dtype=torch.float32).reshape(-1, 2)
        return result


def grid_to_film(image: Any) -> np.ndarray:
    """Affine (3, 3) from pixels of a transformed film to pixels of the film as it was read.

    The identity where the image carries no metadata (an array that a host program fed in).
    """
    if not isinstance(image, MetaTensor) or "original_affine" not in image.meta:
        return np.eye(3)
    now = np.asarray(image.affine, dtype=np.float64)
    before = np.asarray(convert_to_numpy(image.meta["original_affine"]), dtype=np.float64)
    return np.linalg.inv(_plane(before)) @ _plane(now)


def _plane(affine: np.ndarray) -> np.ndarray:
    """The two-dimensional part of an affine: rows and columns of x, y and the translation."""
    return affine[np.ix_([0, 1, -1], [0, 1, -1])]


def _apply(matrix: np.ndarray, point_xy: tuple[float, float]) -> tuple[float, float]:
    x, y, _ = matrix @ np.array([*point_xy, 1.0])
    return round(float(x), 3), round(float(y), 3)


SelectVertebraeD = SelectVertebraeDict = SelectVertebraed
