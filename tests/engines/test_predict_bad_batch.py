"""Every bad file that there is, in one folder with films: all films are done, and each bad file has its line."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bad_films import BAD_FILMS, BESIDE_FILMS, FILM, NOTHING_ON_THEM, TWELVE, UNREADABLE
from PIL import Image
from raw_dicom import write_raw_dicom

from cmnet_monai.datasets.datalist import collect_films
from cmnet_monai.engines import Prediction, predict
from cmnet_monai.networks import CMNet

NOT_HERE = {"pipe.dcm"} | ({"forbidden.dcm"} if os.geteuid() == 0 else set())  # root reads everything
BAD = {name: made for name, made in {**BAD_FILMS, **NOTHING_ON_THEM, **UNREADABLE}.items() if name not in NOT_HERE}
SMALL = {
    "spatial_size": [32, 64],
    "base_channels": 8,
    "label_protocol": "levels",
    "heatmap_sigma": 4.0,
    "mirror": False,
    "passes": 1,
    "device": "cpu",
}
PICTURES = (
    "name with  spaces .png",
    "Wirbelsäule 脊椎 ‮.png",
    "a..b.png",
    "x" * 246 + ".png",
    "no_suffix",
    os.fsdecode(b"not_utf8_\xff.png"),
    "line\nbreak.png",
    "=formula().png",
    r"$\frac{1.png",
)
"""Films with names that are hard to bear."""
NO_FILMS = ("broken.json", "y" * 300, "z*.tif")
"""What is asked for beside the folder, and holds no film."""


def add_films(folder: Path) -> set[Path]:
    """Good films, some with the same name and UID or an unknown character set, and links in circles; their files."""
    films = {write_raw_dicom(folder / "twins" / part / "film.dcm", FILM, **TWELVE) for part in ("a", "b")}
    films.add(write_raw_dicom(folder / "twins" / "dicom_inside.txt", FILM, PresentationLUTShape="INVERSE", **TWELVE))
    films.add(write_raw_dicom(folder / "unknown_characters.dcm", FILM, SpecificCharacterSet="ISO_IR 999", **TWELVE))
    grey = (FILM >> 4).astype(np.uint8)
    Image.fromarray(grey).save(folder / "picture_inside.dcm", format="PNG")
    films.add(folder / "picture_inside.dcm")
    for name in PICTURES:
        with (folder / name).open("wb") as file:
            Image.fromarray(grey).save(file, format="PNG")
        films.add(folder / name)
    (folder / "twins" / "round").symlink_to(folder, target_is_directory=True)
    os.mkfifo(folder / "twins" / "pipe.dcm")  # no file: a folder's pipes are left out, and no one waits for them
    return films


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> tuple[Prediction, Path, set[Path]]:
    folder = tmp_path_factory.mktemp("everything")
    for part in ("a", "b"):
        (folder / "twins" / part).mkdir(parents=True)
    films = add_films(folder)
    for name, (make, _) in {**BAD, **BESIDE_FILMS}.items():
        make(folder / name)
    (folder / "broken.json").write_text("{", encoding="utf-8")
    torch.manual_seed(0)
    weights = tmp_path_factory.mktemp("weights") / "model.pt"
    network = CMNet(base_channels=8, s1_channel=True, lumbar_channel=True)
    torch.save({name: value.half() for name, value in network.state_dict().items()}, weights)
    output = tmp_path_factory.mktemp("predicted")
    sources = [str(folder), *(str(folder / name) for name in NO_FILMS)]
    settings: dict[str, Any] = {**SMALL, "ckpt_path": str(weights), "batch_size": 4}
    done = predict(sources, output, repository / "bundle", overlay=True, **settings)
    return done, folder, films


def table(done: Prediction, name: str) -> list[dict[str, str]]:
    with (done.output / name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_film_is_done_and_nothing_else(batch: tuple[Prediction, Path, set[Path]]) -> None:
    done, _, films = batch
    manifest = json.loads((done.output / "manifest.json").read_text(encoding="utf-8"))
    by_status: dict[str, set[Path]] = {}
    for record in manifest["films"].values():
        by_status.setdefault(record["status"], set()).add(Path(record["film"]))
    assert by_status["done"] == films
    assert {path.name for path in by_status["failed"]} == {*BAD, *NO_FILMS}
    assert set(by_status) == {"done", "failed"}
    assert (done.done, done.exit_code) == (len(films), 3)
    masks = list(done.output.glob("*_mask.png"))
    assert len(masks) == len(films) and all(Image.open(mask).size == (29, 41) for mask in masks)
    assert len(table(done, "films.csv")) == len(films)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_has_one_line_in_the_table_of_failures(name: str, batch: tuple[Prediction, Path, set[Path]]) -> None:
    (row,) = (row for row in table(batch[0], "failures.csv") if row["film"] == name)
    assert re.search(BAD[name][1], row["reason"]), row["reason"]
    assert row["remedy"] and len(row["reason"]) < 250
    assert "Secret" not in row["reason"] and "/" not in row["reason"]


def test_what_a_study_holds_beside_its_films_is_no_problem(tmp_path: Path) -> None:
    film = write_raw_dicom(tmp_path / "film.dcm", FILM, **TWELVE)
    for name, (make, _) in BESIDE_FILMS.items():
        make(tmp_path / name)
    lines: list[str] = []
    assert collect_films([str(tmp_path)], lines.append) == ([film], {})
    (line,) = (line for line in lines if "left out" in line)
    assert line.endswith("1 Comprehensive SR, 1 Encapsulated PDF, 1 Media Storage Directory, 1 Segmentation")


def test_sources_without_films_have_a_line_too(batch: tuple[Prediction, Path, set[Path]]) -> None:
    done, folder, _ = batch
    rows = {row["film"]: row["reason"] for row in table(done, "failures.csv")}
    assert rows[str(folder / "broken.json")].startswith("not a JSON datalist")
    assert rows[str(folder / ("y" * 300))] == "File name too long"
    assert rows[str(folder / "z*.tif")] == "no file fits this pattern"


def test_a_contradictory_header_is_flagged(batch: tuple[Prediction, Path, set[Path]]) -> None:
    rows = [row for row in table(batch[0], "flags.csv") if row["code"] == "doubtful_header"]
    assert {row["film"] for row in rows} == {"dicom_inside.txt"}
    assert "contradicts Presentation LUT Shape INVERSE" in rows[0]["text"]


def test_the_page_on_reading_lists_every_reason_and_no_other(
    batch: tuple[Prediction, Path, set[Path]], repository: Path
) -> None:
    page = (repository / "docs" / "reading.md").read_text(encoding="utf-8").split("## Refused")[1]
    listed = re.findall(r"^\| `([^`]+)`.*? \| (.+?) \|$", page, flags=re.MULTILINE)
    patterns = {(reason, remedy): re.escape(reason).replace("…", ".+") for reason, remedy in listed}
    found = set()
    for row in (row for row in table(batch[0], "failures.csv") if row["film"] in BAD):
        fits = [key for key, p in patterns.items() if key[1] == row["remedy"] and re.fullmatch(p, row["reason"])]
        assert fits, f"docs/reading.md lacks: {row['reason']} | {row['remedy']}"
        found.update(fits)
    elsewhere = ("neither a file", "… GB, more than", "compressed", "decoder reads")  # in tests of the reader alone
    assert {reason for reason, _ in patterns if not any(text in reason for text in elsewhere)} <= {r for r, _ in found}
