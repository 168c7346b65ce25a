from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from cmnet_monai.io import write_dx, write_label_png
from cmnet_monai.transforms import SameGridd, training_chain


def write_film(folder: Path) -> dict[str, str]:
    """A film with spacing and one body; its label map is a PNG without spacing."""
    labels = np.zeros((90, 150), dtype=np.uint8)
    labels[30:51, 60:85] = 22
    pixels = np.where(labels > 0, 3000, 500).astype(np.uint16) + np.arange(150, dtype=np.uint16)
    write_dx(folder / "film.dcm", pixels, bits_stored=12, imager_spacing_xy_mm=(0.21, 0.21))
    write_label_png(folder / "label.png", labels)
    return {"image": str(folder / "film.dcm"), "label": str(folder / "label.png")}


def test_centres_lie_in_their_bodies_when_only_the_film_has_spacing(tmp_path: Path) -> None:
    chain = training_chain((64, 128), protocol="visible", sigma_px=2.0, augment=False)
    sample = chain(write_film(tmp_path))
    heatmap, vertebra = np.asarray(sample["target"][0]), np.asarray(sample["target"][1])
    # Scale 64 / 90, padded to 128 rows: row 72 of the film (the body's middle) comes to (72 + 0.5) * s - 0.5 + 10.67.
    scale = 64 / 90
    padding = (128 - round(150 * scale)) // 2
    expected = ((40 + 0.5) * scale - 0.5, (72 + 0.5) * scale - 0.5 + padding)
    peak = np.unravel_index(int(heatmap.argmax()), heatmap.shape)
    np.testing.assert_allclose(peak, expected, atol=0.75)
    np.testing.assert_allclose(np.argwhere(vertebra > 0).mean(axis=0), expected, atol=0.75)


def test_label_gets_the_affine_of_the_film_and_keeps_its_values() -> None:
    film = MetaTensor(torch.zeros(1, 5, 7), affine=torch.diag(torch.tensor([-0.3, -0.4, 1.0], dtype=torch.float64)))
    label = MetaTensor(torch.arange(35.0).reshape(1, 5, 7))
    result = SameGridd("label")({"image": film, "label": label})["label"]
    torch.testing.assert_close(result.affine, film.affine)
    torch.testing.assert_close(result.as_tensor(), label.as_tensor())
    assert not torch.equal(label.affine, film.affine), "the input must not change"


def test_label_of_another_size_is_refused_by_name() -> None:
    film = MetaTensor(torch.zeros(1, 5, 7), meta={"filename_or_obj": "a/film.dcm"})
    with pytest.raises(ValueError, match=r"a/film\.dcm.*\(7, 5\).*\(5, 7\)"):
        SameGridd("label")({"image": film, "label": torch.zeros(1, 7, 5)})


def test_missing_label_is_passed_over_where_allowed() -> None:
    data = {"image": torch.zeros(1, 5, 7)}
    assert SameGridd("label", allow_missing_keys=True)(data).keys() == data.keys()
    with pytest.raises(KeyError):
        SameGridd("label")(data)
