"""One section of the report: tables and figures of an experiment, from its results alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cmnet_monai.metrics import Interval, compare
from cmnet_monai.paper import figures
from cmnet_monai.paper.blocks import Block, Code, Figure, Heading, Items, Table, Text
from cmnet_monai.paper.definitions import METRICS, REAL, Variant
from cmnet_monai.paper.published import PUBLISHED
from cmnet_monai.paper.results import DONE
from cmnet_monai.paper.stored_results import Results
from cmnet_monai.paper.strata import strata_table

BED_TITLES = {"synthetic": "Synthetic films of unseen patients", REAL: "Real films, out of fold"}
NOTHING = "-"
PLACES = {"seconds": 2, "centre_error_px": 1, "centres_missed": 2, "centres_false": 2}


def section(results: Results, real_films: bool = False) -> list[Block]:
    """Blocks of an experiment on a test bed; ``real_films``: pictures of real films too."""
    blocks: list[Block] = [Heading(BED_TITLES[results.bed], 3)]
    if results.scale == "quick":
        blocks.append(
            Text("**These are numbers of the quick run**: tiny settings that only show that everything runs.")
        )
    if results.command:
        blocks += [Text("Made by"), Code(results.command)]
    blocks += [_table(results), *_published(results)]
    if results.experiment.statistics:
        blocks += _statistics(results)
    if results.experiment.costs:
        blocks.append(_costs(results))
    if results.experiment.strata and results.bed != REAL:
        blocks += strata_table(results)
    blocks += list(_figures(results, real_films))
    return [*blocks, *_origin(results)]


def cell(found: Interval, metric: str = "dice") -> str:
    """ "0.945 (0.931 to 0.957)"; a dash for what there is none of."""
    places = PLACES.get(metric, 3)
    if not math.isfinite(found.mean):
        return NOTHING
    if not math.isfinite(found.low):
        return f"{found.mean:.{places}f}"
    return f"{found.mean:.{places}f} ({found.low:.{places}f} to {found.high:.{places}f})"


def signed(found: Interval) -> str:
    """ "-0.012 (-0.020 to -0.004)"."""
    if not math.isfinite(found.mean):
        return NOTHING
    text = f"{found.mean:+.3f}"
    return text if not math.isfinite(found.low) else f"{text} ({found.low:+.3f} to {found.high:+.3f})"


def _table(results: Results) -> Table:
    metrics = [name for name in results.experiment.metrics if name in METRICS]
    against = any(variant.against for variant in results.variants)
    groups = any(variant.group for variant in results.variants)
    head = [*(["question"] if groups else []), "row", "seeds", *(METRICS[name][0] for name in metrics)]
    rows = []
    for variant in results.variants:
        state = results.state(variant)
        values = [cell(results.interval(variant.name, name), name) for name in metrics] if state == DONE else []
        line = [*([variant.group] if groups else []), variant.title, _seeds(results, variant)]
        line += values or [state, *[NOTHING] * (len(metrics) - 1)]
        rows.append([*line, *([_against(results, variant)] if against else [])])
    return Table([*head, *(["DSC, difference"] if against else [])], rows)


def _seeds(results: Results, variant: Variant) -> str:
    """How many seeds a row has, and from where to where their mean DSC goes: the noise of training, which the
    intervals over films do not hold."""
    found = [np.mean(list(results.scores(variant.name, "dice", {s}).values())) for s in results.seeds(variant.name)]
    if len(found) < 2:
        return str(len(found)) if found else NOTHING
    return f"{len(found)}: DSC {min(found):.3f} to {max(found):.3f}"


def _against(results: Results, variant: Variant) -> str:
    if not variant.against or results.state(variant) != DONE:
        return NOTHING
    return f"{signed(results.difference(variant))} from `{variant.against}`"


def _published(results: Results) -> list[Block]:
    """The paper's numbers beside those obtained."""
    published = PUBLISHED.get(results.experiment.name, {})
    rows, notes = [], []
    for variant in results.variants:
        if variant.name not in published:
            continue
        paper = published[variant.name]
        notes += [f"{paper.title} in the paper: {paper.note}."] if paper.note else []
        for metric, value in paper.values.items():
            own = results.interval(variant.name, metric)
            known = math.isfinite(own.mean)
            obtained = cell(own, metric) if known else "not run yet"
            difference = f"{own.mean - value:+.3f}" if known else NOTHING
            rows.append([paper.title, METRICS[metric][0], f"{value:.3f}", obtained, difference])
    if not rows:
        return []
    head = ["paper's row", "number", "published", "obtained", "obtained minus published"]
    table: list[Block] = [Heading("Published and obtained", 4), Table(head, rows), *([Items(notes)] if notes else [])]
    return [*table, *_order(results, list(published))]


def _order(results: Results, names: Sequence[str]) -> list[Block]:
    """Whether the paper's order of networks came out."""
    networks = [name for name in ("unet", "modified_unet", "cmnet") if name in names]
    means = {name: results.interval(name, "dice").mean for name in networks}
    if len(networks) < 3 or not all(math.isfinite(value) for value in means.values()):
        return []
    found = sorted(networks, key=lambda name: means[name], reverse=True)
    titles = {variant.name: variant.title for variant in results.variants}
    if len(set(means.values())) < 3:
        return [Text("By mean DSC two networks are even.")]
    same = found == ["cmnet", "modified_unet", "unet"]
    verdict = "the paper's order" if same else "not the paper's order, which is CM-Net, modified U-Net, U-Net"
    return [Text(f"By mean DSC: {' > '.join(titles[name] for name in found)}: {verdict}.")]


def _statistics(results: Results) -> list[Block]:
    done = [variant for variant in results.variants if results.rows_of(variant.name)]
    if len(done) < 2:
        return [Text("Tests between the networks: not run yet.")]
    titles = {variant.name: variant.title for variant in done}
    scores = {variant.name: results.scores(variant.name, "dice") for variant in done}
    films = sorted(set.intersection(*(set(found) for found in scores.values())))
    found = compare({name: [values[film] for film in films] for name, values in scores.items()})
    rows = [
        [
            titles[pair.first],
            titles[pair.second],
            signed(Interval(pair.difference, pair.low, pair.high, found.films)),
            _p(pair.p_value),
            _p(pair.p_holm),
            f"{pair.rank_biserial:+.2f}",
        ]
        for pair in found.pairs
    ]
    head = ["first", "second", "DSC, first minus second", "Wilcoxon p", "p, Holm", "rank-biserial"]
    friedman = f"chi-squared {found.friedman:.2f}" if math.isfinite(found.friedman) else "no statistic"
    text = f"Friedman's test over {len(done)} rows and {found.films} films: {friedman}, p {_p(found.friedman_p)}."
    return [Heading("Tests", 4), Text(text), Table(head, rows)]


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
        values = [found.get(name) for name in COSTS]
        cells = [
            NOTHING if value is None else f"{value * factor:.{places}f}"
            for value, (_, factor, places) in zip(values, COSTS.values())
        ]
        rows.append([variant.title, *cells])
    return Table(["network", *(title for title, _, _ in COSTS.values())], rows)


def _figures(results: Results, real_films: bool) -> Iterator[Block]:
    name, bed = results.experiment.name, results.bed
    done = [variant for variant in results.variants if results.rows_of(variant.name)]
    if not done:
        return
    stem = f"{name}_{bed}"
    if results.experiment.curves:
        counts = {v.title: pooled for v in done if (pooled := _pooled(results, v)) is not None}
        caption = "Precision and recall of all pixels of all films and seeds, with the areas below."
        yield Figure(f"{stem}_curves.png", figures.precision_recall(counts), caption)
    shown = bed != REAL or real_films
    if results.experiment.masks and shown:
        pictures = _pictures(results, done)
        caption = "The same films: right (green), missed (cyan), false (red)."
        yield Figure(f"{stem}_masks.png", figures.side_by_side(pictures) if pictures else b"", caption)
    grouped = name == "ablations"  # whose titles say little alone
    rows = [
        (f"{v.group}: {v.title}" if grouped and v.group else v.title, results.interval(v.name, "dice")) for v in done
    ]
    others = {variant.against for variant in done if variant.against}
    reference = results.interval(others.pop(), "dice").mean if len(others) == 1 else None
    caption = "Mean DSC and its 95 % interval over films" + (
        "." if reference is None else "; dashed: the row compared with."
    )
    yield Figure(f"{stem}_dice.png", figures.intervals(rows, "DSC", reference), caption)
    series = _series(results, done)
    for line, (group, points) in enumerate(series.items(), start=1):
        yield Figure(
            f"{stem}_line{line}.png", figures.lines(points, group, "DSC"), f"DSC over: {group}; band: 95 % interval."
        )


def _pooled(results: Results, variant: Variant) -> tuple[list[int], list[int]] | None:
    curves = [row["curve"] for row in results.rows_of(variant.name) if row.get("curve")]
    if not curves:
        return None
    tp, fp = (np.sum([curve[key] for curve in curves], axis=0).tolist() for key in ("tp", "fp"))
    return tp, fp


def _pictures(results: Results, done: Sequence[Variant]) -> dict[str, list[Path]]:
    """The kept pictures of each row's first seed, as far as they still lie in the work folder."""
    found = {}
    for variant in done:
        files = [results.work / name for name in results.rows_of(variant.name)[0].get("pictures", [])]
        files = [file for file in files if file.is_file()]
        if files:
            found[variant.title] = files
    return found


def _series(results: Results, done: Sequence[Variant]) -> dict[str, dict[str, list[tuple[float, Interval]]]]:
    """Rows that are values of one number, by what is on the axis and then by line; two points make a line."""
    groups: dict[str, dict[str, list[tuple[float, Interval]]]] = {}
    for variant in done:
        if variant.x is not None:
            axis, _, line = (
                variant.group.rpartition(", ") if results.experiment.name == "centre_noise" else ("", "", "")
            )
            axis, line = (axis, line) if axis else (variant.group, "DSC")
            point = (variant.x, results.interval(variant.name, "dice"))
            groups.setdefault(axis, {}).setdefault(line, []).append(point)
    for axis, by_line in groups.items():
        for line, points in by_line.items():
            anchor = _anchor(results, axis, line)
            by_line[line] = sorted([*points, *anchor], key=lambda point: point[0])
    return {axis: by_line for axis, by_line in groups.items() if max(map(len, by_line.values())) > 1}


ANCHORS = {
    "Heatmap sigma": ("default", 1.0),
    "Base width": ("default", 1.0),
    "Grid, sigma with it": ("default", 1.0),
    "Learning rate": ("default", 1.0),
    "Number of training films": ("default", 1.0),
    "Share of synthetic films in fine-tuning": ("default", 0.3),
    "Real films in fine-tuning": ("default", 12.0),
    "Missed centres": ("{guide}_jitter_0", 0.0),
    "False centres": ("{guide}_jitter_0", 0.0),
}
"""Where the row compared with stands on the axis of a group."""


def _anchor(results: Results, axis: str, line: str) -> list[tuple[float, Interval]]:
    if axis not in ANCHORS:
        return []
    name, x = ANCHORS[axis]
    name = name.format(guide="true" if line.startswith("given") else "own")
    return [(x, results.interval(name, "dice"))] if results.rows_of(name) else []


def _origin(results: Results) -> list[Block]:
    """Commits, machines and data that the numbers come from."""
    done = [row for row in results.rows if row["status"] == DONE]
    if not done:
        return []

    def all_of(key: str) -> str:
        return ", ".join(sorted({str(row[key]) for row in done if row.get(key) not in (None, "")}))

    machine = f"{all_of('cpu')}, threads {all_of('threads')}" + (f", {all_of('gpu')}" if all_of("gpu") else "")
    seeds = ", ".join(sorted({str(row["seed"]) for row in done}))
    texts = [
        f"commit {all_of('commit')}; torch {all_of('torch')}, MONAI {all_of('monai')}; {machine}; seeds {seeds}",
        f"hash of the test films and label maps: {all_of('test_hash')}",
        *_settings(done),
    ]
    return [Items(texts)]


def _settings(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What all trainings of a kind have in common beyond the bundle's own settings."""
    texts = []
    for kind, fine_tuned in (("trainings on synthetic films", False), ("fine-tunings", True)):
        found = [s for row in rows for name, s in row.get("settings", {}).items() if ("_fold" in name) == fine_tuned]
        if found:
            shared = {k: v for k, v in found[0].items() if all(k in s and s[k] == v for s in found) and k not in UNTOLD}
            listed = ", ".join(f"`{name}={value}`" for name, value in shared.items()) or "none"
            texts.append(f"settings that all {kind} have beyond the bundle's: {listed}")
    return texts


UNTOLD = frozenset({"seed", "val_interval", "device", "num_workers"})
"""Settings that change no result, or that stand elsewhere."""
