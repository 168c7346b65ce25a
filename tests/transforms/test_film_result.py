from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.prediction.finish import Finished, Wanted, finish_film

LEVELS = ("T12", "L1", "L2", "L3", "L4", "L5", "S1")
BORDER_PX = 150


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A film whose collimator hides the first rows, which no header says; bodies of 40 rows every 60 below."""
    size = (200, BORDER_PX + 6 * 60 + 160)
    pixels = np.random.default_rng(0).integers(40, 120, size).astype(np.uint8)
    labels = np.zeros(size, np.uint8)
    for number, level in enumerate(LEVELS):
        x, y = 60 + round(1.5 * (number - 3) ** 2), BORDER_PX + 20 + 60 * number
        labels[x : x + 60, y : y + 40] = LABEL_OF_LEVEL[level]
    pixels[labels > 0] = 200
    pixels[:, :BORDER_PX] = 3
    for name, array in (("film.png", pixels), ("film_labels.png", labels)):
        Image.fromarray(np.ascontiguousarray(array.T)).save(tmp_path / name)
    (tmp_path / "film_centres.json").write_text(json.dumps({"centres": []}), encoding="utf-8")
    return tmp_path / "film.png"


def finish(film: Path, **more: bool) -> Finished:
    return finish_film(film, film.parent, "film", Wanted(anterior="left"), "run", "film.png", **more)


def without(film: Path, level: str) -> None:
    labels = np.asarray(Image.open(film.parent / "film_labels.png")).copy()
    labels[labels == LABEL_OF_LEVEL[level]] = 0
    Image.fromarray(labels).save(film.parent / "film_labels.png")


def codes(finished: Finished) -> set[tuple[str, str | None]]:
    return {(flag["code"], flag["level"]) for flag in finished.flags}


def test_border_that_shows_nothing_is_no_film_above_the_spine(film: Path) -> None:
    assert codes(finish(film)) == set()


def test_body_that_reaches_such_a_border_is_cut(film: Path) -> None:
    labels = np.asarray(Image.open(film.parent / "film_labels.png")).copy()
    labels[BORDER_PX : BORDER_PX + 20, 80:120] = LABEL_OF_LEVEL["T12"]
    Image.fromarray(labels).save(film.parent / "film_labels.png")
    finished = finish(film)
    assert ("cut_off", "T12") in codes(finished)
    assert {row["level"]: row["cut_off"] for row in finished.bodies}["T12"] is True


def test_sacrum_is_missed_where_the_network_looks_for_it(film: Path) -> None:
    without(film, "S1")
    assert codes(finish(film)) == {("not_a_lateral_lumbar_film", None)}
    (film.parent / "film_measurements.json").unlink()
    assert codes(finish(film, expects_s1=False)) == set()
