"""Weights of an experiment: trained once through the bundle, found again by what they were made of."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmnet_monai.evaluation.records import identity_of, provenance, read_json, write_json
from cmnet_monai.paper.costs import epochs_in_time_of_cmnet
from cmnet_monai.paper.definitions import CMNET, Training, as_plain
from cmnet_monai.paper.workspace import Bench

RECORD = "trained.json"
PATHS = frozenset({"dataset_dir", "validation_dir", "extra_dirs", "output_dir", "init_weights"})


@dataclass(frozen=True)
class TrainingRun:
    """A training on synthetic films, or its fine-tuning on a fold of real ones.

    Args:
        bench: what it runs on.
        training: what it is.
        seed: of everything random.
        fold: fold of real films to fine-tune on; None: synthetic films.
    """

    bench: Bench
    training: Training
    seed: int
    fold: int | None = None

    @property
    def before(self) -> TrainingRun | None:
        """The run whose weights this one starts from."""
        return None if self.fold is None else TrainingRun(self.bench, self.training_on_synthetic, self.seed)

    @property
    def training_on_synthetic(self) -> Training:
        """The training without what concerns real films."""
        plain = {k: v for k, v in as_plain(self.training).items() if not k.startswith("real_")}
        return Training(**plain)

    @property
    def title(self) -> str:
        """A line for progress."""
        details = [f"{name}={value}" for name, value in self.training.settings]
        details += [f"{factor:.3g} times {name}" for name, factor in self.training.scaled]
        details += [f"overlay {name}" for name in self.training.overlays]
        details += [f"{self.training.share:g} of the films"] if self.training.share != 1 else []
        what = ", ".join([self.training.network, " + ".join(self.training.films), self.training.protocol, *details])
        where = "" if self.fold is None else f", fold {self.fold}"
        return f"train {what}, seed {self.seed}{where}"

    @property
    def configs(self) -> list[str]:
        """Configs of the bundle, in order."""
        names = ["train", "pretrain"]
        names += ["finetune"] if self.fold is not None else []
        names += ["baseline"] if self.training.network != CMNET else []
        return [str(self.bench.bundle / "configs" / f"{name}.json") for name in [*names, *self.training.overlays]]

    def settings(self) -> dict[str, Any]:
        """Overrides of the configs that the weights depend on, paths apart."""
        part = "pretrain" if self.fold is None else "finetune"
        chosen = {**self.bench.settings_of(part), **dict(self.training.settings)}
        chosen |= {name: scaled(self._default(name, chosen), factor) for name, factor in self.training.scaled}
        chosen |= {"label_protocol": self.training.protocol, "seed": self.seed, "val_interval": "@max_epochs"}
        if self.training.network != CMNET:
            chosen["network_name"] = self.training.network
        if self.training.same_time and self.fold is None:
            chosen["max_epochs"] = epochs_in_time_of_cmnet(self.bench, self.training)
        if self.bench.scale.name == "quick":
            chosen["num_workers"] = 0
        if self.bench.device:
            chosen["device"] = self.bench.device
        return chosen

    def _default(self, name: str, chosen: Mapping[str, Any]) -> Any:
        """A setting as given, else as the last of the configs that has it says."""
        found = [config[name] for config in map(read_json, self.configs) if config and name in config]
        return chosen[name] if name in chosen else found[-1]

    def identity(self) -> str:
        """Hash of configs, settings, films and what came before."""
        configs = [{k: v for k, v in (read_json(path) or {}).items() if k != "_help_"} for path in self.configs]
        free = ("device", "num_workers")
        settings = {k: v for k, v in self.settings().items() if k not in free}
        films = {name: self.bench.set_spec(name) for name in self.training.film_sets}
        parts: list[Any] = [configs, settings, films, self.training.share]
        if self.before is not None and self.fold is not None:
            real = (self.training.real_films, self.training.real_share)
            parts += [self.before.identity(), self.bench.fold_hash(self.fold), real]
        return identity_of(*parts)

    @property
    def folder(self) -> Path:
        """Folder of its checkpoints."""
        fold = "" if self.fold is None else f"_fold{self.fold}"
        return self.bench.work / "trainings" / f"{self.training.network}{fold}_{self.identity()}"

    @property
    def weights(self) -> Path:
        """The weights to use: those at the end of training (their moving average)."""
        return self.folder / "run" / "best.pt"

    def record(self) -> dict[str, Any] | None:
        """What was noted when it ended; None before."""
        return read_json(self.folder / RECORD)

    def run(self) -> None:
        """Train, going on from the last whole epoch of a run that was broken off."""
        from monai.bundle import ConfigWorkflow

        start = time.monotonic()
        overrides = {**self.settings(), **self._paths()}
        if self.training.unlabelled:
            overrides["look_dir"] = str(self.bench.set_folder(self.training.unlabelled) / "films")
        overrides |= {"train#dataset#progress": False, "validate#dataset#progress": False}
        workflow = ConfigWorkflow(
            config_file=self.configs,
            workflow_type="training",
            logging_file=False,
            bundle_root=str(self.bench.bundle),
            **overrides,
        )
        workflow.initialize()
        workflow.run()
        workflow.finalize()
        if not self.weights.is_file():
            raise RuntimeError(f"{self.folder}: training ended without weights; its loss was not a number")
        record = {
            "title": self.title,
            "settings": self.settings(),
            "configs": [Path(path).stem for path in self.configs],
            "seconds": round(time.monotonic() - start, 1),
            "films_drawn": self.films_drawn(),
            "data_hash": {name: self.bench.set_hash(name) for name in self.training.film_sets},
            **provenance(),
        }
        write_json(self.folder / RECORD, record)

    def _paths(self) -> dict[str, Any]:
        folder = self.folder
        if self.fold is None:
            self.bench.write_training_films(self.training, folder / "films.json")
            films = str(folder / "films.json")
            return {"dataset_dir": films, "validation_dir": films, "output_dir": str(folder / "run")}
        self.bench.write_fold_films(self.training, self.fold, folder)
        share = self.training.real_share
        chosen: dict[str, Any] = {
            "dataset_dir": str(folder / "real.json"),
            "validation_dir": str(folder / "synthetic.json"),
            "extra_dirs": [str(folder / "synthetic.json")],
            "output_dir": str(folder / "run"),
            "init_weights": str(self.before.weights) if self.before is not None else "",
        }
        if share is not None:
            chosen["shares"] = [share, 1 - share] if share < 1 else None
            chosen["extra_dirs"] = chosen["extra_dirs"] if share < 1 else []
        return chosen

    def resolved(self, name: str) -> Any:
        """A value of the resolved config, such as "network_def" or "spatial_size"."""
        from monai.bundle import ConfigParser

        parser = ConfigParser()
        parser.read_config(self.configs)
        parser.update({"bundle_root": str(self.bench.bundle), **self.settings()})
        return parser.get_parsed_content(name)

    def films_drawn(self) -> int:
        """Films that training goes through, over all epochs."""
        length = int(self.resolved("epoch_length")) or self.bench.scale.training_films
        return length * int(self.resolved("max_epochs"))


def scaled(value: Any, factor: float) -> Any:
    """A setting times a factor: a grid's sides to multiples of 16, whole numbers whole.

    >>> scaled([144, 192], 4 / 3), scaled(16, 0.5), scaled(4.0, 0.75)
    ([192, 256], 8, 3.0)
    """
    if isinstance(value, list | tuple):
        return [max(16, 16 * round(side * factor / 16)) for side in value]
    return max(1, round(value * factor)) if isinstance(value, int) else value * factor
