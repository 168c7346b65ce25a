from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor

from cmnet_monai.transforms import AsVolumed


def test_map_and_film_say_the_same_volume() -> None:
    affine = np.diag([-0.2, -0.3, 1.0])
    film = MetaTensor(torch.zeros(1, 4, 8), affine=np.eye(3), meta={"original_affine": affine, "spatial_shape": (5, 7)})
    label = MetaTensor(torch.arange(35.0).reshape(1, 5, 7), affine=affine)
    result = AsVolumed("pred")({"image": film, "pred": label})
    assert result["pred"].shape == (1, 5, 7, 1)
    assert torch.equal(result["pred"][..., 0].as_tensor(), label.as_tensor())
    np.testing.assert_array_equal(result["pred"].affine.numpy(), np.diag([-0.2, -0.3, 1.0, 1.0]))
    assert result["image"].meta["spatial_shape"].tolist() == [5, 7, 1]
    np.testing.assert_array_equal(np.asarray(result["image"].meta["original_affine"]), np.diag([-0.2, -0.3, 1.0, 1.0]))
    assert film.meta["spatial_shape"] == (5, 7)  # the input is left alone


def test_plain_array_lies_on_the_pixel_grid() -> None:
    result = AsVolumed("pred")({"pred": np.ones((2, 3, 4), dtype=np.uint8)})
    assert result["pred"].shape == (2, 3, 4, 1)
    np.testing.assert_array_equal(result["pred"].affine.numpy(), np.eye(4))
