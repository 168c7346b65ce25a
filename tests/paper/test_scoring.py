from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.io import write_label_png
from cmnet_monai.paper.definitions import Inference
from cmnet_monai.paper.inference import FilmPreparation
from cmnet_monai.paper.scoring import (
    FALSE,
    MISSED,
    RIGHT,
    body_rows,
    centre_scores,
    curve_counts,
    film_facts,
    pixel_scores,
    save_picture,
)


def test_pixel_scores_by_hand() -> None:
    truth = np.zeros((4, 5), dtype=bool)
    truth[0, :4] = True  # 4 pixels
    probabilities = torch.full((1, 4, 5), 0.1)
    probabilities[0, 0, 1:4] = 0.9  # 3 of them
    probabilities[0, 1, 0] = 0.5  # one false, at the threshold
    found = pixel_scores(probabilities, truth)
    assert (found["tp"], found["fp"], found["fn"], found["tn"]) == (3, 1, 1, 15)
    assert found["dice"] == pytest.approx(6 / 8)
    assert found["dice_classes"] == pytest.approx((6 / 8 + 30 / 32) / 2)
    assert found["accuracy"] == pytest.approx(18 / 20)
    assert (found["precision"], found["recall"]) == pytest.approx((3 / 4, 3 / 4))
    # Three right at 0.9, then one false, then the rest with the last true one: 3/4 x 1 + 1/4 x 4/20.
    assert found["average_precision"] == pytest.approx(0.75 + 0.25 * 4 / 20)


def test_curve_counts_by_hand_and_by_brute_force() -> None:
    truth = np.array([[True, True, False]])
    counts = curve_counts(torch.tensor([[[0.5, 1.0, 0.25]]]), truth)
    assert counts[0, [0, 50, 51, 100]].tolist() == [2, 2, 1, 1]
    assert counts[1, [0, 25, 26]].tolist() == [1, 1, 0]
    random = torch.rand(1, 20, 30, generator=torch.Generator().manual_seed(1))
    mask = np.random.default_rng(2).random((20, 30)) > 0.7
    counts = curve_counts(random, mask)
    for step in (0, 1, 37, 99):
        above = random[0].numpy() >= step / 100
        assert counts[:, step].tolist() == [(above & mask).sum(), (above & ~mask).sum()]


def test_each_body_gets_the_part_of_the_mask_that_is_nearest_to_it() -> None:
    labels = np.zeros((10, 40), dtype=int)
    labels[:, 0:10] = LABEL_OF_LEVEL["L1"]
    labels[:, 20:30] = LABEL_OF_LEVEL["L2"]
    labels[:, 32:38] = LABEL_OF_LEVEL["S1"]
    mask = np.zeros((10, 40), dtype=bool)
    mask[:, 0:15] = True  # L1, and of the gap of columns 10 to 19 the half that is nearer to it
    mask[:, 36:40] = True  # nearest to L2 though far off
    facts = {"L2": (2, ["cement"])}
    first, second = body_rows(mask, labels, "lumbar", facts)
    assert first == {"level": "L1", "dice": pytest.approx(2 * 100 / (150 + 100))}
    assert second == {"level": "L2", "dice": 0.0, "grade": 2, "cement": True, "screws": False}
    assert body_rows(mask, np.zeros_like(labels), "lumbar", {}) == []


def test_thoracic_bodies_count_where_all_bodies_are_true() -> None:
    labels = np.zeros((4, 30), dtype=int)
    labels[:, 5:10] = LABEL_OF_LEVEL["T12"]
    labels[:, 15:20] = LABEL_OF_LEVEL["L1"]
    mask = labels > 0
    assert [row["level"] for row in body_rows(mask, labels, "bodies", {})] == ["T12", "L1"]
    (only,) = body_rows(mask, labels, "lumbar", {})
    assert only == {"level": "L1", "dice": pytest.approx(2 * 20 / (40 + 20))}


def test_centres_farther_than_twenty_pixels_are_missed_and_false() -> None:
    found = centre_scores(np.array([[10.0, 10.0], [50.0, 71.0]]), np.array([[13.0, 14.0], [50.0, 50.0]]))
    assert found == {"centres_missed": 1.0, "centres_false": 1.0, "centre_error_px": 5.0}


def test_facts_of_a_synthetic_film_and_of_any_other(tmp_path: Path) -> None:
    bodies = [
        {"level": "T12", "grade": 3, "findings": ["cement"]},  # not L1-L5
        {"level": "L1", "grade": 1, "findings": []},
        {"level": "L3", "grade": 0, "findings": ["screws"]},
    ]
    (tmp_path / "truth").mkdir()
    truth = {"kind": "compression_fracture", "bodies": bodies}
    (tmp_path / "truth" / "a.json").write_text(json.dumps(truth), encoding="utf-8")
    found = film_facts({"label": str(tmp_path / "labels" / "a.png")})
    assert (found["kind"], found["implant"], found["cement"], found["grade"]) == (
        "compression_fracture",
        True,
        False,
        1,
    )
    assert found["facts"]["T12"] == (3, ["cement"])
    assert film_facts({"label": str(tmp_path / "labels" / "b.png")}) == {}


def test_truth_and_mask_lie_on_the_film_where_its_border_was_cut_off(tmp_path: Path) -> None:
    """A film with a border of 60 columns; its one bright block is the truth, and its bright pixels the mask."""
    truth = np.zeros((260, 330), dtype=bool)  # (x, y)
    truth[150:190, 90:150] = True
    film = np.random.default_rng(0).integers(60, 110, truth.shape)
    film[truth] = np.random.default_rng(1).integers(200, 250, truth.sum())
    film[:60] = 0
    Image.fromarray(film.T.astype(np.uint8)).save(tmp_path / "film.png")
    write_label_png(tmp_path / "label.png", (22 * truth).astype(np.uint8))
    prepare = FilmPreparation((96, 128), Inference())
    data = prepare({"image": str(tmp_path / "film.png"), "label": str(tmp_path / "label.png")})
    grid = torch.as_tensor(data["image"]).as_subclass(torch.Tensor)
    found, back = (prepare.back(maps, data["image"]) for maps in ((grid > 0.93).float(), grid))
    save_picture(tmp_path / "picture.png", back, found, truth, height=330)
    picture = np.asarray(Image.open(tmp_path / "picture.png")).astype(int).transpose(1, 0, 2)
    assert picture.shape == (260, 330, 3)
    tint = picture - 0.55 * 255 * np.asarray(back)[0][..., None]

    def coloured(colour: tuple[int, int, int]) -> np.ndarray:
        return np.abs(tint - 0.45 * np.array(colour)).max(axis=2) < 2

    assert coloured(RIGHT)[truth].mean() > 0.85 and coloured(RIGHT)[~truth].sum() == 0
    assert coloured(MISSED)[truth].mean() < 0.15 and coloured(FALSE)[~truth].mean() < 0.02
