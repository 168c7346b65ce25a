"""How likely a found body is right: its score and how sharp its outline is, calibrated on films with known truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize, special

Array = NDArray[np.floating]

RIM_PX = 4
_LEAST = 1e-3


def uncertainties(vertebra_map: Array, regions: NDArray[np.integer], count: int, rim_px: int = RIM_PX) -> list[float]:
    """Mean entropy of the vertebra probability in each region and a rim around it: how blurred its outline is.

    Args:
        vertebra_map: probabilities (x, y), 0..1.
        regions: (x, y), 0 outside, 1..count inside; a rim keeps off the other regions.
        count: number of regions.
        rim_px: width of the rim, px.
    Returns:
        Nats, 0 (sure) to 0.693 (a coin toss), one for each region.

    >>> regions = np.zeros((20, 60), dtype=np.int32)
    >>> regions[5:15, 10:20], regions[5:15, 35:50] = 1, 2
    >>> vertebra_map = np.select([regions == 1, regions == 2], [1.0, 0.5])  # one is sure, one a toss of a coin
    >>> [round(value, 3) for value in uncertainties(vertebra_map, regions, 2, rim_px=0)]
    [0.0, 0.693]
    """
    entropy = special.entr(vertebra_map) + special.entr(1 - np.asarray(vertebra_map, dtype=np.float64))
    found = []
    for region, box in enumerate(ndimage.find_objects(regions, count), start=1):
        around = tuple(slice(max(side.start - rim_px, 0), side.stop + rim_px) for side in box)
        near = ndimage.distance_transform_edt(regions[around] != region) <= rim_px
        found.append(float(entropy[around][near & np.isin(regions[around], (0, region))].mean()))
    return found


@dataclass(frozen=True)
class Calibration:
    """Logistic model of "this body is right": its outline overlaps that of its level with Dice 0.8 or more.

    Confidence never falls with the score, nor rises with the uncertainty.

    Args:
        intercept: log-odds at a score of one half and an uncertainty of 1 nat.
        score_weight: of the score's log-odds, 0 or more.
        uncertainty_weight: of the natural logarithm of the uncertainty, 0 or less.
    Raises:
        ValueError: a weight has the wrong sign, or is not finite.

    >>> sure, unsure = Calibration(1.5, 1.0, -1.0)(np.array([0.9, 0.5]), np.array([0.1, 0.6]))
    >>> bool(sure > unsure)
    True
    """

    intercept: float
    score_weight: float
    uncertainty_weight: float

    def __post_init__(self) -> None:
        finite = np.isfinite([self.intercept, self.score_weight, self.uncertainty_weight]).all()
        if not finite or self.score_weight < 0 or self.uncertainty_weight > 0:
            raise ValueError(f"a calibration's score weighs 0 or more and its uncertainty 0 or less; got {self}")

    def __call__(self, scores: Array | float, uncertainty: Array | float) -> Array:
        """Probability that a body is right, of the shape of the scores."""
        x, y = _features(scores, uncertainty)
        return np.asarray(special.expit(self.intercept + self.score_weight * x + self.uncertainty_weight * y))

    def record(self) -> dict[str, float]:
        """The constants by name."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, float]) -> Calibration:
        """The inverse of `record`."""
        return cls(**{name: float(record[name]) for name in cls.__dataclass_fields__})


def _features(scores: Array | float, uncertainty: Array | float) -> tuple[Array, Array]:
    odds = special.logit(np.clip(np.asarray(scores, dtype=np.float64), _LEAST, 1 - _LEAST))
    return odds, np.log(np.maximum(np.asarray(uncertainty, dtype=np.float64), _LEAST))


def fit_calibration(scores: Sequence[float], uncertainty: Sequence[float], right: Sequence[bool]) -> Calibration:
    """Fit by greatest likelihood, the signs of the weights given, targets smoothed as by Platt.

    Platt (1999, Probabilistic outputs for support vector machines, section 2.2) takes (n + 1) / (n + 2) and 1 / (m + 2)
    for the targets of n right and m wrong ones, so that few wrong ones do not make the fit too sure.

    Args:
        scores: 0 to 1.
        uncertainty: see `uncertainties`.
        right: whether each body is right.
    Raises:
        ValueError: lengths differ, or all bodies are right, or all wrong.

    >>> scores, blur = [0.9, 0.95, 0.8, 0.6, 0.4, 0.7], [0.1, 0.05, 0.2, 0.4, 0.6, 0.5]
    >>> calibration = fit_calibration(scores, blur, right=[True, True, True, False, False, True])
    >>> sure, unsure = calibration(np.array([0.9, 0.4]), np.array([0.1, 0.6]))
    >>> bool(sure > 0.8), bool(unsure < 0.5), calibration.score_weight >= 0 >= calibration.uncertainty_weight
    (True, True, True)
    """
    truth = np.asarray(right, dtype=bool)
    if not len(scores) == len(uncertainty) == len(truth):
        raise ValueError(f"{len(scores)} scores, {len(uncertainty)} uncertainties and {len(truth)} outcomes")
    good, bad = int(truth.sum()), int((~truth).sum())
    if not good or not bad:
        raise ValueError(f"a calibration needs right and wrong bodies; got {good} and {bad}")
    target = np.where(truth, (good + 1) / (good + 2), 1 / (bad + 2))
    x, y = _features(np.asarray(scores), np.asarray(uncertainty))
    middle, spread = np.array([x.mean(), y.mean()]), np.maximum([x.std(), y.std()], 1e-9)
    design = (np.stack([x, y], axis=1) - middle) / spread

    def loss(parameters: Array) -> tuple[float, Array]:
        odds = parameters[0] + design @ parameters[1:]
        error = special.expit(odds) - target
        value = float(np.sum(np.logaddexp(0, odds) - target * odds))
        return value, np.array([error.sum(), *(design.T @ error)])

    bounds = [(None, None), (0, None), (None, 0)]
    found = optimize.minimize(loss, np.array([0.0, 0.1, -0.1]), jac=True, bounds=bounds, method="L-BFGS-B").x
    weights = found[1:] / spread
    return Calibration(float(found[0] - weights @ middle), float(weights[0]) + 0.0, float(weights[1]) + 0.0)
