"""The same weights with several settings of inference: label protocols, passes, the mirrored film; and on the same
films as other machines would have stored them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from cmnet_monai.evaluation.score_results import comparison_table, write_scores
from cmnet_monai.io import read_label_map
from cmnet_monai.io.files.atomic import write_text
from cmnet_monai.networks import CMNet, prepare_for_inference
from cmnet_monai.transforms import LabelMapd, SelectVertebraed
from cmnet_monai.transforms.film_preprocessing import FilmPreprocessing

Maps = NDArray[np.floating]
Scores = tuple[list[FilmScore], list[BodyScore]]
Runs = Sequence[tuple[Sequence[Mapping[str, Any]], str | Path]]


@dataclass(frozen=True)
class Setting:
    """How inference gets from a film to its vertebrae.

    Args:
        passes: see `FilmInferer`.
        mirror: see `FilmInferer`.
        protocol: which channels are used: all of them ("levels"), all but that of L1-L5 ("visible"), or centres and
            L1-L5 alone, whose lowest body is then L5 by definition ("lumbar").
    """

    passes: int = 1
    mirror: bool = True
    protocol: str = LEVELS_PROTOCOL

    def __str__(self) -> str:
        return f"{self.protocol}, {self.passes} pass{'es' * (self.passes > 1)}{', mirrored too' * self.mirror}"


@dataclass(frozen=True)
class Grid:
    """What the weights were trained with: (x, y) size, sigma of a prompt's Gaussians on it, base channels."""

    spatial_size: tuple[int, int] = (288, 384)
    sigma_px: float = 4.0
    base_channels: int = 16


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
SHIPPED = Setting()
"""That of the bundle."""

SETTINGS = tuple(
    Setting(passes, mirror, protocol)
    for protocol, passes, mirror in itertools.product(PROTOCOLS, (1, 2), (False, True))
)


def compare_settings(
    runs: Runs, folder: str | Path, settings: Sequence[Setting] = SETTINGS, grid: Grid | None = None
) -> Path:
    """Score every setting on films with label maps; returns the table ``settings.md``.

    Args:
        runs: films (``image``, ``label``, perhaps ``confidence``) and the weights to use on them. For figures out
            of fold: the test films of each fold with that fold's weights.
        folder: the table goes here, and one folder of scores (see `write_scores`) a setting.
        settings: what to compare.
        grid: that of the weights.
    """
    scores = _score_all(runs, settings, grid or Grid())
    return _write(Path(folder) / "settings.md", {str(setting): found for setting, found in scores.items()})


def compare_variants(runs: Runs, folder: str | Path, setting: Setting = SHIPPED, grid: Grid | None = None) -> Path:
    """Score films as other machines would have stored them (`VARIANTS`); returns the table ``variants.md``.

    The variants, their scores and the table go into ``folder``; for the rest see `compare_settings`.
    """
    written = [write_variants(items, Path(folder) / f"films_{number}") for number, (items, _) in enumerate(runs)]
    scores = {}
    for name in VARIANTS:
        varied = [(read_datalist(made[name], "test"), weights) for made, (_, weights) in zip(written, runs)]
        scores[name] = _score_all(varied, [setting], grid or Grid())[setting]
    return _write(Path(folder) / "variants.md", scores)


def _write(table: Path, scores: Mapping[str, Scores]) -> Path:
    for name, found in scores.items():
        write_scores(table.parent / re.sub(r"\W+", "_", name), *found, what=name)
    return write_text(table, comparison_table(scores) + "\n")


def _score_all(runs: Runs, settings: Sequence[Setting], grid: Grid) -> dict[Setting, Scores]:
    scores: dict[Setting, Scores] = {setting: ([], []) for setting in settings}
    prepare = FilmPreprocessing(grid.spatial_size)
    for items, weights in runs:
        network = CMNet(grid.base_channels, s1_channel=True, lumbar_channel=True)
        load_weights(network, weights)
        prepare_for_inference(network)
        for item in tqdm(items, desc=Path(weights).stem, unit="film"):
            for setting, (film, bodies) in _score_film(item, network, prepare, settings, grid.sigma_px):
                scores[setting][0].append(film)
                scores[setting][1].extend(bodies)
    return scores


def _score_film(
    item: Mapping[str, Any], network: torch.nn.Module, prepare: Compose, settings: Sequence[Setting], sigma_px: float
) -> Iterator[tuple[Setting, tuple[FilmScore, list[BodyScore]]]]:
    keys, nearest = ("labels", "inside"), [True, False]
    back = Invertd(keys, prepare, orig_keys="image", nearest_interp=nearest, to_tensor=True)
    after = Compose([SelectVertebraed("pred", level_keys=keys), back, LabelMapd()])
    data = prepare({"image": item["image"]})
    labels = read_label_map(item["label"])
    maps: dict[tuple[int, bool], Maps] = {}
    for setting in settings:
        passes = (setting.passes, setting.mirror)
        if passes not in maps:
            inferer = FilmInferer(mirror=setting.mirror, passes=setting.passes, sigma_px=sigma_px)
            with torch.inference_mode():
                maps[passes] = torch.sigmoid(inferer(data["image"].as_tensor()[None], network))[0].numpy()
        chosen = torch.from_numpy(np.array(PROTOCOLS[setting.protocol](maps[passes])))
        found = after({"image": data["image"], "pred": MetaTensor(chosen, meta=data["image"].meta)})
        mask, name = np.asarray(found["pred"][0]) > 0, Path(str(item["image"])).stem
        yield setting, score_film(name, mask, found["centres"], labels, item.get("confidence"))
