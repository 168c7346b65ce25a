from __future__ import annotations

from pathlib import Path

import pytest

from cmnet_monai.networks.baselines import BASELINES
from cmnet_monai.paper.catalogue import EXPERIMENTS, find_experiments
from cmnet_monai.paper.definitions import FILM_SETS, FULL, METRICS, REAL, TEST_PATIENTS, Training, as_plain
from cmnet_monai.paper.published import PUBLISHED


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_definitions_name_things_that_exist(name: str, repository: Path) -> None:
    experiment = EXPERIMENTS[name]
    names = [variant.name for variant in experiment.variants]
    assert len(set(names)) == len(names) and set(experiment.metrics) <= set(METRICS)
    for variant in experiment.variants:
        assert variant.training.network in {"cmnet", *BASELINES}
        assert set(variant.training.film_sets) <= set(FILM_SETS) and variant.inference.films in FILM_SETS
        assert FILM_SETS[variant.inference.films].purpose == "test"
        assert all(FILM_SETS[films].purpose == "training" for films in variant.training.film_sets)
        assert set(variant.test_sets) & set(experiment.test_sets)
        assert not variant.against or variant.against in names
        for overlay in variant.training.overlays:
            assert (repository / "bundle" / "configs" / f"{overlay}.json").is_file()
    assert set(PUBLISHED.get(name, {})) <= set(names)


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_rows_of_a_test_set_and_of_the_quick_run_have_what_they_are_compared_with(name: str) -> None:
    experiment = EXPERIMENTS[name]
    for test_set in experiment.test_sets:
        for quick in (False, True):
            rows = experiment.rows(test_set, quick)
            known = {variant.name for variant in rows}
            missing = {v.against for v in rows if v.against} - known
            assert not missing or (quick and missing == {"batch_norm_on_a"})


def test_no_patient_is_trained_and_tested_on() -> None:
    seeds = {purpose: {s.seed for s in FILM_SETS.values() if s.purpose == purpose} for purpose in ("training", "test")}
    assert not seeds["training"] & seeds["test"]
    assert FULL.test_films == TEST_PATIENTS == 67


def test_real_films_have_no_other_domains() -> None:
    for experiment in EXPERIMENTS.values():
        if REAL in experiment.test_sets:
            assert {variant.inference.films for variant in experiment.rows(REAL)} == {"test_lumbar"}


def test_experiments_are_found_by_name_in_the_order_of_the_catalogue() -> None:
    assert [e.name for e in find_experiments(["table2", "table1"])] == ["table1", "table2"]
    assert len(find_experiments()) == len(EXPERIMENTS)
    with pytest.raises(ValueError, match="no experiment 'table9'; there are table1, "):
        find_experiments(["table9"])


def test_a_definition_as_plain_values_leaves_defaults_out() -> None:
    assert as_plain(Training()) == {}
    assert as_plain(Training("unet", share=0.5)) == {"network": "unet", "share": 0.5}
