"""Pixel metrics of binary masks and probability maps, one number for each film and channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.metrics import get_confusion_matrix
from torch import Tensor

_ROUNDING = 1e-4
"""How far interpolation may carry a probability beyond 0 or 1."""


def confusion_counts(y_pred: Tensor, y: Tensor) -> Tensor:
    """Count true positives, false positives, true negatives and false negatives.

    Args:
        y_pred: predicted masks of 0 and 1, (B, C, ...).
        y: true masks of 0 and 1, same shape.

    Returns:
        Counts in pixels, (B, C, 4), float32.

    Raises:
        ValueError: the shapes differ, or a mask has other values than 0 and 1.

    >>> truth, guess = torch.tensor([[[1, 1, 0, 0, 0]]]), torch.tensor([[[1, 0, 1, 0, 0]]])
    >>> confusion_counts(guess, truth).tolist()  # TP, FP, TN, FN
    [[[1.0, 1.0, 2.0, 1.0]]]
    """
    if y_pred.shape != y.shape or y_pred.dim() < 3:
        raise ValueError(f"Masks must both be (B, C, ...), got y_pred {tuple(y_pred.shape)} and y {tuple(y.shape)}")
    masks = [torch.as_tensor(mask).as_subclass(Tensor) for mask in (y_pred, y)]
    for name, mask in zip(("y_pred", "y"), masks):
        if mask.dtype != torch.bool and not bool(((mask == 0) | (mask == 1)).all()):
            raise ValueError(f"{name} must hold 0 and 1 only; threshold it first (AsDiscreted(threshold=0.5))")
    return get_confusion_matrix(masks[0].to(torch.uint8), masks[1].to(torch.uint8), include_background=True)


def _ratio(numerator: Tensor, denominator: Tensor, other_errors: Tensor) -> Tensor:
    """Divide; where there is nothing to divide by, 1 if nothing went wrong elsewhere and 0 if it did."""
    undefined = (other_errors == 0).to(numerator.dtype)
    return torch.where(denominator > 0, numerator / denominator.clamp(min=1), undefined)


def dice(y_pred: Tensor, y: Tensor) -> Tensor:
    """Dice similarity 2 TP / (2 TP + FP + FN) of masks (B, C, ...); returns (B, C). 1 where both are empty.

    >>> truth, guess = torch.tensor([[[1, 1, 0, 0]]]), torch.tensor([[[1, 0, 1, 0]]])
    >>> dice(guess, truth).tolist()  # 2 * 1 / (2 + 2)
    [[0.5]]
    """
    tp, fp, _, fn = confusion_counts(y_pred, y).unbind(-1)
    return _ratio(2 * tp, 2 * tp + fp + fn, fp + fn)


def mask_dice(first: Any, second: Any) -> float:
    """Dice of two masks of one shape, NumPy's or torch's, True or not 0 where something is; 1 where both are empty.

    >>> mask_dice(np.array([[1, 1, 0, 0]]), np.array([[20, 0, 20, 0]]))
    0.5
    """
    masks = [np.ascontiguousarray(np.asarray(mask) != 0)[None, None] for mask in (first, second)]
    return float(dice(*map(torch.from_numpy, masks)))


def precision(y_pred: Tensor, y: Tensor) -> Tensor:
    """TP / (TP + FP) of masks (B, C, ...); returns (B, C). Nothing predicted: 1 if nothing is there, else 0."""
    tp, fp, _, fn = confusion_counts(y_pred, y).unbind(-1)
    return _ratio(tp, tp + fp, fn)


def recall(y_pred: Tensor, y: Tensor) -> Tensor:
    """TP / (TP + FN) of masks (B, C, ...); returns (B, C). Nothing there: 1 if nothing is predicted, else 0."""
    tp, fp, _, fn = confusion_counts(y_pred, y).unbind(-1)
    return _ratio(tp, tp + fn, fp)


def accuracy(y_pred: Tensor, y: Tensor) -> Tensor:
    """(TP + TN) / pixels of masks (B, C, ...); returns (B, C)."""
    tp, fp, tn, fn = confusion_counts(y_pred, y).unbind(-1)
    return (tp + tn) / (tp + fp + tn + fn)


def average_precision(y_pred: Tensor, y: Tensor, thresholds: int | None = None) -> Tensor:
    """Area under the precision-recall curve over the pixels of each film, as a sum of rectangles (no interpolation).

    torchmetrics computes it by sorting; MONAI's own loops over the pixels in Python, minutes for one film.

    Args:
        y_pred: probabilities in [0, 1], (B, C, ...).
        y: true masks of 0 and 1, same shape.
        thresholds: None for the exact curve, or a number of evenly spaced thresholds, for less memory.

    Returns:
        (B, C); NaN where a film has no positive pixel.

    Raises:
        ValueError: the shapes differ, or a probability is outside [0, 1].

    >>> truth = torch.tensor([[[1, 0, 1, 0]]])
    >>> average_precision(torch.tensor([[[0.9, 0.1, 0.8, 0.3]]]), truth).tolist()  # both found before any other
    [[1.0]]
    """
    from torchmetrics.functional.classification import binary_average_precision

    if y_pred.shape != y.shape or y_pred.dim() < 3:
        raise ValueError(f"Maps must both be (B, C, ...), got y_pred {tuple(y_pred.shape)} and y {tuple(y.shape)}")
    probabilities = torch.as_tensor(y_pred).as_subclass(Tensor).float().flatten(2)
    truth = torch.as_tensor(y).as_subclass(Tensor).flatten(2) > 0.5
    if not bool(((probabilities >= -_ROUNDING) & (probabilities <= 1 + _ROUNDING)).all()):
        raise ValueError("y_pred must hold probabilities in [0, 1]; apply Activationsd(sigmoid=True) first")
    probabilities = probabilities.clamp(0, 1)
    result = torch.full(probabilities.shape[:2], torch.nan)
    for b, c in torch.nonzero(truth.any(-1)).tolist():
        result[b, c] = binary_average_precision(probabilities[b, c], truth[b, c].long(), thresholds=thresholds)
    return result
