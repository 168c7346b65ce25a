from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import (
    CenterSpatialCropd,
    Compose,
    Flipd,
    RandAffined,
    RandFlipd,
    RandRotate90d,
    RandZoomd,
    Resized,
    Rotated,
    SpatialCropd,
    SpatialPadd,
    Zoomd,
)
from skimage.measure import regionprops

from cmnet_monai.transforms import (
    CarryCentres,
    CarryCentresd,
    CentresFromLabel,
    CentresFromLabeld,
    RandSimilarityd,
    ResizeWithPadd,
)
from cmnet_monai.transforms.centres import inside_grid

AFFINE = np.array([[-0.3, 0.0, 11.0], [0.0, -0.7, -5.0], [0.0, 0.0, 1.0]])
SIZE = (131, 97)


def label_map() -> np.ndarray:
    """T12, L1, L2 and S1 as boxes and an L, (1, x, y)."""
    values = np.zeros((1, 40, 60), dtype=np.uint8)
    values[0, 10:20, 2:7] = 19
    values[0, 12:23, 10:16] = 20
    values[0, 12:14, 20:30] = 21
    values[0, 14:20, 28:30] = 21
    values[0, 5:9, 50:60] = 26
    return values


def blob(xy: tuple[float, float], size: tuple[int, int] = SIZE, sigma: float = 3.0) -> MetaTensor:
    x, y = np.arange(size[0])[:, None], np.arange(size[1])[None]
    values = np.exp(-((x - xy[0]) ** 2 + (y - xy[1]) ** 2) / (2 * sigma**2)).astype(np.float32)
    return MetaTensor(torch.from_numpy(values[None]), affine=AFFINE)


def centre_of_mass(image: torch.Tensor) -> np.ndarray:
    values = np.asarray(image[0])
    return (
        np.array([(values.sum(1) @ np.arange(values.shape[0])), (values.sum(0) @ np.arange(values.shape[1]))])
        / values.sum()
    )


def test_centre_is_the_centre_of_mass_by_hand() -> None:
    points, labels = CentresFromLabel("lumbar")(label_map())
    assert labels.tolist() == [20, 21]
    # L1: columns 12..22, rows 10..15; L2: 20 pixels at x 12.5, y 24.5 and 12 at x 16.5, y 28.5
    expected = [[17.0, 12.5], [(20 * 12.5 + 12 * 16.5) / 32, (20 * 24.5 + 12 * 28.5) / 32]]
    np.testing.assert_allclose(points.numpy(), expected, rtol=1e-6)
    assert points.dtype == torch.float32


def test_centres_match_scikit_image() -> None:
    rng = np.random.default_rng(0)
    values = np.zeros((1, 50, 70), dtype=np.int16)
    for level in range(20, 25):
        values[0, rng.integers(0, 50, 90), rng.integers((level - 20) * 14, (level - 19) * 14, 90)] = level
    points, labels = CentresFromLabel()(values)
    expected = {region.label: region.centroid for region in regionprops(values[0])}
    assert set(labels.tolist()) == set(expected)
    np.testing.assert_allclose(points.numpy(), [expected[level] for level in labels.tolist()], rtol=1e-5)


def test_visible_protocol_adds_thoracic_bodies_but_never_the_sacrum() -> None:
    assert CentresFromLabel("visible")(label_map())[1].tolist() == [19, 20, 21]


@pytest.mark.parametrize("value", [1, 255])
def test_binary_mask_is_parted_from_top_to_bottom(value: int) -> None:
    mask = (label_map() > 0) * np.float32(value)
    points, labels = CentresFromLabel()(mask)
    assert labels.tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(points.numpy()[[0, 1, 3]], [[14.5, 4.0], [17.0, 12.5], [6.5, 54.5]], rtol=1e-6)


def test_specks_of_a_binary_mask_are_left_out_and_corners_do_not_join() -> None:
    mask = np.zeros((1, 30, 40), dtype=np.uint8)
    mask[0, 2:12, 2:12] = 1
    mask[0, 12:22, 12:22] = 1  # touches the first at a corner only
    mask[0, 28, 38] = 1
    points, _ = CentresFromLabel()(mask)
    np.testing.assert_allclose(points.numpy(), [[6.5, 6.5], [16.5, 16.5]])
    assert len(CentresFromLabel(min_area_fraction=0)(mask)[0]) == 3


def test_empty_label_map_has_no_centres() -> None:
    points, labels = CentresFromLabel()(np.zeros((1, 5, 8)))
    assert points.shape == (0, 2)
    assert labels.shape == (0,)


def test_given_centres_replace_those_of_the_label_map() -> None:
    given = [{"label": 22, "x": 3.25, "y": 4.5}, {"x": 7, "y": 8}, {"label": 26, "x": 1, "y": 1}]
    points, labels = CentresFromLabel()(label_map(), given)
    assert labels.tolist() == [22, 0]  # S1 is no vertebra; an unknown level stays
    np.testing.assert_array_equal(points.numpy(), [[3.25, 4.5], [7, 8]])


def test_given_centres_refer_to_the_film_as_read() -> None:
    """Though the label map has been resized and flipped before the centres were taken up."""
    label = MetaTensor(torch.zeros(1, *SIZE), affine=AFFINE, meta={"original_affine": torch.from_numpy(AFFINE)})
    image = blob((40.25, 61.5))
    moved = Compose(
        [Flipd(["image", "label"], 1), ResizeWithPadd(["image", "label"], (200, 300), mode=["bilinear", "nearest"])]
    )({"image": image, "label": label, "centres": [{"label": 20, "x": 40.25, "y": 61.5}]})
    result = CarryCentresd()(CentresFromLabeld("label")(moved))
    np.testing.assert_allclose(result["points"].numpy()[0], centre_of_mass(result["image"]), atol=0.02)


@pytest.mark.parametrize("given", [[{"x": 1}], [(1, 2)], [{"x": "a", "y": 1}], [{"x": 1, "y": None}]])
def test_incomplete_given_centre_is_named(given: list) -> None:
    with pytest.raises(ValueError, match="Centre 0 must be"):
        CentresFromLabel()(label_map(), given)


def test_given_centre_that_is_not_finite_is_named() -> None:
    with pytest.raises(ValueError, match="Centre 1 lies at"):
        CentresFromLabel()(label_map(), [{"x": 1, "y": 2}, {"x": float("nan"), "y": 2}])


def test_blurred_label_map_is_an_error() -> None:
    with pytest.raises(ValueError, match="not whole numbers"):
        CentresFromLabel()(label_map() * 0.5)


def test_unknown_protocol_is_an_error() -> None:
    with pytest.raises(ValueError, match="'cervical'"):
        CentresFromLabel("cervical")


@pytest.mark.parametrize(
    "step",
    [
        ResizeWithPadd("image", (64, 128)),
        ResizeWithPadd("image", (500, 700)),
        RandFlipd("image", prob=1, spatial_axis=0),
        RandFlipd("image", prob=1, spatial_axis=1),
        RandRotate90d("image", prob=1),
        RandAffined(
            "image",
            prob=1,
            rotate_range=0.4,
            translate_range=(9, 7),
            shear_range=0.2,
            scale_range=((-0.2, 0.2), (-0.2, 0.2)),
        ),
        RandSimilarityd("image", prob=1, translation_px=(8, 5)),
        RandSimilarityd("image", prob=1, translation_px=(8, 5), spatial_size=(160, 140)),
        RandZoomd("image", prob=1, min_zoom=0.8, max_zoom=1.3, keep_size=True, mode="bilinear"),
        Zoomd("image", zoom=(1.3, 0.7), keep_size=False, mode="bilinear"),
        Rotated("image", angle=0.3, keep_size=False),
        Resized("image", spatial_size=(77, 150), mode="bilinear"),
        SpatialCropd("image", roi_start=(11, 20), roi_end=(120, 93)),
        CenterSpatialCropd("image", roi_size=(90, 80)),
        SpatialPadd("image", spatial_size=(150, 170)),
        Compose(
            [
                ResizeWithPadd("image", (128, 256)),
                RandFlipd("image", 1, 0),
                RandSimilarityd("image", 1),
                RandRotate90d("image", 1),
            ]
        ),
    ],
    ids=lambda step: type(step).__name__,
)
@pytest.mark.parametrize("seed", [0, 1])
def test_point_stays_on_a_bright_blob(step, seed: int) -> None:
    """0.05 px is what interpolation does to the centre of mass of this blob; half a pixel would be ten times that."""
    xy = (67.25, 48.5)
    step.set_random_state(seed=seed) if hasattr(step, "set_random_state") else None
    points = MetaTensor(torch.tensor([xy]), affine=AFFINE)
    image = step({"image": blob(xy)})["image"]
    np.testing.assert_allclose(CarryCentres()(points, image)[0].numpy(), centre_of_mass(image), atol=0.05)


def test_carrying_twice_is_carrying_once() -> None:
    points = MetaTensor(torch.tensor([[67.25, 48.5], [3.0, 4.0]]), affine=AFFINE)
    image = ResizeWithPadd("image", (64, 128))({"image": blob((1, 1))})["image"]
    once = CarryCentres()(points, image)
    np.testing.assert_array_equal(CarryCentres()(once, image).numpy(), once.numpy())


def test_volume_affine_of_a_film_is_reduced_to_its_plane() -> None:
    image = blob((5.0, 6.0))
    volume = np.eye(4)
    volume[:2, :2], volume[:2, 3], volume[2, 2] = AFFINE[:2, :2], AFFINE[:2, 2], 9.0
    points = MetaTensor(torch.tensor([[5.0, 6.0]]), affine=volume)
    np.testing.assert_allclose(CarryCentres()(points, image).numpy(), [[5.0, 6.0]], atol=1e-5)


def test_points_that_leave_the_image_go_with_their_labels() -> None:
    data = {
        "image": blob((1, 1)),
        "points": MetaTensor(torch.tensor([[5.0, 5.0], [60.0, 40.0]]), affine=AFFINE),
        "levels": torch.tensor([20, 21]),
    }
    cropped = SpatialCropd("image", roi_start=(30, 30), roi_end=(90, 90))(data)
    result = CarryCentresd()(cropped)
    np.testing.assert_allclose(result["points"].numpy(), [[30.0, 10.0]], atol=1e-4)
    assert result["levels"].tolist() == [21]
    kept = CarryCentresd(drop_outside=False)(cropped)
    np.testing.assert_allclose(kept["points"].numpy(), [[-25.0, -25.0], [30.0, 10.0]], atol=1e-4)
    assert kept["levels"].tolist() == [20, 21]


def test_grid_reaches_to_the_outer_border_of_its_pixels() -> None:
    points = torch.tensor([[-0.5, 0.0], [-0.51, 0.0], [9.49, 19.49], [9.5, 0.0], [0.0, 19.5]])
    assert inside_grid(points, (10, 20)).tolist() == [True, False, True, False, False]


def test_plain_tensors_cannot_be_carried() -> None:
    with pytest.raises(ValueError, match="MetaTensor"):
        CarryCentres()(torch.zeros(1, 2), blob((1, 1)))
