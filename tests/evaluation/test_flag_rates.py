from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmnet_monai.engines import predict
from cmnet_monai.evaluation.flag_rates import KINDS, run_flag_rates, run_wrong_film_rates, write_wrong_films
from cmnet_monai.synthetic import generate_film
from cmnet_monai.synthetic.anatomy import KINDS as PATIENTS


def test_films_of_each_kind_are_written_and_turned_as_said(tmp_path: Path) -> None:
    folder = write_wrong_films(tmp_path, films=1, seed=9500, height_px=160)
    kinds = json.loads((tmp_path / "kinds.json").read_text())
    assert sorted(kinds) == sorted(file.name for file in folder.iterdir())
    assert set(kinds.values()) == set(KINDS)
    film = {kind: np.asarray(Image.open(folder / name)).T.astype(int) for name, kind in kinds.items()}
    assert film["lateral lumbar"].shape == generate_film(9500, height_px=160).pixels.shape
    np.testing.assert_array_equal(film["upside down"], film["lateral lumbar"][::-1, ::-1])
    np.testing.assert_array_equal(film["turned by 90 degrees"], np.rot90(film["lateral lumbar"]))
    np.testing.assert_array_equal(film["turned by 270 degrees"], np.rot90(film["lateral lumbar"], 3))
    assert film["lateral thoracic"].shape[1] == 160


def test_flagged_films_are_counted_by_kind(tmp_path: Path) -> None:
    (tmp_path / "kinds.json").write_text(json.dumps({"a.png": "noise", "b.png": "noise", "c.png": "lateral lumbar"}))
    (tmp_path / "films.csv").write_text("film,bodies\na.png,0\nb.png,3\nc.png,7\n")
    (tmp_path / "flags.csv").write_text(
        "film,code,level,text\na.png,not_a_lateral_lumbar_film,,x\nb.png,cut_off,L1,x\nc.png,cut_off,T12,x\n"
    )
    table = run_wrong_film_rates(tmp_path, tmp_path).read_text()
    assert "| noise | 1 | 2 | 1 | 1.5 |" in table and "| lateral lumbar | 0 | 1 | 0 | 7.0 |" in table
    (tmp_path / "films.csv").write_text("film,bodies\na.png,0\n")
    with pytest.raises(ValueError, match=r"no result of b\.png, c\.png"):
        run_wrong_film_rates(tmp_path, tmp_path)


def test_whole_spine_shows_every_body_to_the_sacrum_small() -> None:
    film = KINDS["lateral whole spine"](9500, 320)
    assert film.shape == (144, 320)
    np.testing.assert_array_equal(film, KINDS["lateral whole spine"](9500, 320))
    assert (film != KINDS["lateral whole spine"](9501, 320)).any()


@pytest.mark.slow
def test_no_frontal_projection_goes_through_unmarked(shared_data: Path, repository: Path, tmp_path: Path) -> None:
    folder = shared_data / "ct_projections" / "verse2020_test_segmentation_dataset" / "all" / "images"
    films = [str(file) for file in sorted(folder.glob("*_AP_*.png"))]
    assert len(films) == 6
    predict(films, tmp_path, repository / "bundle", device="cpu")
    with (tmp_path / "flags.csv").open(newline="", encoding="utf-8") as stream:
        flags = [(row["film"], row["code"]) for row in csv.DictReader(stream)]
    marked = {film for film, code in flags if code in ("not_a_lateral_lumbar_film", "fewer_than_five_lumbar")}
    assert marked == {Path(film).name for film in films}


def test_every_kind_and_group_is_counted(tmp_path: Path) -> None:
    table = run_flag_rates(tmp_path, films=1, seed=9001, height_px=256).read_text()
    counts = json.loads((tmp_path / "flags.json").read_text())["counts"]
    films = {group: count for group, count in counts.items() if group.startswith("films")}
    assert set(films) == {f"films: {kind}" for kind in PATIENTS}
    assert all(count["of"] == 1 for count in films.values())
    assert films["films: implant"]["flagged"] == 1
    assert all(0 <= count["flagged"] <= count["of"] for count in counts.values())
    assert "| films: implant | 1 | 1 | 100 % |" in table
