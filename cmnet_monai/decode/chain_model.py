"""Chains of candidates with levels, all at once: the likeliest, the sum of all, and every candidate's share in it.

A chain runs down the film: each element is a candidate and a level, levels fall strictly, and what a step of more than
one level passes over is a body that was missed. The score of a chain is the sum of the scores of its elements, of its
steps, of its pairs of successive steps, of its beginning and of its end; that of the chain without elements is 0.
Dynamic programming over pairs (step, level) sums over all chains exactly. (Lafferty et al., 2001: conditional random
fields; Eisner, 2016: marginals are the gradient of the logarithm of that sum, and the best chain is that of the
maximum.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

LEVELS = 18
"""Levels that an element may bear: 0 is S1, 1 is L5, 5 is L1, 6 is T12, 17 is T1."""
STRIDES = 3
"""A step climbs 1 to so many levels: at most two bodies in a row may be missed."""
_NEVER = -1e4


@dataclass(frozen=True)
class Scores:
    """Scores of everything that chains are made of; tensors of one floating type.

    Args:
        element: of a candidate at a level, (..., N, LEVELS); several at once share all else.
        start: of being the chain's uppermost, (N, LEVELS).
        end: of being its lowest, (N, LEVELS).
        step: of a step by 1 to STRIDES levels, (E, STRIDES, 2); the last axis: to a body, to S1.
        bend: of two successive steps, for each of `Steps.pairs`, (P, STRIDES, STRIDES, 2).
    """

    element: Tensor
    start: Tensor
    end: Tensor
    step: Tensor
    bend: Tensor


@dataclass(frozen=True)
class Steps:
    """Which candidates may follow each other; candidates are numbered from top to bottom.

    Args:
        ends: upper and lower candidate of each step, (E, 2), sorted by the upper one.
        pairs: of each pair of successive steps the numbers of the first and the second, (P, 2), sorted by the second.
    """

    ends: Tensor
    pairs: Tensor


def _log_sum(values: Tensor, dim: int) -> Tensor:
    return torch.logsumexp(values, dim)


def _greatest(values: Tensor, dim: int) -> Tensor:
    return values.amax(dim)


def total(scores: Scores, steps: Steps, best: bool = False) -> Tensor:
    """Logarithm of the sum of the exponentials of all chains' scores, or the greatest score.

    Its gradient with respect to ``scores.element`` is the probability that a candidate is in the chain at a level
    (with ``best``: 1 in the best chain, else 0).

    >>> element = torch.full((2, LEVELS), -9.0)
    >>> element[0, 2] = element[1, 1] = 3.0  # L4 above L5
    >>> zeros = torch.zeros(2, LEVELS)
    >>> steps = Steps(torch.tensor([[0, 1]]), torch.zeros(0, 2, dtype=torch.long))
    >>> scores = Scores(element, zeros, zeros, torch.zeros(1, STRIDES, 2), torch.zeros(0, STRIDES, STRIDES, 2))
    >>> float(total(scores, steps, best=True))
    6.0
    """
    reduce = _greatest if best else _log_sum
    begun = scores.element + scores.start
    is_s1 = torch.arange(LEVELS) == 0
    after = _arrivals(scores, steps, begun, is_s1, reduce)
    arrived = [torch.cat(partial, dim=-2) + scores.end[candidate] for candidate, partial in enumerate(after) if partial]
    chains = torch.cat([begun + scores.end, *arrived], dim=-2).flatten(-2)
    nothing = torch.zeros_like(chains[..., :1])
    return reduce(torch.cat([chains, nothing], dim=-1), -1)


def _arrivals(
    scores: Scores, steps: Steps, begun: Tensor, is_s1: Tensor, reduce: Callable[[Tensor, int], Tensor]
) -> list[list[Tensor]]:
    """For each candidate the scores of the partial chains that end there, (..., 1, LEVELS) for each last step."""
    count, batch = begun.shape[-2], begun.shape[:-2]
    uppers, lowers = steps.ends[:, 0].tolist(), steps.ends[:, 1].tolist()
    order: list[list[int]] = [[] for _ in range(count)]
    for number, upper in enumerate(uppers):
        order[upper].append(number)
    firsts = torch.searchsorted(steps.pairs[:, 1].contiguous(), torch.arange(len(uppers) + 1)).tolist()
    by_step: list[Tensor | None] = [None] * len(uppers)
    after: list[list[Tensor]] = [[] for _ in range(count)]
    strides = torch.arange(1, STRIDES + 1)
    # Going down by a stride from a level; S1 is passed on to nobody.
    source = torch.arange(LEVELS)[None] + strides[:, None]
    beyond = source >= LEVELS
    source = source.clamp(max=LEVELS - 1)
    for candidate in range(count):
        out = order[candidate]
        if not out:
            continue
        low, high = firsts[out[0]], firsts[out[-1] + 1]
        incoming = (high - low) // len(out)
        here = begun[..., candidate, :][..., source][..., None, None, :, :].expand(*batch, len(out), 1, STRIDES, LEVELS)
        if incoming:
            numbers = steps.pairs[low : low + incoming, 0].tolist()
            before = torch.stack([by_step[number] for number in numbers], dim=-3)
            bend = scores.bend[low:high].reshape(len(out), incoming, STRIDES, STRIDES, 2)
            turned = torch.where(is_s1, bend[..., 1:], bend[..., :1])
            # (..., step out, step in, stride in, stride out, level below)
            moved = before[..., source][..., None, :, :, :, :] + turned
            here = torch.cat([here, moved.flatten(-4, -3)], dim=-3)
        down = reduce(here, -3).masked_fill(beyond, _NEVER)
        step = scores.step[out]
        down = down + torch.where(is_s1, step[..., 1:], step[..., :1])
        down = down + scores.element[..., [lowers[number] for number in out], :].unsqueeze(-2)
        for number, value in zip(out, down.unbind(-3)):
            by_step[number] = value
            after[lowers[number]].append(value)
    return after
