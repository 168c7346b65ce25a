from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage

from cmnet_monai.transforms import RandArticulatedd
from cmnet_monai.transforms.rand_articulated import articulation
from cmnet_monai.transforms.rand_elastic import warp

SIZE = (120, 260)
CODES = (26, 24, 23, 22, 21)  # S1 to L2, upwards
MIDDLES = (230, 190, 150, 110, 70)  # y
STILL = np.zeros((len(CODES), 4))


def spine() -> torch.Tensor:
    """Bodies 40 wide and 28 high, 40 from one to the next."""
    label = torch.zeros(1, *SIZE)
    for code, y in zip(CODES, MIDDLES):
        label[0, 40:80, y - 14 : y + 14] = code
    return label


def bent(joints: np.ndarray) -> np.ndarray:
    label = spine()
    return warp(label, articulation(label[0].numpy().astype(int), CODES, joints), "nearest")[0].numpy()


def middle(labels: np.ndarray, code: int) -> np.ndarray:
    return np.array(ndimage.center_of_mass(labels == code))


def test_spine_without_motion_stays() -> None:
    np.testing.assert_array_equal(bent(STILL), spine()[0].numpy())


def test_slip_moves_a_body_and_all_above_along_the_end_plate() -> None:
    joints = STILL.copy()
    joints[2, 1] = 0.5  # L4 on L5, half of 40 px
    labels = bent(joints)
    for code, moved in zip(CODES, (0, 0, 20, 20, 20)):
        shift = middle(labels, code) - middle(spine()[0].numpy(), code)
        # The field is blended between the bodies, and their depth is measured on every fourth pixel.
        assert abs(abs(shift[0]) - moved) < 3.5, code
        assert abs(shift[1]) < 2


def test_joint_turns_what_is_above_about_the_disc() -> None:
    joints = STILL.copy()
    joints[3, 0] = 0.3  # L3 and L2 about the middle of the disc L3/L4, y = 130
    labels = bent(joints)
    for code, reach in ((22, 20), (21, 60)):
        expected = np.array([59.5 + reach * np.sin(0.3), 129.5 - reach * np.cos(0.3)])
        assert np.hypot(*(middle(labels, code) - expected)) < 4, code
        across = np.linalg.svd(np.argwhere(labels == code) - middle(labels, code), full_matrices=False)[2][0]
        assert np.arctan(across[1] / across[0]) == pytest.approx(0.3, abs=0.1)
    assert np.hypot(*(middle(labels, 24) - middle(spine()[0].numpy(), 24))) < 1


def test_worn_disc_brings_bodies_together_and_crushed_body_loses_height() -> None:
    joints = STILL.copy()
    joints[2, 2], joints[4, 3] = 0.2, 0.4  # disc below L4: 8 px; L2: from 28 px to 17
    labels = bent(joints)
    assert middle(labels, 24)[1] - middle(labels, 23)[1] == pytest.approx(32, abs=2)
    assert (labels[55:65] == 21).any(axis=0).sum() == pytest.approx(17, abs=4)
    assert (labels[55:65] == 22).any(axis=0).sum() == pytest.approx(28, abs=2)


def test_image_and_label_move_alike_and_centres_are_those_of_the_bodies() -> None:
    label = MetaTensor(spine(), affine=torch.diag(torch.tensor([2.0, 2.0, 1.0, 1.0], dtype=torch.float64)))
    data = {
        "image": label / 26,
        "label": label,
        "points": MetaTensor(torch.zeros(3, 2), affine=torch.eye(3, dtype=torch.float64)),
        "levels": torch.tensor([24, 22, 19]),  # T12 is not on the film
    }
    seen = set()
    for seed in range(6):
        out = RandArticulatedd(prob=1.0).set_random_state(seed=seed)(data)
        values = out["label"][0].numpy()
        assert set(np.unique(values)) <= {0, *CODES}
        assert ((out["image"][0].numpy() * 26).round() == values).mean() > 0.93  # borders are blurred
        assert out["levels"].tolist() == [24, 22]
        np.testing.assert_allclose(out["points"].numpy(), [middle(values, 24), middle(values, 22)], atol=1e-4)
        assert torch.equal(out["label"].affine, label.affine)
        seen.add(int((values != spine()[0].numpy()).sum()))
    assert len(seen) == 6


def test_film_with_one_body_stays_and_sizes_must_agree() -> None:
    label = spine() * (spine() == 24)
    bend = RandArticulatedd(prob=1.0, allow_missing_keys=True)
    assert torch.equal(bend({"label": label})["label"], label)
    with pytest.raises(ValueError, match="of one size"):
        bend({"image": torch.zeros(1, 5, 7), "label": spine()})
