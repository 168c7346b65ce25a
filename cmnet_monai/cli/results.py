"""The commands that judge an inference run on films with known truth: `calibrate` and `compare-measures`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from cmnet_monai.cli.common import fail, quiet


def calibrate(
    results: Annotated[Path, typer.Argument(help="Output folder of the inference workflow or of `predict`.")],
    films: Annotated[Path, typer.Argument(help="Datalist of the films, with label maps; no training may know them.")],
    output: Annotated[Path, typer.Argument(help="Folder for calibration.json, bodies.csv and reliability.md.")],
    report_results: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="A further run to report on, not to fit; may be repeated."),
    ] = None,
    report_films: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="Its datalist; repeat it in the order of the runs."),
    ] = None,
    about: Annotated[str, typer.Option(help="What the films are, for the provenance in calibration.json.")] = "",
) -> None:
    """Calibrate the confidence of bodies on half of some films, and report how it holds on the other half.

    Put calibration.json beside the weights that it was made for (bundle/models); `predict` then gives each body of
    films that no reader guided a confidence: the chance that its name is right and its outline has Dice 0.8 or more.

    \b
    Example:
      cmnet-monai synthesize HELD_OUT -n 300 --seed 5000 --height 640
      cmnet-monai predict HELD_OUT/films -o RESULTS --no-overlay
      cmnet-monai calibrate RESULTS HELD_OUT/datalist.json OUT
    """
    quiet()
    from cmnet_monai.evaluation.calibration import run_calibration

    try:
        runs, datalists = report_results or [], report_films or []
        if len(runs) != len(datalists):
            raise ValueError(f"{len(runs)} runs and {len(datalists)} datalists to report on: give one a run")
        further = [(_all_items(datalist), run) for run, datalist in zip(runs, datalists)]
        reported = {"further films": further} if further else {}
        made = run_calibration((_all_items(films), results), output, reported, about)
    except (OSError, ValueError) as error:
        fail(error)
    typer.echo(f"{(made.parent / 'reliability.md').read_text(encoding='utf-8')}\ncalibration: {made.resolve()}")


def _all_items(datalist: Path) -> list[dict[str, Any]]:
    """Items of every section of a datalist."""
    from cmnet_monai.datasets import read_datalist
    from cmnet_monai.datasets.splits import SECTIONS

    items: list[dict[str, Any]] = []
    for section in SECTIONS:
        with suppress(ValueError):  # it has no such section
            items += read_datalist(datalist, section)
    return items


def compare_measures(
    results: Annotated[Path, typer.Argument(help="Output folder of the inference workflow or of `predict`.")],
    data: Annotated[Path, typer.Argument(help="Folder of the synthetic films (`synthesize`).")],
    output: Annotated[Path, typer.Argument(help="Folder for bias.md, bias.csv, bias.json and names.md.")],
    count: Annotated[Optional[int], typer.Option("--count", "-n", min=1, help="At most so many films.")] = None,  # noqa: UP045
) -> None:
    """Compare heights, discs, angles and names of predicted masks with the truth of synthetic films.

    Example: cmnet-monai compare-measures RESULTS HELD_OUT OUT
    """
    quiet()
    from cmnet_monai.evaluation.predicted_measures import run_predicted_bias

    try:
        table = run_predicted_bias(data, results, output, count)
    except (OSError, ValueError) as error:
        fail(error)
    names = (output / "names.md").read_text(encoding="utf-8")
    typer.echo(f"{names}\n{table.read_text(encoding='utf-8')}\ntables: {output.resolve()}")
