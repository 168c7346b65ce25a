from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monai.data import MetaTensor
from skimage.exposure import equalize_hist

from cmnet_monai.conventions import META_VALID_AREA
from cmnet_monai.transforms import HistogramEqualize, HistogramEqualized

SHAPE = (37, 53)


def film(high: int = 4096, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, (1, *SHAPE)).astype(np.float32)


def test_values_follow_the_cumulative_distribution_by_hand() -> None:
    # values 10, 20, 20, 40: shares at or below 1/4, 3/4, 3/4, 1; (F - 1/4) / (3/4) * 255
    image = np.array([[[10.0, 20.0], [20.0, 40.0]]])
    np.testing.assert_allclose(HistogramEqualize()(image), [[[0.0, 170.0], [170.0, 255.0]]], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_whole_numbers_match_scikit_image(dtype: type) -> None:
    image = (film(60000)[0] / (240 if dtype == np.uint8 else 1)).astype(dtype)
    share = equalize_hist(image)
    expected = 255 * (share - share.min()) / (1 - share.min())
    np.testing.assert_allclose(HistogramEqualize()(image[None])[0], expected, atol=1e-3)


def test_sixteen_bits_keep_every_grey_value_apart() -> None:
    image = np.random.default_rng(1).permutation(np.arange(65536, dtype=np.float32)).reshape(1, 128, 512)
    result = HistogramEqualize()(image)
    np.testing.assert_allclose(result, image * (255 / 65535), atol=1e-4)


def test_values_spread_evenly_whatever_the_film() -> None:
    image = np.random.default_rng(2).gamma(0.4, 500.0, (1, 120, 150)).astype(np.float32)  # very skewed
    shares = np.histogram(HistogramEqualize()(image), bins=10, range=(0, 255))[0] / image.size
    np.testing.assert_allclose(shares, 0.1, atol=1e-3)


@pytest.mark.parametrize(
    "remap",
    [
        lambda v: 3 * v + 7,
        lambda v: v / 4096,
        lambda v: (v / 4096) ** 2.2,
        lambda v: np.sqrt(v),
        lambda v: np.log1p(v) - 5,
        lambda v: v.astype(np.float64) ** 5,
    ],
)
def test_rising_remap_of_the_grey_values_changes_nothing(remap) -> None:
    image = film()
    np.testing.assert_allclose(HistogramEqualize()(remap(image)), HistogramEqualize()(image), atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=3, max_dims=3, max_side=8), elements=st.floats(-1e9, 1e9)))
def test_order_is_kept_and_ties_stay_ties(values: np.ndarray) -> None:
    result = HistogramEqualize(ignore_constant_border=False)(values)
    for channel, equalised in zip(values, result):
        flat, out = channel.ravel(), equalised.ravel()
        order = np.argsort(flat, kind="stable")
        steps, rises = np.diff(out[order]), np.diff(flat[order])
        assert (steps[rises == 0] == 0).all()
        assert (steps[rises > 0] > 0).all()
        assert out.min() == 0
        assert out.max() == (255 if flat.min() < flat.max() else 0)


def test_each_channel_is_equalised_by_itself() -> None:
    one, two = film(256, 3), film(4096, 4)
    both = HistogramEqualize()(np.concatenate([one, two]))
    np.testing.assert_array_equal(both[:1], HistogramEqualize()(one))
    np.testing.assert_array_equal(both[1:], HistogramEqualize()(two))


@pytest.mark.parametrize("scale", [1.0, 1 / 4095, np.pi])
def test_pixels_outside_the_valid_area_take_no_part_and_become_zero(scale: float) -> None:
    image = film() * np.float32(scale)
    valid = np.zeros(SHAPE, dtype=bool)
    valid[5:20, 7:41] = True
    spoiled = image.copy()
    spoiled[:, ~valid] = np.nan
    result = HistogramEqualize()(spoiled, valid)
    assert not result[:, ~valid].any()
    np.testing.assert_allclose(result[:, 5:20, 7:41], HistogramEqualize()(image[:, 5:20, 7:41]), rtol=1e-6)


def test_valid_area_comes_from_the_metadata_and_a_mask_wins() -> None:
    valid, mask = np.zeros(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)
    valid[:20], mask[20:] = True, True
    image = MetaTensor(torch.from_numpy(film()), meta={META_VALID_AREA: valid, "patient": "x"})
    from_meta, from_mask = HistogramEqualize()(image), HistogramEqualize()(image, mask[None])
    assert from_meta[:, :20].any()
    assert not from_meta[:, 20:].any()
    assert not from_mask[:, :20].any()
    assert from_mask[:, 20:].any()


def test_valid_area_leaves_the_metadata_unless_asked_for() -> None:
    image = MetaTensor(torch.from_numpy(film()), meta={META_VALID_AREA: np.ones(SHAPE, dtype=bool), "bits_stored": 12})
    result = HistogramEqualize()(image)
    assert META_VALID_AREA not in result.meta
    assert result.meta["bits_stored"] == 12
    assert META_VALID_AREA in image.meta
    assert META_VALID_AREA in HistogramEqualize(keep_valid_area=True)(image).meta


@pytest.mark.parametrize(("left", "right", "top", "bottom"), [(3, 0, 0, 0), (0, 4, 5, 0), (2, 3, 4, 6)])
@pytest.mark.parametrize("value", [0.0, 4095.0, 1234.5])
def test_constant_borders_are_left_out(left: int, right: int, top: int, bottom: int, value: float) -> None:
    inner = film(4000)
    image = np.pad(inner, ((0, 0), (left, right), (top, bottom)), constant_values=value)
    result = HistogramEqualize()(image)
    expected = np.pad(HistogramEqualize()(inner), ((0, 0), (left, right), (top, bottom)))
    np.testing.assert_allclose(result, expected, atol=1e-4)


def test_border_of_two_collimators_is_left_out() -> None:
    inner = film()
    image = np.pad(inner, ((0, 0), (4, 4), (3, 3)), constant_values=5000)
    image = np.pad(image, ((0, 0), (2, 2), (6, 6)), constant_values=9000)
    expected = np.pad(HistogramEqualize()(inner), ((0, 0), (6, 6), (9, 9)))
    np.testing.assert_allclose(HistogramEqualize()(image), expected, atol=1e-4)


def test_constant_border_counts_when_asked_for() -> None:
    image = np.pad(film(4000), ((0, 0), (5, 5), (5, 5)), constant_values=9000)
    assert HistogramEqualize(ignore_constant_border=False)(image)[0, 0, 0] == 255


def test_border_is_sought_within_the_valid_area() -> None:
    inner = film()
    image = np.pad(np.pad(inner, ((0, 0), (3, 3), (3, 3))), ((0, 0), (2, 2), (2, 2)), mode="wrap")
    valid = np.zeros(image.shape[1:], dtype=bool)
    valid[2:-2, 2:-2] = True
    expected = np.pad(HistogramEqualize()(inner), ((0, 0), (5, 5), (5, 5)))
    np.testing.assert_allclose(HistogramEqualize()(image, valid), expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 7), (1, 3, 5)])
def test_tiny_film_has_no_border(shape: tuple[int, ...]) -> None:
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.testing.assert_allclose(HistogramEqualize()(image), image * 255 / image.max(), rtol=1e-6)


def test_line_of_few_pixels_is_no_border() -> None:
    image = np.random.default_rng(0).random((1, 9, 40))
    image[0, :, 0] = 7.0  # nine equal pixels, the brightest of all
    assert (HistogramEqualize()(image)[0, :, 0] == 255).all()


@pytest.mark.parametrize("value", [0.0, 812.0])
def test_film_of_one_value_becomes_zero(value: float) -> None:
    assert not HistogramEqualize()(np.full((1, *SHAPE), value)).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_unusable_values_are_counted_in_the_error(bad: float) -> None:
    image = film()
    image[0, 3, 4:6] = bad
    with pytest.raises(ValueError, match=r"^2 of 1961 valid pixels are NaN or infinite"):
        HistogramEqualize()(image)


def test_empty_valid_area_is_an_error() -> None:
    with pytest.raises(ValueError, match="all of it is padding"):
        HistogramEqualize()(film(), np.zeros(SHAPE))


def test_mask_of_another_grid_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"shape \(53, 37\), the film \(x, y\) = \(37, 53\)"):
        HistogramEqualize()(film(), np.ones(SHAPE[::-1]))


def test_film_without_channel_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"\(C, x, y\), got \(37, 53\)"):
        HistogramEqualize()(film()[0])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float16, np.float32, np.float64])
def test_kind_of_array_is_kept_and_values_are_float32(dtype: type) -> None:
    image = film(256).astype(dtype)
    expected = HistogramEqualize()(film(256))
    from_numpy = HistogramEqualize()(image)
    assert isinstance(from_numpy, np.ndarray)
    assert from_numpy.dtype == np.float32
    np.testing.assert_array_equal(from_numpy, expected)
    if dtype != np.uint16:
        from_torch = HistogramEqualize()(torch.from_numpy(image))
        assert type(from_torch) is torch.Tensor
        assert from_torch.dtype == torch.float32
        np.testing.assert_array_equal(from_torch.numpy(), expected)


def test_memory_order_of_the_film_does_not_matter() -> None:
    image = film()
    turned = np.ascontiguousarray(image.transpose(0, 2, 1)).transpose(0, 2, 1)
    np.testing.assert_array_equal(HistogramEqualize()(turned), HistogramEqualize()(image))


def test_negative_and_far_apart_values_are_ranked() -> None:
    image = np.array([[[-3e38, -1.0, 0.0], [1e-45, 1.0, 3e38]]], dtype=np.float32)
    np.testing.assert_allclose(HistogramEqualize()(image).ravel(), np.arange(6) * 51.0, rtol=1e-6)


def test_input_is_left_as_it_was() -> None:
    image = torch.from_numpy(film())
    before = image.clone()
    HistogramEqualize()(image)
    assert torch.equal(image, before)


def test_dictionary_version_takes_the_mask_from_its_key() -> None:
    valid = np.zeros(SHAPE)
    valid[10:] = 1
    data = {"image": film(), "mask": valid, "name": "a"}
    result = HistogramEqualized("image", mask_key="mask")(data)
    np.testing.assert_array_equal(result["image"], HistogramEqualize()(data["image"], valid))
    assert result["name"] == "a"
    with pytest.raises(KeyError, match="area"):
        HistogramEqualized("image", mask_key="area")(data)
