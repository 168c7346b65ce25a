"""The bench that experiments run on: where things lie, how large they are, and which films there are."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmnet_monai.datasets import read_datalist, synthesize, write_datalist
from cmnet_monai.datasets.splits import SECTIONS
from cmnet_monai.evaluation.records import data_hash, identity_of, read_json, write_json
from cmnet_monai.paper.definitions import FILM_SETS, FULL, REAL, SYNTHETIC, Scale, Training

SYNTHETIC_PART = 0.2
"""Share of the synthetic training films that fine-tuning takes along."""


@dataclass(frozen=True)
class Bench:
    """Everything that runs of experiments share.

    Args:
        work: folder for films, weights, measurements and results.
        bundle: folder of the bundle.
        bed: test bed, "synthetic" or "real".
        scale: how large everything is.
        real: folder with ``fold_0.json`` ... of real films, for the test bed "real".
        settings: settings of training over all others: by name, or ``pretrain.NAME``, ``finetune.NAME``.
        workers: processes that make films; None uses every core.
        device: of training and measurement; "" finds it.
    """

    work: Path
    bundle: Path
    bed: str = SYNTHETIC
    scale: Scale = FULL
    real: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    workers: int | None = None
    device: str = ""

    @property
    def folds(self) -> int:
        """Number of folds of real films; 0 without a folder of them."""
        if self.bed != REAL or self.real is None:
            return 0
        folder = self.real
        return next(k for k in itertools.count() if not (folder / f"fold_{k}.json").is_file())

    def settings_of(self, part: str) -> dict[str, Any]:
        """Settings of "pretrain" or "finetune": those of the scale, then those of the user."""
        general = {name: value for name, value in self.settings.items() if "." not in name}  # not nnunet.trainer
        prefix = f"{part}."
        own = {n.removeprefix(prefix): v for n, v in self.settings.items() if n.startswith(prefix)}
        sized = self.scale.settings if part == "pretrain" or self.scale.name != FULL.name else {}
        return {**sized, **general, **own}

    def set_spec(self, name: str) -> dict[str, Any]:
        """All that the films of a set follow from, the generator's code apart."""
        films = FILM_SETS[name]
        scale = self.scale
        count = scale.test_films if films.purpose == "test" else scale.training_films + scale.validation_films
        return {
            "count": count,
            "seed": films.seed,
            "region": films.region,
            "look": films.look,
            "height_px": scale.height_px,
        }

    def set_folder(self, name: str) -> Path:
        """Folder of a set of synthetic films."""
        return self.work / "films" / name

    def has_set(self, name: str) -> bool:
        """Whether all films of a set are there."""
        done = read_json(self.set_folder(name) / "complete.json")
        return done is not None and done["spec"] == self.set_spec(name)

    def make_set(self, name: str) -> None:
        """Make a set of synthetic films; films that are there already are kept."""
        spec = self.set_spec(name)
        folder = self.set_folder(name)
        options = {key: spec[key] for key in ("region", "look", "height_px")}
        synthesize(folder, spec["count"], spec["seed"], workers=self.workers, progress=False, **options)
        items = self._items(name)
        write_json(folder / "complete.json", {"spec": spec, "data_hash": data_hash(items)})

    def _items(self, name: str) -> list[dict[str, Any]]:
        """All films of a set, in the order of their numbers."""
        folder = self.set_folder(name)
        content = read_json(folder / "datalist.json")
        items = [item for section in SECTIONS if content[section] for item in read_datalist(folder, section)]
        return sorted(items, key=lambda item: str(item["image"]))[: self.set_spec(name)["count"]]

    def test_items(self, name: str) -> list[dict[str, Any]]:
        """Films of a test set."""
        return self._items(name)

    def set_hash(self, name: str) -> str:
        """Hash of a set's films and label maps, `records.data_hash`."""
        return str(read_json(self.set_folder(name) / "complete.json")["data_hash"])

    def training_items(self, training: Training) -> dict[str, list[dict[str, Any]]]:
        """Training and validation films of a training on synthetic films."""
        chosen: dict[str, list[dict[str, Any]]] = {"training": [], "validation": []}
        count = self.scale.training_films
        for name in training.films:
            items = self._items(name)
            chosen["training"] += items[: max(1, round(training.share * count))]
            chosen["validation"] += items[count:]
        return chosen

    def fold_items(self, fold: int, section: str) -> list[dict[str, Any]]:
        """Films of a section of a fold of real films; none where the fold has none there."""
        if self.real is None:
            raise ValueError("the test bed of real films needs their folder")
        file = self.real / f"fold_{fold}.json"
        return read_datalist(file, section) if (read_json(file) or {}).get(section) else []

    def fold_hash(self, fold: int) -> str:
        """Hash of a fold's films and label maps and of what section each is in."""
        return identity_of({s: data_hash(self.fold_items(fold, s)) for s in SECTIONS})

    def write_training_films(self, training: Training, file: Path) -> None:
        """The datalist of a training on synthetic films."""
        write_datalist(file, self.training_items(training))

    def write_fold_films(self, training: Training, fold: int, folder: Path) -> None:
        """A fold's ``real.json``, its training films, and ``synthetic.json``, synthetic ones, with validation films."""
        real = self.fold_items(fold, "training") + self.fold_items(fold, "validation")
        write_datalist(folder / "real.json", {"training": _first(real, training.real_films)})
        synthetic = self.training_items(training)
        part = _first(synthetic["training"], max(1, round(SYNTHETIC_PART * len(synthetic["training"]))))
        write_datalist(folder / "synthetic.json", {**synthetic, "training": part})


def _first(items: Sequence[dict[str, Any]], count: int | None) -> list[dict[str, Any]]:
    return list(items if count is None else items[:count])
