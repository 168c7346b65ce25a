"""Films and bodies with implants, fractures by Genant grade, and cement, apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cmnet_monai.metrics import Interval, mean_interval
from cmnet_monai.paper.blocks import Block, Heading, Table, Text

if TYPE_CHECKING:
    from cmnet_monai.paper.stored_results import Results

Film = dict[str, Any]
Body = dict[str, Any]

FILM_STRATA: Mapping[str, Callable[[Film], bool]] = {
    "no fracture, implant or cement": lambda f: not (f["grade"] or f["implant"] or f["cement"]),
    "highest fracture grade 1": lambda f: f["grade"] == 1,
    "highest fracture grade 2": lambda f: f["grade"] == 2,
    "highest fracture grade 3": lambda f: f["grade"] == 3,
    "implant": lambda f: bool(f["implant"]),
    "cement": lambda f: bool(f["cement"]),
}
BODY_STRATA: Mapping[str, Callable[[Body], bool]] = {
    "bodies without a finding": lambda b: not (b["grade"] or b["cement"] or b["screws"]),
    "bodies of grade 1": lambda b: b["grade"] == 1,
    "bodies of grade 2": lambda b: b["grade"] == 2,
    "bodies of grade 3": lambda b: b["grade"] == 3,
    "bodies with screws": lambda b: bool(b["screws"]),
    "bodies with cement": lambda b: bool(b["cement"]),
}


def strata_table(results: Results) -> list[Block]:
    """DSC of films, and of bodies, in each stratum and for each row; a film may be in several strata."""
    from cmnet_monai.paper.sections import cell

    done = [variant for variant in results.variants if results.rows_of(variant.name)]
    if not done:
        return [Text("Films with implants, fractures and cement: not run yet.")]
    rows = []
    for title, belongs in FILM_STRATA.items():
        found = [film_stratum(results, variant.name, belongs) for variant in done]
        rows.append([title, f"{max(i.films for i in found)} films", *(cell(i) for i in found)])
    for title, holds in BODY_STRATA.items():
        bodies = [body_stratum(results, variant.name, holds) for variant in done]
        count = max(n for _, n in bodies)
        rows.append([title, f"{count} bodies, {max(i.films for i, _ in bodies)} films", *(cell(i) for i, _ in bodies)])
    text = (
        "DSC by finding. A film's bodies of a stratum are averaged first, and intervals resample films; a film "
        "may be in several strata."
    )
    head = ["films or bodies", "number", *(variant.title for variant in done)]
    return [Heading("By finding", 4), Text(text), Table(head, rows)]


def film_stratum(results: Results, variant: str, belongs: Callable[[Film], bool]) -> Interval:
    """Mean DSC of the films of a stratum, each the mean over seeds."""
    names = {f["film"] for f in results.films if f["variant"] == variant and "grade" in f and belongs(f)}
    scores = results.scores(variant, "dice")
    return mean_interval([score for name, score in scores.items() if name in names])


def body_stratum(results: Results, variant: str, holds: Callable[[Body], bool]) -> tuple[Interval, int]:
    """Mean Dice of the bodies of a stratum, averaged within a film and over seeds, and the number of bodies."""
    by_film: dict[str, list[float]] = {}
    bodies = set()
    for film in results.films:
        if film["variant"] != variant:
            continue
        for body in film.get("bodies", []):
            if "grade" in body and holds(body):
                by_film.setdefault(film["film"], []).append(float(body["dice"]))
                bodies.add((film["film"], body["level"]))
    return mean_interval([float(np.mean(values)) for values in by_film.values()]), len(bodies)
