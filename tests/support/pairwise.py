"""Few combinations of many factors that hold every pair of values at least once (a covering array of strength 2)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any

Case = dict[str, Any]


def every_case(factors: Mapping[str, Sequence[Any]], allowed: Callable[[Case], bool]) -> Iterator[Case]:
    """The full product, without the combinations that cannot be."""
    for values in product(*factors.values()):
        case = dict(zip(factors, values))
        if allowed(case):
            yield case


def pairwise(
    factors: Mapping[str, Sequence[Any]], allowed: Callable[[Case], bool], seed: int = 0, tries: int = 40
) -> list[Case]:
    """Combinations, chosen greedily, among which each pair of values stands that `allowed` combinations hold."""
    rng = random.Random(seed)
    missing: dict[tuple, None] = {
        ((a, x), (b, y)): None for a, b in combinations(factors, 2) for x, y in product(factors[a], factors[b])
    }
    cases: list[Case] = []
    while missing:
        (a, x), (b, y) = next(iter(missing))
        drawn = (
            {name: rng.choice(values) for name, values in factors.items()} | {a: x, b: y} for _ in range(10 * tries)
        )
        fits = [case for _, case in zip(range(tries), (case for case in drawn if allowed(case)))]
        if not fits:  # a pair that cannot be
            del missing[(a, x), (b, y)]
            continue
        best = max(fits, key=lambda case: sum(pair in missing for pair in combinations(case.items(), 2)))
        cases.append(best)
        for pair in combinations(best.items(), 2):
            missing.pop(pair, None)
    return cases
