from __future__ import annotations

import numpy as np
import pytest
import torch

from cmnet_monai.decode import read_maps
from cmnet_monai.decode.evidence import KINDS
from cmnet_monai.evaluation.fit_naming import calibrate, example_loss, fit_weights, make_example
from cmnet_monai.evaluation.map_faults import with_faults
from cmnet_monai.evaluation.stress import MappedFilm

LABELS = (18, 19, 20, 21, 22, 23, 24, 26)


def film(shift: int = 0) -> MappedFilm:
    """T11 to S1 as boxes of 34 x 26 px every 36 px, and their maps."""
    maps, truth = np.zeros((4, 70, 320), dtype=np.float32), np.zeros((70, 320), dtype=np.uint8)
    for i, label in enumerate(LABELS):
        box = slice(13 + shift, 47 + shift), slice(36 * i + 9, 36 * i + 35)
        truth[box] = label
        maps[2 if label == 26 else 1][box] = 0.9
        if label != 26:
            maps[0, 28 + shift : 33 + shift, 36 * i + 20 : 36 * i + 25] = 0.9
        if 20 <= label <= 24:
            maps[3][box] = 0.9
    return MappedFilm(maps, None, truth)


def test_true_chain_is_one_candidate_for_each_vertebra() -> None:
    example = make_example(film())
    assert example is not None and example.vertebrae == 8
    # From the top: T11 is level 7, L5 level 1, S1 level 0.
    assert example.wanted.nonzero().tolist() == [[i, 7 - i] for i in range(8)]


def test_film_without_outlines_is_no_example() -> None:
    mapped = film()
    assert make_example(MappedFilm(mapped.maps, None, np.zeros_like(mapped.truth))) is None
    assert make_example(MappedFilm(np.zeros_like(mapped.maps), None, mapped.truth)) is None


def test_loss_is_that_of_chance_without_weights_and_falls_in_the_fit() -> None:
    examples = [e for shift in (0, 5, 10) if (e := make_example(film(shift))) is not None]
    nothing = {kind: torch.zeros(len(names)) for kind, names in examples[0].evidence.names.items()}
    assert float(example_loss(examples[0], nothing)) > 5  # more than exp(5) chains are as good
    model = fit_weights(examples, epochs=6, rate=0.3)
    names = examples[0].evidence.names
    fitted = {kind: torch.tensor([model.weights[kind][name] for name in names[kind]]) for kind in KINDS}
    assert float(example_loss(examples[0], fitted)) < 0.5
    assert [body.label for body in read_maps(film().maps, model=model).bodies] == list(LABELS[:-1])


def test_calibration_flags_none_of_the_usual_films_but_the_least_sure() -> None:
    films = [(film(shift), True) for shift in (0, 5, 10)]
    wrong = MappedFilm(film().maps, None, np.where(film().truth == 26, 24, film().truth - 1).clip(0).astype(np.uint8))
    examples = [e for mapped, _ in films if (e := make_example(mapped)) is not None]
    model = calibrate(fit_weights(examples, epochs=2), [*films, (wrong, False)])
    readings = [read_maps(mapped.maps, model=model) for mapped, _ in films]
    # Three of the four are right: no probability may claim more than Platt's target of 4 in 5.
    assert all(0.5 < r.probability < 0.85 for r in readings)
    assert sum(r.levels_uncertain for r in readings) <= 1


@pytest.mark.parametrize("seed", range(12))
def test_faults_keep_probabilities_and_shape_and_change_something(seed: int) -> None:
    mapped = film()
    faulty = with_faults(mapped.maps, mapped.truth, np.random.default_rng(seed))
    assert faulty.shape == mapped.maps.shape and np.isfinite(faulty).all()
    assert faulty.min() >= 0 and faulty.max() <= 1 and not np.array_equal(faulty, mapped.maps)
    np.testing.assert_array_equal(faulty, with_faults(mapped.maps, mapped.truth, np.random.default_rng(seed)))
