from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage

from cmnet_monai.transforms import RandElasticd
from cmnet_monai.transforms.rand_elastic import carry_points, displacement, warp

SIZE = (96, 170)
CONTROL = (4, 6)
POINTS = torch.tensor([[30.0, 40.0], [61.5, 88.25], [22.75, 130.5], [70.0, 60.0]])


def blob(x: float, y: float, sigma_px: float = 1.5) -> torch.Tensor:
    gx = np.exp(-0.5 * ((np.arange(SIZE[0]) - x) / sigma_px) ** 2)
    gy = np.exp(-0.5 * ((np.arange(SIZE[1]) - y) / sigma_px) ** 2)
    return torch.from_numpy(np.multiply.outer(gx, gy)[None]).float()


def centroid(image: torch.Tensor) -> np.ndarray:
    return np.array(ndimage.center_of_mass(np.asarray(image[0])))


def ramps(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Each pixel shows its own x and y, (2, x, y), plus 100."""
    x, y = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    return (torch.stack([x, y]) + 100).to(dtype)


def elastic(**arguments: object) -> RandElasticd:
    defaults = {"keys": ["image", "label"], "prob": 1.0, "magnitude_px": 5.0, "control": CONTROL}
    return RandElasticd(**{**defaults, **arguments})


def test_points_follow_the_image() -> None:
    moved = []
    for seed in range(6):
        for point in POINTS:
            data = {"image": blob(*point.tolist()), "points": point[None]}
            bent = elastic(keys="image", mode="bilinear").set_random_state(seed=seed)(data)
            carried = bent["points"][0].numpy()
            # The blob is stretched unevenly, not only moved, which shifts its centroid by up to 0.2 px.
            np.testing.assert_allclose(centroid(bent["image"]), carried, atol=0.3)
            moved.append(np.abs(carried - point.numpy()))
    assert (np.max(moved, axis=0) > 3.0).all()  # along both axes, by far more than the tolerance


def test_constant_displacement_moves_film_and_points_by_hand() -> None:
    # Pixel p shows what lay at p + (2, -3): content at (20, 30) comes to lie at (18, 33).
    move = displacement(np.stack([np.full(CONTROL, 2.0), np.full(CONTROL, -3.0)]), SIZE)
    image = torch.zeros(1, *SIZE)
    image[0, 20, 30] = 5.0
    for mode in ("bilinear", "nearest"):
        moved = warp(image, move, mode)
        assert moved[0, 18, 33] == pytest.approx(5.0, abs=1e-3)
        assert float(moved.sum()) == pytest.approx(5.0, abs=1e-2)
    np.testing.assert_allclose(carry_points(torch.tensor([[20.0, 30.0]]), move), [[18.0, 33.0]], atol=1e-5)


def test_content_beyond_the_edge_is_empty() -> None:
    move = displacement(np.stack([np.full(CONTROL, 4.0), np.zeros(CONTROL)]), SIZE)
    moved = warp(torch.ones(1, *SIZE), move)
    assert not moved[0, -4:].any() and (moved[0, :-5] > 0.999).all()


def test_displacement_takes_the_control_vectors_at_its_corners() -> None:
    vectors = np.random.default_rng(0).normal(size=(2, *CONTROL))
    move = displacement(vectors, SIZE)
    assert move.shape == (2, *SIZE)
    np.testing.assert_allclose(move[:, [0, 0, -1, -1], [0, -1, 0, -1]], vectors[:, [0, 0, -1, -1], [0, -1, 0, -1]])


def test_warp_agrees_with_an_independent_interpolation() -> None:
    rng = np.random.default_rng(1)
    image, move = rng.random(SIZE), displacement(rng.normal(0, 3, (2, *CONTROL)), SIZE)
    at = np.indices(SIZE) + move.numpy()
    expected = ndimage.map_coordinates(image, at, order=1, mode="grid-constant", cval=0.0)
    found = warp(torch.from_numpy(image[None]), move)[0]
    # Positions are float32 shares of 170 pixels, so they are off by some hundred-thousandths of a pixel.
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_carried_points_solve_their_equation() -> None:
    move = displacement(np.random.default_rng(2).normal(0, 3, (2, *CONTROL)), SIZE)
    carried = carry_points(POINTS, move).numpy()
    shift = np.stack([ndimage.map_coordinates(axis, carried.T, order=1) for axis in move.numpy()], axis=1)
    np.testing.assert_allclose(carried + shift, POINTS, atol=1e-2)


def test_label_map_is_bent_as_the_image_is() -> None:
    data = {"image": ramps(), "label": ramps(torch.int16)}
    bent = elastic().set_random_state(seed=3)(data)
    image, label = bent["image"], bent["label"]
    assert torch.equal(label, label.round())  # no mixtures of labels
    inside = np.s_[:, 20:-20, 20:-20]
    assert (label[inside] - image[inside]).abs().max() <= 0.5 + 1e-3  # nearest is the whole number next to bilinear
    assert (image[inside] - ramps()[inside]).abs().max() > 1.0


def test_label_map_has_no_other_values_than_before() -> None:
    labels = torch.from_numpy(np.random.default_rng(4).choice([0, 8, 20, 26, 28], size=(1, *SIZE)))
    bent = elastic(keys="label", mode="nearest").set_random_state(seed=3)({"label": labels})
    assert set(np.unique(bent["label"])) <= {0, 8, 20, 26, 28}


def test_probability_zero_leaves_everything_as_it_is() -> None:
    data = {"image": ramps(), "label": ramps(), "points": POINTS}
    bent = elastic(prob=0.0)(data)
    assert all(bent[key] is data[key] for key in data)


def test_probability_is_that_of_a_deformation() -> None:
    transform = elastic(keys="image", mode="bilinear", prob=0.3, points_key=None).set_random_state(seed=0)
    image = torch.ones(1, 8, 12)
    changed = sum(transform({"image": image})["image"] is not image for _ in range(400))
    assert changed == pytest.approx(120, abs=37)  # four standard deviations of the binomial distribution


def test_zero_magnitude_is_no_deformation() -> None:
    data = {"image": ramps(), "points": POINTS}
    bent = elastic(keys="image", mode="bilinear", magnitude_px=0.0)(data)
    torch.testing.assert_close(bent["image"].as_tensor(), ramps(), atol=1e-2, rtol=0)
    torch.testing.assert_close(bent["points"], POINTS)


def test_larger_magnitude_bends_more() -> None:
    def spread(magnitude_px: float) -> float:
        transform = elastic(keys="image", mode="bilinear", magnitude_px=magnitude_px).set_random_state(seed=5)
        moved = [transform({"image": ramps(), "points": POINTS})["points"] - POINTS for _ in range(10)]
        return float(torch.stack(moved).square().mean().sqrt())

    # Each film draws its own deviation below the largest; the same seed draws the same ones.
    assert spread(4.0) == pytest.approx(4 * spread(1.0), rel=0.1)


def test_seed_decides_alone_and_films_differ() -> None:
    data = {"image": ramps(), "label": ramps(), "points": POINTS}
    one, other = (elastic().set_random_state(seed=7) for _ in range(2))
    first, second = [one(data) for _ in range(2)], [other(data) for _ in range(2)]
    for a, b in zip(first, second):
        assert all(torch.equal(a[key], b[key]) for key in data)
    assert not torch.equal(first[0]["image"], first[1]["image"])
    assert not torch.equal(elastic().set_random_state(seed=8)(data)["image"], first[0]["image"])


def test_metadata_is_kept() -> None:
    affine = torch.diag(torch.tensor([-0.5, -0.25, 1.0], dtype=torch.float64))
    image = MetaTensor(ramps(), affine=affine, meta={"filename_or_obj": "film"})
    image.applied_operations = [{"class": "Earlier"}]
    points = MetaTensor(POINTS, meta={"frame": "image"})
    bent = elastic(keys="image", mode="bilinear").set_random_state(seed=1)({"image": image, "points": points})
    assert torch.equal(bent["image"].affine, affine)
    assert bent["image"].meta["filename_or_obj"] == "film"
    assert bent["image"].applied_operations == [{"class": "Earlier"}]
    assert bent["points"].meta["frame"] == "image"


def test_no_points_are_no_error() -> None:
    bent = elastic().set_random_state(seed=1)({"image": ramps(), "label": ramps(), "points": torch.zeros(0, 2)})
    assert tuple(bent["points"].shape) == (0, 2)
    assert "points" not in elastic()({"image": ramps(), "label": ramps()})
    kept = elastic(points_key=None)({"image": ramps(), "label": ramps(), "points": POINTS})
    assert kept["points"] is POINTS


def test_missing_keys_are_ignored_only_where_they_may_be() -> None:
    assert set(elastic(allow_missing_keys=True)({"image": ramps()})) == {"image"}
    with pytest.raises(KeyError, match="label"):
        elastic()({"image": ramps()})


def test_images_of_two_sizes_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"\[\(96, 170\), \(170, 96\)\]"):
        elastic()({"image": ramps(), "label": ramps().transpose(1, 2)})
