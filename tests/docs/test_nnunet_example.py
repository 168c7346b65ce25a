from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread

from cmnet_monai.conventions import LUMBAR_LABELS
from cmnet_monai.datasets import synthesize
from cmnet_monai.datasets.datalist import read_datalist
from cmnet_monai.io import read_film, read_label_map
from cmnet_monai.paper.catalogue import find_experiments
from cmnet_monai.paper.definitions import QUICK
from cmnet_monai.paper.results import write_results
from cmnet_monai.paper.workspace import Workspace

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "nnunet" / "run.py"
COMMANDS = ("nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict")
_spec = importlib.util.spec_from_file_location("nnunet_example", EXAMPLE)
example = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(example)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict], list[dict]]:
    folder = tmp_path_factory.mktemp("nnunet")
    synthesize(folder / "films", 3, seed=8, height_px=128, workers=1, progress=False)
    items = [item for s in ("training", "validation", "test") for item in read_datalist(folder / "films", s)]
    return example.write_nnunet_dataset(items[:2], items[2:], folder / "Dataset042_Lumbar"), items[:2], items[2:]


def test_the_folder_is_what_nnunet_asks_for(converted: tuple[Path, list[dict], list[dict]]) -> None:
    root, _, _ = converted
    names = {str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()}
    assert names == {
        "dataset.json",
        "imagesTr/film_0000_0000.png",
        "imagesTr/film_0001_0000.png",
        "labelsTr/film_0000.png",
        "labelsTr/film_0001.png",
        "imagesTs/film_0002_0000.png",
        "labelsTs/film_0002.png",
    }
    description = json.loads((root / "dataset.json").read_text(encoding="utf-8"))
    assert description["numTraining"] == 2 and description["file_ending"] == ".png"
    assert description["labels"] == {"background": 0, "vertebra": 1} and description["channel_names"] == {
        "0": "radiograph"
    }


def test_films_and_masks_are_those_of_the_datalist(converted: tuple[Path, list[dict], list[dict]]) -> None:
    """Read as nnU-Net's NaturalImage2DIO does, with scikit-image: rows, columns."""
    root, training, test = converted
    for part, items, first in (("Tr", training, 0), ("Ts", test, 2)):
        for number, item in enumerate(items, start=first):
            film = imread(root / f"images{part}" / f"film_{number:04d}_0000.png")
            pixels = read_film(item["image"]).pixels
            assert film.dtype == np.uint16 and film.shape == pixels.shape[::-1]
            assert np.array_equal(film.T.astype(float) + pixels.min(), pixels)
            mask = imread(root / f"labels{part}" / f"film_{number:04d}.png")
            assert np.array_equal(mask.T == 1, np.isin(read_label_map(item["label"]), LUMBAR_LABELS))
            assert set(np.unique(mask)) == {0, 1}


def test_sixteen_bits_keep_whole_differences_and_scale_the_rest() -> None:
    assert example.sixteen_bits(np.array([[-5, 0, 70]])).tolist() == [[0, 5, 75]]
    assert example.sixteen_bits(np.array([[0.0, 0.25, 1.0]])).tolist() == [[0, 16384, 65535]]
    assert example.sixteen_bits(np.array([[0, 131070]])).tolist() == [[0, 65535]]
    assert example.sixteen_bits(np.array([[3.5, 3.5]])).tolist() == [[0, 0]]


def test_its_commands_are_called_in_order_and_its_masks_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stand-ins for nnU-Net's commands; the one that predicts gives the true masks back."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in COMMANDS:
        copy = (
            'mkdir -p "$4" && cp "$nnUNet_raw"/Dataset042_Lumbar/labelsTs/* "$4"/' if name.endswith("predict") else ":"
        )
        (programs / name).write_text(
            f'#!/bin/sh\necho {name} "$@" $CMNET_NNUNET_SECONDS >> "{tmp_path}/calls"\n{copy}\n', encoding="utf-8"
        )
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    space = Workspace(tmp_path / "work", tmp_path, scale=QUICK, workers=1)
    with pytest.raises(FileNotFoundError, match="no films there"):
        example.run(space.work, 12.5)
    for name in ("train_lumbar", "test_lumbar"):
        space.make_set(name)
    made = example.run(space.work, 12.5)
    record = json.loads(made.read_text(encoding="utf-8"))
    assert made == space.work / "external" / "nnunet.json" and [f["dice"] for f in record["films"]] == [1.0] * 4
    assert all(body["dice"] == 1.0 for film in record["films"] for body in film["bodies"])
    assert all(film["average_precision"] is None for film in record["films"])
    calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    assert [call.split()[0] for call in calls] == list(COMMANDS)
    assert calls[1].startswith("nnUNetv2_train 42 2d all -tr nnUNetTrainerTimeBudget")
    assert all(call.endswith(" 12.5") for call in calls)
    assert 0.1 < record["cost_train_peak_mb"] < 200  # a shell's, whatever this process holds
    write_results(find_experiments(["rivals"]), space, [0])
    rows = json.loads((space.results / "rivals.json").read_text(encoding="utf-8"))["rows"]
    status = {row["variant"]: row["status"] for row in rows}
    assert (status["nnunet"], status["nnunet_full"]) == ("done", "not run")


def test_the_trainer_that_nnunet_looks_for_is_there() -> None:
    source = "".join(file.read_text(encoding="utf-8") for file in EXAMPLE.parent.glob("*.py"))
    assert f"class {example.SHORT}(nnUNetTrainer)" in source
