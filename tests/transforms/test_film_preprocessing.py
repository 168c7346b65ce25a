from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, LoadImaged
from PIL import Image

from cmnet_monai.decode import GivenCentres
from cmnet_monai.io import FilmError
from cmnet_monai.transforms import FilmPreprocessing, TrainingTargets

GRID = (96, 160)


@pytest.fixture
def item(tmp_path: Path) -> dict[str, Any]:
    """A film of 150 x 230 pixels within black borders of 20 columns left and 30 right, and its label map."""
    label = np.zeros((200, 230), dtype=np.uint8)
    label[80:120, 30:60], label[85:125, 80:115] = 23, 24
    film = np.random.default_rng(0).normal(20000, 1500, label.shape) + 12000 * (label > 0)
    film[:20] = film[170:] = 0
    Image.fromarray(film.clip(0, 65535).astype(np.uint16).T).save(tmp_path / "film.png")
    Image.fromarray(label.T).save(tmp_path / "label.png")
    return {"image": str(tmp_path / "film.png"), "label": str(tmp_path / "label.png")}


def test_chain_is_flat_and_begins_with_reading() -> None:
    chain = FilmPreprocessing(GRID, label_key="label", truth_key="truth", sigma_px=4.0)
    assert isinstance(chain.transforms[0], LoadImaged)
    assert not any(isinstance(step, Compose) for step in chain.transforms)
    names = [type(step).__name__ for step in FilmPreprocessing(GRID).transforms]
    assert names == [
        "LoadImaged",
        "EnsureChannelFirstd",
        "CheckFilmd",
        "CropBorderd",
        "HistogramEqualized",
        "ResizeWithPadd",
        "ScaleIntensityRanged",
    ]


def test_film_alone_and_with_its_label_map_are_prepared_alike(item: dict[str, Any]) -> None:
    alone, both = FilmPreprocessing(GRID)({"image": item["image"]}), FilmPreprocessing(GRID, "label", "truth")(item)
    assert torch.equal(alone["image"], both["image"])
    assert both["truth"].shape == (1, 200, 230) and both["label"].shape == alone["image"].shape == (1, *GRID)
    # Without its borders the film is 150 x 230; 96 / 150 makes 147 rows of 230, from row 6 or 7 on.
    assert int((alone["image"][0] > 0).any(dim=0).sum()) == 147
    np.testing.assert_allclose(both["points"].numpy(), [[99.5, 44.5], [104.5, 97.0]])


def test_maps_go_back_to_the_films_own_pixels(item: dict[str, Any]) -> None:
    chain = FilmPreprocessing(GRID, "label")
    data = chain(item)
    data["pred"] = MetaTensor((data["label"] == 24).float(), meta=data["image"].meta)
    back = Invertd("pred", chain, orig_keys="image", nearest_interp=False, to_tensor=True)(data)["pred"]
    assert back.shape == (1, 200, 230)
    inside = np.argwhere(back[0].numpy() > 0.5)
    # The body is columns 85 to 124, rows 80 to 114; edges come back to within a pixel of the grid, 1.6 of the film's.
    np.testing.assert_allclose([inside.min(axis=0), inside.max(axis=0)], [[85, 80], [124, 114]], atol=1.6)


def test_what_weights_were_trained_without_is_left_out(item: dict[str, Any]) -> None:
    plain = FilmPreprocessing(GRID, equalisation=False, crop_border=False)({"image": item["image"]})["image"]
    # The whole film of 200 x 230 fits the height: 160 / 230 makes 139 columns of 200, so 96 / 200 counts: 110 rows.
    assert int((plain[0] > 0).any(dim=0).sum()) == 110
    stored = np.asarray(Image.open(item["image"])).astype(float)
    low, high = np.percentile(stored, (0.5, 99.5))
    middle = (float(np.median(stored[30:200, 30:160])) - low) / (high - low)
    assert float(plain[0, 20:70, 40:120].median()) == pytest.approx(middle, abs=0.03)  # noise is averaged by resizing


def test_given_centres_become_channels(item: dict[str, Any]) -> None:
    given = GivenCentres(((99.5, 44.5),), ("L4",))
    image = FilmPreprocessing(GRID, sigma_px=2.0)({"image": item["image"], "given_centres": given})["image"]
    assert image.shape == (3, *GRID) and not image[2].any()
    # (99.5 - 20 + 0.5) * 0.64 - 0.5 = 50.7; (44.5 + 0.5) * 147 / 230 - 0.5 + 6 = 34.26
    peak = np.unravel_index(int(image[1].argmax()), GRID)
    np.testing.assert_allclose(peak, [50.7, 34.26], atol=0.51)


def test_film_that_shows_nothing_is_refused(tmp_path: Path) -> None:
    Image.new("L", (60, 90), color=7).save(tmp_path / "flat.png")
    with pytest.raises(RuntimeError) as caught:
        FilmPreprocessing(GRID)({"image": str(tmp_path / "flat.png")})
    assert isinstance(caught.value.__cause__, FilmError) and "same value" in str(caught.value.__cause__)


def test_config_names_preparation_and_targets(item: dict[str, Any]) -> None:
    config = {
        "preparation": {
            "_target_": "cmnet_monai.transforms.FilmPreprocessing",
            "spatial_size": list(GRID),
            "label_key": "label",
        },
        "targets": {
            "_target_": "cmnet_monai.transforms.TrainingTargets",
            "protocol": "levels",
            "corner_channel": True,
            "prompt_prob": 1.0,
        },
        "chain": {"_target_": "Compose", "transforms": "$[*@preparation.transforms, *@targets.transforms]"},
    }
    sample = ConfigParser(config).get_parsed_content("chain").set_random_state(seed=0)(item)
    assert {name: tuple(value.shape) for name, value in sample.items()} == {"image": (2, *GRID), "target": (5, *GRID)}


def test_prompt_is_left_out_or_apart_where_asked() -> None:
    last = [type(step).__name__ for step in TrainingTargets().transforms][-2:]
    assert last == ["TargetFromLabeld", "SelectItemsd"]
    kept = TrainingTargets(prompt_prob=0.5, prompt_as="item").transforms[-1].keys
    assert tuple(kept) == ("image", "target", "prompt")
