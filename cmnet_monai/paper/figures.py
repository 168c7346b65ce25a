"""Plots of the report, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cmnet_monai.metrics import Interval

COLOURS = ("#3b6fb6", "#d97a1f", "#3f9a5a", "#b6435a", "#7d5fb2", "#7a7a7a", "#1f9aa5", "#a58a1f")


def _figure(width: float = 7.0, height: float = 4.2, columns: int = 1, rows: int = 1) -> tuple[Any, Any]:
    """A figure of a size in inches and its axes (rows, columns); without a window, whatever the machine."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _png(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def precision_recall(counts: Mapping[str, tuple[Sequence[int], Sequence[int]]]) -> bytes:
    """Pooled precision-recall curves.

    Args:
        counts: by title, true and false positives at thresholds from 0 to 1; those at 0 are all pixels.
    """
    figure, ((axes,),) = _figure()
    for colour, (title, (tp, fp)) in zip(COLOURS * 3, counts.items()):
        recall, precision = curve_points(tp, fp)
        area = float(np.sum(np.diff(recall, prepend=0.0) * precision))
        axes.step(recall, precision, where="post", color=colour, label=f"{title}: {area:.3f}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
    axes.legend(title="area", fontsize=8, loc="lower left")
    axes.grid(alpha=0.3)
    return _png(figure)


def curve_points(tp: Sequence[int], fp: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Recall, rising, and precision of the thresholds at which anything is found."""
    true, false = (np.asarray(values, dtype=float)[::-1] for values in (tp, fp))
    found = true + false > 0
    return (true / max(true[-1], 1.0))[found], (true / np.maximum(true + false, 1.0))[found]


def intervals(rows: Sequence[tuple[str, Interval]], label: str, at: float | None = None) -> bytes:
    """Means with their intervals, one line a row, from top to bottom; `at` marks a reference."""
    figure, ((axes,),) = _figure(7.5, 0.9 + 0.32 * len(rows))
    for number, (_, found) in enumerate(rows):
        if np.isfinite(found.low):
            axes.plot([found.low, found.high], [number, number], color=COLOURS[0], linewidth=2)
        axes.plot(found.mean, number, "o", color=COLOURS[0], markersize=5)
    if at is not None and np.isfinite(at):
        axes.axvline(at, color="#999999", linestyle="--", linewidth=1)
    axes.set_yticks(range(len(rows)), [title if len(title) <= 60 else f"{title[:57]}..." for title, _ in rows])
    axes.set(xlabel=label, ylim=(len(rows) - 0.5, -0.5))
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3, axis="x")
    return _png(figure)


def lines(series: Mapping[str, Sequence[tuple[float, Interval]]], xlabel: str, ylabel: str) -> bytes:
    """Lines over a number, with intervals as bands."""
    figure, ((axes,),) = _figure()
    for colour, (title, points) in zip(COLOURS * 3, series.items()):
        x = [p for p, _ in points]
        axes.plot(x, [i.mean for _, i in points], "o-", color=colour, label=title)
        axes.fill_between(x, [i.low for _, i in points], [i.high for _, i in points], color=colour, alpha=0.15)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return _png(figure)


def side_by_side(pictures: Mapping[str, Sequence[Path]]) -> bytes:
    """Pictures of the same films, one row a film and one column a title."""
    from PIL import Image

    count = min(len(files) for files in pictures.values())
    figure, axes = _figure(2.1 * len(pictures), 3.0 * count, columns=len(pictures), rows=count)
    for column, (title, files) in enumerate(pictures.items()):
        for row in range(count):
            axes[row, column].imshow(np.asarray(Image.open(files[row])))
            axes[row, column].set_axis_off()
        axes[0, column].set_title(title if len(title) < 24 else f"{title[:21]}...", fontsize=8)
    return _png(figure)
