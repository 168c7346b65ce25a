"""nnU-Net v2 on the films of the paper's experiments: its commands run, its masks measured like all others.

With nnunetv2 in the environment, or in another whose commands are on the PATH, after `python -m cmnet_monai.paper run`:

python docs/examples/nnunet/run.py runs/paper --seconds 293   # as long as CM-Net's training took: see trained.json
python docs/examples/nnunet/run.py runs/paper                 # its own schedule of 1,000 epochs

writes external/nnunet.json, or nnunet_full.json, into the work folder; `python -m cmnet_monai.paper run rivals` puts it
into the results.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from cmnet_monai.conventions import LUMBAR_LABELS
from cmnet_monai.datasets import read_datalist
from cmnet_monai.datasets.splits import SECTIONS
from cmnet_monai.evaluation.records import data_hash, provenance
from cmnet_monai.io import atomic_write, read_film, read_label_map, write_label_png
from cmnet_monai.io.files.json import read_json, write_json
from cmnet_monai.paper.definitions import LUMBAR_BODIES
from cmnet_monai.paper.scoring import film_row

DATASET, NUMBER = "Dataset042_Lumbar", "42"
SHORT, FULL = "nnUNetTrainerTimeBudget", "nnUNetTrainer"
"""Trainer classes: that of time_budget.py, which trains for given seconds, and nnU-Net's own."""
_WATCH = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w", encoding="utf-8") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code % 256)
"""
"""A small process between this one and nnU-Net's: a child's peak memory counts that of the process that started it."""


def write_nnunet_dataset(
    training: Sequence[Mapping[str, Any]], test: Sequence[Mapping[str, Any]], folder: str | Path
) -> Path:
    """Write films and L1-L5 masks the way nnU-Net v2 reads them, as PNG.

    Films are the reader's pixels (bone bright) as 16 bits, unchanged but for an offset that makes them start at 0;
    films of more than 16 bits or of fractions are scaled into 16 bits. Axes are those of pictures: rows, columns.

    Args:
        training: datalist items with ``image`` and ``label``.
        test: items to predict.
        folder: gets ``imagesTr``, ``labelsTr``, ``imagesTs``, ``labelsTs`` and ``dataset.json``.
    Returns:
        The folder.
    """
    root = Path(folder)
    for part, items, start in (("Tr", training, 0), ("Ts", test, len(training))):
        for number, item in enumerate(items, start=start):
            case = f"film_{number:04d}"
            _write_png16(root / f"images{part}" / f"{case}_0000.png", sixteen_bits(read_film(item["image"]).pixels))
            mask = np.isin(read_label_map(item["label"]), LUMBAR_LABELS)
            (root / f"labels{part}").mkdir(parents=True, exist_ok=True)
            write_label_png(root / f"labels{part}" / f"{case}.png", mask.astype(np.uint8))
    description = {
        "channel_names": {"0": "radiograph"},
        "labels": {"background": 0, "vertebra": 1},
        "numTraining": len(training),
        "file_ending": ".png",
        "overwrite_image_reader_writer": "NaturalImage2DIO",
    }
    write_json(root / "dataset.json", description)
    return root


def sixteen_bits(pixels_xy: np.ndarray) -> np.ndarray:
    """A film (x, y) as uint16: whole values that fit keep their differences, others are scaled to the full range."""
    low, high = float(pixels_xy.min()), float(pixels_xy.max())
    shifted = pixels_xy.astype(np.float64) - low
    if high - low <= 65535 and bool((shifted == np.rint(shifted)).all()):
        return np.asarray(shifted, dtype=np.uint16)
    return np.asarray(np.rint(shifted * (65535 / (high - low))), dtype=np.uint16)


def _write_png16(path: Path, pixels_xy: np.ndarray) -> None:
    with atomic_write(path) as temporary:
        Image.fromarray(np.ascontiguousarray(pixels_xy.T)).save(temporary)


def run(work: Path, seconds: float = 0.0, trainer: str = "") -> Path:
    """Convert, train, predict with nnU-Net's commands (it goes on where it was broken off), then measure.

    Args:
        work: work folder of the paper's experiments, with the films of ``train_lumbar`` and ``test_lumbar``.
        seconds: how long training may take; 0: nnU-Net's own schedule.
        trainer: another trainer class.
    Returns:
        The file with the films' scores, seconds and memory.
    """
    name, trainer = ("nnunet", trainer or SHORT) if seconds else ("nnunet_full", trainer or FULL)
    folder = work.resolve() / name
    training, test = (_items(work / "films" / films) for films in ("train_lumbar", "test_lumbar"))
    raw, masks = folder / "raw" / DATASET, folder / "predicted"
    if not (raw / "dataset.json").is_file():
        write_nnunet_dataset(training, test, raw)
    resume = ("--c",) if any((folder / "results").rglob("checkpoint_latest.pth")) else ()
    how = ("-tr", trainer, "-device", "cuda" if torch.cuda.is_available() else "cpu")
    _call(folder, seconds, "nnUNetv2_plan_and_preprocess", "-d", NUMBER, "-c", "2d", "--verify_dataset_integrity")
    start = time.monotonic()
    train_peak = _call(folder, seconds, "nnUNetv2_train", NUMBER, "2d", "all", *how, *resume)
    trained = time.monotonic()
    where = ("-i", str(raw / "imagesTs"), "-o", str(masks), "-d", NUMBER, "-c", "2d", "-f", "all")
    film_peak = _call(folder, seconds, "nnUNetv2_predict", *where, *how)
    a_film = (time.monotonic() - trained) / max(len(test), 1)
    record = {
        "title": f"nnU-Net v2, 2d, {trainer}",
        "films": [
            {**_film_row(item, masks / f"film_{number:04d}.png"), "seconds": a_film}
            for number, item in enumerate(test, start=len(training))
        ],
        "curve": None,
        "seconds": round(time.monotonic() - trained, 1),
        "training_seconds": round(trained - start, 1),
        "cost_train_peak_mb": train_peak,
        "cost_film_peak_mb": film_peak,
        "test_hash": data_hash(test),
        "training_hash": [data_hash(training)],
        **provenance(),
    }
    write_json(work / "external" / f"{name}.json", record)
    return work / "external" / f"{name}.json"


def _items(folder: Path) -> list[dict[str, Any]]:
    """All films of a set, in the order of their numbers."""
    content = read_json(folder / "datalist.json")
    if content is None:
        raise FileNotFoundError(f"{folder}: no films there; run `python -m cmnet_monai.paper run rivals` first")
    items = [item for section in SECTIONS if content[section] for item in read_datalist(folder, section)]
    return sorted(items, key=lambda item: str(item["image"]))


def _call(folder: Path, seconds: float, *command: str) -> float:
    """Run a command of nnU-Net; returns its peak memory in MB of 10^6 bytes, that of its largest process."""
    names = {"nnUNet_raw": "raw", "nnUNet_preprocessed": "preprocessed", "nnUNet_results": "results"}
    environment = {**os.environ, **{name: str(folder / part) for name, part in names.items()}}
    environment["nnUNet_extTrainer"] = str(Path(__file__).parent)
    environment["CMNET_NNUNET_SECONDS"] = str(seconds)
    log, peak = folder / "log.txt", folder / "peak.txt"
    with log.open("a", encoding="utf-8") as stream:
        watched = [sys.executable, "-c", _WATCH, str(peak), *command]
        code = subprocess.call(watched, env=environment, stdout=stream, stderr=subprocess.STDOUT)
    if code != 0:
        raise RuntimeError(f"{command[0]} ended with code {code}; its output is in {log}")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, else in kilobytes
    return round(int(peak.read_text(encoding="utf-8")) * unit / 1e6, 1)


def _film_row(item: Mapping[str, Any], mask_file: Path) -> dict[str, Any]:
    """A film's scores from a mask alone: without probabilities there is no area under a curve."""
    found = torch.from_numpy((read_label_map(mask_file) > 0)[None].astype(np.float32))
    labels = read_label_map(item["label"]).astype(int)
    return {**film_row(Path(str(item["image"])).stem, item, found, labels, LUMBAR_BODIES), "average_precision": None}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="nnU-Net v2 on the films of the paper's experiments")
    parser.add_argument("work", type=Path, help="work folder of `python -m cmnet_monai.paper run`")
    parser.add_argument("--seconds", type=float, default=0.0, help="of training; nnU-Net's own schedule by default")
    parser.add_argument("--trainer", default="", help="another trainer class of nnU-Net")
    print(run(**vars(parser.parse_args())))
