"""The recipe of the shipped weights: pretrain on synthetic films, fine-tune on real ones, measure, average.

Each fold's weights are the mean of the pretrained and the fine-tuned ones, which keeps what the many synthetic films
taught about rare spines (Wortsman et al., 2022, arXiv 2109.01903); the share, one half, is theirs and was not tuned.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cmnet_monai.conventions import LEVEL_OF_LABEL
from cmnet_monai.datasets import read_datalist, write_datalist
from cmnet_monai.evaluation.film_scores import BodyScore, FilmScore
from cmnet_monai.evaluation.score_results import film_table, score_results, summary_table, write_scores
from cmnet_monai.io.files.atomic import write_text
from cmnet_monai.io.files.json import read_json, write_json

SHARED_SETTINGS = frozenset({"spatial_size", "heatmap_sigma", "label_protocol", "base_channels"})
"""Settings of a training that inference with its weights must have as well."""

MODEL = "model.pt"
"""The mean of the folds' weights, packed as the bundle ships them."""

FINE_TUNED = "_finetuned"
"""Ending of the results of a fold's fine-tuned weights before they are averaged with the pretrained ones."""

BEFORE, AFTER = "before the folds", "after the folds"
SECTIONS = ("training", "validation", "test")
SYNTHETIC_PART = (240, 16)
"""Films for training and for validation, of the synthetic ones, that fine-tuning takes along."""


@dataclass(frozen=True)
class Recipe:
    """What a run of the recipe is made of.

    Args:
        work: folder for everything the run makes.
        real: folder with ``fold_0.json`` ... of the real films (``cmnet-monai datalist ... --folds K``).
        bundle: folder of the bundle.
        synthetic: number of synthetic films.
        seed: seed of the synthetic films.
        extra: further data sets for pretraining, such as films made from CT.
        init_weights: weights to start pretraining from; None starts from nothing.
        outlines: folder of ``<film>.json`` with the reader's ``confidence`` for each of its ``vertebrae``.
        settings: overrides of training settings by name, for all trainings (``precision``), or for one of them
            (``pretrain.max_epochs``, ``finetune.max_epochs``). Inference gets those that it needs, `SHARED_SETTINGS`.
            A setting ``coarse.NAME`` puts a training on a coarser grid in front of pretraining, where an epoch costs
            less: ``coarse.spatial_size`` and ``coarse.heatmap_sigma`` should be given.
        overlays: names of further configs of the bundle that all trainings read last, such as ``look_mixing``.
    """

    work: Path
    real: Path
    bundle: Path
    synthetic: int = 2000
    seed: int = 300
    extra: Sequence[Path] = ()
    init_weights: Path | None = None
    outlines: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    overlays: Sequence[str] = ()

    @property
    def coarse(self) -> bool:
        """Whether a training on a coarser grid comes first."""
        return any(name.startswith("coarse.") for name in self.settings)

    def settings_of(self, training: str) -> dict[str, str]:
        """Overrides for one training, "coarse", "pretrain" or "finetune"."""
        general = {name: value for name, value in self.settings.items() if "." not in name}
        prefix = f"{training}."
        return general | {n.removeprefix(prefix): v for n, v in self.settings.items() if n.startswith(prefix)}

    @property
    def folds(self) -> int:
        """Number of folds that ``real`` holds."""
        return next(k for k in itertools.count() if not (self.real / f"fold_{k}.json").is_file())


@dataclass(frozen=True)
class Step:
    """One command of the recipe; it is skipped where it, and all before it, have run to their end before.

    Args:
        name: what it does.
        command: the program and its arguments.
        part: the fold that it belongs to, which no step of another fold waits for; or before, or after all of them.
    """

    name: str
    command: tuple[str, ...]
    part: str = BEFORE

    def identity(self, before: str) -> str:
        """Hash of the command and of the identity of the step before it."""
        return hashlib.sha256("\0".join((before, *self.command)).encode()).hexdigest()


def plan(recipe: Recipe) -> list[Step]:
    """The commands of a recipe, in order; writes the datalists that they need.

    Raises:
        FileNotFoundError: the folder of real films has no folds, or the bundle has no such overlay.
    """
    if recipe.folds < 2:
        raise FileNotFoundError(f"{recipe.real}: no fold_0.json, fold_1.json; make them with `datalist ... --folds 4`")
    for name in recipe.overlays:
        if not (config := recipe.bundle / "configs" / f"{name}.json").is_file():
            raise FileNotFoundError(f"{config}: no such overlay; give its name without folder and ending: look_mixing")
    work = recipe.work
    make = ("-m", "cmnet_monai.cli.main", "synthesize", str(work / "synthetic"), "-n", str(recipe.synthetic))
    steps = [
        Step("synthesize", (sys.executable, *make, "--seed", str(recipe.seed), "--height", "640")),
        *_pretraining(recipe),
        _inference(recipe, "pretrained", work / "pretrain" / "best.pt", "all"),
    ]
    names = [f"fold_{k}" for k in range(recipe.folds)]
    for name in names:
        second = {
            "dataset_dir": str(work / f"{name}.json"),
            "extra_dirs": str([str(work / "synthetic_part.json")]),
            "validation_dir": str(work / "synthetic_part.json"),
            "init_weights": str(work / "pretrain" / "best.pt"),
            "output_dir": str(work / f"finetune_{name}"),
        }
        overrides = {**second, **recipe.settings_of("finetune")}
        before, after = work / "pretrain" / "best.pt", work / f"finetune_{name}" / "best.pt"
        midway = work / f"{name}.pt"
        fold = [
            Step(f"finetune {name}", _training(recipe, ("train", "pretrain", "finetune"), overrides)),
            _inference(recipe, f"{name}{FINE_TUNED}", after, name),
            _average(f"midway {name}", [before, after], midway),
            _inference(recipe, name, midway, name),
        ]
        steps += [replace(step, part=name) for step in fold]
    average = _average("average", [work / f"{name}.pt" for name in names], work / MODEL)
    return [*steps, replace(average, part=AFTER)]


def _pretraining(recipe: Recipe) -> list[Step]:
    """The trainings without real films, each from the weights of the one before."""
    names, weights = ["coarse", "pretrain"] if recipe.coarse else ["pretrain"], recipe.init_weights
    steps = []
    for name in names:
        options = {"dataset_dir": str(recipe.work / "synthetic"), "output_dir": str(recipe.work / name)}
        if recipe.extra:
            options["extra_dirs"] = str([str(path) for path in recipe.extra])
        if weights is not None:
            options["init_weights"] = str(weights)
        steps.append(Step(name, _training(recipe, ("train", "pretrain"), options | recipe.settings_of(name))))
        weights = recipe.work / name / "best.pt"
    return steps


def _training(recipe: Recipe, configs: Sequence[str], overrides: Mapping[str, str]) -> tuple[str, ...]:
    return _bundle(recipe, (*configs, *recipe.overlays), overrides)


def _average(step: str, weights: Sequence[Path], target: Path) -> Step:
    command = (sys.executable, "-m", "cmnet_monai.evaluation", "pack-weights", *map(str, weights), str(target))
    return Step(step, command)


def _bundle(recipe: Recipe, configs: Sequence[str], overrides: Mapping[str, str]) -> tuple[str, ...]:
    files = [str(recipe.bundle / "configs" / f"{name}.json") for name in configs]
    options = [part for name, value in overrides.items() for part in (f"--{name}", value)]
    command = (sys.executable, "-m", "monai.bundle", "run", "--config_file", str(files))
    return (*command, "--bundle_root", str(recipe.bundle), *options)


def _inference(recipe: Recipe, name: str, weights: Path, films: str) -> Step:
    work = recipe.work
    overrides = {
        "dataset_dir": str(work / f"{films}_test.json"),
        "output_dir": str(work / "results" / name),
        "ckpt_path": str(weights),
        **{name: value for name, value in recipe.settings.items() if name in SHARED_SETTINGS},
    }
    return Step(f"inference {name}", _bundle(recipe, ("inference",), overrides))


def run_recipe(recipe: Recipe, say: Callable[[str], None] = print, dry_run: bool = False, jobs: int = 1) -> Path | None:
    """Run what has not run yet, then score; returns the report, None from a dry run.

    Args:
        recipe: what to run.
        say: called with a line before each step.
        dry_run: print the commands alone.
        jobs: folds that run at the same time, sharing the processor's cores.
    Raises:
        RuntimeError: a command failed; the same call goes on from there once the reason is gone.
    """
    steps, identity = plan(recipe), ""
    parts: dict[str, list[Callable[[], None]]] = {}
    for number, step in enumerate(steps, start=1):
        identity = step.identity(identity)
        label = f"[{number}/{len(steps)}] {step.name}"
        run = functools.partial(_run_step, recipe, step, identity, label, say, dry_run, jobs)
        parts.setdefault(step.part, []).append(run)
    failed = threading.Event()
    last = parts.pop(AFTER)
    _run_part(parts.pop(BEFORE), failed)
    with ThreadPoolExecutor(1 if dry_run else jobs) as pool:
        folds = [pool.submit(_run_part, part, failed) for part in parts.values()]
    for fold in folds:
        fold.result()
    _run_part(last, failed)
    return None if dry_run else score_recipe(recipe)


def _run_part(part: Sequence[Callable[[], None]], failed: threading.Event) -> None:
    """Run steps in turn, up to the first after a failure in this part or in another."""
    for run in part:
        if failed.is_set():
            return
        try:
            run()
        except BaseException:
            failed.set()
            raise


def _run_step(
    recipe: Recipe, step: Step, identity: str, label: str, say: Callable[[str], None], dry_run: bool, jobs: int
) -> None:
    """Run a step unless it ran to its end before, and mark it as done."""
    marker = recipe.work / "done" / f"{step.name.replace(' ', '_')}.json"
    done = (read_json(marker) or {}).get("identity") == identity
    say(f"{label}{' (done before)' if done else ''}\n    {shlex.join(step.command)}")
    if done or dry_run:
        return
    if step.name == "pretrain":
        _write_datalists(recipe)
    together = jobs if step.part not in (BEFORE, AFTER) else 1
    seconds = _call(step, recipe.work / "logs" / f"{marker.stem}.log", together)
    write_json(marker, {"identity": identity, "seconds": round(seconds, 1), "command": step.command})


def _call(step: Step, log: Path, together: int = 1) -> float:
    """Seconds that a command took; one of several at the same time gets its share of the cores."""
    log.parent.mkdir(parents=True, exist_ok=True)
    share = {"OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // together, 1))} if together > 1 else {}
    start = time.monotonic()
    with log.open("a", encoding="utf-8") as stream:
        code = subprocess.run(
            step.command, stdout=stream, stderr=subprocess.STDOUT, check=False, env={**share, **os.environ}
        ).returncode
    if code != 0:
        raise RuntimeError(
            f"{step.name} ended with code {code}; its output is in {log}; the same call goes on from here"
        )
    return time.monotonic() - start


def _write_datalists(recipe: Recipe) -> None:
    """The folds with absolute paths, their test films alone and together, and a part of the synthetic films."""
    work = recipe.work
    for k in range(recipe.folds):
        source = recipe.real / f"fold_{k}.json"
        sections = {name: _items(source, name) for name in SECTIONS}
        write_datalist(work / f"fold_{k}.json", sections)
        write_datalist(work / f"fold_{k}_test.json", {"test": sections["test"]})
    everything = [item for k in range(recipe.folds) for item in _items(recipe.real / f"fold_{k}.json", "test")]
    write_datalist(work / "all_test.json", {"test": everything})
    training, validation = (
        read_datalist(work / "synthetic", section)[:count]
        for section, count in zip(("training", "validation"), SYNTHETIC_PART)
    )
    write_datalist(work / "synthetic_part.json", {"training": training, "validation": validation})


def _items(datalist: Path, section: str) -> list[dict[str, Any]]:
    return read_datalist(datalist, section) if read_json(datalist).get(section) else []


def score_recipe(recipe: Recipe) -> Path:
    """Score the out-of-fold results, and those of the weights that saw no real film; returns the report of both."""
    parts = {
        "out of fold": [f"fold_{k}" for k in range(recipe.folds)],
        "out of fold, fine-tuned alone": [f"fold_{k}{FINE_TUNED}" for k in range(recipe.folds)],
        "no real film seen": ["pretrained"],
    }
    scores = {what: _score_part(recipe, what, runs) for what, runs in parts.items()}
    tables = [f"## {what}\n\n{film_table(*its_scores)}" for what, its_scores in scores.items()]
    return write_text(recipe.work / "scores" / "report.md", "\n\n".join([summary_table(scores), *tables]) + "\n")


def _score_part(recipe: Recipe, what: str, runs: Sequence[str]) -> tuple[list[FilmScore], list[BodyScore]]:
    folder = recipe.work / "scores" / what.replace(",", "").replace(" ", "_").replace("-", "_")
    films, bodies = [], []
    for run in runs:
        films_of = "all" if run == "pretrained" else run.removesuffix(FINE_TUNED)
        items = read_datalist(recipe.work / f"{films_of}_test.json", "test")
        items = [{**item, "confidence": _confidence(recipe, item)} for item in items]
        its_films, its_bodies = score_results(items, recipe.work / "results" / run, folder / "overlays")
        films += its_films
        bodies += its_bodies
    write_scores(folder, films, bodies, what=what)
    return films, bodies


def _confidence(recipe: Recipe, item: Mapping[str, Any]) -> dict[str, float]:
    name = f"{Path(str(item['image'])).stem}.json"
    outlined = None if recipe.outlines is None else read_json(recipe.outlines / name)
    vertebrae = outlined["vertebrae"] if outlined else []
    return {LEVEL_OF_LABEL[int(body["label"])]: float(body["confidence"]) for body in vertebrae}
