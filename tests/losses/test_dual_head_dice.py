from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss

from cmnet_monai.conventions import UNKNOWN_TARGET
from cmnet_monai.losses import DualHeadDiceLoss

SURE = 40.0  # sigmoid(40) is 1 in float32, sigmoid(-40) is 4e-18


def logits_of(mask: torch.Tensor) -> torch.Tensor:
    return (mask * 2 - 1) * SURE


def films(*channels: list[list[float]]) -> torch.Tensor:
    return torch.tensor(channels)[None]


# On 2 x 3 pixels: the centre's prediction overlaps in 1 of 2 + 1 pixels, the vertebra's in 2 of 3 + 3.
PREDICTED = films([[1, 1, 0], [0, 0, 0]], [[1, 1, 1], [0, 0, 0]])
TRUE = films([[1, 0, 0], [0, 0, 0]], [[0, 1, 1], [1, 0, 0]])
CENTRE_DICE, VERTEBRA_DICE = 2 * 1 / 3, 2 * 2 / 6


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, 0.5 * (1 - CENTRE_DICE) + 0.5 * (1 - VERTEBRA_DICE)),
        ({"w_centre": 1.0, "w_seg": 0.0}, 1 - CENTRE_DICE),
        ({"w_centre": 0.0, "w_seg": 1.0}, 1 - VERTEBRA_DICE),
        ({"w_centre": 0.25, "w_seg": 2.0}, 0.25 * (1 - CENTRE_DICE) + 2.0 * (1 - VERTEBRA_DICE)),
        ({"squared_pred": True}, 0.5 * (1 - CENTRE_DICE) + 0.5 * (1 - VERTEBRA_DICE)),
    ],
)
def test_loss_matches_hand_computed_overlap(arguments: dict, expected: float) -> None:
    loss = DualHeadDiceLoss(**arguments)(logits_of(PREDICTED), TRUE)
    assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_segmentation_dice_is_the_mean_over_vertebra_and_s1() -> None:
    s1_true = torch.tensor([[[[0.0, 0, 0], [1, 1, 1]]]])
    s1_predicted = torch.tensor([[[[0.0, 0, 0], [0, 0, 1]]]])  # Dice 2 * 1 / 4
    loss = DualHeadDiceLoss(w_centre=0.0, w_seg=1.0)(
        logits_of(torch.cat((PREDICTED, s1_predicted), 1)), torch.cat((TRUE, s1_true), 1)
    )
    assert loss.item() == pytest.approx(((1 - VERTEBRA_DICE) + (1 - 0.5)) / 2, abs=1e-5)


def test_soft_heatmap_is_matched_by_the_same_probabilities_only() -> None:
    heatmap = torch.tensor([[[[0.2, 0.9, 0.4], [0.1, 0.6, 0.3]], [[0.0, 1, 1], [0, 1, 0]]]])
    logits = torch.cat((torch.logit(heatmap[:, :1]), logits_of(heatmap[:, 1:])), 1)
    loss = DualHeadDiceLoss(w_centre=1.0, w_seg=0.0)
    assert loss(logits, heatmap).item() == pytest.approx(0.0, abs=1e-5)
    assert loss(logits_of(heatmap.round()), heatmap).item() > 0.2


def test_perfect_prediction_is_near_zero_and_its_opposite_near_one() -> None:
    loss = DualHeadDiceLoss()
    assert loss(logits_of(TRUE), TRUE).item() == pytest.approx(0.0, abs=1e-5)
    assert loss(logits_of(1 - TRUE), TRUE).item() == pytest.approx(1.0, abs=1e-5)


def test_swapped_channels_change_the_loss() -> None:
    loss = DualHeadDiceLoss(w_centre=0.3, w_seg=0.7)
    assert loss(logits_of(TRUE).flip(1), TRUE).item() > 0.3


def test_film_without_s1_gives_a_finite_loss_and_gradient() -> None:
    target = torch.cat((TRUE, torch.zeros_like(TRUE[:, :1])), 1)
    logits = logits_of(target).requires_grad_()
    loss = DualHeadDiceLoss(w_centre=0.0, w_seg=1.0)(logits, target)
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-5)  # nothing there and nothing found
    assert torch.isfinite(logits.grad).all()


def test_batch_option_joins_a_film_without_s1_with_one_that_has_it() -> None:
    true = torch.cat((TRUE, torch.zeros_like(TRUE)))
    predicted = torch.cat((TRUE, torch.zeros_like(TRUE)))
    predicted[1, 1, 0, 0] = 1  # one false pixel on the empty film
    apart = DualHeadDiceLoss(w_centre=0.0, w_seg=1.0)(logits_of(predicted), true)
    joined = DualHeadDiceLoss(w_centre=0.0, w_seg=1.0, batch=True)(logits_of(predicted), true)
    assert apart.item() == pytest.approx((0 + 1) / 2, abs=1e-4)
    assert joined.item() == pytest.approx(1 - 2 * 3 / 7, abs=1e-5)


def test_bce_adds_the_mean_cross_entropy_of_all_channels() -> None:
    logits, target = torch.randn(2, 3, 5, 7), torch.rand(2, 3, 5, 7)
    probability = torch.sigmoid(logits)
    entropy = -(target * probability.log() + (1 - target) * (1 - probability).log()).mean()
    difference = DualHeadDiceLoss(bce_weight=0.2)(logits, target) - DualHeadDiceLoss()(logits, target)
    assert difference.item() == pytest.approx(0.2 * entropy.item(), abs=1e-5)


def test_equals_the_mean_of_two_monai_losses() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 2, 6, 9, generator=generator)
    target = (torch.rand(3, 2, 6, 9, generator=generator) > 0.7).float()
    dice = DiceLoss(sigmoid=True)
    expected = (dice(logits[:, :1], target[:, :1]) + dice(logits[:, 1:], target[:, 1:])) / 2
    assert DualHeadDiceLoss()(logits, target).item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("arguments", [{}, {"bce_weight": 0.5}, {"squared_pred": True}, {"batch": True}])
def test_gradient_agrees_with_finite_differences(arguments: dict) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    target = torch.rand(2, 3, 3, 4, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(DualHeadDiceLoss(**arguments), (logits, target))


@pytest.mark.parametrize(
    ("logits", "target"), [((1, 2, 4, 6), (1, 3, 4, 6)), ((1, 2, 4, 6), (1, 2, 6, 4)), ((1, 1, 4, 6), (1, 1, 4, 6))]
)
def test_wrong_shapes_are_named(logits: tuple, target: tuple) -> None:
    with pytest.raises(ValueError) as error:
        DualHeadDiceLoss()(torch.zeros(logits), torch.zeros(target))
    assert str(logits) in str(error.value) and str(target) in str(error.value)


@pytest.mark.parametrize("arguments", [{"w_centre": -0.1}, {"w_centre": 0.0, "w_seg": 0.0}])
def test_senseless_weights_are_refused(arguments: dict) -> None:
    with pytest.raises(ValueError, match="weights"):
        DualHeadDiceLoss(**arguments)


def partly_known(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, target and target with unknown pixels: the first 3 of 8 rows, in the centre and vertebra channels."""
    generator = torch.Generator().manual_seed(2)
    logits = 2 * torch.randn(2, 3, 5, 8, dtype=dtype, generator=generator)
    target = torch.rand(2, 3, 5, 8, dtype=dtype, generator=generator)
    partly = target.clone()
    partly[:, :2, :, :3] = UNKNOWN_TARGET
    return logits, target, partly


@pytest.mark.parametrize("squared_pred", [False, True])
@pytest.mark.parametrize("batch", [False, True])
def test_dice_with_unknown_pixels_is_that_of_the_known_ones(squared_pred: bool, batch: bool) -> None:
    logits, target, partly = partly_known()
    dice = DiceLoss(
        sigmoid=True, soft_label=True, squared_pred=squared_pred, batch=batch, smooth_nr=1e-5, smooth_dr=1e-5
    )
    known = np.s_[..., 3:]
    centre = dice(logits[:, :1][known], target[:, :1][known])
    vertebra = dice(logits[:, 1:2][known], target[:, 1:2][known])
    s1 = dice(logits[:, 2:], target[:, 2:])
    loss = DualHeadDiceLoss(0.3, 0.7, squared_pred=squared_pred, batch=batch)(logits, partly)
    assert loss.item() == pytest.approx(float(0.3 * centre + 0.7 * (vertebra + s1) / 2), abs=1e-6)


def test_false_pixels_where_nothing_is_known_cost_nothing() -> None:
    predicted, target = TRUE.clone(), TRUE.clone()
    predicted[..., 1, 2] = 1.0  # false in both channels
    assert DualHeadDiceLoss()(logits_of(predicted), target).item() > 0.1
    target[..., 1, 2] = UNKNOWN_TARGET
    assert DualHeadDiceLoss()(logits_of(predicted), target).item() == pytest.approx(0.0, abs=1e-5)


def test_cross_entropy_of_unknown_pixels_is_zero() -> None:
    logits, target, partly = partly_known()
    probability = torch.sigmoid(logits)
    entropy = -(target * probability.log() + (1 - target) * (1 - probability).log())
    entropy[partly < 0] = 0
    difference = DualHeadDiceLoss(bce_weight=0.2)(logits, partly) - DualHeadDiceLoss()(logits, partly)
    assert difference.item() == pytest.approx(0.2 * entropy.mean().item(), abs=1e-5)


@pytest.mark.parametrize("arguments", [{}, {"bce_weight": 0.5}, {"squared_pred": True}, {"batch": True}])
def test_gradient_is_zero_at_unknown_pixels_alone(arguments: dict) -> None:
    logits, _, partly = partly_known(torch.float64)
    logits.requires_grad_()
    before = partly.clone()
    loss = DualHeadDiceLoss(**arguments)
    loss(logits, partly).backward()
    assert not logits.grad[partly < 0].any()
    assert (logits.grad[partly >= 0] != 0).all()
    assert torch.equal(partly, before)  # the batch's target is left as it is
    assert torch.autograd.gradcheck(loss, (logits, partly))


def test_film_of_which_nothing_is_known_gives_a_finite_loss_and_no_gradient() -> None:
    logits = torch.randn(1, 2, 4, 7, requires_grad=True)
    loss = DualHeadDiceLoss(bce_weight=0.5)(logits, torch.full((1, 2, 4, 7), UNKNOWN_TARGET))
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-5)
    assert not logits.grad.any()


def test_level_counts_inside_known_bodies_alone_and_adds_to_the_other_terms() -> None:
    target = torch.rand(2, 5, 4, 6, generator=torch.Generator().manual_seed(0))
    target[:, 4] = UNKNOWN_TARGET
    target[0, 4, 1, 2], target[1, 4, 3, 5] = 0.25, 0.05  # L4, S1
    logits = torch.zeros(2, 5, 4, 6)
    logits[:, 4] = torch.logit(torch.tensor(0.35))  # one level too high, three levels too high
    without = DualHeadDiceLoss(bce_weight=0.5)(logits[:, :4], target[:, :4])
    loss = DualHeadDiceLoss(bce_weight=0.5, level_channel=True, w_level=0.1)(logits, target)
    huber = ((1 - 0.25) + (3 - 0.25)) / 2
    assert loss.item() == pytest.approx(without.item() + 0.1 * huber, abs=1e-5)


def test_film_without_known_level_costs_nothing_and_has_a_gradient_elsewhere() -> None:
    logits = torch.zeros(1, 5, 4, 6, requires_grad=True)
    target = torch.zeros(1, 5, 4, 6)
    target[:, 4] = UNKNOWN_TARGET
    DualHeadDiceLoss(level_channel=True)(logits, target).backward()
    assert logits.grad is not None and not logits.grad[:, 4].any() and logits.grad[:, :4].all()


def test_level_channel_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="no level channel 4"):
        DualHeadDiceLoss(level_channel=True)(torch.zeros(1, 4, 2, 3), torch.zeros(1, 4, 2, 3))
