"""Centre points: from a label map or a datalist, and carried along with the image."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import MetaTensor, get_track_meta
from monai.data.utils import to_affine_nd
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_numpy, convert_to_tensor

from cmnet_monai.conventions import (
    BODY_LABELS,
    COORDINATE_PROTOCOL,
    LEVELS_PROTOCOL,
    LUMBAR_LABELS,
    LUMBAR_PROTOCOL,
    VISIBLE_PROTOCOL,
)

UNKNOWN_LEVEL = 0
PROTOCOL_LABELS: Mapping[str, tuple[int, ...]] = {
    LUMBAR_PROTOCOL: LUMBAR_LABELS,
    VISIBLE_PROTOCOL: BODY_LABELS,
    LEVELS_PROTOCOL: BODY_LABELS,
    COORDINATE_PROTOCOL: BODY_LABELS,
}
"""Bodies that count as vertebra: L1-L5, or every thoracic and lumbar body."""

_BINARY_VALUES = (1, 255)


def labels_of_protocol(protocol: str) -> tuple[int, ...]:
    """Label values that count as vertebra under one of `cmnet_monai.conventions.PROTOCOLS`."""
    if protocol not in PROTOCOL_LABELS:
        raise ValueError(f"protocol must be one of {tuple(PROTOCOL_LABELS)}, got {protocol!r}.")
    return PROTOCOL_LABELS[protocol]


def whole_labels(label: NdarrayOrTensor) -> np.ndarray:
    """A label map (1, x, y) or (x, y) as whole numbers, (x, y).

    Raises:
        ValueError: another shape, or values that are not whole numbers from 0 on.
    """
    values = np.asarray(convert_to_numpy(label))
    values = values[0] if values.ndim == 3 and values.shape[0] == 1 else values
    if values.ndim != 2:
        raise ValueError(f"A label map has shape (1, x, y) or (x, y), got {tuple(values.shape)}.")
    if values.dtype.kind == "f":
        whole = values.astype(np.int32)
        if not np.array_equal(whole, values):
            raise ValueError("The label map holds values that are not whole numbers. Resize label maps with nearest.")
        values = whole
    if values.size and values.min() < 0:
        raise ValueError(f"The label map holds the negative value {values.min()}.")
    return values.astype(np.int32, copy=False)


def is_binary_mask(values: np.ndarray) -> bool:
    """Whether a label map knows no levels: 0 and one other value, 1 or 255."""
    highest = int(values.max()) if values.size else 0
    return highest in _BINARY_VALUES and bool(((values == 0) | (values == highest)).all())


class CentresFromLabel(Transform):
    """Centre of mass of each vertebral body of a label map, or the centres that a datalist gives.

    A binary mask (0 and 1, or 0 and 255) is first parted into its 4-connected components; components smaller than
    ``min_area_fraction`` of the largest are specks and left out. Their level is unknown, 0. A body that the film's
    edge cuts has the centre of its visible part.

    The points know their grid: they are a MetaTensor whose affine is that of the label map (of the file as read for
    given centres).

    Args:
        protocol: "lumbar" for L1-L5 only, the others for every thoracic and lumbar one. Centres of unknown level stay.
        min_area_fraction: smallest component of a binary mask, as a share of the largest.
        labels: label values that count, instead of those of the protocol: for other anatomy than the spine. A label
            map is then never taken for a binary mask, and the points come in this order.

    Raises:
        ValueError: the protocol is unknown, or ``labels`` are not distinct positive whole numbers.

    >>> label = np.zeros((1, 9, 9), dtype=np.uint8)
    >>> label[0, 2:5, 1:6] = 22  # L3
    >>> points, levels = CentresFromLabel()(label)
    >>> points.tolist(), levels.tolist()
    ([[3.0, 3.0]], [22])
    """

    backend = [TransformBackends.NUMPY]

    def __init__(
        self, protocol: str = LUMBAR_PROTOCOL, min_area_fraction: float = 0.05, labels: Sequence[int] | None = None
    ) -> None:
        self.wanted = labels_of_protocol(protocol) if labels is None else _checked_labels(labels)
        self.given_labels = labels is not None
        self.protocol = protocol
        self.min_area_fraction = min_area_fraction

    def __call__(
        self, label: NdarrayOrTensor, centres: Sequence[Mapping[str, Any]] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Find the centres.

        Args:
            label: label map in VerSe codes or binary mask, (1, x, y).
            centres: given centres, each ``{"label": 22, "x": 101.5, "y": 44.0}`` in pixels of the film as read; they
                replace those of the label map. "label" may be left out.
        Returns:
            Points (N, 2), float32, (x, y) in pixels, and their labels (N,), int64, 0 where unknown.
        Raises:
            ValueError: the label map is not (1, x, y) of whole numbers, or a given centre is incomplete or not finite.
        """
        affine = getattr(label, "affine", None)
        if centres is not None:
            found = _given(centres)
            if isinstance(label, MetaTensor):
                affine = label.meta.get("original_affine", affine)
        else:
            values = whole_labels(label)
            if not self.given_labels and is_binary_mask(values):
                found = [(UNKNOWN_LEVEL, xy) for xy in _component_centres(values, self.min_area_fraction)]
            else:
                found = _body_centres(values, self.wanted)
        found = [(level, xy) for level, xy in found if level == UNKNOWN_LEVEL or level in self.wanted]
        points = torch.tensor([xy for _, xy in found], dtype=torch.float32).reshape(-1, 2)
        labels = torch.tensor([level for level, _ in found], dtype=torch.int64)
        if get_track_meta():
            points = MetaTensor(points, affine=_planar(affine) if affine is not None else torch.eye(3))
        return points, labels


def _checked_labels(labels: Sequence[int]) -> tuple[int, ...]:
    wanted = tuple(int(label) for label in labels)
    if list(wanted) != list(labels) or min(wanted, default=0) < 1 or len(set(wanted)) < len(wanted):
        raise ValueError(f"labels must be distinct positive whole numbers, got {list(labels)}.")
    return wanted


def _planar(affine: Any) -> torch.Tensor:
    """In-plane (3, 3) part of an affine as float64."""
    return convert_to_tensor(to_affine_nd(2, np.asarray(convert_to_numpy(affine), dtype=np.float64)))


def _given(centres: Sequence[Mapping[str, Any]]) -> list[tuple[int, tuple[float, float]]]:
    found = []
    for i, centre in enumerate(centres):
        try:
            level, xy = int(centre.get("label", UNKNOWN_LEVEL)), (float(centre["x"]), float(centre["y"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f'Centre {i} must be {{"label": int, "x": float, "y": float}}, got {centre!r}.') from error
        if not np.isfinite(xy).all():
            raise ValueError(f"Centre {i} lies at {xy}, which is not finite.")
        found.append((level, xy))
    return found


def _body_centres(values: np.ndarray, wanted: Sequence[int]) -> list[tuple[int, tuple[float, float]]]:
    from scipy.ndimage import find_objects

    boxes = find_objects(values)
    return [
        (level, _centroid(values, boxes[level - 1], level))
        for level in wanted
        if level <= len(boxes) and boxes[level - 1] is not None
    ]


def _component_centres(values: np.ndarray, min_area_fraction: float) -> list[tuple[float, float]]:
    """Centroids of the components of a binary mask, from top to bottom."""
    from scipy.ndimage import find_objects
    from skimage.measure import label as components_of

    components = components_of(values > 0, connectivity=1)
    areas = np.bincount(components.ravel())
    areas[0] = 0
    boxes = find_objects(components)
    kept = [i for i in range(1, len(areas)) if areas[i] >= min_area_fraction * areas.max()]
    return sorted((_centroid(components, boxes[i - 1], i) for i in kept), key=lambda xy: xy[1])


def _centroid(values: np.ndarray, box: tuple[slice, slice], level: int) -> tuple[float, float]:
    inside = values[box] == level
    columns, rows = inside.sum(axis=1), inside.sum(axis=0)
    area = columns.sum()
    x = float(columns @ np.arange(box[0].start, box[0].stop)) / area
    y = float(rows @ np.arange(box[1].start, box[1].stop)) / area
    return float(x), float(y)


class CentresFromLabeld(MapTransform):
    """Dictionary version of :class:`CentresFromLabel`; writes the points and their labels under two new keys.

    Args:
        keys: the label map, one key.
        points_key: where the points (N, 2) go.
        levels_key: where their labels (N,) go.
        centres_key: given centres; used when the data has them.
        protocol: "lumbar", "visible" or "levels".
        min_area_fraction: smallest component of a binary mask, as a share of the largest.
        allow_missing_keys: ignore a key that is not in the data (no points are then written).
        labels: label values that count, instead of those of the protocol.

    >>> label = np.zeros((1, 9, 9), dtype=np.uint8)
    >>> label[0, 2:5, 1:6] = 3  # any anatomy: say which labels count
    >>> CentresFromLabeld("label", labels=range(1, 6))({"label": label})["points"].tolist()
    [[3.0, 3.0]]
    """

    backend = CentresFromLabel.backend

    def __init__(
        self,
        keys: KeysCollection,
        points_key: str = "points",
        levels_key: str = "levels",
        centres_key: str = "centres",
        protocol: str = LUMBAR_PROTOCOL,
        min_area_fraction: float = 0.05,
        allow_missing_keys: bool = False,
        labels: Sequence[int] | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"CentresFromLabeld takes one key, got {self.keys}.")
        self.points_key, self.levels_key, self.centres_key = points_key, levels_key, centres_key
        self.finder = CentresFromLabel(protocol, min_area_fraction, labels)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the points and their labels."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[self.points_key], d[self.levels_key] = self.finder(d[key], d.get(self.centres_key))
        return d


class CarryCentres(Transform):
    """Bring points to the grid on which an image now lies.

    The points carry the affine of their own grid (see :class:`CentresFromLabel`); from there they pass through world
    coordinates to the image's present grid, so every spatial transform that keeps the affine up to date is followed:
    resizing, padding, flips, rotations, crops, random affines, but not elastic deformation.

    >>> from monai.data import MetaTensor
    >>> from monai.transforms import Flip
    >>> film = MetaTensor(torch.zeros(1, 100, 200))
    >>> points = MetaTensor(torch.tensor([[10.0, 20.0]]), affine=film.affine)
    >>> CarryCentres()(points, Flip(spatial_axis=0)(film)).tolist()  # x from the other side: 99 - 10
    [[89.0, 20.0]]
    """

    backend = [TransformBackends.TORCH]

    def __call__(self, points: torch.Tensor, image: torch.Tensor) -> MetaTensor:  # type: ignore[override]
        """Carry the points.

        Args:
            points: (N, 2), (x, y) in pixels, a MetaTensor with the affine of their grid.
            image: MetaTensor (C, x, y).
        Returns:
            MetaTensor (N, 2), float32, in pixels of ``image``, with its affine. Points outside are not dropped here.
        Raises:
            ValueError: one of the two has no metadata, or the points are not (N, 2).
        """
        if not isinstance(points, MetaTensor) or not isinstance(image, MetaTensor):
            raise ValueError("CarryCentres needs points and image as MetaTensor: their affines say how the grid moved.")
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"Points have shape (N, 2), (x, y), got {tuple(points.shape)}.")
        here, there = _planar(points.affine), _planar(image.affine)
        move = torch.linalg.solve(there, here)
        moved = points.as_tensor().to(torch.float64) @ move[:2, :2].T + move[:2, 2]
        return MetaTensor(moved.to(torch.float32), affine=there)


def inside_grid(points: torch.Tensor, spatial_size: Sequence[int]) -> torch.Tensor:
    """Which points (N, 2) lie on a grid of (x, y) size: within the outer borders of its pixels. (N,), bool."""
    plain = torch.as_tensor(points)
    upper = torch.tensor([float(size) for size in spatial_size], dtype=plain.dtype) - 0.5
    return ((plain >= -0.5) & (plain < upper)).all(dim=1)


class CarryCentresd(MapTransform):
    """Dictionary version of :class:`CarryCentres`.

    Args:
        keys: points, each (N, 2).
        refer_key: the image whose grid the points are brought to.
        levels_key: labels of the points, (N,), shortened with them; ignored where absent.
        drop_outside: drop the points that no longer lie on the image.
        allow_missing_keys: ignore keys that are not in the data.

    >>> from monai.transforms import SpatialCrop
    >>> film = MetaTensor(torch.zeros(1, 100, 200))
    >>> points = MetaTensor(torch.tensor([[10.0, 20.0], [60.0, 150.0]]), affine=film.affine)
    >>> lower_part = SpatialCrop(roi_start=(50, 100), roi_end=(100, 200))(film)
    >>> carried = CarryCentresd()({"image": lower_part, "points": points, "levels": torch.tensor([20, 24])})
    >>> carried["points"].tolist(), carried["levels"].tolist()  # L1 was cut off, L5 is there
    ([[10.0, 50.0]], [24])
    """

    backend = CarryCentres.backend

    def __init__(
        self,
        keys: KeysCollection = "points",
        refer_key: str = "image",
        levels_key: str | None = "levels",
        drop_outside: bool = True,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.refer_key, self.levels_key, self.drop_outside = refer_key, levels_key, drop_outside
        self.carry = CarryCentres()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Carry the points under ``keys`` to the grid of the image under ``refer_key``."""
        d = dict(data)
        for key in self.key_iterator(d):
            image = d[self.refer_key]
            moved = self.carry(d[key], image)
            if self.drop_outside:
                inside = inside_grid(moved.as_tensor(), image.shape[1:])
                if self.levels_key in d and len(d[self.levels_key]) == len(inside):
                    d[self.levels_key] = d[self.levels_key][inside]
                moved = MetaTensor(moved.as_tensor()[inside], affine=moved.affine)
            d[key] = moved
        return d


CentresFromLabelD = CentresFromLabelDict = CentresFromLabeld
CarryCentresD = CarryCentresDict = CarryCentresd
