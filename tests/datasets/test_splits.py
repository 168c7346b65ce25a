from __future__ import annotations

from collections import Counter

import pytest

from cmnet_monai.datasets.splits import fold_patients, split_patients

TEN = [f"P{i}" for i in range(10)]


@pytest.mark.parametrize(
    ("patients", "expected"), [(1, (1, 0, 0)), (2, (2, 0, 0)), (3, (1, 1, 1)), (10, (8, 1, 1)), (100, (80, 10, 10))]
)
def test_split_is_eight_to_one_to_one_by_patient(patients: int, expected: tuple[int, int, int]) -> None:
    names = [f"P{i}" for i in range(patients)]
    section = split_patients(names * 3, seed=2)
    counts = Counter(section.values())
    assert (counts["training"], counts["validation"], counts["test"]) == expected
    assert section == split_patients(list(reversed(names)), seed=2)
    assert patients < 10 or section != split_patients(names, seed=3)


def test_every_patient_is_tested_once_and_no_fold_is_bigger_by_more_than_one() -> None:
    folds = fold_patients(TEN * 2, 4, seed=1)
    tested = [[name for name, section in fold.items() if section == "test"] for fold in folds]
    assert sorted(name for names in tested for name in names) == sorted(TEN)
    assert sorted(len(names) for names in tested) == [2, 2, 3, 3]
    assert all(set(fold) == set(TEN) for fold in folds)


def test_validation_is_the_start_of_the_next_folds() -> None:
    folds = fold_patients(TEN, 5, seed=1, validation=3)
    tested = [[name for name, section in fold.items() if section == "test"] for fold in folds]
    for k, fold in enumerate(folds):
        validated = [name for name, section in fold.items() if section == "validation"]
        assert validated == [*tested[(k + 1) % 5], tested[(k + 2) % 5][0]]


def test_a_ninth_of_the_others_is_validated_by_default() -> None:
    (fold, *_) = fold_patients([f"P{i}" for i in range(30)], 3)
    assert Counter(fold.values()) == {"test": 10, "validation": 2, "training": 18}  # 20 / 9 is 2.2


def test_folds_depend_on_the_seed_alone() -> None:
    assert fold_patients(TEN, 3, 5) == fold_patients(TEN[::-1], 3, 5) != fold_patients(TEN, 3, 6)


@pytest.mark.parametrize(
    ("folds", "validation", "reason"), [(1, None, "at least 2"), (11, None, "10 patients"), (2, 5, "leave none of 5")]
)
def test_too_few_patients_are_an_error(folds: int, validation: int | None, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        fold_patients(TEN, folds, validation=validation)
