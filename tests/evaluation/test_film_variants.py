from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmnet_monai.datasets import read_datalist
from cmnet_monai.evaluation.film_variants import VARIANTS, write_variants
from cmnet_monai.io import read_film, read_label_map, write_label_png

SIZE = (90, 140)


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Film scaled to 0..1 and label map of each variant, read back from its files."""
    folder = tmp_path_factory.mktemp("variants")
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]), indexing="ij")
    film = np.rint(40 + x + 0.5 * y).astype(np.uint8)
    labels = np.zeros(SIZE, dtype=np.uint8)
    labels[50:66, 20:40], labels[54:70, 60:84] = 20, 21
    Image.fromarray(film.T).save(folder / "a film.png")
    write_label_png(folder / "label.png", labels)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.chdir(folder)  # a relative folder is one of the caller's, not of the datalist's
    item = {"image": str(folder / "a film.png"), "label": str(folder / "label.png"), "patient": "p", "centres": []}
    read = {}
    for name, datalist in write_variants([item], "out").items():
        (made,) = read_datalist(datalist, "test")
        assert made["patient"] == "p" and "centres" not in made and Path(made["image"]).stem == "a film"
        pixels = read_film(made["image"])
        top = {"16 bit PNG": 65535, "12 bit DICOM, MONOCHROME1": 4095}.get(name, 255)
        assert pixels.inverted == (top == 4095)
        read[name] = pixels.pixels / top, read_label_map(made["label"])
    monkeypatch.undo()
    return read


def test_every_variant_is_a_film_with_labels_of_its_size(variants: dict) -> None:
    assert set(variants) == set(VARIANTS)
    left = {"lower two thirds": {0, 21}}  # L1 ends above the cut; of L2 of the upper two thirds 24 rows are left
    for name, (film, labels) in variants.items():
        assert film.shape == labels.shape and set(np.unique(labels)) == left.get(name, {0, 20, 21})


@pytest.mark.parametrize("name", ["16 bit PNG", "12 bit DICOM, MONOCHROME1"])
def test_other_formats_hold_the_same_film(variants: dict, name: str) -> None:
    film, labels = variants["8 bit PNG"]
    # Half a step of the 8 bit film and half a step of the other.
    np.testing.assert_allclose(variants[name][0], film, atol=0.5 / 255 + 0.5 / 4095)
    np.testing.assert_array_equal(variants[name][1], labels)


def test_mirrored_film_and_labels_are_mirrored_together(variants: dict) -> None:
    for plain, mirrored in zip(variants["8 bit PNG"], variants["mirrored"]):
        np.testing.assert_array_equal(mirrored, plain[::-1])


@pytest.mark.parametrize(("name", "size"), [("half the size", (45, 70)), ("twice the size", (180, 280))])
def test_resized_bodies_stay_in_place(variants: dict, name: str, size: tuple[int, int]) -> None:
    film, labels = variants[name]
    assert film.shape == size
    factor = size[0] / SIZE[0]
    for level, middle in ((20, (57.5, 29.5)), (21, (61.5, 71.5))):
        # Pixel middles: (i + 0.5) f - 0.5; sides of an even number of pixels leave no rounding.
        expected = (np.array(middle) + 0.5) * factor - 0.5
        np.testing.assert_allclose(np.argwhere(labels == level).mean(axis=0), expected, atol=1e-9)


@pytest.mark.parametrize(("name", "value"), [("black border", 0.0), ("white border", 1.0)])
def test_border_surrounds_the_film_on_three_sides(variants: dict, name: str, value: float) -> None:
    film, labels = variants[name]
    assert film.shape == (90 + 2 * 11, 140 + 11)  # 12 % of 90 is 10.8
    assert (film[:11] == value).all() and (film[-11:] == value).all() and (film[:, -11:] == value).all()
    np.testing.assert_array_equal(film[11:-11, :-11], variants["8 bit PNG"][0])
    np.testing.assert_array_equal(labels[11:-11, :-11], variants["8 bit PNG"][1])


def test_coned_film_is_the_part_around_the_spine(variants: dict) -> None:
    # Bodies from column 50 to 69, 9 pixels on either side.
    np.testing.assert_array_equal(variants["coned to the spine"][0], variants["8 bit PNG"][0][41:79])


def test_gamma_darkens_and_brightens(variants: dict) -> None:
    film = variants["8 bit PNG"][0]
    assert variants["darker (gamma 2)"][0].mean() < film.mean() < variants["brighter (gamma 0.5)"][0].mean()
    np.testing.assert_allclose(variants["darker (gamma 2)"][0], film**2, atol=2.5 / 255)


def test_parts_are_cut_straight_across(variants: dict) -> None:
    film, labels = variants["8 bit PNG"]
    np.testing.assert_array_equal(variants["lower two thirds"][0], film[:, 47:])  # 140 / 3 is 46.7
    np.testing.assert_array_equal(variants["upper two thirds"][0], film[:, :93])
    np.testing.assert_array_equal(variants["upper two thirds"][1], labels[:, :93])


@pytest.mark.parametrize(("name", "degrees"), [("tilted 15 degrees", 15), ("tilted 15 degrees the other way", -15)])
def test_tilted_film_keeps_its_bodies_and_their_distance(variants: dict, name: str, degrees: float) -> None:
    labels = variants[name][1]
    # The corners of 90 x 140 need 90 cos + 140 sin, and 90 sin + 140 cos.
    np.testing.assert_allclose(labels.shape, (123.2, 158.5), atol=1)
    upper, lower = (np.argwhere(labels == value).mean(axis=0) for value in (20, 21))
    np.testing.assert_allclose(np.hypot(*(lower - upper)), np.hypot(4, 42), atol=0.5)
    turned = np.rad2deg(np.arctan2(*(lower - upper)) - np.arctan2(4, 42))
    assert turned == pytest.approx(-degrees, abs=0.7)
    assert (labels == 20).sum() == pytest.approx(320, rel=0.05)


def test_writing_is_in_the_corner_away_from_the_spine(variants: dict) -> None:
    change = variants["writing in a corner"][0] - variants["8 bit PNG"][0]
    columns, rows = np.nonzero(change > 0.1)
    assert columns.max() < 75 and rows.max() < 60 and 100 < len(rows) < 2000  # the spine is right of the middle
    assert change.min() >= 0 and variants["writing in a corner"][0].max() == 1


def test_compression_and_noise_change_what_they_say(variants: dict) -> None:
    film = variants["8 bit PNG"][0]
    assert (variants["noise of 5 %"][0] - film)[30:60, 30:110].std() == pytest.approx(0.05, rel=0.05)
    error = np.abs(variants["JPEG of quality 20"][0] - film)
    assert 0 < error.max() < 0.1
