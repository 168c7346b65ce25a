from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from cmnet_monai.conventions import (
    CENTRE_CHANNEL,
    LEVEL_CHANNEL,
    LUMBAR_CHANNEL,
    S1_CHANNEL,
    UNKNOWN_TARGET,
    VERTEBRA_CHANNEL,
)
from cmnet_monai.transforms import TargetFromLabel, TargetFromLabeld
from cmnet_monai.transforms.targets import above_bodies

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


def test_levels_target_has_the_lumbar_bodies_once_more() -> None:
    target, visible = (TargetFromLabel(protocol)(LABEL, HEATMAP) for protocol in ("levels", "visible"))
    assert torch.equal(target[:LUMBAR_CHANNEL], visible)
    assert target[LUMBAR_CHANNEL].tolist() == [[0, 0, 0, 1, 1], [1, 0, 0, 0, 0]]


def test_no_one_knows_what_is_lumbar_in_a_binary_mask() -> None:
    target = TargetFromLabel("levels")(np.array([[[0, 1, 1, 0, 0]]]), np.zeros((1, 1, 5)))
    assert target[LUMBAR_CHANNEL].tolist() == [[0, -1, -1, 0, 0]]


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


def spine(*levels: int, top_px: int = 20, x_shear: int = 0) -> np.ndarray:
    """Bodies 12 wide and 11 high, 16 apart, from top to bottom, on 50 x 120 pixels; each `x_shear` to the right."""
    values = np.zeros((50, 120), dtype=np.int64)
    for number, level in enumerate(levels):
        x, y = 5 + number * x_shear, top_px + 16 * number
        values[x : x + 12, y : y + 11] = level
    return values


def test_what_lies_above_an_upright_spine_begins_behind_the_disc() -> None:
    # The topmost body spans the rows 20 to 30, 10 from first to last centre; 15 % of that are 1.5 rows.
    above = above_bodies(spine(20, 21, 22))
    assert above[:, :19].all() and not above[:, 19:].any()  # 18.5 is the border


@pytest.mark.parametrize(("margin", "rows"), [(0.0, 20), (0.05, 20), (0.15, 19), (0.5, 15), (3.0, 0)])
def test_margin_is_a_share_of_the_body(margin: float, rows: int) -> None:
    above = above_bodies(spine(20, 21), margin)
    assert above.sum(axis=1).tolist() == [rows] * 50


def test_what_lies_above_a_leaning_spine_is_square_to_it() -> None:
    # The axis of the spine runs 12 to the left and 16 up, that is (-0.6, -0.8).
    values = spine(20, 21, x_shear=12)
    above = above_bodies(values, margin=0.0)
    # Of the topmost body the corner (5, 20) reaches farthest: all pixels beyond its line are above.
    x, y = np.indices(values.shape)
    beyond = (-3 * x - 4 * y) - (-3 * 5 - 4 * 20)
    np.testing.assert_array_equal(above[beyond != 0], (beyond > 0)[beyond != 0])
    assert above[0, 20] and above[16, 11] and not above[17, 20] and not above[5, 20]


def test_nothing_outlined_is_above_and_the_picture_turned_over_is_so_too() -> None:
    values = spine(19, 20, 21, 22, x_shear=5)
    above = above_bodies(values)
    assert above.any() and not above[values > 0].any()
    np.testing.assert_array_equal(above_bodies(values[::-1, ::-1]), above[::-1, ::-1])


def test_thirteenth_thoracic_body_lies_above_the_first_lumbar_one() -> None:
    above = above_bodies(spine(28, 20, 21))
    assert above[:, :19].all() and not above[:, 19:].any()
    assert not above_bodies(spine(19, 28, 20, 21))[:, 19:].any()


@pytest.mark.parametrize("levels", [(), (20,), (20, 26), (26, 27)])
def test_fewer_than_two_bodies_tell_no_direction(levels: tuple) -> None:
    assert not above_bodies(spine(*levels)).any()


def test_open_top_is_unknown_in_all_channels_but_the_sacrum() -> None:
    values = spine(20, 21, 26)[None]
    heatmap = np.random.default_rng(0).random(values.shape).astype(np.float32)
    target, closed = (TargetFromLabel("visible", open_top=switch)(values, heatmap) for switch in (True, False))
    assert (target[:S1_CHANNEL, :, :19] == UNKNOWN_TARGET).all()
    assert torch.equal(target[:, :, 19:], closed[:, :, 19:])
    assert torch.equal(target[S1_CHANNEL], closed[S1_CHANNEL]) and target[S1_CHANNEL].sum() == 12 * 11
    assert (closed >= 0).all()


def test_above_l1_nothing_is_lumbar_but_above_l2_no_one_knows() -> None:
    for levels, unknown in (((20, 21), False), ((19, 20), False), ((28, 20), False), ((21, 22), True)):
        values = spine(*levels)[None]
        target = TargetFromLabel("levels", open_top=True)(values, np.zeros(values.shape, dtype=np.float32))
        assert (target[VERTEBRA_CHANNEL, :, :19] == UNKNOWN_TARGET).all()
        assert (target[LUMBAR_CHANNEL, :, :19] == (UNKNOWN_TARGET if unknown else 0)).all()


def test_open_top_of_lumbar_targets_and_binary_masks_changes_nothing() -> None:
    values = spine(20, 21)[None]
    heatmap = np.zeros(values.shape, dtype=np.float32)
    assert (TargetFromLabel("lumbar", open_top=True)(values, heatmap) >= 0).all()
    assert (TargetFromLabel("visible", open_top=True)((values > 0) * 255, heatmap) >= 0).all()


def test_dictionary_version_passes_the_open_top_on() -> None:
    values = spine(20, 21, 22)[None]
    data = {"label": torch.from_numpy(values), "heatmap": torch.zeros(values.shape)}
    for switch in (True, False):
        target = TargetFromLabeld(protocol="visible", open_top=switch)(data)["target"]
        assert (target == UNKNOWN_TARGET).any().item() is switch


def test_coordinate_target_has_the_level_inside_bodies_alone() -> None:
    target = TargetFromLabel("coordinate", open_top=True)(LABEL, HEATMAP)
    assert target.shape == (5, 2, 5)
    # background, T1 (as T9), T12, L1, L3; L5, L6, S1, T13, background
    expected = [[-1, 0.95, 0.65, 0.55, 0.35], [0.15, 0.1, 0.05, 0.6, -1]]
    np.testing.assert_allclose(target[LEVEL_CHANNEL].numpy(), expected, atol=1e-6)
    closed = TargetFromLabel("levels", open_top=True)(LABEL, HEATMAP)
    np.testing.assert_array_equal(target[:LEVEL_CHANNEL].numpy(), closed.numpy())


def test_no_one_knows_the_levels_of_a_binary_mask() -> None:
    target = TargetFromLabel("coordinate")(np.array([[[0, 1, 1], [0, 1, 0]]]), np.zeros((1, 2, 3), np.float32))
    assert (target[LEVEL_CHANNEL] == UNKNOWN_TARGET).all()
