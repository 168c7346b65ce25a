from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from cmnet_monai.transforms import RandSimilarityd


def affines(n: int, **kwargs) -> np.ndarray:
    """In-plane part of the map from the changed to the original pixels, for n draws."""
    change = RandSimilarityd("image", prob=1.0, **kwargs).set_random_state(seed=0)
    image = MetaTensor(torch.zeros(1, 30, 50), affine=np.eye(3))
    return np.stack([change({"image": image})["image"].affine.numpy()[:2, :3] for _ in range(n)])


def test_every_change_is_a_similarity_within_its_limits() -> None:
    found = affines(100, magnification=(0.9, 1.25), rotation_deg=20.0)
    linear = found[:, :, :2]
    scale = np.sqrt(np.linalg.det(linear))
    np.testing.assert_allclose(linear.transpose(0, 2, 1) @ linear, scale[:, None, None] ** 2 * np.eye(2), atol=1e-6)
    magnification, angle = 1 / scale, np.degrees(np.arctan2(linear[:, 1, 0], linear[:, 0, 0]))
    assert 0.9 <= magnification.min() < 0.92
    assert 1.2 < magnification.max() <= 1.25
    assert np.mean(magnification > 1) == pytest.approx(0.68, abs=0.18)  # log 1.25 / log (1.25 / 0.9)
    assert -20 <= angle.min() < -18
    assert 18 < angle.max() <= 20


def test_shift_has_its_own_limit_on_each_axis() -> None:
    found = affines(100, magnification=(1, 1), rotation_deg=0.0, translation_px=(3.0, 8.0))
    np.testing.assert_allclose(found[:, :, :2], np.broadcast_to(np.eye(2), (100, 2, 2)), atol=1e-9)
    reach = np.abs(found[:, :, 2]).max(axis=0)
    assert (reach <= [3, 8]).all()
    assert (reach > [2.7, 7.2]).all()


def test_image_and_label_move_together() -> None:
    x, y = np.arange(90)[:, None], np.arange(140)[None]
    disc = ((x - 40) ** 2 + (y - 80) ** 2 < 400).astype(np.float32)
    data = {key: MetaTensor(torch.from_numpy(disc[None])) for key in ("image", "label")}
    change = RandSimilarityd(["image", "label"], prob=1.0, translation_px=(9, 9), mode=["bilinear", "nearest"])
    change.set_random_state(seed=4)
    result = change(data)
    assert set(np.unique(result["label"].numpy())) == {0.0, 1.0}
    assert ((result["image"] > 0.5) != (result["label"] > 0.5)).float().mean() < 0.005  # rim pixels
    assert not torch.equal(result["label"], data["label"])


def test_change_can_be_inverted() -> None:
    x, y = np.arange(90)[:, None], np.arange(140)[None]
    blob = np.exp(-((x - 40) ** 2 + (y - 80) ** 2) / 200).astype(np.float32)
    change = RandSimilarityd("image", prob=1.0, translation_px=(5, 5)).set_random_state(seed=1)
    moved = change({"image": MetaTensor(torch.from_numpy(blob[None]))})
    back = change.inverse(moved)["image"]
    np.testing.assert_allclose(back[0].numpy(), blob, atol=0.02)  # twice interpolated, Gaussian of 10 px


def test_fixed_size_and_free_size_agree() -> None:
    image = MetaTensor(torch.rand(1, 30, 50, generator=torch.Generator().manual_seed(0)))
    free, fixed = (
        RandSimilarityd("image", prob=1.0, spatial_size=size).set_random_state(seed=2)({"image": image})["image"]
        for size in (None, (30, 50))
    )
    np.testing.assert_allclose(free.numpy(), fixed.numpy(), atol=1e-6)


@pytest.mark.parametrize("magnification", [(0.0, 1.0), (1.2, 0.8), (-1.0, 1.0)])
def test_impossible_magnification_is_an_error(magnification: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="magnification"):
        RandSimilarityd("image", magnification=magnification)
