"""Lateral projections of two CTs whose patients no training saw, with masks of their whole vertebrae.

pytest -m slow -s tests/engines/test_predict_ct_projections.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmnet_monai.conventions import LABEL_OF_LEVEL, LUMBAR
from cmnet_monai.engines import predict
from cmnet_monai.io import read_label_map


@pytest.mark.slow
def test_every_lumbar_body_lies_in_the_vertebra_of_its_name(
    shared_data: Path, repository: Path, tmp_path: Path
) -> None:
    folder = shared_data / "ct_projections" / "verse2020_test_segmentation_dataset" / "all"
    films = sorted((folder / "images").glob("*_LA_*.png"))
    assert len(films) == 6
    predict([str(film) for film in films], tmp_path, repository / "bundle", device="cpu")
    inside: dict[str, list[float]] = {level: [] for level in LUMBAR}
    for film in films:
        ct, view, pose = film.stem.split("_")
        labels = read_label_map(tmp_path / f"{film.stem}_labels.png")
        for level in LUMBAR:
            with Image.open(folder / "masks" / f"{ct}_{view}_{level}_whole_{pose}.png") as mask:
                vertebra = np.asarray(mask.convert("L")).T > 0  # body and posterior elements
            body = labels == LABEL_OF_LEVEL[level]
            inside[level].append(float(vertebra[body].mean()) if body.any() else 0.0)
    for level, shares in inside.items():
        print(level, " ".join(f"{share:.3f}" for share in shares))
    assert min(min(shares) for shares in inside.values()) > 0.9
