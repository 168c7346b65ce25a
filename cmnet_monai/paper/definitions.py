"""What an experiment is made of: films, a training, inference with its weights, and the table that it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from cmnet_monai.conventions import LUMBAR_PROTOCOL

SYNTHETIC, REAL = "synthetic", "real"
BOTH = (SYNTHETIC, REAL)
"""Test sets: synthetic films of unseen patients, and the folds of a folder of real films, each tested out of fold."""
CMNET = "cmnet"
TEST_PATIENTS = 67
"""As many test films as the paper has."""
NO_PROMPT, OWN_CENTRES, TRUE_CENTRES = "none", "own", "true"
BATCH_STATISTICS, FOURIER = "batch statistics", "fourier"
"""Remedies: what is done to weights or films, when they are used and without labels, about a domain that training did
not have."""
LUMBAR_BODIES, ALL_BODIES = "lumbar", "bodies"
"""What is true on a test film: L1-L5, or every thoracic and lumbar body."""


@dataclass(frozen=True)
class FilmSet:
    """Synthetic films, one of each patient.

    Args:
        name: of the set and its folder.
        purpose: "training" or "test".
        seed: of the films; sets of different seeds share no patient, those of one seed show the same ones.
        region: "lumbar" or "thoracic".
        domain: "a" or "b", whose processing; None mixes them.
    """

    name: str
    purpose: str
    seed: int
    region: str = "lumbar"
    domain: str | None = None


FILM_SETS: Mapping[str, FilmSet] = {
    s.name: s
    for s in (
        FilmSet("train_lumbar", "training", 41_001),
        FilmSet("train_domain_a", "training", 41_002, domain="a"),
        FilmSet("train_domain_b", "training", 41_004, domain="b"),
        FilmSet("train_thoracic", "training", 41_003, "thoracic"),
        FilmSet("test_lumbar", "test", 42_001),
        FilmSet("test_domain_a", "test", 42_002, domain="a"),
        FilmSet("test_domain_b", "test", 42_002, domain="b"),
        FilmSet("test_thoracic", "test", 42_004, "thoracic"),
    )
}


@dataclass(frozen=True)
class Training:
    """Weights, made by the bundle's training; equal trainings of several experiments are run once.

    Args:
        network: "cmnet", or a baseline of `cmnet_monai.networks.make_baseline`.
        films: training sets, names of `FILM_SETS`; each counts by its films.
        protocol: label protocol.
        settings: further settings of the bundle's train.json, as (name, value) pairs.
        scaled: settings that are multiples of the default's, whatever that is: (name, factor) pairs.
        overlays: further configs of the bundle, after train.json, pretrain.json and that of the baseline.
        share: share of the training films that are used, from the first on.
        real_films: real films of a fold that fine-tuning sees; None takes all, 0 means no fine-tuning.
        real_share: share of real films in an epoch of fine-tuning; None leaves the bundle's.
        unlabelled: a training set whose films, without their outlines, show another domain; for "look_mixing".
        same_time: as many epochs as fit into the time that CM-Net's training takes, measured on this machine.
    """

    network: str = CMNET
    films: tuple[str, ...] = ("train_lumbar",)
    protocol: str = LUMBAR_PROTOCOL
    settings: tuple[tuple[str, Any], ...] = ()
    scaled: tuple[tuple[str, float], ...] = ()
    overlays: tuple[str, ...] = ()
    share: float = 1.0
    real_films: int | None = None
    real_share: float | None = None
    unlabelled: str = ""
    same_time: bool = False

    @property
    def film_sets(self) -> tuple[str, ...]:
        """Every set of films that it needs."""
        return tuple(dict.fromkeys([*self.films, *([self.unlabelled] if self.unlabelled else [])]))


@dataclass(frozen=True)
class Inference:
    """How weights are used on test films, and what is true there.

    Args:
        films: test set, a name of `FILM_SETS`; real films have folds instead.
        prompt: "none", "own" (the centres that a first pass finds) or "true" (of the outlines: an upper bound).
        jitter_px: standard deviation of noise on each prompted centre, along each axis, pixels of the grid.
        missed: number of prompted centres left out, at random.
        extra: number of false centres added, anywhere inside the film.
        by_name: True: the mask is made of the bodies that are named L1-L5, as the bundle's inference does it; False: of
            every pixel whose vertebra probability is 0.5 or more, as in the paper.
        truth: "lumbar" or "bodies".
        remedy: "", `BATCH_STATISTICS` or `FOURIER`.
        equalise: the film is equalised; False: its range between two percentiles is scaled instead.
    """

    films: str = "test_lumbar"
    prompt: str = NO_PROMPT
    jitter_px: float = 0.0
    missed: int = 0
    extra: int = 0
    by_name: bool = False
    truth: str = LUMBAR_BODIES
    remedy: str = ""
    equalise: bool = True

    def __post_init__(self) -> None:
        if (
            self.prompt not in (NO_PROMPT, OWN_CENTRES, TRUE_CENTRES)
            or self.remedy not in ("", BATCH_STATISTICS, FOURIER)
            or self.truth not in (LUMBAR_BODIES, ALL_BODIES)
        ):
            raise ValueError(f"no such prompt, remedy or truth: {self}")
        if self.prompt == NO_PROMPT and (self.jitter_px or self.missed or self.extra):
            raise ValueError("centre noise needs a prompt")


@dataclass(frozen=True)
class Variant:
    """One row of a table.

    Args:
        name: short, unique within the experiment.
        title: what the table calls it.
        training: how its weights are made.
        inference: how they are used.
        group: heading that rows of one question share; figures draw each group apart.
        against: name of the row that this one's DSC is compared with, film by film where both have the same films.
        x: place on a figure's axis, where the rows of a group are values of one number.
        quick: part of the quick run.
        test_sets: where it makes sense.
        unavailable: why it cannot be run; the row then says so.
        external: the program that writes its record into the work folder, ``external/<name>.json``.
    """

    name: str
    title: str
    training: Training = field(default_factory=Training)
    inference: Inference = field(default_factory=Inference)
    group: str = ""
    against: str = ""
    x: float | None = None
    quick: bool = True
    test_sets: tuple[str, ...] = BOTH
    unavailable: str = ""
    external: str = ""


@dataclass(frozen=True)
class Experiment:
    """One question, its rows, and the table or figure of the paper that it answers.

    Args:
        name: of its commands and files.
        title: heading.
        answers: table or figure of the paper, or what goes beyond it.
        question: what is asked.
        variants: its rows.
        metrics: columns, names of `METRICS`.
        test_sets: where it is measured.
        differs: what is not as in the paper, whatever the numbers are.
        parts: of the report beyond its table: "tests" between the rows, "strata" by finding, "curves", "masks",
            "costs" of each network.
    """

    name: str
    title: str
    answers: str
    question: str
    variants: tuple[Variant, ...]
    metrics: tuple[str, ...]
    test_sets: tuple[str, ...] = BOTH
    differs: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    def rows(self, test_set: str, quick: bool = False) -> tuple[Variant, ...]:
        """Its variants on a test set, all or those of the quick run."""
        return tuple(v for v in self.variants if test_set in v.test_sets and (v.quick or not quick))


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Args:
        name: "full" or "quick".
        training_films: films of each training set.
        validation_films: further films that training looks at once, at its end.
        test_films: films of each test set, one a patient.
        height_px: height of the synthetic films.
        settings: settings of every training, over those of train.json and pretrain.json.
        seeds: seeds of training, by default.
    """

    name: str
    training_films: int
    validation_films: int
    test_films: int
    height_px: int
    settings: Mapping[str, Any]
    seeds: tuple[int, ...]

    @property
    def quick(self) -> bool:
        """Whether it only shows that everything runs."""
        return self.name == "quick"


FULL = Scale("full", 1200, 24, TEST_PATIENTS, 640, {"epoch_length": 400, "max_epochs": 12}, (0, 1, 2))
_SMALL = {"spatial_size": [64, 96], "base_channels": 8, "heatmap_sigma": 2.0, "batch_size": 2, "epoch_length": 12}
_SHORT = {"max_epochs": 2, "learning_rate": 0.01, "ema_decay": 0.0, "elastic_px": 0.0}
QUICK = Scale("quick", 4, 1, 4, 128, _SMALL | _SHORT, (0,))

METRICS: Mapping[str, tuple[str, str]] = {
    "dice": ("DSC", "Dice of the foreground, 2 TP / (2 TP + FP + FN), of each film at its own size; mean over films"),
    "dice_classes": (
        "DSC, classes",
        "mean of the foreground's and the background's Dice of each film; mean over films",
    ),
    "dice_pooled": ("DSC, pooled", "Dice of the foreground from the counts of all films together"),
    "accuracy": ("accuracy", "(TP + TN) / all pixels of each film; mean over films"),
    "precision": ("precision", "TP / (TP + FP) of each film, 0 where nothing is found; mean over films"),
    "recall": ("recall", "TP / (TP + FN) of each film; mean over films"),
    "average_precision": (
        "AUPRC",
        "area under the precision-recall curve of each film's pixels, as a sum of rectangles over 200 thresholds; mean "
        "over films",
    ),
    "body_dice": (
        "DSC of bodies",
        "Dice of each true body with the part of the mask that lies nearer to it than to any other true body; "
        "mean over the film's bodies, then over films",
    ),
    "centres_missed": (
        "missed centres",
        "true centres of a film with none within 20 pixels of the grid; mean over films",
    ),
    "centres_false": ("false centres", "centres found with no true one within 20 pixels of the grid; mean over films"),
    "centre_error_px": (
        "centre error",
        "distance of matched centres, pixels of the grid; mean over a film, then films",
    ),
    "seconds": ("s a film", "seconds from the film's file to its probability map, on the machine of the row"),
}
"""Column heading and definition of every number in the tables."""
MEASURED = tuple(name for name in METRICS if name != "dice_pooled")
"""Numbers that every film has by itself."""


def as_plain(thing: Any) -> dict[str, Any]:
    """Fields of a frozen definition that differ from their defaults, for identities and records."""
    return {f.name: getattr(thing, f.name) for f in fields(thing) if getattr(thing, f.name) != f.default}
