from __future__ import annotations

import re

import numpy as np
import pytest
from bad_films import NOTHING_ON_THEM
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged

from cmnet_monai.io import FilmError
from cmnet_monai.transforms import CheckFilm, CheckFilmd

LOAD = Compose([LoadImaged("image", reader="cmnet_monai.io.RadiographReader"), EnsureChannelFirstd("image")])


@pytest.mark.parametrize("name", NOTHING_ON_THEM)
def test_a_film_that_shows_nothing_is_refused(name, tmp_path):
    make, words = NOTHING_ON_THEM[name]
    make(tmp_path / name)
    item = LOAD({"image": tmp_path / name})
    with pytest.raises(FilmError) as caught:
        CheckFilmd("image")(item)
    assert caught.value.path == str(tmp_path / name)
    assert re.search(words, caught.value.reason) and caught.value.remedy


def test_any_other_film_passes_unchanged():
    film = np.zeros((1, 16, 40), np.float32)
    film[0, 3, 5] = 1
    before = film.copy()
    assert CheckFilm()(film) is film
    np.testing.assert_array_equal(film, before)
    with pytest.raises(FilmError, match="15 x 40 pixels"):
        CheckFilm()(film[:, :15])
