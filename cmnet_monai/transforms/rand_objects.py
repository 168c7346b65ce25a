"""Things that hide bone on a film: metal, bright, and bowel gas, dark."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import get_track_meta
from monai.utils import convert_to_numpy, convert_to_tensor
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from cmnet_monai.transforms.rand_film import _RandFilm, _RandFilmd

Film = NDArray[np.float32]
Point = tuple[float, float]


class RandObjects(_RandFilm):
    """Lay rods, screws, cages, a hip prosthesis, wires, clips or bowel gas over a film, values 0 to 1.

    Two in three lie on or near an outlined body where there is one, the others anywhere. The shapes are crude and drawn
    at random (domain randomisation): what is to be learnt is not to mind them.

    Args:
        prob: probability that there is anything.
        number: fewest and most kinds of things at once.

    >>> film = np.full((1, 96, 128), 0.5, dtype=np.float32)
    >>> changed = np.asarray(RandObjects(prob=1.0).set_random_state(seed=0)(film))
    >>> changed.shape, bool((changed != film).any()), bool((changed >= 0).all() and (changed <= 1).all())
    ((1, 96, 128), True, True)
    """

    def __init__(self, prob: float = 0.3, number: tuple[int, int] = (1, 2)) -> None:
        super().__init__(prob)
        self.number = number
        self._kinds: list[int] = []
        self._seed = 0

    def randomize(self, data: object = None) -> None:
        """Draw which things, and the seed of where they are and how they look."""
        super().randomize(None)
        count = self.R.randint(self.number[0], self.number[1] + 1)
        self._kinds = self.R.choice(len(_KINDS), size=count, replace=False, p=_SHARES).tolist()
        self._seed = int(self.R.randint(2**31 - 1))

    def __call__(
        self, img: NdarrayOrTensor, label: NdarrayOrTensor | None = None, randomize: bool = True
    ) -> NdarrayOrTensor:
        """Lay things over ``img`` (C, x, y), near what is not 0 in ``label`` (1, x, y)."""
        if randomize:
            self.randomize()
        if not self._do_transform:
            return convert_to_tensor(img, track_meta=get_track_meta())
        film = np.array(convert_to_numpy(img), dtype=np.float32)
        rng = np.random.default_rng(self._seed)
        outlined = np.zeros((1, 1)) if label is None else np.asarray(convert_to_numpy(label))[0, ::4, ::4]
        bodies = np.argwhere(outlined > 0) * 4
        for kind in self._kinds:
            near = len(bodies) > 0 and rng.random() < 2 / 3
            at = bodies[rng.integers(len(bodies))] if near else rng.uniform(0.1, 0.9, 2) * film.shape[1:]
            picture = Image.new("L", film.shape[1:], 0)
            gas = _KINDS[kind] is _gas
            _KINDS[kind](ImageDraw.Draw(picture), (float(at[0]), float(at[1])), film.shape[2] / 384, rng)
            picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.2))))
            share = np.asarray(picture, dtype=np.float32).T / 255
            if gas:
                film *= 1 - np.float32(rng.uniform(0.15, 0.55)) * share
            else:
                grey = np.float32(rng.uniform(0.8, 1.0))
                film += np.float32(rng.uniform(0.5, 1.0)) * share * np.maximum(grey - film, 0)
        return self._output(film.clip(0.0, 1.0), img)


def _path(at: Point, heading: float, length: float, bend: float, pieces: int = 8) -> list[Point]:
    """A curved path through a point; heading 0 is downwards, rad; bend is the whole change of heading."""
    headings = heading + bend * np.linspace(-0.5, 0.5, pieces)
    steps = length / pieces * np.stack([np.sin(headings), np.cos(headings)], axis=1)
    points = np.cumsum(np.vstack([np.zeros(2), steps]), axis=0)
    points += np.asarray(at) - points[pieces // 2]
    return [(float(x), float(y)) for x, y in points]


def _rods(draw: ImageDraw.ImageDraw, at: Point, size: float, rng: np.random.Generator) -> None:
    """One or two rods along the spine with screws across."""
    heading, bend = float(rng.normal(0, 0.25)), float(rng.normal(0, 0.4))
    length, width = size * float(rng.uniform(40, 170)), max(size * float(rng.uniform(2.0, 6.0)), 1)
    side = float(rng.choice([-1, 1]))
    for _ in range(int(rng.integers(1, 3))):
        start = at[0] + side * size * float(rng.uniform(0, 45)), at[1] + size * float(rng.normal(0, 4))
        path = _path(start, heading, length, bend)
        draw.line(path, fill=255, width=round(width))
        tilt = float(rng.normal(0, 0.25))
        for x, y in path[:: int(rng.integers(1, 4))]:
            reach = -side * size * float(rng.uniform(20, 45))
            draw.line([(x, y), (x + reach, y + reach * tilt)], fill=255, width=max(round(0.8 * width), 1))


def _screws(draw: ImageDraw.ImageDraw, at: Point, size: float, rng: np.random.Generator) -> None:
    """A few screws, one above the other."""
    heading = float(rng.normal(np.pi / 2, 0.4))
    for i in range(int(rng.integers(1, 5))):
        middle = at[0] + size * float(rng.normal(0, 3)), at[1] + size * (36.0 * i + float(rng.normal(0, 4)))
        path = _path(middle, heading + float(rng.normal(0, 0.1)), size * float(rng.uniform(18, 50)), 0.0)
        draw.line(path, fill=255, width=max(round(size * float(rng.uniform(2, 6))), 1))


def _cage(draw: ImageDraw.ImageDraw, at: Point, size: float, rng: np.random.Generator) -> None:
    """A box or its corners alone, about the size of a disc."""
    turn = float(rng.normal(0, 0.4))
    half = size * float(rng.uniform(6, 18)), size * float(rng.uniform(3, 8))
    cos, sin = np.cos(turn), np.sin(turn)
    corners = [
        (at[0] + cos * a * half[0] - sin * b * half[1], at[1] + sin * a * half[0] + cos * b * half[1])
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    look = rng.random()
    if look < 0.4:
        draw.polygon(corners, fill=int(rng.integers(100, 256)))
    elif look < 0.7:
        draw.line([*corners, corners[0]], fill=255, width=max(round(size * 2), 1))
    else:
        for x, y in corners:
            draw.ellipse([x - 1.5, y - 1.5, x + 1.5, y + 1.5], fill=255)


def _hip(draw: ImageDraw.ImageDraw, at: Point, size: float, rng: np.random.Generator) -> None:
    """A ball with a stem: a hip prosthesis, wherever it lies."""
    r = size * float(rng.uniform(12, 30))
    draw.ellipse([at[0] - r, at[1] - r, at[0] + r, at[1] + r], fill=255)
    path = _path((at[0], at[1] + 2 * r), float(rng.normal(0, 0.5)), size * float(rng.uniform(40, 110)), 0.2)
    draw.line(path, fill=255, width=max(round(0.6 * r), 1))


def _wires(draw: ImageDraw.ImageDraw, at: Point, size: float, rng: np.random.Generator) -> None:
    """Thin curved leads, and round or short things: buttons, clips, coins."""
    for _ in range(int(rng.integers(1, 6))):
        x, y = at[0] + size * float(rng.normal(0, 40)), at[1] + size * float(rng.normal(0, 40))
        if rng.random() < 0.5:
            path = _path(
                (x, y), float(rng.uniform(0, np.pi)), size * float(rng.uniform(5, 200)), float(rng.normal(0, 2))
            )
            draw.line(path, fill=255, width=int(rng.integers(1, 3)))
        else:
            r = size * float(rng.uniform(1.5, 9))
            draw.ellipse([x - r, y - r, x + r, y + r], fill=255)


def _gas(draw: ImageDraw.ImageDraw, at: Point, size: float, rng: np.random.Generator) -> None:
    """Lumps of gas, round and overlapping."""
    x, y = at
    for _ in range(int(rng.integers(2, 14))):
        x, y = x + size * float(rng.normal(0, 11)), y + size * float(rng.normal(0, 11))
        a, b = size * float(rng.uniform(3, 17)), size * float(rng.uniform(3, 13))
        draw.ellipse([x - a, y - b, x + a, y + b], fill=int(rng.integers(120, 256)))


_KINDS: tuple[Callable[[ImageDraw.ImageDraw, Point, float, np.random.Generator], None], ...] = (
    _rods,
    _screws,
    _cage,
    _hip,
    _wires,
    _gas,
)
_SHARES = (0.15, 0.12, 0.13, 0.1, 0.15, 0.35)


class RandObjectsd(_RandFilmd):
    """Dictionary version of :class:`RandObjects`.

    Args:
        keys: films (C, x, y).
        prob: probability that there is anything.
        number: fewest and most kinds of things at once.
        label_key: label map near whose bodies most things lie; ignored where absent.
        allow_missing_keys: ignore keys that are not in the data.

    >>> lay = RandObjectsd("image", prob=0.0)
    >>> float(lay({"image": np.full((1, 8, 12), 0.5)})["image"].max())
    0.5
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.3,
        number: tuple[int, int] = (1, 2),
        label_key: str = "label",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, prob, RandObjects(prob, number), allow_missing_keys)
        self.label_key = label_key

    def _apply(self, img: Any, data: Mapping[Hashable, Any], randomize: bool) -> Any:
        return self.transform(img, data.get(self.label_key), randomize=randomize)


RandObjectsD = RandObjectsDict = RandObjectsd
