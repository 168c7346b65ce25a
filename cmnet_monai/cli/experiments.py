"""The commands `cmnet-monai experiments list|run|report|collect`."""

from __future__ import annotations

import ast
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from cmnet_monai.cli.common import fail, name_and_value, quiet

app = typer.Typer(
    help="The source paper's tables and figures, and what goes beyond them, as resumable runs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

WORK = Path("runs/experiments")
QUICK_FOLDER = "quick"
DEFAULT_FILMS = 1200
Names = Annotated[Optional[list[str]], typer.Argument(metavar="[NAME]...", help="Experiments; all by default.")]  # noqa: UP045
Work = Annotated[Path, typer.Option(help="Folder for films, weights, measurements and results.")]
Quick = Annotated[bool, typer.Option("--quick", help="Tiny settings, in the folder `quick` below the work folder.")]


class Bed(str, Enum):
    """Test beds."""

    synthetic = "synthetic"
    real = "real"


@app.command("list")
def list_experiments() -> None:
    """List the experiments: what each answers, and how many rows it has."""
    from cmnet_monai.paper.catalogue import EXPERIMENTS

    for name, experiment in EXPERIMENTS.items():
        typer.echo(f"{name:<14}{experiment.answers}; {len(experiment.variants)} rows; {', '.join(experiment.beds)}")
        typer.echo(f"{'':<14}{experiment.question}")


@app.command("run")
def run(
    names: Names = None,
    work: Work = WORK,
    bed: Annotated[Bed, typer.Option(help="Films to test on.")] = Bed.synthetic,
    real: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder with fold_0.json ... (cmnet-monai datalist folder FILMS OUT --folds 4)."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of training, such as 0,1,2; three of them by default.")] = "",
    quick: Quick = False,
    row: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Run this row of the experiments alone; repeatable. A wrong name lists them."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run and how long; run nothing.")] = False,
    setting: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A training setting: precision=bf16, pretrain.max_epochs=6; repeatable."
        ),
    ] = None,
    films: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help=f"Films of each synthetic training set; {DEFAULT_FILMS} by default."),
    ] = None,
    workers: Annotated[Optional[int], typer.Option(min=1, help="Processes that make films.")] = None,  # noqa: UP045
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; found by itself by default.")] = "",
    bundle: Annotated[Optional[Path], typer.Option(help="Another bundle folder than the one that came along.")] = None,  # noqa: UP045
) -> None:
    """Run experiments; what was done before is kept, and a run that was broken off goes on.

    \b
    Examples:
      cmnet-monai experiments run table1 --dry-run
      cmnet-monai experiments run table1 table2 --seeds 0 --set pretrain.max_epochs=6
      cmnet-monai experiments run table1 --bed real --real data/real
      cmnet-monai experiments run ablations --row default --row rate_30
      cmnet-monai experiments run --quick
    """
    quiet()
    from cmnet_monai.bundle_location import bundle_root
    from cmnet_monai.paper.catalogue import find_experiments
    from cmnet_monai.paper.definitions import FULL, QUICK
    from cmnet_monai.paper.runner import run_experiments
    from cmnet_monai.paper.workspace import Bench

    try:
        folder = _folder(work, quick).resolve()
        scale = QUICK if quick else FULL
        bench = Bench(
            work=folder,
            bundle=bundle_root(bundle).resolve(),
            bed=bed.value,
            scale=scale if films is None else replace(scale, training_films=films),
            real=None if real is None else real.resolve(),
            settings=dict(_setting(text) for text in setting or []),
            workers=workers,
            device=device,
        )
        run_experiments(find_experiments(names or ()), bench, _seeds(seeds), typer.echo, dry_run, row or ())
    except (OSError, ValueError, RuntimeError) as error:
        fail(error)
    if not dry_run:
        then = f"cmnet-monai experiments report --work {work}{' --quick' * quick}"
        typer.echo(f"results: {folder / 'results'}; now: {then}")


@app.command("report")
def report(
    names: Names = None,
    work: Work = WORK,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="Folder for the pages, or one page: FILE.md or FILE.html."),
    ] = None,
    quick: Quick = False,
    real_films: Annotated[bool, typer.Option("--real-films", help="Show masks on real films too.")] = False,
) -> None:
    """Write report.html (one page, pictures inside) and report.md from the results on disk alone."""
    quiet()
    from cmnet_monai.paper.catalogue import find_experiments
    from cmnet_monai.paper.report import report as write

    try:
        pages = write(_folder(work, quick), output, find_experiments(names or ()), real_films)
    except (OSError, ValueError) as error:
        fail(error)
    for page in pages:
        typer.echo(page)


@app.command("collect")
def collect(
    sources: Annotated[list[Path], typer.Argument(help="Work folders of other runs, each with a folder `results`.")],
    work: Work = WORK,
) -> None:
    """Take finished rows of other work folders, such as other machines', into the results of this one.

    Rows that are finished here stay. Rows of other settings or of other test films are refused. Collect last: a later
    `run` in this folder writes the results of its own trainings alone.

    Example: cmnet-monai experiments collect /mnt/second/runs/experiments --work runs/experiments
    """
    quiet()
    from cmnet_monai.paper.collecting import collect_results

    try:
        taken = collect_results(sources, work)
    except (OSError, ValueError) as error:
        fail(error)
    for name, count in taken.items():
        typer.echo(f"{name}: {count} rows taken")
    typer.echo(f"results: {work / 'results'}; now: cmnet-monai experiments report --work {work}")


def _folder(work: Path, quick: bool) -> Path:
    return work / QUICK_FOLDER if quick else work


def _seeds(text: str) -> tuple[int, ...] | None:
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(","))) if text else None
    except ValueError:
        raise ValueError(f"--seeds takes whole numbers, such as 0,1,2; got {text!r}") from None


def _setting(text: str) -> tuple[str, Any]:
    """A setting with its value as Python writes it; words stay words."""
    name, value = name_and_value(text)
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, {"true": True, "false": False}.get(value, value)


@app.command("federate")
def federate(
    sites: Annotated[list[Path], typer.Argument(help="Two or more folders with datalist.json, one a site.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for federated.json, federated.pt, the runs.")],
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of federated training.")] = 8,
    local_epochs: Annotated[int, typer.Option(min=1, help="Epochs of each round.")] = 1,
    tiny: Annotated[bool, typer.Option("--tiny", help="A small network and grid, for a CPU.")] = False,
    setting: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of train.json; may be repeated."),
    ] = None,
    bundle: Annotated[Optional[Path], typer.Option(help="Another bundle folder than the one that came along.")] = None,  # noqa: UP045
) -> None:
    """Train sites together without sharing films, and compare with each alone and with pooled films.

    Example: cmnet-monai experiments federate data/site_a data/site_b -o runs/federated --tiny
    """
    quiet()
    from cmnet_monai.bundle_location import bundle_root
    from cmnet_monai.evaluation.federated import TINY, Site, as_table, compare_ways

    try:
        settings = {**(TINY if tiny else {}), **dict(map(_setting, setting or []))}
        named = [Site(folder.resolve().name, folder.resolve()) for folder in sites]
        report = compare_ways(
            named, bundle_root(bundle).resolve(), output.resolve(), rounds, local_epochs, typer.echo, **settings
        )
    except (OSError, ValueError, RuntimeError) as error:
        fail(error)
    typer.echo(f"\n{as_table(report)}\n\nscores: {report}")
