"""Corners of bodies as a channel of the target."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from cmnet_monai.transforms import AppendCornersd
from cmnet_monai.transforms.corner_heatmap import corners_of

L1, L4, S1 = 20, 23, 26


def boxes() -> np.ndarray:
    """A map (1, 90, 140) with L1 and L4 as rectangles inside and S1 beside them."""
    label = np.zeros((1, 90, 140), dtype=np.uint8)
    label[0, 20:61, 10:31] = L1  # x 20 to 60, y 10 to 30
    label[0, 25:66, 70:95] = L4
    label[0, 30:70, 105:125] = S1
    return label


def test_corners_of_rectangles_are_their_corners() -> None:
    corners = corners_of(boxes()[0].astype(int), (L1, L4))
    boxes_px = ((19.5, 9.5, 60.5, 30.5), (24.5, 69.5, 65.5, 94.5))  # left, top, right, bottom
    expected = [xy for x0, y0, x1, y1 in boxes_px for xy in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
    assert np.abs(np.array(expected) - corners).max() < 1.5  # corners of a smoothed outline


def test_a_body_at_the_edge_and_a_binary_mask_have_no_corners() -> None:
    label = boxes()[0].astype(int)
    label[:10, 70:95] = L4  # now it reaches x = 0
    label[10:25, 70:95] = L4
    assert len(corners_of(label, (L1, L4))) == 4
    assert len(corners_of((label > 0).astype(int), (L1, L4))) == 0


def test_the_target_gets_one_channel_more_that_peaks_at_the_corners() -> None:
    data = {"label": MetaTensor(torch.from_numpy(boxes())), "target": torch.zeros(2, 90, 140)}
    target = AppendCornersd(protocol="lumbar", sigma_px=2.0)(data)["target"]
    assert target.shape == (3, 90, 140) and float(target[:2].abs().sum()) == 0
    peaks = [float(target[2, x - 2 : x + 3, y - 2 : y + 3].max()) for x, y in ((20, 10), (60, 30), (65, 94), (25, 70))]
    assert peaks == pytest.approx([1.0] * 4, abs=0.1)
    assert float(target[2, 40, 20]) < 1e-6  # the middle of a body
    assert float(target[2, 30:70, 108:125].max()) < 0.05  # S1 is no body of this protocol


def test_flipping_the_label_flips_the_channel() -> None:
    data = {"label": torch.from_numpy(boxes()), "target": torch.zeros(2, 90, 140)}
    flipped = {"label": data["label"].flip(1), "target": data["target"]}
    append = AppendCornersd(protocol="visible", sigma_px=3.0)
    assert float((append(data)["target"][2] - append(flipped)["target"][2].flip(0)).abs().max()) < 0.1
