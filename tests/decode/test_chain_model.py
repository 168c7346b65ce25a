from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from cmnet_monai.decode.chain_model import LEVELS, STRIDES, Scores, Steps, total

ENDS = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)]
PAIRS = [(i, j) for j, (a, _) in enumerate(ENDS) for i, (_, b) in enumerate(ENDS) if a == b]
STEPS = Steps(torch.tensor(ENDS), torch.tensor(PAIRS))


def random_scores(seed: int) -> Scores:
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    tables = draw(4, LEVELS), draw(4, LEVELS), draw(4, LEVELS)
    return Scores(*tables, draw(len(ENDS), STRIDES, 2), draw(len(PAIRS), STRIDES, STRIDES, 2))


def paths(begin: int) -> Iterator[list[int]]:
    yield [begin]
    for upper, lower in ENDS:
        if upper == begin:
            yield from ([begin, *rest] for rest in paths(lower))


def every_chain(scores: Scores) -> dict[tuple[tuple[int, int], ...], float]:
    """Score of each chain, added up by hand."""
    found = {(): 0.0}
    for path in itertools.chain.from_iterable(paths(begin) for begin in range(4)):
        for levels in itertools.product(range(LEVELS), repeat=len(path)):
            strides = [a - b for a, b in itertools.pairwise(levels)]
            if any(not 1 <= stride <= STRIDES for stride in strides):
                continue
            value = float(scores.start[path[0], levels[0]] + scores.end[path[-1], levels[-1]])
            value += sum(float(scores.element[c, level]) for c, level in zip(path, levels))
            steps = [ENDS.index(step) for step in itertools.pairwise(path)]
            for step, stride, level in zip(steps, strides, levels[1:]):
                value += float(scores.step[step, stride - 1, int(level == 0)])
            for i, pair in enumerate(itertools.pairwise(steps)):
                bend = scores.bend[PAIRS.index(pair)]
                value += float(bend[strides[i] - 1, strides[i + 1] - 1, int(levels[i + 2] == 0)])
            found[tuple(zip(path, levels))] = value
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_sum_best_and_marginals_are_those_of_all_chains_written_out(seed: int) -> None:
    scores = random_scores(seed)
    chains = every_chain(scores)
    values = torch.tensor(list(chains.values()), dtype=torch.float64)
    element = scores.element.clone().requires_grad_()
    summed = total(replace(scores, element=element), STEPS)
    assert float(summed.detach()) == pytest.approx(float(values.logsumexp(0)), abs=1e-9)
    summed.backward()
    shares = torch.zeros(4, LEVELS, dtype=torch.float64)
    for chain, value in chains.items():
        for candidate, level in chain:
            shares[candidate, level] += torch.tensor(value - float(summed.detach())).exp()
    torch.testing.assert_close(element.grad, shares)
    best = scores.element.clone().requires_grad_()
    greatest = total(replace(scores, element=best), STEPS, best=True)
    assert float(greatest.detach()) == pytest.approx(float(values.max()), abs=1e-9)
    greatest.backward()
    assert tuple(map(tuple, best.grad.nonzero().tolist())) == max(chains, key=lambda chain: chains[chain])


def test_several_tables_of_elements_are_summed_apart() -> None:
    scores = random_scores(2)
    other = scores.element.flip(1)
    both = total(replace(scores, element=torch.stack([scores.element, other])), STEPS)
    apart = [total(scores, STEPS), total(replace(scores, element=other), STEPS)]
    torch.testing.assert_close(both, torch.stack(apart))


def test_nothing_that_speaks_for_a_body_is_the_empty_chain() -> None:
    scores = replace(random_scores(3), element=torch.full((4, LEVELS), -50.0, dtype=torch.float64))
    assert float(total(scores, STEPS, best=True)) == 0.0
