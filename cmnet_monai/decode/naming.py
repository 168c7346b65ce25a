"""The likeliest naming of a film's candidates, how likely it is, and what else they may be called."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import resources

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special

from cmnet_monai.conventions import LUMBAR, THORACIC
from cmnet_monai.decode.candidates import Candidates
from cmnet_monai.decode.chain_model import LEVELS, Scores, Steps, total
from cmnet_monai.decode.evidence import Weights, gather_evidence

UPWARDS = ("S1", *reversed(LUMBAR), *reversed(THORACIC))
"""Names of a chain's levels."""
CERTAIN = 40.0
"""Score of what a reader says: nothing that the maps say reaches it."""
_NEVER = -1e4


@dataclass(frozen=True)
class NamingModel:
    """Fitted numbers of the decoder.

    Args:
        weights: of the evidence.
        intercept: log-odds that all names are right where the chains give them log-odds of 0.
        slope: of the log-odds that the chains give.
        uncertain_below: a naming less likely is called uncertain.
    """

    weights: Weights
    intercept: float = 0.0
    slope: float = 1.0
    uncertain_below: float = 0.8

    def calibrated(self, probability: float) -> float:
        """Probability that all names are right, from that which the chains give."""
        odds = special.logit(np.clip(probability, 1e-4, 1 - 1e-4))
        return float(special.expit(self.intercept + self.slope * odds))


@functools.cache
def shipped_model() -> NamingModel:
    """The model fitted with the shipped weights, by `cmnet_monai.evaluation.fit_naming`."""
    text = resources.files("cmnet_monai.decode").joinpath("naming_model.json").read_text(encoding="utf-8")
    record = json.loads(text)
    return NamingModel(**{field.name: record[field.name] for field in fields(NamingModel)})


@dataclass(frozen=True)
class Naming:
    """A chain of candidates with their levels.

    Args:
        members: candidate and name of each element, from top to bottom; S1 may be the last.
        probabilities: of each element's name, given that something at its place is a vertebra.
        probability: that all names of L1-L5 are right, calibrated; of all names where there is no lumbar one.
        runner_up: names of the same elements in the likeliest chain that names the doubtful one otherwise; "" for one
            that is left out there.
        uncertain: the two are close.
    """

    members: tuple[tuple[int, str], ...]
    probabilities: tuple[float, ...]
    probability: float
    runner_up: tuple[str, ...]
    uncertain: bool


def name_candidates(found: Candidates, model: NamingModel, demands: NDArray[np.floating] | None = None) -> Naming:
    """The likeliest chain; where the maps know no S1, one that ends with L5.

    Args:
        found: a film's candidates.
        model: fitted numbers.
        demands: added to the score of each candidate at each level, (N, LEVELS).
    """
    evidence = gather_evidence(found)
    scores, steps = evidence.scores(model.weights), evidence.steps
    if not np.isfinite(found.s1).all():
        scores = replace(scores, end=scores.end - CERTAIN * (torch.arange(LEVELS) != UPWARDS.index("L5")))
    if demands is not None:
        scores = replace(scores, element=scores.element + torch.from_numpy(demands).to(scores.element))
    chain = _best_chain(scores, steps)
    if not chain:
        return Naming((), (), 1.0, (), False)
    shares = _gradient(scores, steps, best=False)
    overlap = _overlaps(found)
    probabilities = []
    for candidate, level in chain:
        here = shares[overlap[candidate]].sum(axis=0)
        probabilities.append(float(here[level] / max(here.sum(), 1e-12)))
    lumbar = [i for i, (_, level) in enumerate(chain) if 1 <= level <= len(LUMBAR)] or list(range(len(chain)))
    doubtful = min(lumbar, key=lambda i: probabilities[i])
    other = dict(_without(scores, steps, overlap, *chain[doubtful]))
    runner_up = tuple(_name_at(candidate, other, overlap) for candidate, _ in chain)
    members = tuple((candidate, UPWARDS[level]) for candidate, level in chain)
    probability = model.calibrated(probabilities[doubtful])
    return Naming(members, tuple(probabilities), probability, runner_up, probability < model.uncertain_below)


def _gradient(scores: Scores, steps: Steps, best: bool) -> NDArray[np.floating]:
    element = scores.element.detach().clone().requires_grad_()
    with torch.enable_grad():
        total(replace(scores, element=element), steps, best).backward()
    assert element.grad is not None
    return element.grad.numpy()


def _best_chain(scores: Scores, steps: Steps) -> list[tuple[int, int]]:
    """Candidate and level of each element of the best chain, from top to bottom."""
    chosen = np.argwhere(_gradient(scores, steps, best=True) > 0.5)
    return [(int(candidate), int(level)) for candidate, level in chosen]


def _overlaps(found: Candidates) -> NDArray[np.bool_]:
    """Which candidates share most of the smaller one's pixels, (N, N)."""
    weight = np.bincount(found.pieces.ravel(), minlength=found.members.shape[1] + 1)[1:].astype(float)
    shared = (found.members * weight) @ found.members.T.astype(float)
    return shared > 0.5 * np.minimum(found.area_px[:, None], found.area_px[None])


def _without(
    scores: Scores, steps: Steps, overlap: NDArray[np.bool_], candidate: int, level: int
) -> list[tuple[int, int]]:
    """The best chain in which nothing at the place of a candidate has its level."""
    element = scores.element.detach().clone()
    element[torch.from_numpy(overlap[candidate]), level] = _NEVER
    return _best_chain(replace(scores, element=element), steps)


def _name_at(candidate: int, chain: Mapping[int, int], overlap: NDArray[np.bool_]) -> str:
    names = [UPWARDS[level] for other, level in chain.items() if overlap[candidate, other]]
    return names[0] if names else ""
