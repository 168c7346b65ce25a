"""The same weights read in several ways: label protocols, one pass or two, with and without the mirrored film."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd
from numpy.typing import NDArray
from tqdm import tqdm

from cmnet_monai.conventions import (
    CENTRE_CHANNEL,
    LEVELS_PROTOCOL,
    LUMBAR_CHANNEL,
    LUMBAR_PROTOCOL,
    S1_CHANNEL,
    VISIBLE_PROTOCOL,
)
from cmnet_monai.datasets import read_datalist
from cmnet_monai.engines import FilmInferer, load_weights
from cmnet_monai.evaluation.film_scores import BodyScore, FilmScore, score_film
from cmnet_monai.evaluation.film_variants import VARIANTS, write_variants
from cmnet_monai.evaluation.report import comparison_table
from cmnet_monai.evaluation.score_results import write_scores
from cmnet_monai.io import atomic_write, read_label_map
from cmnet_monai.networks import CMNet, prepare_for_inference
from cmnet_monai.transforms import LabelMapd, SelectVertebraed
from cmnet_monai.transforms.film_preprocessing import FilmPreprocessing

Maps = NDArray[np.floating]
Scores = tuple[list[FilmScore], list[BodyScore]]


@dataclass(frozen=True)
class Way:
    """One way of getting from a film to its vertebrae.

    Args:
        passes: see `FilmInferer`.
        mirror: see `FilmInferer`.
        protocol: which channels are read: all of them ("levels"), all but that of L1-L5 ("visible"), or centres and
            L1-L5 alone, whose lowest body is then L5 by definition ("lumbar").
    """

    passes: int
    mirror: bool
    protocol: str

    def __str__(self) -> str:
        return f"{self.protocol}, {self.passes} pass{'es' * (self.passes > 1)}{', mirrored too' * self.mirror}"


def _lumbar(maps: Maps) -> Maps:
    """Centres inside what looks lumbar, and that in place of the vertebrae."""
    centre = np.where(maps[LUMBAR_CHANNEL] >= 0.5, maps[CENTRE_CHANNEL], 0.0)
    return np.stack([centre, maps[LUMBAR_CHANNEL]])


PROTOCOLS: Mapping[str, Callable[[Maps], Maps]] = MappingProxyType(
    {
        LEVELS_PROTOCOL: lambda maps: maps,
        VISIBLE_PROTOCOL: lambda maps: maps[: S1_CHANNEL + 1],
        LUMBAR_PROTOCOL: _lumbar,
    }
)
SHIPPED = Way(1, True, LEVELS_PROTOCOL)
"""How the bundle reads films."""

WAYS = tuple(
    Way(passes, mirror, protocol) for protocol, passes, mirror in itertools.product(PROTOCOLS, (1, 2), (False, True))
)


def compare_readings(
    runs: Sequence[tuple[Sequence[Mapping[str, Any]], str | Path]],
    folder: str | Path,
    ways: Sequence[Way] = WAYS,
    spatial_size: tuple[int, int] = (288, 384),
    sigma_px: float = 4.0,
    base_channels: int = 16,
) -> Path:
    """Score every way of reading on films with label maps; returns the table ``readings.md``.

    Args:
        runs: films (``image``, ``label``, perhaps ``confidence``) and the weights to read them with. For figures out
            of fold: the test films of each fold with that fold's weights.
        folder: the table goes here, and one folder of scores (see `write_scores`) a way.
        ways: what to compare.
        spatial_size: (x, y) of the network's grid.
        sigma_px: of a prompt's Gaussians, in pixels of that grid.
        base_channels: of the network.
    """
    scores = _read_all(runs, ways, spatial_size, sigma_px, base_channels)
    return _write(Path(folder), "readings.md", {str(way): its_scores for way, its_scores in scores.items()})


def compare_variants(
    runs: Sequence[tuple[Sequence[Mapping[str, Any]], str | Path]],
    folder: str | Path,
    way: Way = SHIPPED,
    spatial_size: tuple[int, int] = (288, 384),
    sigma_px: float = 4.0,
    base_channels: int = 16,
) -> Path:
    """Score films as other machines would have stored them (`VARIANTS`); returns the table ``variants.md``.

    Args:
        runs: see `compare_readings`.
        folder: the variants, their scores and the table go here.
        way: how they are read.
        spatial_size: see `compare_readings`.
        sigma_px: see `compare_readings`.
        base_channels: see `compare_readings`.
    """
    written = [write_variants(items, Path(folder) / f"films_{number}") for number, (items, _) in enumerate(runs)]
    scores = {}
    for name in VARIANTS:
        varied = [(read_datalist(made[name], "test"), weights) for made, (_, weights) in zip(written, runs)]
        scores[name] = _read_all(varied, [way], spatial_size, sigma_px, base_channels)[way]
    return _write(Path(folder), "variants.md", scores)


def _read_all(
    runs: Sequence[tuple[Sequence[Mapping[str, Any]], str | Path]],
    ways: Sequence[Way],
    spatial_size: tuple[int, int],
    sigma_px: float,
    base_channels: int,
) -> dict[Way, Scores]:
    scores: dict[Way, Scores] = {way: ([], []) for way in ways}
    chain = FilmPreprocessing(spatial_size)
    for items, weights in runs:
        network = CMNet(base_channels, s1_channel=True, lumbar_channel=True)
        load_weights(network, weights)
        prepare_for_inference(network)
        for item in tqdm(items, desc=Path(weights).stem, unit="film"):
            for way, (film, bodies) in _score_ways(item, network, chain, ways, sigma_px):
                scores[way][0].append(film)
                scores[way][1].extend(bodies)
    return scores


def _write(folder: Path, report: str, scores: Mapping[str, Scores]) -> Path:
    for name, its_scores in scores.items():
        write_scores(folder / re.sub(r"\W+", "_", name), *its_scores, what=name)
    with atomic_write(folder / report) as temporary:
        Path(temporary).write_text(comparison_table(scores) + "\n", encoding="utf-8")
    return folder / report


def _score_ways(
    item: Mapping[str, Any], network: torch.nn.Module, chain: Compose, ways: Sequence[Way], sigma_px: float
) -> list[tuple[Way, tuple[FilmScore, list[BodyScore]]]]:
    keys, nearest = ("labels", "inside"), [True, False]
    back = Invertd(keys, chain, orig_keys="image", nearest_interp=nearest, to_tensor=True)
    after = Compose([SelectVertebraed("pred", level_keys=keys), back, LabelMapd()])
    data = chain({"image": item["image"]})
    labels = read_label_map(item["label"])
    maps: dict[tuple[int, bool], Maps] = {}
    result = []
    for way in ways:
        asked = (way.passes, way.mirror)
        if asked not in maps:
            inferer = FilmInferer(mirror=way.mirror, passes=way.passes, sigma_px=sigma_px)
            with torch.inference_mode():
                maps[asked] = torch.sigmoid(inferer(data["image"].as_tensor()[None], network))[0].numpy()
        chosen = torch.from_numpy(np.array(PROTOCOLS[way.protocol](maps[asked])))
        read = after({"image": data["image"], "pred": MetaTensor(chosen, meta=data["image"].meta)})
        mask, name = np.asarray(read["pred"][0]) > 0, Path(str(item["image"])).stem
        result.append((way, score_film(name, mask, read["centres"], labels, item.get("confidence"))))
    return result
