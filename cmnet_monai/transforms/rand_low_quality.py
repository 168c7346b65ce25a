"""Films of poor quality: few pixels, blocks of a JPEG file, little contrast, burnt-out ends."""

from __future__ import annotations

import io

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import get_track_meta
from monai.utils import convert_to_numpy, convert_to_tensor
from PIL import Image
from torch.nn import functional as F

from cmnet_monai.transforms.rand_film import _RandFilm, _RandFilmd


class RandLowQuality(_RandFilm):
    """Take contrast, pixels and detail from a film, values 0 to 1, in this order: each of them or not.

    Contrast is pressed together about the mean or stretched until both ends burn out, the film shrunk and enlarged
    again, and packed as a JPEG file.

    Args:
        prob: probability of a change; each of the three then has a chance of one half.
        height_px: smallest and largest height to which the whole grid is shrunk.
        quality: lowest and highest quality of the JPEG file.
        contrast: smallest and largest factor.

    >>> film = np.random.default_rng(0).random((1, 48, 64)).astype(np.float32)
    >>> poor = RandLowQuality(prob=1.0, height_px=(16, 16)).set_random_state(seed=1)(film)
    >>> poor.shape, bool(np.abs(np.diff(np.asarray(poor), axis=2)).mean() < 0.5 * np.abs(np.diff(film, axis=2)).mean())
    (torch.Size([1, 48, 64]), True)
    """

    def __init__(
        self,
        prob: float = 0.3,
        height_px: tuple[int, int] = (110, 260),
        quality: tuple[int, int] = (6, 50),
        contrast: tuple[float, float] = (0.35, 1.6),
    ) -> None:
        super().__init__(prob)
        self.height_px, self.quality, self.contrast = height_px, quality, contrast
        self._factor: float | None = None
        self._height: int | None = None
        self._quality: int | None = None

    def randomize(self, data: object = None) -> None:
        """Draw contrast, height and quality; None where nothing is taken."""
        super().randomize(None)
        factor = float(np.exp(self.R.uniform(*np.log(self.contrast))))
        height = int(self.R.randint(self.height_px[0], self.height_px[1] + 1))
        quality = int(self.R.randint(self.quality[0], self.quality[1] + 1))
        contrast, pixels, blocks = self.R.uniform(size=3) < 0.5
        self._factor = factor if contrast else None
        self._height, self._quality = height if pixels else None, quality if blocks else None

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        """Spoil ``img`` (C, x, y)."""
        if randomize:
            self.randomize()
        if not self._do_transform:
            return convert_to_tensor(img, track_meta=get_track_meta())
        film = np.array(convert_to_numpy(img), dtype=np.float32)
        if self._factor is not None:
            seen = film[film > 0]
            middle = seen.mean() if seen.size else np.float32(0)
            film = np.clip(middle + np.float32(self._factor) * (film - middle), 0, 1)
        size = film.shape[1:]
        small = torch.from_numpy(film)[None]
        if self._height is not None and self._height < size[1]:
            width = max(round(size[0] * self._height / size[1]), 1)
            small = F.interpolate(small, size=(width, self._height), mode="area")
        if self._quality is not None:
            small = torch.from_numpy(np.stack([_packed(channel, self._quality) for channel in small[0].numpy()]))[None]
        if small.shape[2:] != size:
            small = F.interpolate(small, size=size, mode="bilinear", align_corners=False)
        return self._output(small[0].numpy(), img)


def _packed(film: np.ndarray, quality: int) -> np.ndarray:
    """A film (x, y), 0 to 1, after JPEG compression."""
    file = io.BytesIO()
    Image.fromarray(np.rint(film.T * 255).astype(np.uint8)).save(file, "jpeg", quality=quality)
    return np.asarray(Image.open(file), dtype=np.float32).T / 255


class RandLowQualityd(_RandFilmd):
    """Dictionary version of :class:`RandLowQuality`.

    Args:
        keys: films (C, x, y).
        prob: probability of a change.
        height_px: smallest and largest height to which the whole grid is shrunk.
        quality: lowest and highest quality of the JPEG file.
        contrast: smallest and largest factor.
        allow_missing_keys: ignore keys that are not in the data.

    >>> spoil = RandLowQualityd("image", prob=0.0)
    >>> float(spoil({"image": np.full((1, 8, 12), 0.5)})["image"].max())
    0.5
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.3,
        height_px: tuple[int, int] = (110, 260),
        quality: tuple[int, int] = (6, 50),
        contrast: tuple[float, float] = (0.35, 1.6),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, prob, RandLowQuality(prob, height_px, quality, contrast), allow_missing_keys)


RandLowQualityD = RandLowQualityDict = RandLowQualityd
