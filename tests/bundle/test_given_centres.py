"""What a reader's clicks do to films, with the shipped weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmnet_monai.conventions import LUMBAR_LABELS
from cmnet_monai.io import read_label_map
from cmnet_monai.synthetic import SyntheticFilm, generate_film

COVERED = "L3"
SHARE = 0.8
"""Of noise in the grey values of a covered body."""
SEEDS = (707, 710)
"""Films on which the shipped weights miss the covered body."""


@pytest.fixture(scope="module")
def weights(repository: Path) -> Path:
    file = repository / "bundle" / "models" / "model.pt"
    if not file.is_file():
        pytest.skip("needs the shipped weights, bundle/models/model.pt")
    return file


@pytest.fixture(scope="module")
def films() -> dict[str, SyntheticFilm]:
    return {f"film_{seed}": generate_film(seed, kind="healthy", height_px=384) for seed in SEEDS}


def save(folder: Path, name: str, film: SyntheticFilm, cover: str | None = None) -> None:
    """The film as PNG, the box around a covered body drowned in noise."""
    low, high = np.percentile(film.pixels, (1, 99))
    grey = np.clip((film.pixels - low) / (high - low), 0, 1)
    if cover is not None:
        (body,) = (one for one in film.bodies if one.level == cover)
        where = np.argwhere(film.label_map == body.label)
        box = tuple(slice(a - pad, b + pad + 1) for a, b, pad in zip(where.min(axis=0), where.max(axis=0), (6, 4)))
        grey[box] = (1 - SHARE) * grey[box] + SHARE * np.random.default_rng(0).random(grey[box].shape)
    folder.mkdir(exist_ok=True)
    Image.fromarray(np.ascontiguousarray(np.rint(255 * grey).astype(np.uint8).T)).save(folder / f"{name}.png")


def centre(film: SyntheticFilm, level: str) -> dict[str, float]:
    (body,) = (one for one in film.bodies if one.level == level)
    return dict(zip(("x_px", "y_px"), map(float, body.centre_xy_px)))


def label_maps(folder: Path, names: Any) -> dict[str, np.ndarray]:
    return {name: read_label_map(folder / f"{name}_labels.png") for name in names}


def dice(labels: np.ndarray, film: SyntheticFilm) -> float:
    found, true = (np.isin(one, LUMBAR_LABELS) for one in (labels, film.label_map))
    return 2 * float((found & true).sum()) / float(found.sum() + true.sum())


def ask(infer: Callable[..., dict], folder: Path, weights: Path, given: dict[str, Any]) -> dict[str, np.ndarray]:
    file = folder.parent / "centres.json"
    file.write_text(json.dumps(given), encoding="utf-8")
    infer(folder, folder.parent / "out", ckpt_path=str(weights), given_centres=str(file) if given else "")
    return label_maps(folder.parent / "out", [film.stem for film in folder.iterdir()])


def test_missed_body_is_found_where_its_centre_is_given(
    infer: Callable[..., dict], films: dict[str, SyntheticFilm], weights: Path, tmp_path: Path
) -> None:
    for name, film in films.items():
        save(tmp_path / "films", name, film, COVERED)
    before = ask(infer, tmp_path / "films", weights, {})
    given = {name: {"add": [centre(film, COVERED)]} for name, film in films.items()}
    after = ask(infer, tmp_path / "films", weights, given)
    for name, film in films.items():
        body = film.label_map == 22
        assert (before[name][body] == 22).mean() < 0.1, f"{name}: not missed"
        assert after[name][tuple(round(v) for v in centre(film, COVERED).values())] == 22, name
        # The network draws what it can make out of it.
        assert (after[name][body] == 22).mean() > 0.1, name
        others = np.isin(film.label_map, (20, 21, 23, 24))
        assert (after[name] == film.label_map)[others].mean() > 0.85, name
    gained = [dice(after[name], film) - dice(before[name], film) for name, film in films.items()]
    assert min(gained) > 0.01


def test_true_centres_make_dice_no_worse_and_a_level_shifts_all_names(
    infer: Callable[..., dict], films: dict[str, SyntheticFilm], weights: Path, tmp_path: Path
) -> None:
    for name, film in films.items():
        save(tmp_path / "films", name, film)
    before = ask(infer, tmp_path / "films", weights, {})
    bodies = {name: [one.level for one in film.bodies if one.level != "S1"] for name, film in films.items()}
    every = {name: [centre(film, level) for level in bodies[name]] for name, film in films.items()}
    after = ask(infer, tmp_path / "films", weights, every)
    gained = [dice(after[name], film) - dice(before[name], film) for name, film in films.items()]
    # A film may lose or gain some thousandths.
    assert np.mean(gained) > -0.001, gained
    shifted = {name: {"add": [{**centre(film, "L3"), "level": "L2"}]} for name, film in films.items()}
    moved = ask(infer, tmp_path / "films", weights, shifted)
    for name in films:
        thoracic_too = before[name][(before[name] > 0) & (before[name] < 26)]
        both = (moved[name] > 0) & (moved[name] < 26) & (before[name] > 0) & (before[name] < 26)
        assert both.sum() > 0.95 * len(thoracic_too)
        assert (moved[name][both] == before[name][both] - 1).mean() > 0.99
        record = json.loads((tmp_path / "out" / f"{name}_centres.json").read_text(encoding="utf-8"))
        assert {one["evidence"] for one in record["centres"]} == {"user"}
