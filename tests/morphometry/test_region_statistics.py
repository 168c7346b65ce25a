from __future__ import annotations

import numpy as np
import pytest

from cmnet_monai.morphometry import region_statistics

SHAPE = (80, 110)


def two_bodies() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[20:50, 10:40] = 22
    labels[22:52, 50:90] = 23
    return labels


def test_statistics_by_hand() -> None:
    labels = two_bodies()
    pixels = np.full(SHAPE, 7, np.uint16)
    pixels[20:35, 10:40], pixels[35:50, 10:40] = 100, 300
    l3, l4 = region_statistics(pixels, labels)
    assert (l3.level, l3.pixels, l3.mean, l3.median, l3.sd) == ("L3", 900, 200.0, 200.0, 100.0)
    assert (l3.q05, l3.q25, l3.q75, l3.q95) == (100, 100, 300, 300)
    assert (l4.pixels, l4.mean, l4.sd, l4.local_sd, l4.glcm_contrast) == (1200, 7.0, 0.0, 0.0, 0.0)
    assert l4.glcm_homogeneity == 1.0


def test_rim_is_left_out() -> None:
    labels, pixels = two_bodies(), np.full(SHAPE, 50.0)
    pixels[20:50, 10:40] = 900  # a cortex of 2 px ...
    pixels[22:48, 12:38] = 50  # ... round a body of 30 x 30 px, inscribed radius 15
    assert region_statistics(pixels, labels)[0].mean > 200
    inner = region_statistics(pixels, labels, rim_share=0.2)[0]
    assert (inner.rim_px, inner.mean, inner.sd, inner.pixels) == (3.0, 50.0, 0.0, 24 * 24)


def test_what_lies_outside_a_body_does_not_count() -> None:
    labels, rng = two_bodies(), np.random.default_rng(0)
    pixels = rng.normal(500, 40, SHAPE)
    other = np.where(labels > 0, pixels, 9999.0)
    assert region_statistics(pixels, labels) == region_statistics(other, labels)


def test_texture_of_checks_and_of_stripes() -> None:
    labels = two_bodies()
    x, y = np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij")
    stripes = np.where(labels == 22, (x % 2) * 1000.0, ((x + y) % 2) * 1000.0)
    l3, l4 = region_statistics(stripes, labels)
    # Neighbours differ by 31 of 32 levels in 3 of 4 directions on stripes along y, in 2 of 4 on checks.
    assert l3.glcm_contrast == pytest.approx(0.75 * 31**2)
    assert l4.glcm_contrast == pytest.approx(0.5 * 31**2)


def test_linear_in_the_grey_values() -> None:
    labels, rng = two_bodies(), np.random.default_rng(1)
    pixels = rng.normal(500, 40, SHAPE)
    a, b = region_statistics(pixels, labels)[1], region_statistics(3 * pixels + 10, labels)[1]
    for name in ("mean", "median", "q05", "q95"):
        assert getattr(b, name) == pytest.approx(3 * getattr(a, name) + 10)
    assert (b.sd, b.local_sd) == (pytest.approx(3 * a.sd), pytest.approx(3 * a.local_sd))
    assert b.glcm_contrast == pytest.approx(a.glcm_contrast, rel=0.01)  # levels are those of the film


def test_records_name_grey_values() -> None:
    record = region_statistics(np.ones(SHAPE), two_bodies())[0].record()
    assert {"level", "pixels", "rim_px", "grey_mean", "grey_sd", "grey_q95", "glcm_homogeneity"} <= set(record)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"\(80, 109\) and \(80, 110\)"):
        region_statistics(np.ones((80, 109)), two_bodies())
    with pytest.raises(ValueError, match="rim_share"):
        region_statistics(np.ones(SHAPE), two_bodies(), rim_share=1.0)
    assert region_statistics(np.ones(SHAPE), np.zeros(SHAPE, np.uint8)) == ()
