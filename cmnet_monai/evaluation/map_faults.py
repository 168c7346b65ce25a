"""Maps with the faults that networks make on films from elsewhere, drawn at random: what a decoder must live with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmnet_monai.conventions import (
    CENTRE_CHANNEL,
    LABEL_OF_LEVEL,
    LABELS_DOWNWARDS,
    LUMBAR_CHANNEL,
    S1_CHANNEL,
    S1_LABEL,
    VERTEBRA_CHANNEL,
)

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]


@dataclass
class _Scene:
    """Maps in the making, where the true vertebrae lie, and the dice."""

    maps: Array
    truth: NDArray[np.integer]
    rng: np.random.Generator

    def __post_init__(self) -> None:
        present = set(np.unique(self.truth).tolist())
        self.labels = [label for label in LABELS_DOWNWARDS if label in present]
        self.centres = {label: np.argwhere(self.truth == label).mean(axis=0) for label in self.labels}
        self.size = float(np.median([np.sqrt((self.truth == label).sum()) for label in self.labels]))
        self.x, self.y = np.indices(self.truth.shape)

    def around(self, label: int, margin: int = 3) -> Mask:
        return ndimage.binary_dilation(self.truth == label, iterations=margin)

    def down(self, label: int) -> Array:
        """Unit vector down the spine at a vertebra, (2,)."""
        at = self.labels.index(label)
        upper, lower = self.labels[max(at - 1, 0)], self.labels[min(at + 1, len(self.labels) - 1)]
        axis = self.centres[lower] - self.centres[upper]
        return axis / np.linalg.norm(axis)

    def beside(self, point: Array, axis: Array) -> tuple[Array, Array]:
        """Coordinates of each pixel along an axis and across it, from a point."""
        dx, dy = self.x - point[0], self.y - point[1]
        return dx * axis[0] + dy * axis[1], dy * axis[0] - dx * axis[1]

    def raise_to(self, channel: int, values: Array) -> None:
        self.maps[channel] = np.maximum(self.maps[channel], values)

    def add_centre(self, point: Array, least: float, most: float) -> None:
        squares = (self.x - point[0]) ** 2 + (self.y - point[1]) ** 2
        self.raise_to(CENTRE_CHANNEL, self.rng.uniform(least, most) * np.exp(-squares / 18))

    def body(self) -> int:
        return int(self.rng.choice([label for label in self.labels if label != S1_LABEL]))


def _soft(mask: Mask) -> Array:
    return ndimage.gaussian_filter(mask.astype(np.float32), 1.2)


def _fade(scene: _Scene) -> None:
    """A body is hardly seen."""
    here = scene.around(scene.body())
    scene.maps[: VERTEBRA_CHANNEL + 1, here] *= scene.rng.uniform(0, 0.7)


def _crack(scene: _Scene) -> None:
    """A body falls into two."""
    label = scene.body()
    here, axis = scene.around(label), scene.down(label)
    along, _ = scene.beside(scene.centres[label], axis)
    gap = np.abs(along - scene.rng.uniform(-0.25, 0.25) * scene.size) < scene.rng.uniform(1, 3)
    scene.maps[VERTEBRA_CHANNEL][here & gap] *= scene.rng.uniform(0, 0.5)
    scene.maps[CENTRE_CHANNEL][here] *= 0.3
    for side in (-0.28, 0.28):
        scene.add_centre(scene.centres[label] + side * scene.size * axis, 0.1, 0.7)


def _bridge(scene: _Scene) -> None:
    """Two bodies grow together, and perhaps share a centre."""
    bodies = [label for label in scene.labels if label != S1_LABEL]
    at = int(scene.rng.integers(len(bodies) - 1))
    upper, lower = bodies[at : at + 2]
    axis, middle = scene.centres[lower] - scene.centres[upper], (scene.centres[lower] + scene.centres[upper]) / 2
    length = float(np.linalg.norm(axis))
    along, across = scene.beside(middle, axis / length)
    between = (np.abs(along) < 0.45 * length) & (np.abs(across) < scene.rng.uniform(0.2, 0.5) * scene.size)
    scene.raise_to(VERTEBRA_CHANNEL, _soft(between) * scene.rng.uniform(0.5, 0.95))
    if scene.rng.random() < 0.6:
        scene.maps[CENTRE_CHANNEL][scene.around(upper) | scene.around(lower)] *= scene.rng.uniform(0, 0.5)
        scene.add_centre(middle, 0.3, 0.9)


def _upper_half_of_s1(scene: _Scene) -> None:
    """The upper half of S1 passes for a body."""
    axis, rng = scene.down(S1_LABEL), scene.rng
    along, _ = scene.beside(scene.centres[S1_LABEL], axis)
    here = scene.around(S1_LABEL, 2) & (along < rng.uniform(-0.2, 0.2) * scene.size)
    share, sacral = rng.uniform(0.3, 1), scene.maps[S1_CHANNEL][here]
    scene.maps[VERTEBRA_CHANNEL][here] = np.maximum(scene.maps[VERTEBRA_CHANNEL][here], sacral * share)
    scene.maps[S1_CHANNEL][here] = sacral * (1 - share) * rng.uniform(0.5, 1)
    scene.maps[LUMBAR_CHANNEL][here] = scene.maps[VERTEBRA_CHANNEL][here] * rng.uniform(0.1, 1)
    scene.add_centre(scene.centres[S1_LABEL] - 0.25 * scene.size * axis, 0.1, 0.95)


def _s1_for_l5(scene: _Scene) -> None:
    """All of S1 passes for a lumbar body, and S2 for S1."""
    axis, rng, here = scene.down(S1_LABEL), scene.rng, scene.around(S1_LABEL, 2)
    scene.raise_to(VERTEBRA_CHANNEL, scene.maps[S1_CHANNEL] * rng.uniform(0.6, 1) * here)
    scene.maps[S1_CHANNEL][here] *= rng.uniform(0, 0.6)
    scene.raise_to(LUMBAR_CHANNEL, scene.maps[VERTEBRA_CHANNEL] * here * rng.uniform(0.3, 1))
    scene.add_centre(scene.centres[S1_LABEL], 0.4, 0.95)
    turn = rng.normal(0, 0.5)
    axis = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ axis
    along, across = scene.beside(scene.centres[S1_LABEL] + axis * scene.size * rng.uniform(0.7, 1), axis)
    half_high, half_wide = scene.size * rng.uniform(0.25, 0.5), scene.size * rng.uniform(0.3, 0.55)
    second = _soft((np.abs(along) < half_high) & (np.abs(across) < half_wide))
    scene.raise_to(S1_CHANNEL, second * rng.uniform(0.6, 1) * ~here)


def _crumb(scene: _Scene) -> None:
    """A crumb of vertebra in or beside S1."""
    rng = scene.rng
    x, y = scene.centres[S1_LABEL] + rng.normal(0, 0.5, 2) * scene.size
    inside = (scene.x - x) ** 2 + (scene.y - y) ** 2 < (rng.uniform(0.12, 0.3) * scene.size) ** 2
    here, value = inside & np.isin(scene.truth, (0, S1_LABEL)), rng.uniform(0.5, 0.95)
    scene.maps[VERTEBRA_CHANNEL][here] = value
    scene.maps[S1_CHANNEL][here] *= rng.uniform(0, 0.6)
    scene.maps[LUMBAR_CHANNEL][here] = value * rng.uniform(0, 1)


def _l5_for_s1(scene: _Scene) -> None:
    """The lower part of L5 passes for S1."""
    label, rng = LABEL_OF_LEVEL["L5"], scene.rng
    if label not in scene.labels:
        return
    along, _ = scene.beside(scene.centres[label], scene.down(label))
    here, share = scene.around(label, 2) & (along > rng.uniform(-0.4, 0.3) * scene.size), rng.uniform(0.5, 1)
    body = scene.maps[VERTEBRA_CHANNEL][here]
    scene.maps[S1_CHANNEL][here] = np.maximum(scene.maps[S1_CHANNEL][here], body * share)
    scene.maps[VERTEBRA_CHANNEL][here] = body * (1 - 0.7 * share)
    scene.maps[LUMBAR_CHANNEL][here] *= rng.uniform(0.2, 1)


def _lumbar(scene: _Scene) -> None:
    """T12 looks lumbar, or L1 does not."""
    t12, l1 = (scene.around(LABEL_OF_LEVEL[level]) for level in ("T12", "L1"))
    if scene.rng.random() < 0.5 and t12.any():
        scene.maps[LUMBAR_CHANNEL][t12] = scene.maps[VERTEBRA_CHANNEL][t12] * scene.rng.uniform(0.3, 1)
    else:
        scene.maps[LUMBAR_CHANNEL][l1] *= scene.rng.uniform(0, 0.7)


def _no_s1(scene: _Scene) -> None:
    """S1 is hardly seen."""
    scene.maps[S1_CHANNEL] *= scene.rng.uniform(0, 0.6)


def _false_body(scene: _Scene) -> None:
    """Something beside the spine passes for a body."""
    rng = scene.rng
    offset = np.array([rng.choice([-1, 1]) * rng.uniform(0.9, 2.5), rng.uniform(-0.6, 0.6)]) * scene.size
    point, half = scene.centres[scene.body()] + offset, rng.uniform(0.2, 0.55) * scene.size
    box = (np.abs(scene.x - point[0]) < half) & (np.abs(scene.y - point[1]) < half * rng.uniform(0.6, 1))
    false = _soft(box) * rng.uniform(0.3, 0.95) * (scene.truth == 0)
    scene.raise_to(VERTEBRA_CHANNEL, false)
    scene.raise_to(LUMBAR_CHANNEL, false * rng.uniform(0, 1))
    if rng.random() < 0.4:
        scene.add_centre(point, 0.1, 0.8)


_ANYWHERE: tuple[Callable[[_Scene], None], ...] = (_fade, _crack, _bridge, _lumbar, _false_body)
_SACRAL: tuple[Callable[[_Scene], None], ...] = (
    *(_upper_half_of_s1, _s1_for_l5) * 2,  # the commonest on real films from elsewhere
    _crumb,
    _l5_for_s1,
    _no_s1,
)


def with_faults(maps: Array, truth: NDArray[np.integer], rng: np.random.Generator) -> Array:
    """A film's maps with one or two faults.

    Args:
        maps: probabilities (C, x, y) with the channels centre, vertebra, S1 and lumbar, perhaps more.
        truth: label map on the same grid, (x, y).
        rng: draws the faults.
    Returns:
        Other maps; the same for a film with fewer than three vertebrae.
    """
    scene = _Scene(np.array(maps, dtype=np.float32), truth, rng)
    if len(scene.labels) < 3:
        return scene.maps
    faults = _ANYWHERE + (_SACRAL if S1_LABEL in scene.labels else ())
    for fault in rng.choice(len(faults), size=int(rng.integers(1, 3))):
        faults[int(fault)](scene)
    return scene.maps
