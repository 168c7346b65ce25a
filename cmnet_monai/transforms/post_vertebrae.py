"""From the network's probabilities to named bodies: L1-L5, their centres on the film, and a map of every level."""

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

from cmnet_monai.conventions import LUMBAR, S1_CHANNEL, S1_LABEL, VERTEBRA_CHANNEL
from cmnet_monai.decode import Calibration, GivenCentres, NamedBody, VertebraReading, heed_levels, read_maps


class SelectVertebrae(Transform):
    """Reduce probability maps to the vertebra map of chosen levels.

    The maps are read (`cmnet_monai.decode.read_maps`); each pixel belongs to its nearest body, and pixels of
    bodies of other levels become 0, as does what the reading dropped: specks, and what is S1 rather. What is left are
    probabilities, so that a mask thresholded after the inverse resize keeps its sub-pixel border; a body too faint for
    the threshold is raised to it.

    Args:
        levels: names of the levels to keep; None keeps every body.
        threshold: least probability inside a body.
        centre_threshold: least probability of a centre.

    >>> maps = np.zeros((3, 40, 120), dtype=np.float32)  # centre, vertebra, S1
    >>> for row in (20, 55):
    ...     maps[0, 17:24, row - 3 : row + 4], maps[1, 5:36, row - 12 : row + 13] = 1.0, 0.75
    >>> maps[2, 5:36, 78:103] = 0.75
    >>> vertebra, reading = SelectVertebrae(levels=["L5"])(maps)
    >>> [body.level for body in reading.bodies], vertebra.shape, vertebra[0, 20, [20, 55, 90]].tolist()
    (['L4', 'L5'], (1, 40, 120), [0.0, 0.75, 0.0])
    """

    backend = [TransformBackends.NUMPY]

    def __init__(
        self, levels: Sequence[str] | None = LUMBAR, threshold: float = 0.5, centre_threshold: float = 0.3
    ) -> None:
        self.levels = None if levels is None else tuple(levels)
        self.threshold = threshold
        self.centre_threshold = centre_threshold

    def __call__(
        self, maps: NdarrayOrTensor, given: GivenCentres | None = None, film_box: np.ndarray | None = None
    ) -> tuple[NdarrayOrTensor, VertebraReading]:
        """Select from maps (C, x, y), 0..1.

        Args:
            maps: the network's probabilities.
            given: what a reader gave, in pixels of the maps.
            film_box: see `read_maps`.
        Returns:
            The vertebra map of the chosen levels, (1, x, y), of the input's type, and what was read.
        """
        array = heed_levels(convert_to_numpy(maps), given, self.threshold)
        reading = read_maps(array, self.threshold, self.centre_threshold, given=given, film_box=film_box)
        body = raised(array, reading, self.threshold)
        dropped = (body >= self.threshold) & (reading.label_map == 0)
        chosen = [b.label for b in reading.bodies if self.levels is None or b.level in self.levels]
        kept = np.isin(nearest_label(reading.label_map), chosen) & ~dropped
        vertebra = np.where(kept, body, 0).astype(np.float32)
        return convert_to_dst_type(vertebra[None], maps, dtype=torch.float32)[0], reading


def nearest_label(label_map: np.ndarray) -> np.ndarray:
    """The label that is nearest to each pixel of a label map, (x, y); 0 everywhere if there is none."""
    if not label_map.any():
        return np.zeros_like(label_map)
    nearest = ndimage.distance_transform_edt(label_map == 0, return_distances=False, return_indices=True)
    return label_map[tuple(nearest)]


def raised(maps: np.ndarray, reading: VertebraReading, threshold: float) -> np.ndarray:
    """Vertebra map, (x, y), in which every body that was read reaches the threshold, by a factor of its own.

    A body may rest on what looks like S1, or on probabilities below the threshold.
    """
    vertebra = np.array(maps[VERTEBRA_CHANNEL], dtype=np.float32)
    bone = maps[VERTEBRA_CHANNEL : S1_CHANNEL + 1].max(axis=0)
    for body, box in enumerate(ndimage.find_objects(reading.label_map), start=0):
        if box is not None:
            here = reading.label_map[box] == body + 1
            least = float(bone[box][here].min())
            factor = max(threshold / max(least, 1e-6), 1.0) if least < threshold else 1.0
            vertebra[box][here] = np.minimum(bone[box][here] * factor, 1.0)
    return vertebra


def level_maps(maps: np.ndarray, reading: VertebraReading, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """What a label map of the film is made of after the inverse resize, see `LabelMapd`.

    Args:
        maps: probability maps (C, x, y) that were read.
        reading: what was read from them.
        threshold: least probability inside a body.
    Returns:
        The label nearest to each pixel, of every body and S1, uint8, and the probability of being inside what
        bears that label, float32, both (1, x, y). Pixels that the reading dropped have probability 0.
    """
    labels = np.where(reading.s1, np.uint8(S1_LABEL), reading.label_map)
    owner = nearest_label(labels)
    vertebra = raised(maps, reading, threshold)
    inside = np.where((vertebra >= threshold) & (labels == 0), 0, vertebra)
    if maps.shape[0] > S1_CHANNEL:
        s1 = np.where((maps[S1_CHANNEL] >= threshold) & ~reading.s1, 0, maps[S1_CHANNEL])
        inside = np.where(owner == S1_LABEL, s1, inside)
    return owner[None], np.where(owner > 0, inside, 0).astype(np.float32)[None]


class SelectVertebraed(MapTransform):
    """Dictionary twin of `SelectVertebrae`; centres are returned in pixels of the film.

    Args:
        keys: keys of probability maps, (C, x, y).
        image_key: the film as it entered the network; its metadata leads from the network's grid to the film's.
        centres_key: where the records of the centres go, from top to bottom: ``level``, ``label``, ``x_px``,
            ``y_px``, ``score``, ``uncertainty``, ``confidence`` (None where it is not calibrated: a reader's centres
            are none that it was made with), ``evidence``.
        points_key: where the same centres go as points (N, 2), (x, y) in pixels of the film; None leaves them out.
        level_keys: where the two maps go that `LabelMapd` makes the film's label map of; None leaves them out.
        levels: see `SelectVertebrae`.
        threshold: see `SelectVertebrae`.
        centre_threshold: see `SelectVertebrae`.
        allow_missing_keys: do not raise where a key is missing.
        given_key: what a reader gave on the film (`GivenCentres.rows`, pixels of the film); need not be there.
        naming_key: where goes how sure the names are: ``probability`` that they are right, ``runner_up`` (names of all
            bodies that were read, from top to bottom, in the likeliest other naming) and ``levels_uncertain``.
        calibration: constants of a `cmnet_monai.decode.Calibration`; without them no body has a ``confidence``.

    >>> film = MetaTensor(torch.ones(1, 40, 120), affine=torch.diag(torch.tensor([2.0, 4.0, 1.0])))  # network's grid
    >>> film.meta["original_affine"] = torch.eye(3)  # the film has twice the columns and four times the rows
    >>> maps = np.zeros((3, 40, 120), dtype=np.float32)  # centre, vertebra, S1
    >>> maps[0, 17:24, 52:59], maps[1, 5:36, 43:68], maps[2, 5:36, 78:103] = 1.0, 0.75, 0.75
    >>> done = SelectVertebraed("pred")({"image": film, "pred": maps})
    >>> [(centre["level"], centre["x_px"], centre["y_px"]) for centre in done["centres"]]  # (20, 55) of the grid
    [('L5', 40.0, 220.0)]
    """

    backend = SelectVertebrae.backend

    def __init__(
        self,
        keys: KeysCollection,
        image_key: str = "image",
        centres_key: str = "centres",
        points_key: str | None = None,
        level_keys: tuple[str, str] | None = None,
        levels: Sequence[str] | None = LUMBAR,
        threshold: float = 0.5,
        centre_threshold: float = 0.3,
        allow_missing_keys: bool = False,
        given_key: str = "given_centres",
        calibration: Mapping[str, float] | None = None,
        naming_key: str = "naming",
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.calibration = Calibration.from_record(calibration) if calibration else None
        self.image_key, self.naming_key = image_key, naming_key
        self.given_key = given_key
        self.centres_key = centres_key
        self.points_key = points_key
        self.level_keys = None if level_keys is None else (level_keys[0], level_keys[1])
        self.select = SelectVertebrae(levels, threshold, centre_threshold)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Select in every key; the centres and level maps are those of the last one."""
        result = dict(data)
        for key in self.key_iterator(result):
            maps, to_film = result[key], grid_to_film(result.get(self.image_key))
            given = None
            if self.given_key in result:
                given = GivenCentres.from_rows(convert_to_numpy(result[self.given_key])).moved(np.linalg.inv(to_film))
            result[key], reading = self.select(maps, given, film_box(result.get(self.image_key)))
            if self.level_keys is not None:
                heeded = heed_levels(convert_to_numpy(maps), given, self.select.threshold)
                made = level_maps(heeded, reading, self.select.threshold)
                for name, values in zip(self.level_keys, made):
                    result[name] = convert_to_dst_type(values, maps, dtype=torch.float32)[0]
            result[self.centres_key] = [
                {
                    "level": body.level,
                    "label": body.label,
                    **dict(zip(("x_px", "y_px"), _apply(to_film, body.centre_xy_px))),
                    "score": round(body.score, 4),
                    "uncertainty": round(body.uncertainty, 4),
                    "confidence": self._confidence(body, given),
                    "evidence": body.evidence,
                }
                for body in reading.bodies
                if self.select.levels is None or body.level in self.select.levels
            ]
            result[self.naming_key] = {
                "probability": round(reading.probability, 4),
                "runner_up": list(reading.runner_up),
                "levels_uncertain": reading.levels_uncertain,
            }
            if self.points_key is not None:
                points = [(record["x_px"], record["y_px"]) for record in result[self.centres_key]]
                result[self.points_key] = torch.tensor(points, dtype=torch.float32).reshape(-1, 2)
        return result

    def _confidence(self, body: NamedBody, given: GivenCentres | None) -> float | None:
        if self.calibration is None or (given is not None and given.xy_px):
            return None
        return round(float(self.calibration(round(body.score, 4), round(body.uncertainty, 4))), 4)


def film_box(image: Any) -> np.ndarray | None:
    """Least and greatest (x, y) of a film (1, x, y) between its padding, (2, 2); None if there is nothing to see."""
    if image is None:
        return None
    seen = np.asarray(convert_to_numpy(image))[0] > 0
    sides = [np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0)]
    return None if not len(sides[0]) else np.array([[s[0] for s in sides], [s[-1] for s in sides]], dtype=np.float64)


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
