from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import GenerateHeatmap

from cmnet_monai.decode.centres import find_centres
from cmnet_monai.transforms import CentreHeatmap, CentreHeatmapd

SIZE = (61, 90)


def test_values_follow_the_gaussian_by_hand() -> None:
    heatmap = CentreHeatmap(sigma_px=2.0)([[10.0, 20.5]], SIZE)
    assert heatmap.shape == (1, *SIZE)
    assert heatmap.dtype == torch.float32
    assert heatmap[0, 10, 20].item() == pytest.approx(math.exp(-0.25 / 8))
    assert heatmap[0, 12, 21].item() == pytest.approx(math.exp(-4.25 / 8))
    assert heatmap[0, 20, 20].item() == 0  # five sigma away


def test_peak_is_one_where_a_point_hits_a_pixel() -> None:
    heatmap = CentreHeatmap(3.0)(np.array([[30, 40]]), SIZE)
    assert heatmap.max() == 1
    assert np.unravel_index(int(heatmap.argmax()), SIZE) == (30, 40)


def test_overlapping_centres_take_the_maximum_not_the_sum() -> None:
    points = np.array([[20.0, 30.0], [24.0, 33.0], [22.0, 60.0]])
    codec = CentreHeatmap(4.0)
    single = torch.stack([codec(point[None], SIZE) for point in points])
    assert torch.equal(codec(points, SIZE), single.amax(dim=0))


def test_whole_pixels_match_monai() -> None:
    """MONAI integrates the Gaussian over each pixel: 1 % apart at sigma 5, on whole pixels, where it is defined."""
    points = np.array([[20.0, 30.0], [40.0, 71.0]], dtype=np.float32)
    expected = GenerateHeatmap(sigma=5.0)(points, SIZE).max(axis=0)
    np.testing.assert_allclose(CentreHeatmap(5.0)(points, SIZE)[0].numpy(), expected, atol=0.01)


def test_no_points_give_zeros() -> None:
    assert not CentreHeatmap()(np.zeros((0, 2)), SIZE).any()


@pytest.mark.parametrize("point", [(-3.0, 10.0), (62.5, 91.0), (-500.0, 20.0), (30.0, 1000.0)])
def test_point_outside_shows_only_what_reaches_in(point: tuple[float, float]) -> None:
    x, y = np.arange(SIZE[0])[:, None], np.arange(SIZE[1])[None]
    square = (x - point[0]) ** 2 + (y - point[1]) ** 2
    result = CentreHeatmap(4.0, truncate=6)(np.array([point]), SIZE)[0].numpy()
    np.testing.assert_allclose(result, np.exp(-square / 32), atol=1e-6)


@pytest.mark.parametrize("sigma", [2.0, 5.0])
def test_centres_are_read_back_below_a_pixel(sigma: float) -> None:
    points = np.array([[20.3, 15.8], [31.5, 40.25], [25.9, 70.4]])
    heatmap = CentreHeatmap(sigma)(points, SIZE)
    xy, _ = find_centres(heatmap[0].numpy(), smoothing_px=0)
    order = np.argsort(xy[:, 1])
    np.testing.assert_allclose(xy[order], points, atol=0.1)


def test_flipping_points_flips_the_heatmap() -> None:
    points = np.array([[12.25, 30.75], [40.5, 62.0]])
    mirrored = points * [-1, 1] + [SIZE[0] - 1, 0]
    codec = CentreHeatmap(5.0)
    np.testing.assert_allclose(codec(mirrored, SIZE), codec(points, SIZE).flip(1), atol=1e-6)


def test_dictionary_version_gives_the_map_the_metadata_of_the_image() -> None:
    image = MetaTensor(torch.zeros(1, *SIZE, dtype=torch.uint8), affine=np.diag([2.0, 3.0, 1.0]))
    result = CentreHeatmapd(names="centre", sigma_px=3.0)({"image": image, "points": torch.tensor([[5.5, 6.5]])})
    assert torch.equal(result["centre"].affine, image.affine)
    np.testing.assert_array_equal(result["centre"].numpy(), CentreHeatmap(3.0)([[5.5, 6.5]], SIZE).numpy())


@pytest.mark.parametrize("sigma", [0, -1, float("nan"), float("inf")])
def test_impossible_sigma_is_an_error(sigma: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        CentreHeatmap(sigma)


def test_points_of_wrong_shape_or_value_are_errors() -> None:
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        CentreHeatmap()(np.zeros((1, 3)), SIZE)
    with pytest.raises(ValueError, match="not finite"):
        CentreHeatmap()(np.array([[np.nan, 1]]), SIZE)
