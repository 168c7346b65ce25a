"""One section of the report: tables and figures of an experiment, from its results alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmnet_monai.metrics import Interval, compare
from cmnet_monai.paper import figures
from cmnet_monai.paper.definitions import METRICS, REAL, SYNTHETIC, Variant
from cmnet_monai.paper.published import PUBLISHED
from cmnet_monai.paper.results import DONE
from cmnet_monai.paper.stored_results import BODY_STRATA, FILM_STRATA, Results

TITLES = {SYNTHETIC: "Synthetic films of unseen patients", REAL: "Real films, out of fold"}
NOTHING = "-"
PLACES = {"seconds": 2, "centre_error_px": 1, "centres_missed": 2, "centres_false": 2}
Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Head and rows."""


@dataclass(frozen=True)
class Figure:
    """A picture: its file name, its PNG bytes, b"" where there is nothing to draw it from, and what it shows."""

    name: str
    png: bytes
    caption: str


@dataclass(frozen=True)
class Section:
    """What the template shows of an experiment on a test set; what is None or empty is left out."""

    title: str
    quick: bool
    command: str
    rows: Table
    published: dict[str, Any] | None
    tests: dict[str, Any] | None
    costs: Table | None
    strata: Table | None
    figures: Sequence[Figure]
    origin: Sequence[str]


def section(results: Results, real_films: bool = False) -> Section:
    """That of an experiment on a test set; ``real_films``: pictures of real films too."""
    parts = results.experiment.parts
    return Section(
        title=TITLES[results.test_set],
        quick=results.scale == "quick",
        command=results.command,
        rows=_table(results),
        published=_published(results),
        tests=_tests(results) if "tests" in parts else None,
        costs=_costs(results) if "costs" in parts else None,
        strata=_strata(results) if "strata" in parts and results.test_set != REAL and results.done else None,
        figures=list(_figures(results, real_films)) if results.done else [],
        origin=_origin([row for row in results.rows if row["status"] == DONE]),
    )


def cell(found: Interval, metric: str = "dice") -> str:
    """ "0.945 (0.931 to 0.957)"; a dash for what there is none of."""
    places = PLACES.get(metric, 3)
    if not math.isfinite(found.mean):
        return NOTHING
    mean, low, high = (f"{value:.{places}f}" for value in (found.mean, found.low, found.high))
    return f"{mean} ({low} to {high})" if math.isfinite(found.low) else mean


def signed(found: Interval) -> str:
    """ "-0.012 (-0.020 to -0.004)"."""
    if not math.isfinite(found.mean):
        return NOTHING
    mean, low, high = (f"{value:+.3f}" for value in (found.mean, found.low, found.high))
    return f"{mean} ({low} to {high})" if math.isfinite(found.low) else mean


def _table(results: Results) -> Table:
    metrics = results.experiment.metrics
    against = any(variant.against for variant in results.variants)
    groups = any(variant.group for variant in results.variants)
    rows = []
    for v in results.variants:
        state = results.state(v)
        values = [cell(results.interval(v.name, name), name) for name in metrics] if state == DONE else []
        line = [*([v.group] if groups else []), v.title, _seeds(results, v)]
        line += values or [state, *[NOTHING] * (len(metrics) - 1)]
        compared = f"{signed(results.difference(v))} from `{v.against}`" if v.against and values else NOTHING
        rows.append([*line, *([compared] if against else [])])
    head = [*(["question"] if groups else []), "row", "seeds", *(METRICS[name][0] for name in metrics)]
    return [*head, *(["DSC, difference"] if against else [])], rows


def _seeds(results: Results, variant: Variant) -> str:
    """How many seeds a row has, and from where to where their mean DSC goes: the noise of training, which the
    intervals over films do not hold."""
    found = [np.mean(list(results.scores(variant.name, "dice", {s}).values())) for s in results.seeds(variant.name)]
    if len(found) < 2:
        return str(len(found)) if found else NOTHING
    return f"{len(found)}: DSC {min(found):.3f} to {max(found):.3f}"


def _published(results: Results) -> dict[str, Any] | None:
    """The paper's numbers beside those obtained, and whether the paper's order of networks came out."""
    published = PUBLISHED.get(results.experiment.name, {})
    rows, notes = [], []
    for name in (v.name for v in results.variants if v.name in published):
        title, values, note = published[name]
        notes += [f"{title} in the paper: {note}."] if note else []
        for metric, value in values.items():
            own = results.interval(name, metric)
            known = math.isfinite(own.mean)
            obtained = [cell(own, metric), f"{own.mean - value:+.3f}"] if known else ["not run yet", NOTHING]
            rows.append([title, METRICS[metric][0], f"{value:.3f}", *obtained])
    head = ["paper's row", "number", "published", "obtained", "obtained minus published"]
    return {"table": (head, rows), "notes": notes, "order": _order(results, list(published))} if rows else None


def _order(results: Results, names: Sequence[str]) -> str:
    networks = [name for name in ("unet", "modified_unet", "cmnet") if name in names]
    means = {name: results.interval(name).mean for name in networks}
    if len(networks) < 3 or not all(math.isfinite(value) for value in means.values()):
        return ""
    if len(set(means.values())) < 3:
        return "By mean DSC two networks are even."
    found = sorted(networks, key=lambda name: means[name], reverse=True)
    titles = {variant.name: variant.title for variant in results.variants}
    same = found == ["cmnet", "modified_unet", "unet"]
    verdict = "the paper's order" if same else "not the paper's order, which is CM-Net, modified U-Net, U-Net"
    return f"By mean DSC: {' > '.join(titles[name] for name in found)}: {verdict}."


def _tests(results: Results) -> dict[str, Any]:
    titles = {variant.name: variant.title for variant in results.done}
    if len(titles) < 2:
        return {"text": "Tests between the networks: not run yet.", "table": None}
    scores = {name: results.scores(name, "dice") for name in titles}
    films = sorted(set.intersection(*(set(found) for found in scores.values())))
    found = compare({name: [values[film] for film in films] for name, values in scores.items()})
    rows = []
    for pair in found.pairs:
        difference = signed(Interval(pair.difference, pair.low, pair.high, found.films))
        numbers = [_p(pair.p_value), _p(pair.p_holm), f"{pair.rank_biserial:+.2f}"]
        rows.append([titles[pair.first], titles[pair.second], difference, *numbers])
    head = ["first", "second", "DSC, first minus second", "Wilcoxon p", "p, Holm", "rank-biserial"]
    friedman = f"chi-squared {found.friedman:.2f}" if math.isfinite(found.friedman) else "no statistic"
    over = f"{len(titles)} rows and {found.films} films"
    return {"text": f"Friedman's test over {over}: {friedman}, p {_p(found.friedman_p)}.", "table": (head, rows)}


def _p(value: float) -> str:
    if not math.isfinite(value):
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


COSTS = {
    "cost_parameters": ("parameters, million", 1e-6, 1),
    "cost_film_seconds": ("network alone, s a film", 1.0, 3),
    "cost_train_seconds": ("training step, s", 1.0, 2),
    "cost_film_peak_mb": ("peak memory, use, MB", 1.0, 0),
    "cost_train_peak_mb": ("peak memory, training, MB", 1.0, 0),
    "training_seconds": ("training, min", 1 / 60, 1),
}


def _costs(results: Results) -> Table:
    rows = []
    for variant in results.variants:
        found = next((row for row in results.rows if row["variant"] == variant.name), {})
        values = [(found.get(name), factor, places) for name, (_, factor, places) in COSTS.items()]
        rows.append([variant.title, *(NOTHING if v is None else f"{v * f:.{places}f}" for v, f, places in values)])
    return ["network", *(title for title, _, _ in COSTS.values())], rows


def _strata(results: Results) -> Table:
    """DSC of films, and of bodies, in each stratum and for each row."""
    rows = []
    for title, belongs in FILM_STRATA.items():
        films = [results.film_stratum(variant.name, belongs) for variant in results.done]
        rows.append([title, f"{max(i.films for i in films)} films", *(cell(i) for i in films)])
    for title, holds in BODY_STRATA.items():
        bodies = [results.body_stratum(variant.name, holds) for variant in results.done]
        count = f"{max(n for _, n in bodies)} bodies, {max(i.films for i, _ in bodies)} films"
        rows.append([title, count, *(cell(i) for i, _ in bodies)])
    return ["films or bodies", "number", *(variant.title for variant in results.done)], rows


def _figures(results: Results, real_films: bool) -> Iterator[Figure]:
    name, done = results.experiment.name, results.done
    stem, parts = f"{name}_{results.test_set}", results.experiment.parts
    if "curves" in parts:
        counts = {v.title: pooled for v in done if (pooled := _pooled(results, v)) is not None}
        caption = "Precision and recall of all pixels of all films and seeds, with the areas below."
        yield Figure(f"{stem}_curves.png", figures.precision_recall(counts), caption)
    if "masks" in parts and (results.test_set != REAL or real_films):
        pictures = {v.title: files for v in done if (files := _pictures(results, v))}
        png = figures.side_by_side(pictures) if pictures else b""
        yield Figure(f"{stem}_masks.png", png, "The same films: right (green), missed (cyan), false (red).")
    grouped = name == "ablations"  # whose titles say little alone
    titles = {v.name: f"{v.group}: {v.title}" if grouped and v.group else v.title for v in done}
    others = {variant.against for variant in done if variant.against}
    reference = results.interval(others.pop()).mean if len(others) == 1 else None
    caption = "Mean DSC and its 95 % interval over films" + ("." if reference is None else "; dashed: compared with.")
    rows = [(title, results.interval(row)) for row, title in titles.items()]
    yield Figure(f"{stem}_dice.png", figures.intervals(rows, "DSC", reference), caption)
    for line, (group, points) in enumerate(_series(results).items(), start=1):
        caption = f"DSC over: {group}; band: 95 % interval."
        yield Figure(f"{stem}_line{line}.png", figures.lines(points, group, "DSC"), caption)


def _pooled(results: Results, variant: Variant) -> tuple[list[int], list[int]] | None:
    curves = [row["curve"] for row in results.rows_of(variant.name) if row.get("curve")]
    tp, fp = (np.sum([curve[key] for curve in curves], axis=0) for key in ("tp", "fp"))
    return (tp.tolist(), fp.tolist()) if curves else None


def _pictures(results: Results, variant: Variant) -> list[Path]:
    """The kept pictures of a row's first seed, as far as they still lie in the work folder."""
    files = [results.work / name for name in results.rows_of(variant.name)[0].get("pictures", [])]
    return [file for file in files if file.is_file()]


ANCHORS = {
    "Heatmap sigma": ("default", 1.0),
    "Base width": ("default", 1.0),
    "Grid, sigma with it": ("default", 1.0),
    "Learning rate": ("default", 1.0),
    "Number of training films": ("default", 1.0),
    "Share of synthetic films in fine-tuning": ("default", 0.3),
    "Real films in fine-tuning": ("default", 12.0),
    "Missed centres": ("{prompt}_jitter_0", 0.0),
    "False centres": ("{prompt}_jitter_0", 0.0),
}
"""Where the row compared with stands on the axis of a group."""

Points = list[tuple[float, Interval]]


def _series(results: Results) -> dict[str, dict[str, Points]]:
    """Rows that are values of one number, by what is on the axis and then by line; two points make a line."""
    groups: dict[str, dict[str, Points]] = {}
    for variant in results.done:
        if variant.x is not None:
            axis, line = variant.group, "DSC"
            if results.experiment.name == "centre_noise":
                axis, _, line = variant.group.rpartition(", ")
            groups.setdefault(axis, {}).setdefault(line, []).append((variant.x, results.interval(variant.name)))
    for axis, by_line in groups.items():
        for line, points in by_line.items():
            name, x = ANCHORS.get(axis, ("", 0.0))
            name = name.format(prompt="true" if line.startswith("given") else "own")
            anchor = [(x, results.interval(name))] if results.rows_of(name) else []
            by_line[line] = sorted([*points, *anchor], key=lambda point: point[0])
    return {axis: by_line for axis, by_line in groups.items() if max(map(len, by_line.values())) > 1}


def _origin(done: Sequence[dict[str, Any]]) -> list[str]:
    """Commits, machines, data and settings that the numbers come from."""
    if not done:
        return []

    def all_of(key: str) -> str:
        return ", ".join(sorted({str(row[key]) for row in done if row.get(key) not in (None, "")}))

    machine = f"{all_of('cpu')}, threads {all_of('threads')}" + (f", {all_of('gpu')}" if all_of("gpu") else "")
    made = f"commit {all_of('commit')}; torch {all_of('torch')}, MONAI {all_of('monai')}; {machine}"
    texts = [f"{made}; seeds {all_of('seed')}", f"hash of the test films and label maps: {all_of('test_hash')}"]
    for kind, fine_tuned in (("trainings on synthetic films", False), ("fine-tunings", True)):
        found = [s for row in done for name, s in row.get("settings", {}).items() if ("_fold" in name) == fine_tuned]
        if found:
            shared = {k: v for k, v in found[0].items() if all(k in s and s[k] == v for s in found) and k not in UNTOLD}
            listed = ", ".join(f"`{name}={value}`" for name, value in shared.items()) or "none"
            texts.append(f"settings that all {kind} have beyond the bundle's: {listed}")
    return texts


UNTOLD = frozenset({"seed", "val_interval", "device", "num_workers"})
"""Settings that change no result, or that stand elsewhere."""
