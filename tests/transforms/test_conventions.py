"""What every dictionary transform of the package owes to MONAI."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, Randomizable

from cmnet_monai import transforms

TWINS = [
    "CropBorder",
    "HistogramEqualize",
    "ResizeWithPad",
    "CentresFromLabel",
    "CarryCentres",
    "CentreHeatmap",
    "TargetFromLabel",
    "CentrePrompt",
    "RandCentrePrompt",
    "RandCollimation",
    "RandDiscs",
    "RandLocalContrast",
]
BUILT = [
    transforms.CropBorderd(["image", "label"]),
    transforms.HistogramEqualized("image"),
    transforms.ResizeWithPadd(["image", "label"], (64, 128), mode=["bilinear", "nearest"]),
    transforms.CentresFromLabeld("label"),
    transforms.CarryCentresd(),
    transforms.CentreHeatmapd(),
    transforms.TargetFromLabeld(),
    transforms.RandCentrePromptd(prob=1.0),
    transforms.RandCollimationd("image", prob=1.0),
    transforms.RandDiscsd("image", prob=1.0),
    transforms.RandLocalContrastd("image", prob=1.0),
    transforms.RandSimilarityd("image", prob=1.0),
    transforms.WithinFilm("image", [transforms.RandDiscsd("image", prob=1.0)]),
]
BY_NAME = pytest.mark.parametrize("transform", BUILT, ids=lambda transform: type(transform).__name__)


def sample() -> dict:
    generator = torch.Generator().manual_seed(0)
    label = torch.zeros(1, 40, 70)
    label[0, 5:20, 10:30], label[0, 6:22, 40:60] = 20, 21
    affine = np.diag([-0.5, -0.25, 1.0])
    return {
        "image": MetaTensor(torch.rand(1, 40, 70, generator=generator), affine=affine),
        "label": MetaTensor(label, affine=affine),
        "heatmap": MetaTensor(torch.rand(1, 40, 70, generator=generator), affine=affine),
        "points": MetaTensor(torch.tensor([[12.0, 19.5]]), affine=affine),
        "levels": torch.tensor([20]),
    }


@pytest.mark.parametrize("name", TWINS)
def test_each_transform_has_its_twin_and_aliases(name: str) -> None:
    twin = getattr(transforms, f"{name}d")
    assert issubclass(twin, MapTransform)
    assert getattr(transforms, f"{name}D") is twin
    assert getattr(transforms, f"{name}Dict") is twin
    assert twin.backend == getattr(transforms, name).backend


@BY_NAME
def test_result_survives_pickling(transform) -> None:
    def run(step) -> dict:
        if isinstance(step, Randomizable):
            step.set_random_state(seed=3)
        return step(sample())

    expected, found = run(transform), run(pickle.loads(pickle.dumps(transform)))
    assert set(expected) == set(found)
    for key, value in expected.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(found[key])), key


@BY_NAME
def test_input_dictionary_and_its_arrays_are_left_alone(transform) -> None:
    data, before = sample(), sample()
    transform(data)
    assert set(data) == set(before)
    for key, value in before.items():
        assert torch.equal(data[key], value), key
        if isinstance(value, MetaTensor):
            assert torch.equal(data[key].affine, value.affine)
            assert data[key].applied_operations == []


@pytest.mark.parametrize(
    "make",
    [
        lambda **kwargs: transforms.HistogramEqualized("absent", **kwargs),
        lambda **kwargs: transforms.ResizeWithPadd("absent", (64, 128), **kwargs),
        lambda **kwargs: transforms.CentresFromLabeld("absent", **kwargs),
        lambda **kwargs: transforms.CarryCentresd("absent", **kwargs),
        lambda **kwargs: transforms.CentreHeatmapd("absent", **kwargs),
        lambda **kwargs: transforms.TargetFromLabeld("absent", **kwargs),
        lambda **kwargs: transforms.RandCentrePromptd("absent", **kwargs),
        lambda **kwargs: transforms.RandCollimationd("absent", **kwargs),
        lambda **kwargs: transforms.RandDiscsd("absent", **kwargs),
        lambda **kwargs: transforms.RandLocalContrastd("absent", **kwargs),
        lambda **kwargs: transforms.RandSimilarityd("absent", **kwargs),
    ],
)
def test_missing_key_is_an_error_unless_allowed(make) -> None:
    with pytest.raises(KeyError, match="absent"):
        make()(sample())
    result = make(allow_missing_keys=True)(sample())
    assert set(result) == set(sample())


def test_resizing_is_the_grid_change_that_can_be_inverted() -> None:
    assert isinstance(transforms.ResizeWithPadd("image"), InvertibleTransform)
    assert isinstance(transforms.ResizeWithPad(), InvertibleTransform)
