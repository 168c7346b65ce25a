"""nnU-Net v2 on the same films: its folders written, its own commands run, its masks measured like all others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from cmnet_monai.conventions import LUMBAR_LABELS
from cmnet_monai.evaluation.records import data_hash, identity_of, provenance
from cmnet_monai.io import atomic_write, read_film, read_label_map, write_label_png
from cmnet_monai.io.files.json import read_json, write_json
from cmnet_monai.paper.definitions import Inference, Training
from cmnet_monai.paper.scoring import film_row
from cmnet_monai.paper.training import TrainingRun
from cmnet_monai.paper.workspace import Workspace

DATASET = "Dataset042_Lumbar"
TRAINER_SETTING = "nnunet.trainer"
"""Setting that names another trainer for the row of equal time."""
SHORT, FULL = "nnUNetTrainerTimeBudget", "nnUNetTrainer"
PLUGIN = Path(__file__).parent / "nnunet_trainer"
"""Folder in which nnU-Net finds `SHORT`, which trains as long as CM-Net's training on the same films took."""
_WATCH = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w", encoding="utf-8") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code % 256)
"""
"""A small process between this one and nnU-Net's: a child's peak memory counts that of the process that started it."""
COMMANDS = ("nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict")


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


@dataclass(frozen=True)
class NnunetRun:
    """nnU-Net v2, 2D, trained on a training set and used on a test set; needs its commands on the PATH.

    Args:
        space: where it runs.
        training: whose films.
        inference: which test films.
        seed: of the CM-Net whose time it gets; nnU-Net draws its own.
        full: nnU-Net's own schedule of 1,000 epochs.
    """

    space: Workspace
    training: Training
    inference: Inference
    seed: int
    full: bool = False

    @property
    def trainer(self) -> str:
        """nnU-Net's trainer class."""
        return FULL if self.full else str(self.space.settings.get(TRAINER_SETTING, SHORT))

    @property
    def title(self) -> str:
        """A line for progress."""
        return f"nnU-Net v2, 2d, {self.trainer}"

    def why_not(self) -> str:
        """Why it cannot be run here; "" where it can."""
        if self.space.on_real:
            return "only on synthetic films"
        if self.space.scale.quick:
            return "not part of the quick run; the conversion of films has its own test"
        if self.full and not torch.cuda.is_available():
            return "its own schedule of 1,000 epochs needs a GPU"
        missing = [name for name in COMMANDS if shutil.which(name) is None]
        if not missing:
            return ""
        return f"{missing[0]} is not on the PATH; install nnunetv2 in an environment of its own and put it there"

    @property
    def folder(self) -> Path:
        """Its folder: raw, preprocessed, results, predictions."""
        films = [self.space.set_spec(name) for name in (*self.training.films, self.inference.films)]
        return self.space.work / "nnunet" / identity_of(films, self.training.share, self.trainer)

    def record(self) -> dict[str, Any] | None:
        """What was measured; None before."""
        return read_json(self.folder / "measured.json")

    def run(self) -> None:
        """Convert, train, predict with nnU-Net's commands (it goes on where it was broken off), then measure."""
        chosen = self.space.training_items(self.training)
        test = self.space.set_items(self.inference.films)
        raw = self.folder / "raw" / DATASET
        if not (raw / "dataset.json").is_file():
            write_nnunet_dataset(chosen["training"] + chosen["validation"], test, raw)
        number = DATASET[7:10].lstrip("0")
        trainer = ("-tr", self.trainer)
        resume = ("--c",) if any((self.folder / "results").rglob("checkpoint_latest.pth")) else ()
        device = ("-device", "cuda" if torch.cuda.is_available() else "cpu")
        self._call("nnUNetv2_plan_and_preprocess", "-d", number, "-c", "2d", "--verify_dataset_integrity")
        start = time.monotonic()
        train_peak = self._call("nnUNetv2_train", number, "2d", "all", *trainer, *device, *resume)
        trained = time.monotonic()
        masks = self.folder / "predicted"
        where = ("-i", str(raw / "imagesTs"), "-o", str(masks))
        film_peak = self._call("nnUNetv2_predict", *where, "-d", number, "-c", "2d", "-f", "all", *trainer, *device)
        seconds = (time.monotonic() - trained) / max(len(test), 1)
        first = len(chosen["training"]) + len(chosen["validation"])
        record = {
            "title": self.title,
            "films": [
                {**_film_row(item, masks / f"film_{first + i:04d}.png", self.inference.truth), "seconds": seconds}
                for i, item in enumerate(test)
            ],
            "curve": None,
            "seconds": round(time.monotonic() - trained, 1),
            "training_seconds": round(trained - start, 1),
            "cost_train_peak_mb": train_peak,
            "cost_film_peak_mb": film_peak,
            "test_hash": data_hash(test),
            "training_hash": [self.space.set_hash(name) for name in self.training.films],
            **provenance(),
        }
        write_json(self.folder / "measured.json", record)

    def budget(self) -> float:
        """Seconds that CM-Net's training on the same films took."""
        record = TrainingRun(self.space, self.training, self.seed).record()
        if record is None:
            raise RuntimeError("nnU-Net trains as long as CM-Net did: train CM-Net on the same films and seed first")
        return float(record["seconds"])

    def _call(self, *command: str) -> float:
        """Run a command of nnU-Net; returns its peak memory in MB of 10^6 bytes, that of its largest process."""
        names = {"nnUNet_raw": "raw", "nnUNet_preprocessed": "preprocessed", "nnUNet_results": "results"}
        environment = {**os.environ, **{name: str(self.folder / part) for name, part in names.items()}}
        environment["nnUNet_extTrainer"] = str(PLUGIN)
        environment["CMNET_NNUNET_SECONDS"] = str(0.0 if self.full else self.budget())
        log, peak = self.folder / "log.txt", self.folder / "peak.txt"
        with log.open("a", encoding="utf-8") as stream:
            watched = [sys.executable, "-c", _WATCH, str(peak), *command]
            code = subprocess.call(watched, env=environment, stdout=stream, stderr=subprocess.STDOUT)
        if code != 0:
            raise RuntimeError(f"{command[0]} ended with code {code}; its output is in {log}")
        unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, else in kilobytes
        return round(int(peak.read_text(encoding="utf-8")) * unit / 1e6, 1)


def _film_row(item: Mapping[str, Any], mask_file: Path, truth: str) -> dict[str, Any]:
    """A film's scores from a mask alone: without probabilities there is no area under a curve."""
    found = torch.from_numpy((read_label_map(mask_file) > 0)[None].astype(np.float32))
    row = film_row(Path(str(item["image"])).stem, item, found, read_label_map(item["label"]).astype(int), truth)
    return {**row, "average_precision": float("nan")}
