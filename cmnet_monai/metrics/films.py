"""Cumulative metrics for MONAI's evaluators: one value for each film in the buffer, their mean as the result.

Use them through `monai.handlers.IgniteMetricHandler(metric_fn=..., output_transform=from_engine([...]))` as key metric
or additional metric. `monai.handlers.MetricsSaver(metric_details="*")` then lists the films.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import torch
from monai.metrics import CumulativeIterationMetric
from torch import Tensor

from cmnet_monai.metrics.centres import CentreMatch, match_centres
from cmnet_monai.metrics.pixels import accuracy, average_precision, dice, precision, recall

PIXEL_METRICS = MappingProxyType({"dice": dice, "precision": precision, "recall": recall, "accuracy": accuracy})


def _share_found(match: CentreMatch) -> float:
    total = match.found + match.missed
    return match.found / total if total else float("nan")


CENTRE_VALUES: MappingProxyType[str, Callable[[CentreMatch], float]] = MappingProxyType(
    {
        "error": lambda match: match.mean_error_px,
        "found": _share_found,
        "missed": lambda match: float(match.missed),
        "false": lambda match: float(match.false),
    }
)


class _FilmMean(CumulativeIterationMetric):
    """Mean over films and channels of what `_compute_tensor` returns, (B, C).

    A film whose value is undefined is NaN in the buffer and left out of the mean; without any other the mean is NaN
    (MONAI's own reduction would call it 0).
    """

    def aggregate(self) -> Tensor:
        """Mean over all films, a scalar; NaN before the first film."""
        values = self.get_buffer()
        return torch.tensor(torch.nan) if values is None else torch.nanmean(values.nanmean(dim=1))


class FilmPixelMetric(_FilmMean):
    """Dice, precision, recall or accuracy of binary masks, averaged over films.

    MONAI's DiceMetric(ignore_empty=False) gives the same Dice; its ConfusionMatrixMetric keeps counts, not values, of
    each film, and leaves films without a prediction out of the mean precision.

    Args:
        name: "dice", "precision", "recall" or "accuracy".

    Raises:
        ValueError: unknown name; when called, what `confusion_counts` raises.

    >>> metric = FilmPixelMetric("dice")
    >>> _ = metric(torch.tensor([[[[1, 1, 0, 0]]]]), torch.tensor([[[[1, 0, 1, 0]]]]))  # one film: 0.5
    >>> _ = metric(torch.tensor([[[[1, 1, 0, 0]]]]), torch.tensor([[[[1, 1, 0, 0]]]]))  # another: 1
    >>> float(metric.aggregate())
    0.75
    """

    def __init__(self, name: str = "dice") -> None:
        super().__init__()
        if name not in PIXEL_METRICS:
            raise ValueError(f"name must be one of {sorted(PIXEL_METRICS)}, got {name!r}")
        self.name = name

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **kwargs: Any) -> Tensor:
        if y is None:
            raise ValueError(f"The {self.name} needs true masks, got none")
        return PIXEL_METRICS[self.name](y_pred, y)


class FilmAveragePrecision(_FilmMean):
    """Average precision of probability maps, computed for each film and averaged over films.

    Args:
        thresholds: None for the exact curve, or the number of thresholds.

    >>> metric, truth = FilmAveragePrecision(), torch.tensor([[[[1, 0, 1, 0]]]])
    >>> _ = metric(torch.tensor([[[[0.9, 0.1, 0.8, 0.3]]]]), truth)  # one film: both found before any other, 1
    >>> _ = metric(torch.tensor([[[[0.9, 0.8, 0.1, 0.7]]]]), truth)  # another: 1 / 2 * 1 + 1 / 2 * 2 / 4
    >>> float(metric.aggregate())
    0.875
    """

    def __init__(self, thresholds: int | None = None) -> None:
        super().__init__()
        self.thresholds = thresholds

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **kwargs: Any) -> Tensor:
        if y is None:
            raise ValueError("The average precision needs true masks, got none")
        return average_precision(y_pred, y, self.thresholds)


class FilmCentreMetric(_FilmMean):
    """What the matching of predicted with true centres gives for each film, averaged over films.

    Args:
        value: "error", the mean distance of matched centres in px; "found", the share of true centres that have a
            partner, 0..1; "missed" and "false", numbers of centres without a partner.
        max_distance_px: pairs farther apart are not matched; None matches at any distance.
        to_points: turns one film's item into points (N, 2), (x, y) px; for evaluators that hold centre maps (1, x, y).
            None: the items are points already, as a list of tensors (N, 2).

    Raises:
        ValueError: unknown value; when called, what `match_centres` raises.

    >>> metric = FilmCentreMetric("error", max_distance_px=20)
    >>> _ = metric([torch.tensor([[8.0, 52.0], [8.0, 99.0]])], [torch.tensor([[8.0, 50.0], [8.0, 102.0]])])  # 2 and 3
    >>> _ = metric([torch.tensor([[13.0, 54.0]])], [torch.tensor([[10.0, 50.0], [10.0, 90.0]])])  # 5, and one is missed
    >>> float(metric.aggregate())  # the film is the unit: (2.5 + 5) / 2
    3.75
    """

    def __init__(
        self,
        value: str = "error",
        max_distance_px: float | None = None,
        to_points: Callable[[Tensor], Any] | None = None,
    ) -> None:
        super().__init__()
        if value not in CENTRE_VALUES:
            raise ValueError(f"value must be one of {sorted(CENTRE_VALUES)}, got {value!r}")
        self.value = value
        self.max_distance_px = max_distance_px
        self.to_points = to_points

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **kwargs: Any) -> Tensor:
        if y is None or len(y) != len(y_pred):
            raise ValueError(
                f"Got {len(y_pred)} films of predicted centres and {0 if y is None else len(y)} of true ones"
            )
        return torch.tensor([[self._film(predicted, true)] for predicted, true in zip(y_pred, y)])

    def _film(self, predicted: Tensor, true: Tensor) -> float:
        predicted_xy = predicted if self.to_points is None else self.to_points(predicted)
        true_xy = true if self.to_points is None else self.to_points(true)
        return CENTRE_VALUES[self.value](
            match_centres(torch.as_tensor(predicted_xy).cpu(), torch.as_tensor(true_xy).cpu(), self.max_distance_px)
        )
