"""Names and bodies under stress: films cut, tilted, mirrored, coarse and spoilt, and how far the naming knows it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from numpy.typing import NDArray
from PIL import Image
from skimage.transform import resize, rotate
from tqdm import tqdm

from cmnet_monai.conventions import LABEL_OF_LEVEL, LUMBAR_LABELS
from cmnet_monai.decode import VertebraReading, read_maps
from cmnet_monai.engines import FilmInferer, load_weights
from cmnet_monai.evaluation.calibration import reliability
from cmnet_monai.io import atomic_write, read_film, read_label_map
from cmnet_monai.networks import CMNet, prepare_for_inference
from cmnet_monai.transforms import without_slivers
from cmnet_monai.transforms.film_preprocessing import prepare_film
from cmnet_monai.transforms.post_vertebrae import film_box

Pixels = NDArray[np.floating]
Labels = NDArray[np.uint8]
Change = Callable[[Pixels, Labels], tuple[Pixels, Labels]]

_SAME_BODY = 0.5
"""Dice from which on a predicted body is a true one."""


def _cut(pixels: Pixels, labels: Labels, upper: bool) -> tuple[Pixels, Labels]:
    """The part above or below the middle of L2; half the film where there is no L2."""
    rows = np.flatnonzero((labels == LABEL_OF_LEVEL["L2"]).any(axis=0))
    row = int(rows.mean()) if len(rows) else labels.shape[1] // 2
    kept = (slice(None), slice(None, row) if upper else slice(row, None))
    return pixels[kept], without_slivers(labels[kept], labels)


def _tilted(pixels: Pixels, labels: Labels, degrees: float) -> tuple[Pixels, Labels]:
    nearest = rotate(labels, degrees, resize=True, order=0, preserve_range=True)
    return rotate(pixels, degrees, resize=True, order=1), nearest.astype(np.uint8)


def _coarse(pixels: Pixels, labels: Labels, height_px: int = 230) -> tuple[Pixels, Labels]:
    size = (max(round(pixels.shape[0] * height_px / pixels.shape[1]), 1), height_px)
    nearest = resize(labels, size, order=0, anti_aliasing=False, preserve_range=True)
    return resize(pixels, size, order=1, anti_aliasing=True), nearest.astype(np.uint8)


def _compressed(pixels: Pixels, labels: Labels, quality: int = 12) -> tuple[Pixels, Labels]:
    stored = io.BytesIO()
    Image.fromarray(np.rint(255 * pixels.T).astype(np.uint8)).save(stored, format="JPEG", quality=quality)
    return np.asarray(Image.open(stored)).T / 255.0, labels


def _pale(pixels: Pixels, labels: Labels) -> tuple[Pixels, Labels]:
    """A quarter of the contrast, and noise of 1.2 % of the full range."""
    noise = np.random.default_rng(0).normal(0, 0.012, pixels.shape)
    return np.clip(0.5 + 0.25 * (pixels - 0.5) + noise, 0, 1), labels


def _ruled(pixels: Pixels, labels: Labels, lines: int = 12) -> tuple[Pixels, Labels]:
    """A burnt-in grid of white lines."""
    ruled, step = np.array(pixels), max(pixels.shape[1] // lines, 2)
    for offset in range(max(pixels.shape[1] // 400, 1)):
        ruled[offset::step] = ruled[:, offset::step] = 1
    return ruled, labels


VARIANTS: Mapping[str, Change] = MappingProxyType(
    {
        "whole film": lambda pixels, labels: (pixels, labels),
        "above the middle of L2": lambda pixels, labels: _cut(pixels, labels, upper=True),
        "below the middle of L2": lambda pixels, labels: _cut(pixels, labels, upper=False),
        "tilted by 30 degrees": lambda pixels, labels: _tilted(pixels, labels, 30),
        "tilted by -30 degrees": lambda pixels, labels: _tilted(pixels, labels, -30),
        "mirrored": lambda pixels, labels: (pixels[::-1], labels[::-1]),
        "230 pixels high": _coarse,
        "JPEG of quality 12": _compressed,
        "a quarter of the contrast": _pale,
        "burnt-in grid": _ruled,
    }
)
"""What is done to a film (x, y), scaled to 0..1, and its label map."""


@dataclass(frozen=True)
class MappedFilm:
    """A film as the network sees and answers it.

    Args:
        maps: probabilities, (C, x, y).
        box: see `cmnet_monai.decode.read_maps`.
        truth: label map on the same grid, (x, y).
    """

    maps: NDArray[np.floating]
    box: NDArray[np.floating] | None
    truth: Labels


class FilmMapper:
    """The network's answer to films in memory, the mirrored film averaged in as inference does it.

    Args:
        weights: a flat state_dict, or a training checkpoint.
        spatial_size: (x, y) of the network's grid.
        base_channels: of the network.
        level_channel: whether the network has one.
    """

    def __init__(
        self,
        weights: str | Path,
        spatial_size: tuple[int, int] = (288, 384),
        base_channels: int = 16,
        level_channel: bool = False,
    ) -> None:
        self.network = CMNet(base_channels, s1_channel=True, lumbar_channel=True, level_channel=level_channel)
        load_weights(self.network, weights)
        prepare_for_inference(self.network)
        self.prepare = Compose(prepare_film(spatial_size))
        self.inferer = FilmInferer(mirror=True)

    def __call__(self, pixels: Pixels, labels: Labels) -> MappedFilm:
        """Maps of a film (x, y), scaled to 0..1, and its label map."""
        stored = np.ascontiguousarray(np.rint(255 * pixels), dtype=np.float32)
        arrays = {"image": stored, "label": np.ascontiguousarray(labels, dtype=np.float32)}
        data = self.prepare({key: MetaTensor(torch.from_numpy(array)[None]) for key, array in arrays.items()})
        with torch.inference_mode():
            maps = torch.sigmoid(self.inferer(data["image"].as_tensor()[None], self.network))[0].numpy()
        return MappedFilm(maps, film_box(data["image"]), data["label"][0].numpy().astype(np.uint8))


@dataclass(frozen=True)
class NameScore:
    """What one reading is worth.

    Args:
        bodies: number of true L1-L5.
        found: how many of them a predicted body overlaps with Dice above one half.
        named: how many of these bear their own name.
        wrong: predicted L1-L5 that are another vertebra.
        probability: that the names are right, says the reading.
        flagged: the reading calls its levels uncertain.
    """

    bodies: int
    found: int
    named: int
    wrong: int
    probability: float
    flagged: bool


def score_names(reading: VertebraReading, truth: Labels) -> NameScore:
    """Compare a reading with a label map on the same grid, (x, y).

    >>> truth = np.zeros((40, 80), dtype=np.uint8)
    >>> truth[10:30, 10:30], truth[10:30, 40:60] = 23, 24  # L4, L5
    >>> shifted = VertebraReading((), np.where(truth > 0, truth - 1, 0).astype(np.uint8), truth > 99, 0.6)
    >>> score_names(shifted, truth)
    NameScore(bodies=2, found=2, named=0, wrong=2, probability=0.6, flagged=False)
    """
    counts = np.zeros((256, 256), dtype=np.int64)
    np.add.at(counts, (reading.label_map.ravel(), truth.ravel()), 1)
    dice = 2 * counts / np.maximum(counts.sum(axis=1)[:, None] + counts.sum(axis=0)[None], 1)
    true = [label for label in LUMBAR_LABELS if (truth == label).any()]
    best = {label: int(np.argmax(dice[1:, label])) + 1 for label in true if dice[1:, label].max() > _SAME_BODY}
    wrong = 0
    for label in LUMBAR_LABELS:
        hit = int(np.argmax(counts[label, 1:])) + 1
        wrong += bool(counts[label, hit] > 0.3 * counts[label].sum() > 0 and hit != label)
    named = sum(label == name for label, name in best.items())
    return NameScore(len(true), len(best), named, wrong, reading.probability, reading.levels_uncertain)


def mapped_films(
    items: Sequence[Mapping[str, Any]], mapper: FilmMapper, variants: Mapping[str, Change] = VARIANTS
) -> Iterator[tuple[str, str, MappedFilm]]:
    """Name of the variant, name of the film and maps, of films with ``image`` and ``label`` files."""
    for item in tqdm(items, desc="films", unit="film"):
        pixels, labels = read_film(item["image"]).pixels.astype(np.float64), read_label_map(item["label"])
        scaled = (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1e-9)
        for name, change in variants.items():
            yield name, Path(str(item["image"])).stem, mapper(*change(scaled, labels))


def run_stress(
    sets: Mapping[str, Sequence[Mapping[str, Any]]],
    folder: str | Path,
    mapper: FilmMapper,
    doubtful: Sequence[str] = (),
) -> Path:
    """Read films under every variant; writes ``stress.md``, ``stress.csv`` and ``reliability.png``.

    Args:
        sets: films with ``image`` and ``label``, by the name of their set.
        folder: where the results go.
        mapper: the network.
        doubtful: names of films whose true levels are doubtful; they are left out.
    Returns:
        The table.
    """
    scores: dict[tuple[str, str], list[NameScore]] = {}
    lines = ["set,variant,film,bodies,found,named,wrong,probability,flagged"]
    for kind, items in sets.items():
        for variant, film, mapped in mapped_films(items, mapper):
            if film not in doubtful:
                score = score_names(read_maps(mapped.maps, film_box=mapped.box), mapped.truth)
                scores.setdefault((kind, variant), []).append(score)
                lines.append(",".join(map(str, (kind, variant, film, *vars(score).values()))))
    every = [score for group in scores.values() for score in group]
    figures = reliability(np.array([s.probability for s in every]), np.array([not s.wrong for s in every]))
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    _plot(figures["bins"], target / "reliability.png")
    for name, text in (("stress.csv", "\n".join(lines)), ("stress.md", stress_table(scores, figures))):
        with atomic_write(target / name) as temporary:
            Path(temporary).write_text(text + "\n", encoding="utf-8")
    return target / "stress.md"


def stress_table(scores: Mapping[tuple[str, str], Sequence[NameScore]], figures: Mapping[str, Any]) -> str:
    """Markdown: one row a set and variant, then the reliability of the names' probability."""
    rows = [
        "| set | variant | films | L1-L5 | found | named | all names shifted | a wrong name | of these flagged "
        "| right, but flagged |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (kind, variant), group in scores.items():
        bodies = sum(s.bodies for s in group)
        wrong, right = [s for s in group if s.wrong], [s for s in group if not s.wrong]
        shares = [f"{100 * sum(getattr(s, what) for s in group) / max(bodies, 1):.1f} %" for what in ("found", "named")]
        shifted = sum(s.found > 0 and s.named == 0 and s.wrong > 0 for s in group)
        counts = [shifted, len(wrong), sum(s.flagged for s in wrong), sum(s.flagged for s in right)]
        rows.append("| " + " | ".join(map(str, [kind, variant, len(group), bodies, *shares, *counts])) + " |")
    rows += ["", "| probability of the names | films | mean | no wrong name |", "|---|---|---|---|"]
    for one in figures["bins"]:
        numbers = f"{one['mean_confidence']:.2f} | {one['share_right']:.2f}"
        rows.append(f"| {one['from']:g} to {one['to']:g} | {one['bodies']} | {numbers} |")
    return "\n".join(
        [*rows, "", f"Expected calibration error {figures['ece']:.3f}, Brier score {figures['brier']:.3f}."]
    )


def _plot(bins: Sequence[Mapping[str, float]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.scatter(
        [b["mean_confidence"] for b in bins], [b["share_right"] for b in bins], [10 + 2 * b["bodies"] for b in bins]
    )
    axes.set(xlabel="probability of the names", ylabel="share of films without a wrong name", xlim=(0, 1), ylim=(0, 1))
    figure.savefig(path, dpi=150)
