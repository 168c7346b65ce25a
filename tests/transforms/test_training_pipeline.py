from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose
from PIL import Image
from scipy import ndimage

from cmnet_monai.transforms import (
    CentresFromLabeld,
    augment_film,
    augment_geometry,
    build_sample,
    prepare_film,
    training_chain,
)

GRID = (96, 192)


def write_film(folder: Path, size: tuple[int, int] = (150, 230)) -> dict[str, str]:
    """A film as 16-bit PNG with two bodies and S1, bodies brighter than the rest."""
    rng = np.random.default_rng(0)
    label = np.zeros(size, dtype=np.uint8)
    label[60:100, 30:60], label[65:105, 80:115], label[70:120, 140:180] = 23, 24, 26
    film = rng.normal(20000, 1500, size) + 12000 * (label > 0)
    Image.fromarray(film.clip(1, 65535).astype(np.uint16).T).save(folder / "film.png")
    Image.fromarray(label.T).save(folder / "label.png")
    return {"image": str(folder / "film.png"), "label": str(folder / "label.png")}


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize(("protocol", "channels"), [("lumbar", 2), ("visible", 3)])
def test_sample_has_the_promised_shapes_and_ranges(tmp_path: Path, augment: bool, protocol: str, channels: int) -> None:
    chain = training_chain(GRID, protocol, 4.0, augment, prompt_prob=1.0, reader="PILReader")
    for seed in range(5):
        sample = chain.set_random_state(seed=seed)(write_film(tmp_path))
        assert set(sample) == {"image", "target", "prompt"}
        assert sample["image"].shape == sample["prompt"].shape == (1, *GRID)
        assert sample["target"].shape == (channels, *GRID)
        for value in sample.values():
            assert value.dtype == torch.float32
            assert value.min() >= 0
            assert value.max() <= 1
        assert set(np.unique(sample["target"][1:].numpy())) <= {0.0, 1.0}


def test_centres_lie_on_the_bodies_after_every_augmentation(tmp_path: Path) -> None:
    chain = training_chain(GRID, "lumbar", 4.0, reader="PILReader")
    for seed in range(12):
        target = chain.set_random_state(seed=seed)(write_film(tmp_path))["target"].numpy()
        bodies, n = ndimage.label(target[1])
        whole = [
            i
            for i in range(1, n + 1)
            if not any(np.isin(i, edge) for edge in (bodies[0], bodies[-1], bodies[:, 0], bodies[:, -1]))
        ]
        for i in whole:
            x, y = ndimage.center_of_mass(bodies == i)
            # the maximum of a Gaussian of 4 px at most half a pixel's diagonal and the label's rounding away
            assert target[0, round(x), round(y)] > 0.9, f"seed {seed}"
    assert whole


def test_spacing_of_the_film_does_not_move_the_centres() -> None:
    label = torch.zeros(1, 150, 230)
    label[0, 60:100, 30:60] = 23
    data = {key: MetaTensor(label.clone(), affine=np.diag([-0.15, -0.4, 1.0])) for key in ("image", "label")}
    data["image"][0] += torch.rand(150, 230)
    chain = Compose(
        [
            CentresFromLabeld("label"),
            *prepare_film(GRID),
            *augment_geometry(GRID, prob=1.0),
            *build_sample(sigma_px=4.0),
        ]
    )
    target = chain.set_random_state(seed=0)(data)["target"].numpy()
    x, y = ndimage.center_of_mass(target[1])
    assert target[0, round(x), round(y)] > 0.9


def test_given_centres_win_over_the_label_map(tmp_path: Path) -> None:
    item = {**write_film(tmp_path), "centres": [{"label": 20, "x": 10.0, "y": 200.0}]}
    heatmap = training_chain(GRID, "lumbar", 4.0, augment=False, reader="PILReader")(item)["target"][0].numpy()
    peak = np.unravel_index(heatmap.argmax(), heatmap.shape)
    # 150 x 230 becomes 96 x 147, 22 pixels above: (10.5 * 0.64 - 0.5, 200.5 * 147 / 230 - 0.5 + 22)
    np.testing.assert_allclose(peak, [6.22, 149.6], atol=0.51)


def test_same_seed_gives_the_same_sample(tmp_path: Path) -> None:
    chain = training_chain(GRID, prompt_prob=0.5, reader="PILReader")
    item = write_film(tmp_path)
    one, two, other = (chain.set_random_state(seed=seed)(item) for seed in (3, 3, 4))
    for key in one:
        assert torch.equal(one[key], two[key])
    assert not torch.equal(one["image"], other["image"])


def test_validation_is_not_random(tmp_path: Path) -> None:
    chain = training_chain(GRID, augment=False, reader="PILReader")
    item = write_film(tmp_path)
    one, two = (chain.set_random_state(seed=seed)(item)["image"] for seed in (1, 2))
    assert torch.equal(one, two)


def test_films_are_never_turned_upside_down_by_default(tmp_path: Path) -> None:
    chain = training_chain(GRID, "visible", 4.0, reader="PILReader")
    mirrored = []
    item = write_film(tmp_path)
    for seed in range(20):
        sample = chain.set_random_state(seed=seed)(item)
        rows = np.arange(GRID[1])
        vertebra, s1 = sample["target"][1].numpy().sum(0), sample["target"][2].numpy().sum(0)
        if vertebra.sum() and s1.sum():
            assert (vertebra @ rows) / vertebra.sum() < (s1 @ rows) / s1.sum()
        mirrored.append(float(np.linalg.det(sample["image"].affine.numpy()[:2, :2])) < 0)
    assert 3 <= sum(mirrored) <= 17  # left-right flips do occur


def test_grey_values_keep_range_and_padding_under_every_change() -> None:
    film = torch.zeros(1, *GRID)
    film[:, 10:80, 20:170] = torch.rand(1, 70, 150, generator=torch.Generator().manual_seed(0)) * 0.999 + 0.001
    chain = Compose(augment_film())
    for seed in range(25):
        result = chain.set_random_state(seed=seed)({"image": film, "label": torch.zeros(1, *GRID)})["image"]
        assert not result[film == 0].any()
        assert result.min() >= 0
        assert result.max() <= 1
        assert torch.isfinite(result).all()
        correlation = np.corrcoef(result[film > 0].numpy(), film[film > 0].numpy())[0, 1]
        assert correlation > 0.2, f"seed {seed}"  # the film is still to be seen, its polarity kept


def test_vertebrae_are_never_collimated_away() -> None:
    film, label = torch.zeros(1, *GRID), torch.zeros(1, *GRID)
    film[:, 10:80, 20:170] = 0.4 + 0.5 * torch.rand(1, 70, 150, generator=torch.Generator().manual_seed(0))
    label[:, 11:79, 21:169] = 22
    chain = Compose(augment_film())
    for seed in range(25):
        result = chain.set_random_state(seed=seed)({"image": film, "label": label})["image"]
        assert (result[label > 0] > 0).all(), f"seed {seed}"


def test_no_strength_is_no_change() -> None:
    assert augment_film(0.0) == []


def test_chain_can_be_named_in_a_configuration(tmp_path: Path) -> None:
    config = {
        "chain": {
            "_target_": "cmnet_monai.transforms.training_chain",
            "spatial_size": [96, 192],
            "protocol": "visible",
            "prompt_prob": 0.5,
            "reader": "PILReader",
        }
    }
    parser = ConfigParser(json.loads(json.dumps(config)))
    chain = parser.get_parsed_content("chain")
    assert chain.set_random_state(seed=0)(write_film(tmp_path))["target"].shape == (3, 96, 192)


def test_real_film_is_read_as_the_bundle_does(shared_data: Path) -> None:
    folder = shared_data / "real_films"
    item = {key: str(folder / name / "film_09.png") for key, name in (("image", "images"), ("label", "labels"))}
    sample = training_chain((128, 256), "visible", 3.0, augment=False)(item)
    assert sample["target"][0].max() > 0.9
    share = float(sample["target"][1].mean())
    assert 0.02 < share < 0.2
