"""Films on which nothing can be found are refused before a network sees them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_numpy

from cmnet_monai.conventions import META_VALID_AREA
from cmnet_monai.io import FilmError

LEAST_SIDE_PX = 16
"""Five bodies with their discs, one below the other, would have fewer than two pixels each."""


class CheckFilm(Transform):
    """Hand a film on unchanged, or refuse it: fewer than `LEAST_SIDE_PX` pixels along a side, or one value throughout.

    Such a file can be read, so `RadiographReader` reads it; but equalisation and a network would make something of
    nothing. Padding and what a shutter hides (``META_VALID_AREA``) do not count.

    >>> film = np.arange(1500.0).reshape(1, 30, 50)
    >>> CheckFilm()(film) is film
    True
    >>> CheckFilm()(film[:, :9])
    Traceback (most recent call last):
        ...
    cmnet_monai.io.errors.FilmError: film: the film is 9 x 50 pixels, too small to show a spine. Export it in full size.
    """

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """The same film.

        Args:
            img: (C, x, y).
        Raises:
            FilmError: nothing can be found on it.
        """
        meta = img.meta if isinstance(img, MetaTensor) else {}
        path = str(meta.get("filename_or_obj", "film"))
        if min(img.shape[1:]) < LEAST_SIDE_PX:
            size = " x ".join(str(n) for n in img.shape[1:])
            raise FilmError(path, f"the film is {size} pixels, too small to show a spine", "Export it in full size")
        values = np.asarray(convert_to_numpy(img))
        valid = meta.get(META_VALID_AREA)
        if valid is not None:
            values = values[:, np.asarray(convert_to_numpy(valid), dtype=bool)]
        if values.size == 0 or values.min() == values.max():
            raise FilmError(
                path, "every pixel of the film has the same value: it shows nothing", "Export it again, or leave it out"
            )
        return img


class CheckFilmd(MapTransform):
    """`CheckFilm` on items of a dictionary.

    Args:
        keys: films, (C, x, y).
        allow_missing_keys: do not raise where a key is missing.

    >>> CheckFilmd()({"image": np.arange(2400.0).reshape(1, 40, 60)})["image"].shape
    (1, 40, 60)
    """

    backend = CheckFilm.backend

    def __init__(self, keys: KeysCollection = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.check = CheckFilm()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The same items."""
        for key in self.key_iterator(dict(data)):
            self.check(data[key])
        return dict(data)


CheckFilmD = CheckFilmDict = CheckFilmd
