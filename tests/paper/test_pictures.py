from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cmnet_monai.io import write_label_png
from cmnet_monai.paper.definitions import Asking
from cmnet_monai.paper.pictures import FALSE, MISSED, RIGHT, save_picture
from cmnet_monai.paper.predictions import FilmPreparation


def test_truth_and_mask_lie_on_the_film_where_its_border_was_cut_off(tmp_path: Path) -> None:
    """A film with a border of 60 columns; its one bright block is the truth, and its bright pixels the mask."""
    truth = np.zeros((260, 330), dtype=bool)  # (x, y)
    truth[150:190, 90:150] = True
    film = np.random.default_rng(0).integers(60, 110, truth.shape)
    film[truth] = np.random.default_rng(1).integers(200, 250, truth.sum())
    film[:60] = 0
    Image.fromarray(film.T.astype(np.uint8)).save(tmp_path / "film.png")
    write_label_png(tmp_path / "label.png", (22 * truth).astype(np.uint8))
    prepare = FilmPreparation((96, 128), Asking())
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
