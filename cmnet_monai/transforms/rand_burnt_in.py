"""What workstations and stitching burn into films: grids, rulers, text, seams, collimator edges."""

from __future__ import annotations

import string
from collections.abc import Callable

import numpy as np
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import get_track_meta
from monai.utils import convert_to_numpy, convert_to_tensor
from numpy.typing import NDArray

from cmnet_monai.transforms.rand_film import _RandFilm, _RandFilmd

Film = NDArray[np.float32]


class RandBurntIn(_RandFilm):
    """Draw grid lines, a ruler, text, a stitching seam or the edge of a collimator over a film, values 0 to 1.

    Sharp straight lines across bodies look like end plates to a network that has never seen any.

    Args:
        prob: probability that there is anything.
        number: fewest and most kinds of marks at once.

    >>> film = np.full((1, 96, 128), 0.5, dtype=np.float32)
    >>> marked = RandBurntIn(prob=1.0).set_random_state(seed=0)(film)
    >>> marked.shape, bool((np.asarray(marked) != film).any())
    (torch.Size([1, 96, 128]), True)
    """

    def __init__(self, prob: float = 0.3, number: tuple[int, int] = (1, 2)) -> None:
        super().__init__(prob)
        self.number = number
        self._kinds: list[int] = []
        self._seed = 0

    def randomize(self, data: object = None) -> None:
        """Draw which marks, and the seed of where they are and how they look."""
        super().randomize(None)
        count = self.R.randint(self.number[0], self.number[1] + 1)
        self._kinds = self.R.choice(len(_KINDS), size=count, replace=False, p=_SHARES).tolist()
        self._seed = int(self.R.randint(2**31 - 1))

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        """Mark ``img`` (C, x, y)."""
        if randomize:
            self.randomize()
        if not self._do_transform:
            return convert_to_tensor(img, track_meta=get_track_meta())
        film = np.array(convert_to_numpy(img), dtype=np.float32)
        rng = np.random.default_rng(self._seed)
        for kind in self._kinds:
            for channel in film:
                _KINDS[kind](channel, rng)
        return self._output(film.clip(0.0, 1.0), img)


def _axes(film: Film, rng: np.random.Generator) -> tuple[Film, Film]:
    """Coordinates along two perpendicular axes, mostly those of the film, in pixels."""
    angle = 0.0 if rng.random() < 0.7 else float(rng.normal(0, 0.2))
    x, y = (np.arange(n, dtype=np.float32) for n in film.shape)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x[:, None] * cos + y[None, :] * sin, y[None, :] * cos - x[:, None] * sin


def _paint(film: Film, share: Film | NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Mix a grey value in, bright more often than dark."""
    grey = np.float32(rng.uniform(0.7, 1.0) if rng.random() < 0.75 else rng.uniform(0.0, 0.25))
    film += share * np.float32(rng.uniform(0.25, 1.0)) * (grey - film)


def _line(distance: Film, width: float) -> Film:
    """Share of a pixel that a line covers, from the distance to its middle, both in pixels."""
    return np.clip(np.float32(width / 2 + 0.5) - np.abs(distance), 0, 1)


def _grid(film: Film, rng: np.random.Generator) -> None:
    u, v = _axes(film, rng)
    period = float(rng.uniform(9, 70))
    width = float(rng.uniform(0.5, 1.6))
    which = rng.random()
    share = np.zeros_like(film)
    for axis, wanted in ((u, which < 0.8), (v, which > 0.1)):
        if wanted:
            offset = float(rng.uniform(0, period))
            share = np.maximum(share, _line((axis + offset) % period - period / 2, width))
    _paint(film, share, rng)


def _ruler(film: Film, rng: np.random.Generator) -> None:
    u, v = _axes(film, rng)
    if rng.random() < 0.3:
        u, v = v, u
    at = float(rng.uniform(u.min(), u.max()))
    period = float(rng.uniform(4, 16))
    ticks = _line((v % period) - period / 2, 1.0)
    long = np.floor(v / period) % int(rng.choice([5, 10])) == 0
    reach = np.float32(rng.uniform(4, 12)) * (np.float32(0.5) + np.float32(0.5) * long)
    side = float(rng.choice([-1.0, 1.0])) * (u - at)
    share = np.where((side > 0) & (side < reach), np.maximum(ticks, _line(u - at, 1.2)), _line(u - at, 1.2))
    _paint(film, share, rng)


def _text(film: Film, rng: np.random.Generator) -> None:
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", film.shape, 0)
    draw = ImageDraw.Draw(picture)
    letters = list(string.ascii_uppercase + string.digits + " .:/-")
    for _ in range(int(rng.integers(1, 6))):
        font = ImageFont.load_default(float(rng.uniform(7, 24)))
        lines = ["".join(rng.choice(letters, int(rng.integers(1, 14)))) for _ in range(int(rng.integers(1, 4)))]
        at = float(rng.uniform(-0.05, 0.85) * film.shape[0]), float(rng.uniform(0, 0.95) * film.shape[1])
        draw.multiline_text(at, "\n".join(lines), fill=255, font=font)
    _paint(film, np.asarray(picture, dtype=np.float32).T / np.float32(255), rng)


def _seam(film: Film, rng: np.random.Generator) -> None:
    _, v = _axes(film, rng)
    at = float(rng.uniform(0.1, 0.9)) * film.shape[1]
    below = np.clip(v - at, 0, 1)
    film += below * np.float32(rng.normal(0, 0.12))
    film *= 1 + below * np.float32(rng.normal(0, 0.15))
    if rng.random() < 0.6:
        band = _line(v - at, float(rng.uniform(4, 24)))  # both exposures overlap: a ghost of the film beside itself
        ghost = np.roll(film, (int(rng.integers(-4, 5)), int(rng.integers(-6, 7))), (0, 1))
        film += 0.5 * band * (ghost - film)
    if rng.random() < 0.6:
        _paint(film, _line(v - at, float(rng.uniform(0.8, 2.5))), rng)


def _edge(film: Film, rng: np.random.Generator) -> None:
    x, y = (np.arange(n, dtype=np.float32) for n in film.shape)
    angle = float(rng.choice([0.0, 0.5, 1.0, 1.5])) * np.pi + float(rng.normal(0, 0.15))
    away = x[:, None] * np.float32(np.cos(angle)) + y[None, :] * np.float32(np.sin(angle))
    at = float(np.quantile(away[::8, ::8], rng.uniform(0.72, 0.95)))
    beyond = np.clip((away - at) / np.float32(rng.uniform(0.8, 5)), 0, 1)
    film += beyond * np.float32(rng.uniform(0.3, 0.7)) * (np.float32(rng.choice([0.0, 0.05, 0.9])) - film)


_KINDS: tuple[Callable[[Film, np.random.Generator], None], ...] = (_grid, _ruler, _text, _seam, _edge)
_SHARES = (0.3, 0.15, 0.2, 0.2, 0.15)


class RandBurntInd(_RandFilmd):
    """Dictionary version of :class:`RandBurntIn`.

    Args:
        keys: films (C, x, y).
        prob: probability that there is anything.
        number: fewest and most kinds of marks at once.
        allow_missing_keys: ignore keys that are not in the data.

    >>> mark = RandBurntInd("image", prob=0.0)
    >>> float(mark({"image": np.full((1, 8, 12), 0.5)})["image"].max())
    0.5
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.3,
        number: tuple[int, int] = (1, 2),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, prob, RandBurntIn(prob, number), allow_missing_keys)


RandBurntInD = RandBurntInDict = RandBurntInd
