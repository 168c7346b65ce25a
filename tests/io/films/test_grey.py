from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmnet_monai.io import FilmError
from cmnet_monai.io.films.grey import grey_from_rgb

GREY = np.random.default_rng(2).integers(20, 200, (5, 7)).astype(np.uint8)


@pytest.mark.parametrize(("kind", "highest", "allowed"), [(np.uint8, 255, 8), (np.uint16, 65535, 2056)])
def test_channels_may_differ_by_eight_of_255_levels(kind, highest, allowed):
    rgb = np.repeat(GREY.astype(kind)[..., None], 3, axis=2)
    rgb[2, 3] = 100, 100 + allowed, 100
    grey = grey_from_rgb(rgb, highest, Path("film"))
    assert grey.dtype == kind
    assert grey[2, 3] == round(100 + 0.587 * allowed)
    grey[2, 3] = GREY[2, 3]
    np.testing.assert_array_equal(grey, GREY)
    rgb[2, 3, 1] += 1
    with pytest.raises(FilmError, match=f"differ by up to {allowed + 1} of {highest}"):
        grey_from_rgb(rgb, highest, Path("film"))


def test_luma_stays_within_the_type():
    rgb = np.array([[[255, 254, 255], [0, 0, 1]]], np.uint8)
    assert grey_from_rgb(rgb, 255, Path("film")).tolist() == [[254, 0]]
