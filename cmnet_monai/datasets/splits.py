"""Which patient goes into which section: 8 : 1 : 1, or folds; never a patient in two sections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

SECTIONS = ("training", "validation", "test")
SHARES = (8, 1, 1)


def split_patients(patients: Iterable[str], seed: int = 0) -> dict[str, str]:
    """Section of each patient, 8 : 1 : 1, at random but fixed by the seed; never a patient in two sections.

    With three patients or more every section has one.
    """
    unique = sorted(set(patients))
    order = np.random.default_rng([seed, 3]).permutation(len(unique))
    held_out = [max(1, round(len(unique) * share / sum(SHARES))) if len(unique) >= 3 else 0 for share in SHARES[1:]]
    bounds = (len(unique) - sum(held_out), len(unique) - held_out[1])
    return {unique[i]: SECTIONS[int(np.searchsorted(bounds, rank, side="right"))] for rank, i in enumerate(order)}


def sections_of(items: Iterable[dict[str, Any]], section_of: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Datalist items by section, from the section of each ``patient``."""
    sections: dict[str, list[dict[str, Any]]] = {name: [] for name in SECTIONS}
    for item in items:
        sections[section_of[item["patient"]]].append(item)
    return sections


def fold_patients(
    patients: Iterable[str], folds: int, seed: int = 0, validation: int | None = None
) -> list[dict[str, str]]:
    """Sections of each patient in each of `folds` cross-validation folds.

    The patients are shuffled by the seed and dealt out in turn, so that every patient is tested in exactly one fold and
    folds differ by one patient at most. Of the patients that fold k does not test, taken from the next fold on
    (k + 1, k + 2, ..., and round), the first `validation` are its validation part and the rest is trained on.

    Args:
        patients: names; repeated ones count once.
        folds: number of folds, from 2 to the number of patients.
        seed: seed of the shuffle.
        validation: patients of the validation part; None takes a ninth of those not tested, at least one.
    Returns:
        For each fold the section of each patient.
    Raises:
        ValueError: there are too few patients for the folds, or for the validation part.
    """
    unique = sorted(set(patients))
    if not 2 <= folds <= len(unique):
        raise ValueError(f"{folds} folds need at least 2 folds and as many patients; there are {len(unique)} patients.")
    order = [unique[i] for i in np.random.default_rng([seed, 4]).permutation(len(unique))]
    dealt = [order[k::folds] for k in range(folds)]
    return [_fold(dealt, k, validation) for k in range(folds)]


def _fold(dealt: Sequence[Sequence[str]], k: int, validation: int | None) -> dict[str, str]:
    others = [name for step in range(1, len(dealt)) for name in dealt[(k + step) % len(dealt)]]
    count = max(1, round(len(others) / 9)) if validation is None else validation
    if not 0 <= count < len(others):
        raise ValueError(f"{count} patients for validation leave none of {len(others)} to train on.")
    sections = dict.fromkeys(dealt[k], "test")
    sections.update(dict.fromkeys(others[:count], "validation"))
    sections.update(dict.fromkeys(others[count:], "training"))
    return sections
