"""Random changes that films bring and MONAI has no transform for: collimation, filled-in marks, local contrast."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import get_track_meta
from monai.transforms import Compose, MapTransform, RandomizableTransform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_numpy, convert_to_tensor


def _film_box(film: np.ndarray) -> tuple[int, int, int, int]:
    """Half-open box (x0, x1, y0, y1) of the pixels of (C, x, y) that are not 0; the whole film if all are."""
    seen = (film != 0).any(axis=0)
    columns, rows = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if len(columns) == 0:
        return 0, film.shape[1], 0, film.shape[2]
    return int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1


class _RandFilm(RandomizableTransform):
    """A random change of grey values: (C, x, y) in, same kind of array out, float32."""

    backend = [TransformBackends.NUMPY]

    def _output(self, out: np.ndarray, img: NdarrayOrTensor) -> NdarrayOrTensor:
        return convert_to_dst_type(out, convert_to_tensor(img, track_meta=get_track_meta()), dtype=torch.float32)[0]


class RandCollimation(_RandFilm):
    """Cover the sides of a film as a collimator does: a border of 0, or of one random grey value.

    The border is measured from the film, not from the grid: padding (0) stays padding.

    Args:
        prob: probability of a border.
        max_fraction: largest width on one side, as a share of the film's size on that axis.
        side_prob: probability of each of the four sides; at least one is covered.
        grey_prob: probability that the border is grey rather than 0.

    >>> collimate = RandCollimation(prob=1.0, max_fraction=0.4, side_prob=1.0, grey_prob=0.0)
    >>> _ = collimate.set_random_state(seed=0)
    >>> keep = np.zeros((1, 100, 200))
    >>> keep[0, 2:50, 60:190] = 24  # the border stops at what is outlined: at the left and at the bottom here
    >>> seen = np.asarray(collimate(np.ones((1, 100, 200)), keep))[0] > 0
    >>> [(int(line[0]), int(line[-1])) for line in (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))]
    [(2, 88), (4, 189)]
    """

    def __init__(
        self, prob: float = 0.3, max_fraction: float = 0.15, side_prob: float = 0.5, grey_prob: float = 0.2
    ) -> None:
        super().__init__(prob)
        if not 0 <= max_fraction < 0.5:
            raise ValueError(f"max_fraction must be from 0 to below 0.5, got {max_fraction}.")
        self.max_fraction, self.side_prob, self.grey_prob = max_fraction, side_prob, grey_prob
        self._widths = np.zeros(4)
        self._value = 0.0

    def randomize(self, data: Any = None) -> None:
        """Draw the widths (left, right, top, bottom; shares of the film) and the value."""
        super().randomize(None)
        sides = self.R.uniform(size=4) < self.side_prob
        sides[self.R.randint(4)] |= not sides.any()
        self._widths = self.R.uniform(0.0, self.max_fraction, size=4) * sides
        self._value = float(self.R.uniform()) if self.R.uniform() < self.grey_prob else 0.0

    def __call__(
        self, img: NdarrayOrTensor, keep: NdarrayOrTensor | None = None, randomize: bool = True
    ) -> NdarrayOrTensor:
        """Cover the sides of ``img`` (C, x, y), never the box of the non-zero pixels of ``keep`` (1, x, y)."""
        if randomize:
            self.randomize()
        if not self._do_transform:
            return convert_to_tensor(img, track_meta=get_track_meta())
        film = np.asarray(convert_to_numpy(img)).astype(np.float32)
        x0, x1, y0, y1 = _film_box(film)
        left, right, top, bottom = self._widths
        xa, xb = x0 + int(left * (x1 - x0)), x1 - int(right * (x1 - x0))
        ya, yb = y0 + int(top * (y1 - y0)), y1 - int(bottom * (y1 - y0))
        kept = None if keep is None else np.asarray(convert_to_numpy(keep))
        if kept is not None and kept.any():
            kx0, kx1, ky0, ky1 = _film_box(kept)
            xa, xb, ya, yb = min(xa, kx0), max(xb, kx1), min(ya, ky0), max(yb, ky1)
        out = np.zeros_like(film)
        out[:, x0:x1, y0:y1] = self._value
        out[:, xa:xb, ya:yb] = film[:, xa:xb, ya:yb]
        return self._output(out, img)


class RandDiscs(_RandFilm):
    """Paste small smooth discs at random: spots of local mean grey, as filled-in reader's marks leave them.

    Where such marks follow the anatomy a network learns them instead of the bone; scattered at random they tell
    nothing.

    Args:
        prob: probability of discs.
        number: fewest and most discs.
        radius_px: smallest and largest radius, in pixels of the grid.
        contrast: largest deviation from the local mean, in the unit of the image.

    >>> paste = RandDiscs(prob=1.0, number=(5, 5), radius_px=(2.0, 3.0), contrast=0.1)
    >>> _ = paste.set_random_state(seed=0)
    >>> change = np.asarray(paste(np.full((1, 80, 120), 0.5))) - 0.5
    >>> 0 < float(np.abs(change).max()) < 0.101, int((change != 0).sum()) < 5 * 7 * 7  # a flat film: contrast alone
    (True, True)
    """

    def __init__(
        self,
        prob: float = 0.5,
        number: tuple[int, int] = (4, 60),
        radius_px: tuple[float, float] = (1.5, 6.0),
        contrast: float = 0.08,
    ) -> None:
        super().__init__(prob)
        self.number, self.radius_px, self.contrast = number, radius_px, contrast
        self._discs = np.zeros((0, 4))

    def randomize(self, data: tuple[int, int, int, int]) -> None:
        """Draw the discs, (x, y, radius, contrast), in a box (x0, x1, y0, y1)."""
        super().randomize(None)
        x0, x1, y0, y1 = data
        n = int(self.R.randint(self.number[0], self.number[1] + 1))
        low = np.array([x0, y0, self.radius_px[0], -self.contrast])
        high = np.array([x1, y1, self.radius_px[1], self.contrast])
        self._discs = self.R.uniform(low, high, size=(n, 4))

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        """Paste the discs into ``img`` (C, x, y)."""
        film = np.array(convert_to_numpy(img), dtype=np.float32)
        if randomize:
            self.randomize(_film_box(film))
        if not self._do_transform:
            return convert_to_tensor(img, track_meta=get_track_meta())
        for x, y, radius, contrast in self._discs:
            reach = int(np.ceil(2 * radius))
            xs, ys = (slice(max(int(centre) - reach, 0), max(int(centre) + reach + 1, 0)) for centre in (x, y))
            window = film[:, xs, ys]
            if window.size == 0:
                continue
            dx = np.arange(xs.start, xs.start + window.shape[1]) - x
            dy = np.arange(ys.start, ys.start + window.shape[2]) - y
            distance = np.hypot(dx[:, None], dy[None, :])
            weight = np.clip(radius + 0.5 - distance, 0.0, 1.0).astype(np.float32)
            fill = window.mean(axis=(1, 2), keepdims=True) + np.float32(contrast)
            window += weight * (fill - window)
        return self._output(film, img)


class RandLocalContrast(_RandFilm):
    """Brighten and darken regions by a smooth random exponent: ``v ** exp(f(x, y))``, 0 and 1 stay.

    Args:
        prob: probability of the change.
        strength: standard deviation of f at its grid points.
        grid: number of grid points along (x, y) from which f is interpolated.

    >>> change = RandLocalContrast(prob=1.0)
    >>> _ = change.set_random_state(seed=0)
    >>> film = np.linspace(0, 1, 5).repeat(7).reshape(1, 5, 7)
    >>> changed = np.asarray(change(film))[0]
    >>> changed[0].tolist() == [0] * 7, changed[4].tolist() == [1] * 7, bool((np.abs(changed[2] - 0.5) > 0.01).all())
    (True, True, True)
    """

    def __init__(self, prob: float = 0.5, strength: float = 0.3, grid: Sequence[int] = (4, 6)) -> None:
        super().__init__(prob)
        self.strength, self.grid = strength, tuple(grid)
        self._field = np.zeros(self.grid)

    def randomize(self, data: Any = None) -> None:
        """Draw f at its grid points."""
        super().randomize(None)
        self._field = self.R.normal(0.0, self.strength, size=self.grid)

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        """Change ``img`` (C, x, y), values 0 to 1; values outside are clipped."""
        if randomize:
            self.randomize()
        if not self._do_transform:
            return convert_to_tensor(img, track_meta=get_track_meta())
        film = torch.as_tensor(np.asarray(convert_to_numpy(img)).astype(np.float32)).clamp_(0.0, 1.0)
        coarse = torch.from_numpy(self._field.astype(np.float32))[None, None]
        field = torch.nn.functional.interpolate(coarse, size=tuple(film.shape[1:]), mode="bicubic", align_corners=True)[
            0
        ]
        return self._output(film.pow(field.exp_()).numpy(), img)


class _RandFilmd(MapTransform, RandomizableTransform):
    """Dictionary version of a random film transform; all keys share one draw."""

    def __init__(self, keys: KeysCollection, prob: float, transform: _RandFilm, allow_missing_keys: bool) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.transform: Any = transform

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> _RandFilmd:
        """Set the random state of this transform and of the one it wraps."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(seed, state)
        return self

    def _apply(self, img: Any, data: Mapping[Hashable, Any], randomize: bool) -> Any:
        return self.transform(img, randomize=randomize)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Change the films under ``keys``."""
        d = dict(data)
        first = True
        for key in self.key_iterator(d):
            d[key] = self._apply(d[key], d, first)
            first = False
        return d


class RandCollimationd(_RandFilmd):
    """Dictionary version of :class:`RandCollimation`.

    Args:
        keys: films (C, x, y).
        prob: probability of a border.
        max_fraction: largest width on one side, as a share of the film's size on that axis.
        side_prob: probability of each of the four sides.
        grey_prob: probability that the border is grey rather than 0.
        keep_key: label map that the border never reaches; ignored where absent.
        allow_missing_keys: ignore keys that are not in the data.

    >>> collimate = RandCollimationd("image", prob=1.0, max_fraction=0.4, side_prob=1.0, keep_key="label")
    >>> _ = collimate.set_random_state(seed=0)
    >>> label = torch.zeros(1, 100, 200)
    >>> label[0, 2:50, 60:190] = 24
    >>> film = collimate({"image": torch.full((1, 100, 200), 0.625), "label": label})["image"]
    >>> bool((film[label > 0] == 0.625).all()), bool((film == 0.625).all())  # cut down, but no body is covered
    (True, False)
    """

    backend = RandCollimation.backend

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.3,
        max_fraction: float = 0.15,
        side_prob: float = 0.5,
        grey_prob: float = 0.2,
        keep_key: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, prob, RandCollimation(prob, max_fraction, side_prob, grey_prob), allow_missing_keys)
        self.keep_key = keep_key

    def _apply(self, img: Any, data: Mapping[Hashable, Any], randomize: bool) -> Any:
        keep = data.get(self.keep_key) if self.keep_key is not None else None
        return self.transform(img, keep, randomize=randomize)


class RandDiscsd(_RandFilmd):
    """Dictionary version of :class:`RandDiscs`.

    Args:
        keys: films (C, x, y).
        prob: probability of discs.
        number: fewest and most discs.
        radius_px: smallest and largest radius, in pixels of the grid.
        contrast: largest deviation from the local mean, in the unit of the image.
        allow_missing_keys: ignore keys that are not in the data.

    >>> paste = RandDiscsd("image", prob=1.0, number=(3, 3), radius_px=(2.0, 2.5)).set_random_state(seed=0)
    >>> pasted = paste({"image": torch.full((1, 80, 120), 0.5), "label": 24})
    >>> 9 < int((pasted["image"] != 0.5).sum()) < 3 * 7 * 7, pasted["label"]
    (True, 24)
    """

    backend = RandDiscs.backend

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.5,
        number: tuple[int, int] = (4, 60),
        radius_px: tuple[float, float] = (1.5, 6.0),
        contrast: float = 0.08,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, prob, RandDiscs(prob, number, radius_px, contrast), allow_missing_keys)


class RandLocalContrastd(_RandFilmd):
    """Dictionary version of :class:`RandLocalContrast`.

    Args:
        keys: films (C, x, y), values 0 to 1.
        prob: probability of the change.
        strength: standard deviation of the exponent's logarithm at its grid points.
        grid: number of grid points along (x, y).
        allow_missing_keys: ignore keys that are not in the data.

    >>> change = RandLocalContrastd("image", prob=1.0, strength=0.5).set_random_state(seed=0)
    >>> changed = change({"image": torch.full((1, 80, 120), 0.5)})["image"]
    >>> bool(changed.min() < 0.45 and changed.max() > 0.55), bool((changed.diff(dim=2).abs() < 0.05).all())  # smooth
    (True, True)
    """

    backend = RandLocalContrast.backend

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.5,
        strength: float = 0.3,
        grid: Sequence[int] = (4, 6),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, prob, RandLocalContrast(prob, strength, grid), allow_missing_keys)


class WithinFilm(Compose):
    """Run transforms of grey values, then restore the range and the padding.

    What was 0 before (padding, and the darkest pixels of the film) is 0 again, everything else is clipped to
    ``value_range``.

    Args:
        keys: films (C, x, y).
        transforms: dictionary transforms that do not change the grid.
        value_range: lowest and highest value.

    >>> from monai.transforms import ShiftIntensityd
    >>> film = torch.tensor([[[0.0, 0.5, 0.875]]])
    >>> WithinFilm("image", [ShiftIntensityd("image", offset=0.25)])({"image": film})["image"].tolist()
    [[[0.0, 0.75, 1.0]]]
    """

    def __init__(
        self, keys: KeysCollection, transforms: Sequence[Any], value_range: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        super().__init__(transforms)
        self.keys = (keys,) if isinstance(keys, str) else tuple(keys)  # type: ignore[arg-type]
        self.value_range = value_range

    def __call__(  # type: ignore[override]
        self, input_: Mapping[Hashable, Any], *args: Any, **kwargs: Any
    ) -> dict[Hashable, Any]:
        """Change the films under ``keys``."""
        before = {key: torch.as_tensor(input_[key]) != 0 for key in self.keys if key in input_}
        d = dict(super().__call__(input_, *args, **kwargs))
        for key, film in before.items():
            plain = film.as_tensor() if hasattr(film, "as_tensor") else film
            d[key] = convert_to_tensor(d[key], track_meta=get_track_meta()).clamp(*self.value_range) * plain
        return d


RandCollimationD = RandCollimationDict = RandCollimationd
RandDiscsD = RandDiscsDict = RandDiscsd
RandLocalContrastD = RandLocalContrastDict = RandLocalContrastd
