"""Spines bent into other spines: each body moved, turned and pressed together on its own, its label with it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor, get_track_meta
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor, ensure_tuple_rep
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional as F

from cmnet_monai.conventions import LABELS_DOWNWARDS
from cmnet_monai.transforms.centres import _centroid, whole_labels
from cmnet_monai.transforms.rand_elastic import warp
from cmnet_monai.transforms.rand_part import without_slivers

Array = NDArray[np.float64]
_STEP = 4
"""The field is made on every fourth pixel along both axes, and interpolated."""


class RandArticulatedd(MapTransform, RandomizableTransform):
    """Bend the spine of a film at its discs; image and label map alike, centres found anew.

    From the lowest body upwards each joint turns a little, slips now and then along its end plate (up to
    ``slip`` of a body's depth: Meyerding 3) and loses height, and takes all that is above along; a body now and then
    loses height itself. Within a body the motion is that of an affine map; between bodies it is blended smoothly, and
    far from the spine it fades away. As the labels move with the pixels, they are right whatever was drawn. Films with
    fewer than two outlined bodies stay as they are. Not invertible: for training.

    Args:
        keys: images and label maps, (C, x, y), of one size.
        label_key: which of them is the label map, VerSe codes.
        points_key: centres (N, 2) with the affine of the image, their labels under ``levels_key``: replaced by the
            centres of mass of the bodies of ``levels_key`` that are still there. None or absent: none.
        levels_key: labels of the centres, (N,).
        prob: probability of a change.
        turn_deg: standard deviation of a joint's angle; each film draws its own below it.
        slip: largest slip, as a share of the body's depth.
        slip_prob: probability that one joint of a film slips.
        narrow: largest loss of height of a disc, as a share of the step between two bodies.
        crush: largest loss of height of a body, which one in eight suffers.
        mode: "bilinear" or "nearest", one for each key.
        allow_missing_keys: ignore keys that are not in the data.
    Raises:
        ValueError: the images differ in size.

    >>> label = torch.zeros(1, 64, 96)
    >>> label[0, 20:40, 20:36], label[0, 20:40, 42:58], label[0, 20:40, 64:80] = 22, 23, 24
    >>> bend = RandArticulatedd(["image", "label"], prob=1.0).set_random_state(seed=1)
    >>> bent = bend({"image": label / 24, "label": label})
    >>> bent["label"].unique().tolist(), bool((bent["label"] != label).any())
    ([0.0, 22.0, 23.0, 24.0], True)
    >>> bool(((bent["image"] * 24).round() == bent["label"]).float().mean() > 0.9)  # but for borders, which blur
    True
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        keys: KeysCollection = ("image", "label"),
        label_key: str = "label",
        points_key: str | None = "points",
        levels_key: str = "levels",
        prob: float = 0.5,
        turn_deg: float = 7.0,
        slip: float = 0.75,
        slip_prob: float = 0.2,
        narrow: float = 0.16,
        crush: float = 0.45,
        mode: str | Sequence[str] = ("bilinear", "nearest"),
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.label_key, self.points_key, self.levels_key = label_key, points_key, levels_key
        self.turn_deg, self.slip, self.slip_prob, self.narrow, self.crush = turn_deg, slip, slip_prob, narrow, crush
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        self._joints = np.zeros((0, 4))

    def randomize(self, data: int) -> None:
        """Draw, for each of a number of bodies from the lowest up: angle, rad; slip; loss of the disc; of the body."""
        super().randomize(None)
        turn = np.deg2rad(self.R.uniform(0.0, self.turn_deg))
        angles = self.R.normal(0.0, turn, data)
        slips = self.R.normal(0.0, 0.03, data)
        if self.R.uniform() < self.slip_prob:
            slips[self.R.randint(data)] = self.R.choice([1, 1, -1]) * self.R.uniform(0.1, self.slip)
        worn = self.R.uniform(size=data) < self.R.uniform(0.0, 0.6)
        crushed = self.R.uniform(size=data) < 1 / 8
        losses = worn * self.R.uniform(0.0, self.narrow, data), crushed * self.R.uniform(0.0, self.crush, data)
        self._joints = np.stack([angles, slips, *losses], axis=1)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Bend every key in the same way."""
        d = dict(data)
        present = list(self.key_iterator(d, self.mode))
        labels = whole_labels(d[self.label_key]) if self.label_key in d else np.zeros((1, 1), np.int32)
        codes = [code for code in reversed(LABELS_DOWNWARDS) if (labels == code).any()]
        self.randomize(max(len(codes), 1))
        if not self._do_transform or len(codes) < 2:
            return d
        sizes = {tuple(d[key].shape[1:]) for key, _ in present}
        if len(sizes) > 1:
            raise ValueError(f"RandArticulatedd bends images of one size, got (x, y) = {sorted(sizes)}.")
        move = articulation(labels, codes, self._joints)
        for key, mode in present:
            d[key] = warp(convert_to_tensor(d[key], track_meta=get_track_meta()), move, mode)
        kept = without_slivers(whole_labels(d[self.label_key]), labels, least=0.4)
        d[self.label_key] = convert_to_dst_type(kept[None], d[self.label_key])[0]
        if self.points_key in d and self.levels_key in d:
            boxes = ndimage.find_objects(kept)
            there = [int(v) for v in d[self.levels_key] if 0 < v <= len(boxes) and boxes[int(v) - 1] is not None]
            centres = [_centroid(kept, boxes[code - 1], code) for code in there]
            points = torch.tensor(centres, dtype=torch.float32).reshape(-1, 2)
            affine = getattr(d[self.points_key], "affine", None)
            d[self.points_key] = points if affine is None else MetaTensor(points, affine=affine)
            d[self.levels_key] = torch.tensor(there, dtype=torch.int64)
        return d


def articulation(labels: NDArray[np.integer], codes: Sequence[int], joints: Array) -> torch.Tensor:
    """Displacement field, (2, x, y), for `rand_elastic.warp`: from a pixel of the bent film to where it came from.

    Args:
        labels: label map, (x, y).
        codes: labels of the bodies from the lowest up, at least two.
        joints: angle (rad), slip (share of the depth), loss of the disc (share of the step to the body below) and of
            the body (share of its height), (N, 4); the slip of the lowest body has no meaning.
    """
    coarse = labels[::_STEP, ::_STEP]
    centres = np.array([np.argwhere(coarse == code).mean(axis=0) for code in codes if (coarse == code).any()])
    if len(centres) < len(codes):  # a body of a few pixels
        return torch.zeros(2, *labels.shape)
    x, y = (np.arange(n, dtype=np.float64) for n in coarse.shape)
    pixels = np.stack(np.broadcast_arrays(x[:, None], y[None, :]))
    step = float(np.median(np.hypot(*np.diff(centres, axis=0).T)))
    weight, shift = np.full(coarse.shape, step**-3.0), np.zeros_like(pixels)
    for code, back in zip(codes, _inverse_maps(coarse, codes, centres, joints)):
        source = np.einsum("ij,jxy->ixy", back[:, :2], pixels) + back[:, 2, None, None]
        distance = ndimage.distance_transform_edt(coarse != code)
        away = ndimage.map_coordinates(distance, source, order=1, mode="nearest")
        share = (away + 0.35) ** -3.0  # of Shepard's interpolation: nearly 1 within a body, whatever is beside it
        weight += share
        shift += share * (source - pixels)
    field = torch.from_numpy((shift / weight * _STEP).astype(np.float32))[None]
    full = [n * _STEP for n in coarse.shape]
    # Pixel k of the coarse field is pixel 4 k of the film.
    grown = F.interpolate(field, size=[n - _STEP + 1 for n in full], mode="bilinear", align_corners=True)
    padded = F.pad(grown, (0, _STEP - 1, 0, _STEP - 1), mode="replicate")[0]
    return padded[:, : labels.shape[0], : labels.shape[1]]


def _inverse_maps(coarse: NDArray[np.integer], codes: Sequence[int], centres: Array, joints: Array) -> list[Array]:
    """For each body the affine map, (2, 3), from where it goes to where it was, in pixels of the coarse grid."""
    forward = np.eye(3)
    maps: list[Array] = []
    for i, code in enumerate(codes):
        below, above = centres[max(i - 1, 0)], centres[min(i + 1, len(codes) - 1)]
        up = (above - below) / max(float(np.hypot(*(above - below))), 1e-6)
        along = np.array([-up[1], up[0]])
        inside = (np.argwhere(coarse == code) - centres[i]) @ along
        depth = 3.46 * float(inside.std()) if len(inside) > 1 else 0.0  # of a flat distribution
        angle, slip, narrow, crush = joints[i]
        if i > 0:
            gap = centres[i] - centres[i - 1]
            joint = _about(0.5 * (centres[i] + centres[i - 1]), _turn(angle))
            joint[:2, 2] += slip * depth * along - narrow * gap
            forward = forward @ joint
        frame = np.stack([along, up], axis=1)
        squeeze = _about(centres[i], frame @ np.diag([1.0, 1.0 - crush]) @ frame.T)
        maps.append(np.asarray(np.linalg.inv(forward @ squeeze)[:2], dtype=np.float64))
    return maps


def _turn(angle: float) -> Array:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _about(centre: Array, linear: Array) -> Array:
    """A linear map about a point, as (3, 3)."""
    full = np.eye(3)
    full[:2, :2], full[:2, 2] = linear, centre - linear @ centre
    return full


RandArticulatedD = RandArticulatedDict = RandArticulatedd
