from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from cmnet_monai.conventions import CENTRE_CHANNEL, S1_CHANNEL, VERTEBRA_CHANNEL
from cmnet_monai.transforms import TargetFromLabel, TargetFromLabeld

LABEL = np.array([[[0, 8, 19, 20, 22], [24, 25, 26, 28, 0]]])
HEATMAP = np.linspace(0, 1, 10, dtype=np.float32).reshape(1, 2, 5)


def test_lumbar_target_has_the_five_lumbar_bodies() -> None:
    target = TargetFromLabel("lumbar")(LABEL, HEATMAP)
    assert target.shape == (2, 2, 5)
    assert target.dtype == torch.float32
    assert target[VERTEBRA_CHANNEL].tolist() == [[0, 0, 0, 1, 1], [1, 0, 0, 0, 0]]
    np.testing.assert_array_equal(target[CENTRE_CHANNEL].numpy(), HEATMAP[0])


def test_visible_target_has_every_body_and_the_sacrum_apart() -> None:
    target = TargetFromLabel("visible")(LABEL, HEATMAP)
    assert target[VERTEBRA_CHANNEL].tolist() == [[0, 1, 1, 1, 1], [1, 1, 0, 1, 0]]
    assert target[S1_CHANNEL].tolist() == [[0, 0, 0, 0, 0], [0, 0, 1, 0, 0]]


@pytest.mark.parametrize("value", [1, 255])
@pytest.mark.parametrize("protocol", ["lumbar", "visible"])
def test_binary_mask_is_all_vertebra(value: int, protocol: str) -> None:
    mask = np.array([[[0, 1, 1, 0, 0], [1, 0, 0, 0, 0]]]) * value
    target = TargetFromLabel(protocol)(mask, HEATMAP)
    assert target[VERTEBRA_CHANNEL].tolist() == [[0, 1, 1, 0, 0], [1, 0, 0, 0, 0]]
    assert not target[S1_CHANNEL:].any()


def test_values_that_name_no_body_are_background() -> None:
    target = TargetFromLabel("visible")(np.array([[[0, 1, 7, 27, 300]]]), np.zeros((1, 1, 5)))
    assert not target.any()


def test_target_keeps_the_affine_of_the_label_map() -> None:
    label = MetaTensor(torch.from_numpy(LABEL).float(), affine=np.diag([-0.5, -0.25, 1.0]))
    data = TargetFromLabeld("seg", heatmap_key="h", target_key="y")({"seg": label, "h": torch.from_numpy(HEATMAP)})
    assert torch.equal(data["y"].affine, label.affine)


def test_heatmap_of_another_size_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"\(1, 5, 2\), the label map \(x, y\) = \(2, 5\)"):
        TargetFromLabel()(LABEL, HEATMAP.transpose(0, 2, 1))
