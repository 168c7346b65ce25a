"""Borders that show nothing are cut off, whatever is left in them, and come back as zeros."""

import pickle

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd

from cmnet_monai.conventions import META_VALID_AREA
from cmnet_monai.transforms import CropBorder, CropBorderd, HistogramEqualized, ResizeWithPadd


def film(width=90, height=120, seed=0):
    """Noise over a slope, (1, x, y): no line of it is empty."""
    rng = np.random.default_rng(seed)
    return (np.linspace(0, 60, height)[None, None] + rng.uniform(0, 40, (1, width, height))).astype(np.float32)


def framed(inner, widths, value=0.0, noise=0.0):
    """`inner` (1, x, y) with borders ((left, right), (top, bottom))."""
    out = np.pad(inner, ((0, 0), *widths), constant_values=np.nan)
    border = value + noise * np.random.default_rng(1).standard_normal(out.shape).astype(np.float32)
    return np.where(np.isnan(out), border, out).astype(np.float32)


def box(image, **options):
    start, end = CropBorder(**options).compute_bounding_box(image)
    return start.tolist(), end.tolist()


@pytest.mark.parametrize("value", [-20.0, 0.0, 100.0, 300.0])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_finds_a_frame(value, noise):
    image = framed(film(), ((7, 20), (0, 13)), value, noise)
    assert box(image) == ([7, 0], [97, 120])


def test_leaves_a_film_without_borders_alone():
    assert box(film()) == ([0, 0], [90, 120])


def test_letter_in_a_border_keeps_no_line():
    image = framed(film(200, 300), ((30, 0), (0, 0)))
    image[0, 10:15, 100:110] = 100  # 10 of 300 pixels of five lines
    assert box(image) == ([30, 0], [230, 300])
    assert box(image, outliers=0.0) == ([10, 0], [230, 300])


def test_corner_where_two_borders_meet():
    image = framed(film(), ((9, 4), (11, 6)))
    image[0, :, :11], image[0, :, -6:] = 50.0, 80.0  # bars of other grey values, over the whole width
    assert box(image) == ([9, 11], [99, 131])


@pytest.mark.parametrize(
    "image", [np.zeros((1, 40, 30)), np.full((1, 5, 9), 7.0), np.zeros((1, 1, 1)), np.zeros((1, 1, 64))]
)
def test_blank_film_stays_whole(image):
    assert box(image) == ([0, 0], list(image.shape[1:]))


def test_values_that_are_not_finite_stay_for_the_equalisation_to_name():
    image = film()
    image[0, 0, 0] = np.nan
    assert box(image) == ([0, 0], [90, 120])


def test_most_bounds_what_goes():
    image = framed(film(20, 120), ((80, 0), (0, 0)))
    assert box(image) == ([40, 0], [100, 120])
    assert box(image, most=0.1) == ([10, 0], [100, 120])


def test_valid_area_goes_first_and_is_cut_along():
    image = framed(film(), ((10, 0), (0, 8)), 100.0)  # a bright border inside a padding full of structure
    padded = np.pad(image, ((0, 0), (5, 6), (7, 0)), mode="reflect")
    valid = np.zeros(padded.shape[1:], bool)
    valid[5:-6, 7:] = True
    valid[15, 7] = False
    meta = MetaTensor(torch.as_tensor(padded), meta={META_VALID_AREA: valid})
    out = CropBorder()(meta)
    assert tuple(out.shape) == (1, 90, 120)
    np.testing.assert_array_equal(np.asarray(out), film())
    assert out.meta[META_VALID_AREA].shape == (90, 120) and not out.meta[META_VALID_AREA][0, 0]
    assert meta.meta[META_VALID_AREA].shape == padded.shape[1:]


def test_label_map_and_affine_follow_and_the_way_back_pads_with_zeros():
    image = framed(film(), ((7, 20), (0, 13)), 5.0, 0.3)
    label = np.zeros(image.shape, np.uint8)
    label[0, 30:50, 40:70] = 22
    data = {"image": MetaTensor(torch.as_tensor(image)), "label": MetaTensor(torch.as_tensor(label))}
    chain = Compose(
        [
            CropBorderd(["image", "label"], source_key="image"),
            HistogramEqualized("image"),
            ResizeWithPadd(["image", "label"], spatial_size=(180, 240), mode=["bilinear", "nearest"]),
        ]
    )
    out = chain(data)
    assert out["image"].max() > 250
    # Twice as large: the point (x, y) of the film lies at 2 (x - 7) + 0.5 of the grid.
    corner = np.linalg.inv(np.asarray(out["label"].affine)) @ [30, 40, 0, 1]
    np.testing.assert_allclose(corner[:2], [46.5, 80.5])
    twice = out["label"][0, 46:86, 80:140]
    assert bool((twice == 22).all()) and int((out["label"] == 22).sum()) == twice.numel()
    for nearest in (True, False):
        maps = {"pred": MetaTensor(out["label"].as_tensor().float(), meta=out["image"].meta), "image": out["image"]}
        back = Invertd("pred", chain, orig_keys="image", nearest_interp=nearest, to_tensor=True)(maps)["pred"]
        assert tuple(back.shape) == image.shape
        if nearest:
            np.testing.assert_array_equal(np.asarray(back), label)
        assert not np.asarray(back)[0, :7].any() and not np.asarray(back)[0, :, 120:].any()


def test_numpy_pickle_and_bad_arguments():
    image = framed(film(), ((7, 20), (0, 13)))
    step = pickle.loads(pickle.dumps(CropBorderd("image")))
    assert step({"image": image})["image"].shape == (1, 90, 120)
    with pytest.raises(ValueError, match="tolerance"):
        CropBorder(tolerance=1.0)
    with pytest.raises(ValueError, match="shape"):
        CropBorder()(np.zeros((4, 5)))
