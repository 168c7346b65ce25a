"""Settings of an experiment's training."""

from pathlib import Path

import pytest

from cmnet_monai.bundle_location import bundle_root
from cmnet_monai.paper.definitions import Training
from cmnet_monai.paper.training import TrainingRun, scaled
from cmnet_monai.paper.workspace import Workspace


def run_of(training: Training, **settings: object) -> TrainingRun:
    return TrainingRun(Workspace(Path("nowhere"), bundle_root(None).resolve(), settings=settings), training, seed=0)


def test_scaled_settings_are_multiples_of_what_the_user_sets() -> None:
    training = Training(scaled=(("spatial_size", 2 / 3), ("heatmap_sigma", 2 / 3)))
    settings = run_of(training, spatial_size=[144, 192], heatmap_sigma=3.0).settings()
    assert settings["spatial_size"] == [96, 128]
    assert settings["heatmap_sigma"] == pytest.approx(2.0)


def test_scaled_settings_are_multiples_of_the_configs_where_the_user_sets_nothing() -> None:
    settings = run_of(Training(scaled=(("heatmap_sigma", 0.5), ("base_channels", 1.5)))).settings()
    assert settings["heatmap_sigma"] == 2.0  # pretrain.json: 4, which train.json's 8 comes before
    assert settings["base_channels"] == 24  # train.json: 16


def test_another_factor_is_another_training() -> None:
    runs = [run_of(Training(scaled=(("heatmap_sigma", factor),))) for factor in (0.5, 0.75)]
    assert runs[0].identity() != runs[1].identity() != run_of(Training()).identity()


@pytest.mark.parametrize(("value", "factor", "expected"), [([288, 384], 4 / 3, [384, 512]), ([8, 40], 1.0, [16, 32])])
def test_sides_of_a_grid_stay_multiples_of_sixteen(value: list[int], factor: float, expected: list[int]) -> None:
    assert scaled(value, factor) == expected
