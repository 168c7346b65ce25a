from __future__ import annotations

import math

import pytest
import torch
from monai.data import MetaTensor
from monai.metrics import AveragePrecisionMetric, DiceMetric

from cmnet_monai.metrics import accuracy, average_precision, confusion_counts, dice, precision, recall

# 3 x 4 pixels: 2 true positives, 1 false positive, 3 false negatives, 6 true negatives.
PREDICTED = torch.tensor([[1, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])[None, None]
TRUE = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]])[None, None]
EMPTY = torch.zeros_like(TRUE)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32, torch.int64])
def test_counts_and_ratios_match_hand_computed_numbers(dtype: torch.dtype) -> None:
    masks = PREDICTED.to(dtype), MetaTensor(TRUE.to(dtype))
    assert confusion_counts(*masks).tolist() == [[[2, 1, 6, 3]]]
    assert dice(*masks).item() == pytest.approx(4 / 8)
    assert precision(*masks).item() == pytest.approx(2 / 3)
    assert recall(*masks).item() == pytest.approx(2 / 5)
    assert accuracy(*masks).item() == pytest.approx(8 / 12)


@pytest.mark.parametrize(
    ("predicted", "true", "expected"),
    [
        (EMPTY, EMPTY, {"dice": 1, "precision": 1, "recall": 1}),
        (PREDICTED, EMPTY, {"dice": 0, "precision": 0, "recall": 0}),
        (EMPTY, TRUE, {"dice": 0, "precision": 0, "recall": 0}),
    ],
)
def test_empty_masks_have_defined_values(predicted: torch.Tensor, true: torch.Tensor, expected: dict) -> None:
    values = {f.__name__: f(predicted, true).item() for f in (dice, precision, recall)}
    assert values == expected


def test_dice_agrees_with_monai_for_each_film_and_channel() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted, true = (torch.rand(2, 3, 2, 7, 5, generator=generator) > 0.6).float()
    assert torch.allclose(dice(predicted, true), DiceMetric(ignore_empty=False)(predicted, true))


def test_precision_and_recall_swap_when_masks_swap() -> None:
    assert precision(PREDICTED, TRUE).equal(recall(TRUE, PREDICTED))


def test_masks_that_are_not_binary_or_differ_in_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="y_pred must hold 0 and 1"):
        dice(PREDICTED * 255, TRUE)
    with pytest.raises(ValueError, match=r"\(1, 1, 3, 4\) and y \(1, 1, 4, 3\)"):
        dice(PREDICTED, TRUE.mT)


def brute_force_average_precision(probabilities: list[float], truth: list[int]) -> float:
    """Sum over thresholds, from high to low, of precision times gain in recall."""
    total, area, last = sum(truth), 0.0, 0.0
    for threshold in sorted(set(probabilities), reverse=True):
        chosen = [t for p, t in zip(probabilities, truth) if p >= threshold]
        area += sum(chosen) / len(chosen) * (sum(chosen) / total - last)
        last = sum(chosen) / total
    return area


def test_average_precision_matches_hand_computed_number() -> None:
    probabilities = torch.tensor([[[[0.9, 0.8, 0.7, 0.6]]]])
    truth = torch.tensor([[[[1, 0, 1, 0]]]])
    assert average_precision(probabilities, truth).item() == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_average_precision_with_ties_agrees_with_brute_force_and_monai() -> None:
    generator = torch.Generator().manual_seed(1)
    probabilities = (torch.rand(2, 2, 6, 9, generator=generator) * 10).round() / 10
    truth = (torch.rand(2, 2, 6, 9, generator=generator) > 0.6).long()
    result = average_precision(probabilities, truth)
    for b, c in ((0, 0), (0, 1), (1, 0), (1, 1)):
        p, t = probabilities[b, c].flatten(), truth[b, c].flatten()
        assert result[b, c].item() == pytest.approx(brute_force_average_precision(p.tolist(), t.tolist()), abs=1e-5)
        metric = AveragePrecisionMetric()
        metric(p, t)
        assert result[b, c].item() == pytest.approx(metric.aggregate(), abs=1e-5)


def test_average_precision_with_thresholds_is_close_to_the_exact_one() -> None:
    generator = torch.Generator().manual_seed(2)
    truth = (torch.rand(1, 1, 64, 48, generator=generator) > 0.8).float()
    probabilities = torch.sigmoid(2 * truth - 1 + torch.randn(truth.shape, generator=generator))
    difference = average_precision(probabilities, truth, thresholds=500) - average_precision(probabilities, truth)
    assert abs(difference.item()) < 2e-3  # one threshold spans 0.002 of probability


def test_average_precision_without_positives_is_nan_and_logits_are_refused() -> None:
    maps = torch.rand(2, 1, 3, 4)
    truth = torch.zeros(2, 1, 3, 4)
    truth[1, 0, 2, 1] = 1
    first, second = average_precision(maps, truth).flatten().tolist()
    assert math.isnan(first) and 0 < second <= 1
    with pytest.raises(ValueError, match="probabilities"):
        average_precision(maps * 3 - 1, truth)


def test_rounding_of_interpolated_probabilities_is_no_error() -> None:
    truth = torch.tensor([[[1.0, 0.0, 1.0, 0.0]]])
    exact = torch.tensor([[[1.0, 0.0, 0.4, 0.6]]])
    rounded = exact + torch.tensor([2e-7, -2e-7, 0.0, 0.0])
    assert float(average_precision(rounded, truth)) == float(average_precision(exact, truth))
    with pytest.raises(ValueError, match="probabilities"):
        average_precision(exact + 0.01, truth)
