"""The likeliest naming of a film's candidates, how likely it is, and what else they may be called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmnet_monai.conventions import LUMBAR, THORACIC
from cmnet_monai.decode.candidates import Candidates
from cmnet_monai.decode.chain_model import LEVELS, Scores, Steps, total
from cmnet_monai.decode.evidence import Evidence

UPWARDS = ("S1", *reversed(LUMBAR), *reversed(THORACIC))
"""Names of a chain's levels."""
_NEVER = -1e4


@dataclass(frozen=True)
class Naming:
    """A chain of candidates with their levels.

    Args:
        members: candidate and name of each element, from top to bottom; S1 may be the last.
        probabilities: of each element's name, given that something at its place is a vertebra.
        probability: that all names of L1-L5 are right; of all names where there is no lumbar one.
        runner_up: names of the same elements in the likeliest chain that names the doubtful one otherwise; "" for one
            that is left out there.
    """

    members: tuple[tuple[int, str], ...]
    probabilities: tuple[float, ...]
    probability: float
    runner_up: tuple[str, ...]


def name_candidates(found: Candidates, evidence: Evidence, weights: Mapping[str, Tensor]) -> Naming:
    """The likeliest chain.

    Args:
        found: a film's candidates.
        evidence: theirs.
        weights: see `Evidence.scores`.
    """
    scores, steps = evidence.scores(dict(weights)), evidence.steps
    chain = _best_chain(scores, steps)
    if not chain:
        return Naming((), (), 1.0, ())
    shares = _gradient(scores, steps, best=False)
    overlap = _overlaps(found)
    probabilities = []
    for candidate, level in chain:
        here = shares[overlap[candidate]].sum(axis=0)
        probabilities.append(float(here[level] / max(here.sum(), 1e-12)))
    lumbar = [i for i, (_, level) in enumerate(chain) if 1 <= level <= len(LUMBAR)] or list(range(len(chain)))
    doubtful = min(lumbar, key=lambda i: probabilities[i])
    other = dict(_without(scores, steps, overlap, *chain[doubtful]))
    runner_up = [_name_at(candidate, other, overlap) for candidate, _ in chain]
    members = tuple((candidate, UPWARDS[level]) for candidate, level in chain)
    return Naming(members, tuple(probabilities), min(probabilities[i] for i in lumbar), tuple(runner_up))


def _gradient(scores: Scores, steps: Steps, best: bool) -> NDArray[np.floating]:
    element = scores.element.detach().clone().requires_grad_()
    with torch.enable_grad():
        total(replace(scores, element=element), steps, best).backward()  # type: ignore[no-untyped-call]
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
