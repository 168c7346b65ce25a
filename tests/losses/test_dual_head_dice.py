from __future__ import annotations

import pytest
import torch
from monai.losses import DiceLoss

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
