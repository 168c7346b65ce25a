"""Where experiments lie, how large they are, and which films there are."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cmnet_monai.datasets import read_datalist, synthesize, write_datalist
from cmnet_monai.datasets.splits import SECTIONS
from cmnet_monai.evaluation.records import data_hash, identity_of
from cmnet_monai.io.files.json import read_json, write_json
from cmnet_monai.paper.definitions import FILM_SETS, FULL, REAL, SYNTHETIC, Scale, Training

SYNTHETIC_PART = 0.2
"""Share of the synthetic training films that fine-tuning takes along."""


@dataclass(frozen=True)
class Workspace:
    """Everything that runs of experiments share.

    Args:
        work: folder for films, weights, measurements and results.
        bundle: folder of the bundle.
        test_set: "synthetic" or "real".
        scale: how large everything is.
        real: folder with ``fold_0.json`` ... of real films.
        settings: settings of training over all others: by name, or ``pretrain.NAME``, ``finetune.NAME``.
        workers: processes that make films; None uses every core.
        device: of training and measurement; "" finds it.
    """

    work: Path
    bundle: Path
    test_set: str = SYNTHETIC
    scale: Scale = FULL
    real: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    workers: int | None = None
    device: str = ""

    @property
    def on_real(self) -> bool:
        """Whether real films are tested."""
        return self.test_set == REAL

    @property
    def folds(self) -> int:
        """Number of folds of real films; 0 without a folder of them."""
        folder = self.real
        if not self.on_real or folder is None:
            return 0
        return next(k for k in itertools.count() if not (folder / f"fold_{k}.json").is_file())

    @property
    def results(self) -> Path:
        """Folder of the results."""
        return self.work / "results" / self.test_set

    def torch_device(self) -> torch.device:
        """Where networks run."""
        return torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def settings_of(self, part: str) -> dict[str, Any]:
        """Settings of "pretrain" or "finetune": those of the scale, then those of the user."""
        general = {name: value for name, value in self.settings.items() if "." not in name}
        prefix = f"{part}."
        own = {n.removeprefix(prefix): v for n, v in self.settings.items() if n.startswith(prefix)}
        sized = self.scale.settings if part == "pretrain" or self.scale.quick else {}
        return {**sized, **general, **own}

    def set_spec(self, name: str) -> dict[str, Any]:
        """All that the films of a set follow from, the generator's code apart."""
        films, scale = FILM_SETS[name], self.scale
        count = scale.test_films if films.purpose == "test" else scale.training_films + scale.validation_films
        options = {"region": films.region, "look": films.domain, "height_px": scale.height_px}
        return {"count": count, "seed": films.seed, **options}

    def set_folder(self, name: str) -> Path:
        """Folder of a set of synthetic films."""
        return self.work / "films" / name

    def has_set(self, name: str) -> bool:
        """Whether all films of a set are there."""
        done = read_json(self.set_folder(name) / "complete.json")
        return done is not None and done["spec"] == self.set_spec(name)

    def make_set(self, name: str) -> None:
        """Make a set of synthetic films; films that are there already are kept."""
        spec, folder = self.set_spec(name), self.set_folder(name)
        synthesize(folder, workers=self.workers, progress=False, **spec)
        write_json(folder / "complete.json", {"spec": spec, "data_hash": data_hash(self.set_items(name))})

    def set_items(self, name: str) -> list[dict[str, Any]]:
        """All films of a set, in the order of their numbers."""
        folder = self.set_folder(name)
        content = read_json(folder / "datalist.json")
        items = [item for section in SECTIONS if content[section] for item in read_datalist(folder, section)]
        return sorted(items, key=lambda item: str(item["image"]))[: self.set_spec(name)["count"]]

    def set_hash(self, name: str) -> str:
        """Hash of a set's films and label maps, `records.data_hash`."""
        return str(read_json(self.set_folder(name) / "complete.json")["data_hash"])

    def training_items(self, training: Training) -> dict[str, list[dict[str, Any]]]:
        """Training and validation films of a training on synthetic films."""
        chosen: dict[str, list[dict[str, Any]]] = {"training": [], "validation": []}
        count = self.scale.training_films
        for name in training.films:
            items = self.set_items(name)
            chosen["training"] += items[: max(1, round(training.share * count))]
            chosen["validation"] += items[count:]
        return chosen

    def fold_items(self, fold: int, section: str) -> list[dict[str, Any]]:
        """Films of a section of a fold of real films; none where the fold has none there."""
        if self.real is None:
            raise ValueError("real films need their folder")
        file = self.real / f"fold_{fold}.json"
        return read_datalist(file, section) if (read_json(file) or {}).get(section) else []

    def fold_hash(self, fold: int) -> str:
        """Hash of a fold's films and label maps and of what section each is in."""
        return identity_of({s: data_hash(self.fold_items(fold, s)) for s in SECTIONS})

    def write_fold_films(self, training: Training, fold: int, folder: Path) -> None:
        """A fold's ``real.json``, its training films, and ``synthetic.json``, synthetic ones, with validation films."""
        real = self.fold_items(fold, "training") + self.fold_items(fold, "validation")
        write_datalist(folder / "real.json", {"training": real[: training.real_films]})
        synthetic = self.training_items(training)
        part = synthetic["training"][: max(1, round(SYNTHETIC_PART * len(synthetic["training"])))]
        write_datalist(folder / "synthetic.json", {**synthetic, "training": part})
