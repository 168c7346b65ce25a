"""Fits the decoder's numbers on films with label maps: weights by conditional likelihood, then their calibration."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize, special
from torch import Tensor
from tqdm import tqdm

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.decode.candidates import Candidates
from cmnet_monai.decode.chain_model import LEVELS, total
from cmnet_monai.decode.evidence import KINDS, Evidence, gather_evidence
from cmnet_monai.decode.naming import UPWARDS, NamingModel
from cmnet_monai.decode.pipeline import candidates_of, read_maps
from cmnet_monai.evaluation.map_faults import with_faults
from cmnet_monai.evaluation.stress import FilmMapper, MappedFilm, mapped_films, score_names
from cmnet_monai.io import atomic_write

_LEAST_DICE, _NEAR_BEST = 0.5, 0.04
_BONUS, _NEVER, _MOST_LOSS = 40.0, -1e4, 12.0
_PART_WEIGHT, _FAULTY_WEIGHT = 0.5, 0.5
_FLAGGED_RIGHT, _USUAL = 0.05, ("whole film", "mirrored")
_LOOKS = {"S1": -0.2, "L5": 0.5, "L4-L2": 0.5, "L1": 0.5, "T12": -0.4, "T11": -0.5, "upper": -0.5}
_SQUARES = {"size2": -4.0, "height2": -4.0, "width2": -2.0}
_STEP = {f"{which} by {unit}": weight for which in ("one", "more") for unit, weight in _SQUARES.items()}
_STEP |= {"passes 1": -2.0, "passes 2": -1.0, "area2": -1.0}
PRIOR: Mapping[str, Mapping[str, float]] = {
    "element": {
        **{"body centre": 0.5, "body bone": 0.3, "body area2": -1.0, "body crumb": 2.0, "body long2": -1.0},
        **{"body second centre": -1.0, "body sure second centre": -3.0, "level2": -0.5, "level2 small": -0.5},
        **{"S1 centre": 0.1, "S1 bone": 0.2, "S1 area2": -0.5, "S1 crumb": 1.0, "S1 sacral": 0.8},
        **{"L5 sacral": -0.3, "upper sacral": -0.5},
        **{f"{name} lumbar whole": weight for name, weight in _LOOKS.items()},
        **{f"{name} lumbar part": 0.3 * weight for name, weight in _LOOKS.items()},
    },
    "start": {"any": -0.5, "room": -0.5},
    "end": {"body": -1.0, "body room": -0.5},
    "step": {f"{to} {name}": weight for to in ("body", "S1") for name, weight in _STEP.items()},
    "bend": {"body turn2": -2.0, "body growth2": -3.0, "S1 turn2": -0.5, "S1 growth2": -1.0},
}
"""Where the weights start, and what they are drawn to; 0 for all others."""


@dataclass(frozen=True)
class Example:
    """A film's evidence and what its true chains are.

    Args:
        evidence: of its candidates.
        allowed: which candidates may bear which level, (N, LEVELS).
        wanted: those of them that are a true vertebra, (N, LEVELS).
        vertebrae: how many true vertebrae there are among the candidates.
        weight: of the film in the fit.
    """

    evidence: Evidence
    allowed: Tensor
    wanted: Tensor
    vertebrae: int
    weight: float


def make_example(mapped: MappedFilm, weight: float = 1.0) -> Example | None:
    """The example that a film gives; None where the maps hold fewer than two of its vertebrae.

    A candidate is a true vertebra if it overlaps it as well as any does. Candidates that overlap no outline may be
    levels above the highest outlined one, or below the lowest: outlines need not go on to the edge of the film.
    """
    found = candidates_of(mapped.maps, film_box=mapped.box)
    if found is None:
        return None
    inside = np.array([np.bincount(mapped.truth[found.mask(i)], minlength=256) for i in range(len(found))])
    true_area = np.bincount(mapped.truth.ravel(), minlength=256)
    wanted = np.zeros((len(found), LEVELS), dtype=bool)
    rows = {}
    for level, name in enumerate(UPWARDS):
        label = LABEL_OF_LEVEL[name]
        if true_area[label]:
            rows[level] = float(np.nonzero(mapped.truth == label)[1].mean())
            dice = 2 * inside[:, label] / (true_area[label] + found.area_px)
            # The lower edge of S1 is a guess.
            least = _LEAST_DICE - 0.1 * (name == "S1")
            wanted[:, level] = dice >= max(least, dice.max() - _NEAR_BEST)
    vertebrae = int(wanted.any(axis=0).sum())
    if vertebrae < 2:
        return None
    allowed = wanted | _beyond(found, inside, rows)
    return Example(gather_evidence(found), torch.from_numpy(allowed), torch.from_numpy(wanted), vertebrae, weight)


def _beyond(found: Candidates, inside: NDArray[np.integer], rows: Mapping[int, float]) -> NDArray[np.bool_]:
    """Levels that candidates without an outline may have, (N, LEVELS)."""
    free = inside[:, 1:].sum(axis=1) < 0.1 * found.area_px
    levels = np.arange(LEVELS)
    above = (free & (found.centre_xy[:, 1] < rows[max(rows)]))[:, None] & (levels > max(rows))
    below = (free & (found.centre_xy[:, 1] > rows[min(rows)]))[:, None] & (levels < min(rows))
    return np.asarray(above | below)


def example_loss(example: Example, rows: Mapping[str, Tensor]) -> Tensor:
    """Negative log-likelihood of the film's true chains among all its chains."""
    scores = example.evidence.weighted(rows)
    true = (scores.element + _BONUS * example.wanted).masked_fill(~example.allowed, _NEVER)
    both = replace(scores, element=torch.stack([scores.element, true]))
    every, right = total(both, example.evidence.steps).unbind()
    return every - (right - _BONUS * example.vertebrae)


def fit_weights(
    examples: Sequence[Example],
    epochs: int = 8,
    rate: float = 0.15,
    batch: int = 12,
    seed: int = 0,
    start: NamingModel | None = None,
) -> NamingModel:
    """Weights of greatest conditional likelihood, with a normal prior of variance 1 around `PRIOR`.

    ``start`` is where the search begins, the prior's middle by default.
    """
    names = examples[0].evidence.names
    begin = PRIOR if start is None else start.weights
    prior, rows = (
        {kind: torch.tensor([at[kind].get(name, 0.0) for name in names[kind]]) for kind in KINDS}
        for at in (PRIOR, begin)
    )
    for row in rows.values():
        row.requires_grad_()
    optimiser = torch.optim.Adam(list(rows.values()), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    order = np.random.default_rng(seed)
    for _ in tqdm(range(epochs), desc="fit", unit="epoch"):
        for chosen in np.array_split(order.permutation(len(examples)), max(len(examples) // batch, 1)):
            optimiser.zero_grad()
            losses = [examples[i].weight * example_loss(examples[i], rows).clamp(max=_MOST_LOSS) for i in chosen]
            spread = sum(((rows[kind] - prior[kind]) ** 2).sum() for kind in KINDS)
            (torch.stack(losses).mean() + 0.5 * spread / len(examples)).backward()
            optimiser.step()
        schedule.step()
    fitted = {kind: dict(zip(names[kind], np.round(rows[kind].tolist(), 4).tolist())) for kind in KINDS}
    return NamingModel(fitted)


def calibrate(model: NamingModel, films: Iterable[tuple[MappedFilm, bool]]) -> NamingModel:
    """The model with its probabilities calibrated by Platt's method, and the limit below which names are uncertain.

    Args:
        model: with fitted weights.
        films: each with whether it is one that must not be flagged without need. The limit is where one in twenty of
            those of them that are right would be.
    """
    plain = replace(model, intercept=0.0, slope=1.0)
    scores, usual = [], []
    for film, is_usual in films:
        scores.append(score_names(read_maps(film.maps, film_box=film.box, model=plain), film.truth))
        usual.append(is_usual)
    odds = special.logit(np.clip([s.probability for s in scores], 1e-4, 1 - 1e-4))
    right = np.array([not s.wrong for s in scores])
    target = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))

    def loss(parameters: NDArray[np.floating]) -> float:
        at = parameters[0] + parameters[1] * odds
        return float(np.sum(np.logaddexp(0, at) - target * at))

    intercept, slope = optimize.minimize(loss, [0.0, 1.0], bounds=[(None, None), (0.05, None)]).x
    fitted = replace(model, intercept=round(float(intercept), 4), slope=round(float(slope), 4))
    sure = special.expit(intercept + slope * odds[right & np.array(usual)])
    return replace(fitted, uncertain_below=round(float(np.quantile(sure, _FLAGGED_RIGHT)), 3))


def run_fit(
    items: Sequence[Mapping[str, Any]], mapper: FilmMapper, output: str | Path, epochs: int = 8, about: str = ""
) -> Path:
    """Fit on films with ``image`` and ``label`` under every variant of the stress suite, once as they are and once
    with faults in their maps; writes the model as JSON."""
    films: list[tuple[MappedFilm, bool]] = []
    examples = []
    for variant, name, mapped in mapped_films(items, mapper):
        part = _PART_WEIGHT if "the middle of L2" in variant else 1.0
        rng = np.random.default_rng(zlib.crc32(f"{variant} {name}".encode()))
        faulty = replace(mapped, maps=with_faults(mapped.maps, mapped.truth, rng))
        films += [(mapped, variant in _USUAL), (faulty, False)]
        examples += [make_example(mapped, part), make_example(faulty, part * _FAULTY_WEIGHT)]
    model = fit_weights([e for e in examples if e is not None], epochs)
    model = calibrate(model, films)
    record = {**asdict(model), "fitted_on": about, "maps": len(films)}
    with atomic_write(Path(output)) as temporary:
        Path(temporary).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return Path(output)
