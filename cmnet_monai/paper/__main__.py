"""The source paper's tables and figures, and what goes beyond them: `python -m cmnet_monai.paper`."""

from __future__ import annotations

import ast
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from cmnet_monai.console import Commands, name_and_value

app = typer.Typer(
    name="python -m cmnet_monai.paper",
    help="The source paper's tables and figures, and what goes beyond them, as resumable runs.",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

WORK = Path("runs/paper")
Names = Annotated[Optional[list[str]], typer.Argument(metavar="[NAME]...", help="Experiments; all by default.")]  # noqa: UP045
Work = Annotated[Path, typer.Option(help="Folder for films, weights, measurements and results.")]
Quick = Annotated[bool, typer.Option("--quick", help="Tiny settings, in the folder `quick` below the work folder.")]


class TestSet(str, Enum):
    """Test sets."""

    synthetic = "synthetic"
    real = "real"


@app.command("list")
def list_experiments() -> None:
    """List the experiments: what each answers, and how many rows it has.

    Example: python -m cmnet_monai.paper list
    """
    from cmnet_monai.paper.catalogue import EXPERIMENTS

    for name, experiment in EXPERIMENTS.items():
        where = ", ".join(experiment.test_sets)
        typer.echo(f"{name:<14}{experiment.answers}; {len(experiment.variants)} rows; {where}")
        typer.echo(f"{'':<14}{experiment.question}")


@app.command()
def run(
    names: Names = None,
    work: Work = WORK,
    test_set: Annotated[TestSet, typer.Option(help="Films to test on.")] = TestSet.synthetic,
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run; run nothing.")] = False,
    setting: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A training setting: precision=bf16, pretrain.max_epochs=6; repeatable."
        ),
    ] = None,
    films: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Films of each synthetic training set; 1200 by default."),
    ] = None,
    workers: Annotated[Optional[int], typer.Option(min=1, help="Processes that make films.")] = None,  # noqa: UP045
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; found by itself by default.")] = "",
    bundle: Annotated[Optional[Path], typer.Option(help="Another bundle folder than the one that came along.")] = None,  # noqa: UP045
) -> None:
    """Run experiments; what was done before is kept, and a run that was broken off goes on.

    \b
    Examples:
      python -m cmnet_monai.paper run table1 --dry-run
      python -m cmnet_monai.paper run table1 table2 --seeds 0 --set pretrain.max_epochs=6
      python -m cmnet_monai.paper run table1 --test-set real --real data/real
      python -m cmnet_monai.paper run ablations --row default --row rate_30
      python -m cmnet_monai.paper run --quick
    """
    from cmnet_monai.bundle_location import bundle_root
    from cmnet_monai.paper import run as runs
    from cmnet_monai.paper.catalogue import find_experiments
    from cmnet_monai.paper.definitions import FULL, QUICK
    from cmnet_monai.paper.workspace import Workspace

    scale = QUICK if quick else FULL
    space = Workspace(
        work=_folder(work, quick).resolve(),
        bundle=bundle_root(bundle).resolve(),
        test_set=test_set.value,
        scale=scale if films is None else replace(scale, training_films=films),
        real=None if real is None else real.resolve(),
        settings=dict(_setting(text) for text in setting or []),
        workers=workers,
        device=device,
    )
    runs.run_experiments(find_experiments(names or ()), space, _seeds(seeds), typer.echo, dry_run, row or ())
    if not dry_run:
        then = f"python -m cmnet_monai.paper report --work {work}{' --quick' * quick}"
        typer.echo(f"results: {space.work / 'results'}; now: {then}")


@app.command()
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
    """Write report.html (one page, pictures inside) and report.md from the results on disk alone.

    Example: python -m cmnet_monai.paper report --work runs/paper
    """
    from cmnet_monai.paper.catalogue import find_experiments
    from cmnet_monai.paper.report import report as write

    for page in write(_folder(work, quick), output, find_experiments(names or ()), real_films):
        typer.echo(page)


@app.command()
def collect(
    sources: Annotated[list[Path], typer.Argument(help="Work folders of other runs, each with a folder `results`.")],
    work: Work = WORK,
) -> None:
    """Take finished rows of other work folders, such as other machines', into the results of this one.

    Rows that are finished here stay. Rows of other settings or of other test films are refused. Collect last: a later
    `run` in this folder writes the results of its own trainings alone.

    Example: python -m cmnet_monai.paper collect /mnt/second/runs/paper --work runs/paper
    """
    from cmnet_monai.paper.results import collect_results

    for name, count in collect_results(sources, work).items():
        typer.echo(f"{name}: {count} rows taken")
    typer.echo(f"results: {work / 'results'}; now: python -m cmnet_monai.paper report --work {work}")


def _folder(work: Path, quick: bool) -> Path:
    return work / "quick" if quick else work


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


if __name__ == "__main__":
    app()
