"""Weights of an experiment, trained once through the bundle and found again by what they were made of; and what a
network costs on this machine."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cmnet_monai.datasets import write_datalist
from cmnet_monai.evaluation.records import identity_of, provenance
from cmnet_monai.io.files.json import read_json, write_json
from cmnet_monai.paper.definitions import CMNET, Training, as_plain
from cmnet_monai.paper.workspace import Workspace

COSTS = ("parameters", "train_seconds", "film_seconds", "train_peak_mb", "film_peak_mb")


@dataclass(frozen=True)
class TrainingRun:
    """A training on synthetic films, or its fine-tuning on a fold of real ones.

    Args:
        space: where it runs.
        training: what it is.
        seed: of everything random.
        fold: fold of real films to fine-tune on; None: synthetic films.
    """

    space: Workspace
    training: Training
    seed: int
    fold: int | None = None

    @property
    def before(self) -> TrainingRun | None:
        """The run whose weights this one starts from."""
        return None if self.fold is None else self.on_synthetic

    @property
    def on_synthetic(self) -> TrainingRun:
        """The same training without what concerns real films."""
        plain = {k: v for k, v in as_plain(self.training).items() if not k.startswith("real_")}
        return TrainingRun(self.space, Training(**plain), self.seed)

    @property
    def title(self) -> str:
        """A line for progress."""
        t = self.training
        details = [t.network, " + ".join(t.films), t.protocol, *(f"{name}={value}" for name, value in t.settings)]
        details += [f"{factor:.3g} times {name}" for name, factor in t.scaled]
        details += [f"overlay {name}" for name in t.overlays]
        details += [f"{t.share:g} of the films"] if t.share != 1 else []
        where = "" if self.fold is None else f", fold {self.fold}"
        return f"train {', '.join(details)}, seed {self.seed}{where}"

    @property
    def configs(self) -> list[str]:
        """Configs of the bundle, in order."""
        names = ["train", "pretrain", *(["finetune"] if self.fold is not None else [])]
        names += ["baseline"] if self.training.network != CMNET else []
        return [str(self.space.bundle / "configs" / f"{name}.json") for name in [*names, *self.training.overlays]]

    def settings(self) -> dict[str, Any]:
        """Overrides of the configs that the weights depend on, paths apart."""
        t, space = self.training, self.space
        chosen = {**space.settings_of("pretrain" if self.fold is None else "finetune"), **dict(t.settings)}
        chosen |= {name: scaled(self._default(name, chosen), factor) for name, factor in t.scaled}
        chosen |= {"label_protocol": t.protocol, "seed": self.seed, "val_interval": "@max_epochs"}
        if t.network != CMNET:
            chosen["network_name"] = t.network
        if t.same_time and self.fold is None:
            chosen["max_epochs"] = epochs_in_time_of_cmnet(space, t)
        if space.scale.quick:
            chosen["num_workers"] = 0
        if space.device:
            chosen["device"] = space.device
        return chosen

    def _default(self, name: str, chosen: Mapping[str, Any]) -> Any:
        """A setting as given, else as the last of the configs that has it says."""
        found = [config[name] for config in map(read_json, self.configs) if config and name in config]
        return chosen[name] if name in chosen else found[-1]

    def identity(self) -> str:
        """Hash of configs, settings, films and what came before."""
        configs = [{k: v for k, v in (read_json(path) or {}).items() if k != "_help_"} for path in self.configs]
        settings = {k: v for k, v in self.settings().items() if k not in ("device", "num_workers")}
        films = {name: self.space.set_spec(name) for name in self.training.film_sets}
        parts: list[Any] = [configs, settings, films, self.training.share]
        if self.before is not None and self.fold is not None:
            real = (self.training.real_films, self.training.real_share)
            parts += [self.before.identity(), self.space.fold_hash(self.fold), real]
        return identity_of(*parts)

    @property
    def folder(self) -> Path:
        """Folder of its checkpoints."""
        fold = "" if self.fold is None else f"_fold{self.fold}"
        return self.space.work / "trainings" / f"{self.training.network}{fold}_{self.identity()}"

    @property
    def weights(self) -> Path:
        """The weights to use: those at the end of training (their moving average)."""
        return self.folder / "run" / "best.pt"

    def record(self) -> dict[str, Any] | None:
        """What was noted when it ended; None before."""
        return read_json(self.folder / "trained.json")

    def run(self) -> None:
        """Train, going on from the last whole epoch of a run that was broken off."""
        from monai.bundle import ConfigWorkflow

        start = time.monotonic()
        overrides: dict[str, Any] = {**self.settings(), **self._paths()}
        if self.training.unlabelled:
            overrides["look_dir"] = str(self.space.set_folder(self.training.unlabelled) / "films")
        overrides |= {"train#dataset#progress": False, "validate#dataset#progress": False}
        overrides |= {"logging_file": False, "bundle_root": str(self.space.bundle)}
        workflow = ConfigWorkflow(config_file=self.configs, workflow_type="training", **overrides)
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
            "data_hash": {name: self.space.set_hash(name) for name in self.training.film_sets},
            **provenance(),
        }
        write_json(self.folder / "trained.json", record)

    def _paths(self) -> dict[str, Any]:
        folder = self.folder
        if self.before is None or self.fold is None:
            write_datalist(folder / "films.json", self.space.training_items(self.training))
            films = str(folder / "films.json")
            return {"dataset_dir": films, "validation_dir": films, "output_dir": str(folder / "run")}
        self.space.write_fold_films(self.training, self.fold, folder)
        share, synthetic = self.training.real_share, str(folder / "synthetic.json")
        chosen: dict[str, Any] = {
            "dataset_dir": str(folder / "real.json"),
            "validation_dir": synthetic,
            "extra_dirs": [] if share == 1 else [synthetic],
            "output_dir": str(folder / "run"),
            "init_weights": str(self.before.weights),
        }
        return chosen if share is None else {**chosen, "shares": [share, 1 - share] if share < 1 else None}

    def resolved(self, name: str) -> Any:
        """A value of the resolved config, such as "network_def" or "spatial_size"."""
        from monai.bundle import ConfigParser

        parser = ConfigParser()
        parser.read_config(self.configs)
        parser.update({"bundle_root": str(self.space.bundle), **self.settings()})
        return parser.get_parsed_content(name)


def scaled(value: Any, factor: float) -> Any:
    """A setting times a factor: a grid's sides to multiples of 16, whole numbers whole.

    >>> scaled([144, 192], 4 / 3), scaled(16, 0.5), scaled(4.0, 0.75)
    ([192, 256], 8, 3.0)
    """
    if isinstance(value, list | tuple):
        return [max(16, 16 * round(side * factor / 16)) for side in value]
    return max(1, round(value * factor)) if isinstance(value, int) else value * factor


def costs_file(space: Workspace, training: Training) -> Path:
    """Where the costs of a training's network are noted."""
    key = identity_of(training.network, sorted(space.settings_of("pretrain").items()), sorted(training.settings))
    return space.work / "costs" / f"{training.network}_{key}.json"


def network_costs(space: Workspace, training: Training) -> dict[str, Any]:
    """Costs of a network, measured once: in a process of its own, so that its memory is its own too; quick runs use
    this process, and give no memory.

    Returns:
        ``train_seconds``: of a step, forward and backward, of one batch; ``film_seconds``: of one film, forward alone;
        ``train_peak_mb`` and ``film_peak_mb``: peak memory, of the process on a CPU, of the tensors on a GPU;
        ``parameters``; and where it was measured.
    """
    file = costs_file(space, training)
    found = read_json(file)
    if found is None:
        if space.scale.quick:
            found = measure_costs(space, training, steps=1)
        else:
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                found = pool.submit(measure_costs, space, training).result()
        write_json(file, found)
    return dict(found)


def measure_costs(space: Workspace, training: Training, steps: int = 4) -> dict[str, Any]:
    """Time steps on random films, after one that does not count; see `network_costs`."""
    from cmnet_monai.engines import with_precision
    from cmnet_monai.networks import keep_freed_memory

    run = TrainingRun(space, replace(training, same_time=False), seed=0)
    keep_freed_memory()
    device = space.torch_device()
    network, loss = with_precision(run.resolved("network_def").to(device)), run.resolved("loss")
    size, batch = run.resolved("spatial_size"), int(run.resolved("batch_size"))
    film = torch.rand(1, 1, *size, device=device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-5)

    def infer() -> None:
        with torch.inference_mode():
            network(film)

    def learn() -> None:
        optimizer.zero_grad()
        logits = network(film.expand(batch, -1, -1, -1))
        loss(logits, torch.zeros_like(logits)).backward()
        optimizer.step()

    found: dict[str, Any] = {"network": training.network, "spatial_size": list(size), "batch_size": batch}
    found["parameters"] = sum(p.numel() for p in network.parameters())
    for name, work in (("film", infer), ("train", learn)):
        network.train(name == "train")
        found[f"{name}_seconds"] = _seconds(work, device, steps)
        if device.type == "cuda":
            found[f"{name}_peak_mb"] = round(torch.cuda.max_memory_allocated(device) / 1e6, 1)
        else:  # other work of this process would be counted too
            found[f"{name}_peak_mb"] = None if space.scale.quick else process_peak_mb()
    return {**found, **provenance()}


def _seconds(work: Callable[[], None], device: torch.device, steps: int) -> float:
    """Median seconds of a call, after one that does not count."""
    times = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def process_peak_mb() -> float | None:
    """Peak resident memory of this process in MB of 10^6 bytes; None where the system does not tell it.

    From Linux's own count of the program that runs now: getrusage would hand down the peak of the parent process.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    lines = (line.split() for line in status.read_text(encoding="utf-8").splitlines())
    return next((round(int(parts[1]) * 1024 / 1e6, 1) for parts in lines if parts[:1] == ["VmHWM:"]), None)


def epochs_in_time_of_cmnet(space: Workspace, training: Training) -> int:
    """Epochs of a network that take as long as CM-Net's training: in the ratio of the seconds of their steps."""
    cmnet = Training(films=training.films)
    own, reference = network_costs(space, training), network_costs(space, cmnet)
    epochs = int(TrainingRun(space, cmnet, seed=0).resolved("max_epochs"))
    return max(1, round(epochs * reference["train_seconds"] / own["train_seconds"]))
