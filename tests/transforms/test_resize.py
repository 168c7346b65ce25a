from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch, set_track_meta
from monai.transforms import Compose, Flipd, Invertd
from PIL import Image
from scipy import ndimage

from cmnet_monai.conventions import META_VALID_AREA
from cmnet_monai.transforms import CarryCentres, ResizeWithPad, ResizeWithPadd
from cmnet_monai.transforms.resize import fit_inside

GRID = (64, 128)
ODD, TALL, WIDE, TINY, LINE, HUGE = (211, 263), (91, 1537), (1201, 77), (3, 5), (1, 7), (1801, 2459)
SIZES = [ODD, TALL, WIDE, TINY, LINE, (64, 128), (128, 64)]
AFFINE = np.diag([-0.4, -0.15, 1.0])


def film(size: tuple[int, int], channels: int = 1) -> MetaTensor:
    values = np.random.default_rng(0).random((channels, *size), dtype=np.float32)
    return MetaTensor(torch.from_numpy(values), affine=AFFINE)


def body(size: tuple[int, int]) -> MetaTensor:
    """A tilted ellipse that fills a good part of the film."""
    x, y = (
        np.arange(side)[:, None] / side - 0.5 if i == 0 else np.arange(side)[None] / side - 0.5
        for i, side in enumerate(size)
    )
    inside = ((x + 0.3 * y) / 0.3) ** 2 + ((y - 0.2 * x) / 0.35) ** 2 < 1
    inside |= (np.abs(x + 0.3) < 0.12) & (np.abs(y + 0.35) < 0.1)  # so that no flip leaves it as it is
    return MetaTensor(torch.from_numpy(inside[None].astype(np.float32)), affine=AFFINE)


@pytest.mark.parametrize(
    ("source", "grid", "inner", "offset"),
    [
        ((2012, 2446), (512, 1024), (512, 622), (0, 201)),  # 2446 * 512 / 2012 = 622.44
        ((1220, 2300), (512, 1024), (512, 965), (0, 29)),
        ((900, 2400), (512, 1024), (384, 1024), (64, 0)),
        ((3, 5), (512, 1024), (512, 853), (0, 85)),
        ((1, 7), (512, 1024), (146, 1024), (183, 0)),
        ((5000, 1), (512, 1024), (512, 1), (0, 511)),
        ((512, 1024), (512, 1024), (512, 1024), (0, 0)),
    ],
)
def test_scaled_size_and_padding_by_hand(source, grid, inner, offset) -> None:
    assert fit_inside(source, grid) == (inner, offset)


def test_film_is_centred_and_padding_is_zero() -> None:
    result = ResizeWithPad((8, 9))(torch.full((2, 4, 2), 5.0))
    expected = torch.zeros(2, 8, 9)
    expected[:, :, 2:6] = 5.0  # scaled to 8 x 4; 2 pixels above, 3 below
    assert torch.allclose(result.as_tensor(), expected)


def test_enlarging_matches_scipy() -> None:
    image = film((13, 21))
    result = ResizeWithPad(GRID)(image)[0].numpy()
    (w, h), (left, top) = fit_inside((13, 21), GRID)
    x, y = (np.arange(w) + 0.5) * 13 / w - 0.5, (np.arange(h) + 0.5) * 21 / h - 0.5
    expected = ndimage.map_coordinates(image[0].numpy(), np.meshgrid(x, y, indexing="ij"), order=1, mode="nearest")
    np.testing.assert_allclose(result[left : left + w, top : top + h], expected, atol=1e-5)


def test_shrinking_matches_pillow_and_skips_no_pixel() -> None:
    image = film((431, 613))
    result = ResizeWithPad(GRID)(image)[0].numpy()
    (w, h), (left, top) = fit_inside((431, 613), GRID)
    expected = np.asarray(Image.fromarray(image[0].numpy().T).resize((w, h), Image.Resampling.BILINEAR)).T
    np.testing.assert_allclose(result[left : left + w, top : top + h], expected, atol=1e-5)


def test_nearest_takes_the_pixel_under_the_centre_and_keeps_the_dtype() -> None:
    label = torch.tensor([[[20, 21, 22, 23, 24, 26]]], dtype=torch.uint8)  # 6 high
    result = ResizeWithPad((1, 2), mode="nearest")(label)
    assert result.dtype == torch.uint8
    assert result.flatten().tolist() == [21, 24]  # centres at rows 1.5 - 0.5 = 1 and 4
    grown = ResizeWithPad((2, 12), mode="nearest")(label)
    assert grown[0, 0].tolist() == grown[0, 1].tolist() == [20, 20, 21, 21, 22, 22, 23, 23, 24, 24, 26, 26]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float64, bool])
def test_arrays_of_any_dtype_become_float32(dtype: type) -> None:
    image = (film((20, 31)).numpy() * 200 > 100).astype(dtype)
    result = ResizeWithPad(GRID)(image)
    assert isinstance(result, MetaTensor)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), ResizeWithPad(GRID)(image.astype(np.float32)).numpy())


@pytest.mark.parametrize("size", [*SIZES, HUGE])
def test_mask_comes_back_within_one_grid_pixel_of_its_border(size: tuple[int, int]) -> None:
    """Bilinear both ways and cut at 0.5: the error is at most the blur of one pixel of the grid."""
    mask = body(size)
    resize = ResizeWithPad(GRID)
    back = resize.inverse(resize(mask))
    assert back.shape == mask.shape
    wrong = (back[0].numpy() > 0.5) != (mask[0].numpy() > 0.5)
    inside = mask[0].numpy() > 0.5
    reach = max(1.0, max(size[0] / GRID[0], size[1] / GRID[1])) + 1
    to_border = np.maximum(ndimage.distance_transform_edt(inside), ndimage.distance_transform_edt(~inside))
    assert not (wrong & (to_border > reach)).any()
    if max(size[0] / GRID[0], size[1] / GRID[1]) <= 1:
        assert not wrong.any()


@pytest.mark.parametrize("size", [TINY, LINE, (64, 128), (41, 127), (63, 5)])
def test_labels_of_films_smaller_than_the_grid_come_back_exactly(size: tuple[int, int]) -> None:
    label = MetaTensor(torch.randint(0, 29, (1, *size), generator=torch.Generator().manual_seed(0)))
    resize = ResizeWithPad(GRID, mode="nearest")
    assert torch.equal(resize.inverse(resize(label)), label)


@pytest.mark.parametrize("size", [ODD, TALL, WIDE, TINY, LINE, HUGE])
def test_points_come_back_within_a_hundredth_of_a_pixel(size: tuple[int, int]) -> None:
    image = film(size)
    corners = np.array([[0, 0], [size[0] - 1, size[1] - 1], [size[0] * 0.37, size[1] * 0.81]])
    points = MetaTensor(torch.from_numpy(corners.astype(np.float32)), affine=AFFINE)
    on_grid = CarryCentres()(points, ResizeWithPad(GRID)(image))
    (w, h), (left, top) = fit_inside(size, GRID)
    by_hand = (corners + 0.5) * [w / size[0], h / size[1]] - 0.5 + [left, top]
    np.testing.assert_allclose(on_grid.numpy(), by_hand, atol=1e-3)
    back = CarryCentres()(on_grid, image)
    assert np.abs(back.numpy() - corners).max() < 0.01


def test_affine_returns_with_the_film() -> None:
    resize = ResizeWithPad(GRID)
    forward = resize(film(ODD))
    assert not torch.allclose(forward.affine, torch.from_numpy(AFFINE))
    back = resize.inverse(forward)
    np.testing.assert_allclose(back.affine.numpy(), AFFINE, atol=1e-12)
    assert back.applied_operations == []


def test_one_call_leaves_one_record() -> None:
    assert len(ResizeWithPad(GRID)(film(ODD)).applied_operations) == 1


def test_valid_area_of_the_old_grid_is_dropped() -> None:
    image = film(ODD)
    image.meta[META_VALID_AREA] = np.ones(ODD, dtype=bool)
    assert META_VALID_AREA not in ResizeWithPad(GRID)(image).meta
    assert META_VALID_AREA in image.meta


@pytest.mark.parametrize("nearest", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
def test_network_output_of_a_batch_returns_to_each_film(nearest: bool, workers: int) -> None:
    sizes = [(211, 263), (37, 300), (90, 41)]
    data = [{"image": body(size)} for size in sizes]
    chain = Compose([Flipd("image", spatial_axis=0), ResizeWithPadd("image", GRID)])
    post = Invertd("pred", transform=chain, orig_keys="image", nearest_interp=nearest)
    batch = next(iter(DataLoader(Dataset(data, chain), batch_size=3, num_workers=workers)))
    batch["pred"] = torch.cat([batch["image"], 1 - batch["image"]], dim=1)  # two channels, as a network gives
    for item, source in zip(decollate_batch(batch), data):
        result = post(item)["pred"]
        assert result.shape == (2, *source["image"].shape[1:])
        agreement = ((result[:1] > 0.5) == (source["image"] > 0.5)).float().mean()
        assert agreement > 0.97  # border pixels of a narrow film differ; a flip loses over 0.05
        if nearest:
            assert set(np.unique((result[0] + result[1]).numpy().round(5))) == {1.0}
        np.testing.assert_allclose(result.affine.numpy(), AFFINE, atol=1e-9)


def test_nearest_inverse_makes_no_new_values() -> None:
    label = MetaTensor(torch.randint(0, 29, (1, *ODD), generator=torch.Generator().manual_seed(0)).float())
    chain = Compose([ResizeWithPadd("label", GRID, mode="nearest")])
    result = chain.inverse(chain({"label": label}))["label"]
    assert set(np.unique(result.numpy())) <= set(range(29))
    assert result.shape == label.shape


def test_map_on_another_grid_is_an_error() -> None:
    resize = ResizeWithPad(GRID)
    forward = resize(film(ODD))
    half = forward[:, ::2, ::2]
    half.applied_operations = forward.applied_operations
    with pytest.raises(ValueError, match=r"\(64, 128\), but got \(32, 64\)"):
        resize.inverse(half)


def test_lazy_chain_gives_the_same_as_an_eager_one() -> None:
    steps = [Flipd("image", spatial_axis=0), ResizeWithPadd("image", GRID)]
    lazy, eager = (Compose(steps, lazy=value)({"image": film(ODD)})["image"] for value in (True, False))
    np.testing.assert_allclose(lazy.numpy(), eager.numpy(), atol=1e-5)
    np.testing.assert_allclose(lazy.affine.numpy(), eager.affine.numpy(), atol=1e-9)


def test_without_tracking_a_plain_tensor_comes_out() -> None:
    set_track_meta(False)
    try:
        result = ResizeWithPad(GRID)(film(ODD).as_tensor())
    finally:
        set_track_meta(True)
    assert type(result) is torch.Tensor
    np.testing.assert_array_equal(result.numpy(), ResizeWithPad(GRID)(film(ODD)).numpy())


def test_each_key_has_its_mode() -> None:
    data = {"image": film(ODD), "label": film(ODD).round() * 20}
    result = ResizeWithPadd(["image", "label"], GRID, mode=["bilinear", "nearest"])(data)
    assert set(np.unique(result["label"].numpy())) == {0.0, 20.0}
    assert len(np.unique(result["image"].numpy())) > 1000


@pytest.mark.parametrize("size", [(512,), (0, 4), (1, 2, 3)])
def test_impossible_grid_is_an_error(size: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two positive numbers"):
        ResizeWithPad(size)


def test_unknown_mode_is_an_error() -> None:
    with pytest.raises(ValueError, match="'cubic'"):
        ResizeWithPadd("image", GRID, mode="cubic")


def test_array_without_channel_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"got \(64, 32\)"):
        ResizeWithPad(GRID)(torch.zeros(64, 32))
