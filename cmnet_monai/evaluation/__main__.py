"""The maintainers' commands: `python -m cmnet_monai.evaluation`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from cmnet_monai.console import Commands, name_and_value

_Paths = Optional[list[Path]]  # noqa: UP045
_Texts = Optional[list[str]]  # noqa: UP045
_Results = Annotated[Path, typer.Argument(help="Output folder of `cmnet-monai predict`, or of the bundle's inference.")]
_Bundle = Annotated[Optional[Path], typer.Option(help="Another bundle folder than the one that came along.")]  # noqa: UP045

app = typer.Typer(
    name="python -m cmnet_monai.evaluation",
    help="Scores of results, calibration, comparisons, and the recipe of the shipped weights.",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


def _items(datalist: Path) -> list[dict[str, Any]]:
    """Items of every section of a datalist."""
    from cmnet_monai.datasets import read_datalist
    from cmnet_monai.datasets.splits import SECTIONS

    items: list[dict[str, Any]] = []
    for section in SECTIONS:
        with suppress(ValueError):  # it has no such section
            items += read_datalist(datalist, section)
    return items


def _show(*files: Path) -> None:
    """Print tables and where they are."""
    for file in files:
        typer.echo(f"{file.read_text(encoding='utf-8')}\ntable: {file.resolve()}")


@app.command()
def score(
    results: _Results,
    films: Annotated[Path, typer.Argument(help="Datalist of the films, with label maps.")],
    output: Annotated[Path, typer.Argument(help="Folder for films.csv, bodies.csv, summary.json and report.md.")],
    overlays: Annotated[bool, typer.Option("--overlays", help="A picture of each film: found and true.")] = False,
) -> None:
    """Score results on films with known label maps: Dice, precision, recall, names and centres.

    Example: python -m cmnet_monai.evaluation score RESULTS DATA/datalist.json OUT
    """
    from cmnet_monai.evaluation.score_results import film_table, score_results, summary_table, write_scores
    from cmnet_monai.io.files.atomic import write_text

    scores = score_results(_items(films), results, output / "overlays" if overlays else None)
    write_scores(output, *scores)
    _show(write_text(output / "report.md", f"{summary_table({'all films': scores})}\n\n{film_table(*scores)}\n"))


@app.command()
def calibrate(
    results: _Results,
    films: Annotated[Path, typer.Argument(help="Datalist of the films, with label maps; no training may know them.")],
    output: Annotated[Path, typer.Argument(help="Folder for calibration.json, bodies.csv and reliability.md.")],
    report_results: Annotated[_Paths, typer.Option(help="A further run to report on, not to fit; repeatable.")] = None,
    report_films: Annotated[_Paths, typer.Option(help="Its datalist; in the order of the runs.")] = None,
    about: Annotated[str, typer.Option(help="What the films are, for the provenance in calibration.json.")] = "",
) -> None:
    """Calibrate the confidence of bodies on half of some films, and report how it holds on the other half.

    Put calibration.json beside the weights that it was made for (bundle/models); `predict` then gives each body of
    films that no reader guided a confidence: the chance that its name is right and its outline has Dice 0.8 or more.

    \b
    Example:
      cmnet-monai synthesize HELD_OUT -n 300 --seed 5000 --height 640
      cmnet-monai predict HELD_OUT/films -o RESULTS --no-overlay
      python -m cmnet_monai.evaluation calibrate RESULTS HELD_OUT/datalist.json OUT
    """
    from cmnet_monai.evaluation.calibration import run_calibration

    runs, datalists = report_results or [], report_films or []
    if len(runs) != len(datalists):
        raise ValueError(f"{len(runs)} runs and {len(datalists)} datalists to report on: give one a run")
    further = [(_items(datalist), run) for run, datalist in zip(runs, datalists)]
    made = run_calibration((_items(films), results), output, {"further films": further} if further else {}, about)
    _show(made.with_name("reliability.md"))
    typer.echo(f"calibration: {made.resolve()}")


@app.command()
def measures(
    results: _Results,
    data: Annotated[Path, typer.Argument(help="Folder of the synthetic films (`cmnet-monai synthesize`).")],
    output: Annotated[Path, typer.Argument(help="Folder for bias.md, bias.csv, bias.json and names.md.")],
    count: Annotated[Optional[int], typer.Option("--count", "-n", min=1, help="At most so many films.")] = None,  # noqa: UP045
) -> None:
    """Compare heights, discs, angles and names of predicted masks with the truth of synthetic films.

    Example: python -m cmnet_monai.evaluation measures RESULTS HELD_OUT OUT
    """
    from cmnet_monai.evaluation.measures import run_predicted_bias

    table = run_predicted_bias(data, results, output, count)
    _show(output / "names.md", table)


@app.command("true-measures")
def true_measures(
    output: Annotated[Path, typer.Argument(help="Folder for bias.md, bias.csv and bias.json.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Patients.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first.")] = 5000,
) -> None:
    """Compare measures of true label maps of synthetic films, at several sizes, turned and mirrored, with the truth.

    Example: python -m cmnet_monai.evaluation true-measures OUT -n 60
    """
    from cmnet_monai.evaluation.measures import run_bias

    _show(run_bias(output, count, seed))


@app.command("flag-rates")
def flag_rates(
    output: Annotated[Path, typer.Argument(help="Folder for flags.md and flags.json.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Films of each kind of patient.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first.")] = 9000,
) -> None:
    """Count how often the flag for implants and cement is raised on synthetic films with and without them.

    Example: python -m cmnet_monai.evaluation flag-rates OUT -n 20
    """
    from cmnet_monai.evaluation.flag_rates import run_flag_rates

    _show(run_flag_rates(output, count, seed))


@app.command("wrong-films")
def wrong_films(
    output: Annotated[Path, typer.Argument(help="Folder for films/ and, with --results, wrong_films.md and .json.")],
    results: Annotated[Optional[Path], typer.Option(help="Output folder of `predict` on these films.")] = None,  # noqa: UP045
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Films of each kind.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first.")] = 9800,
) -> None:
    """Write films that are no lateral lumbar ones; then count how many a run over them flagged.

    \b
    Example:
      python -m cmnet_monai.evaluation wrong-films OUT
      cmnet-monai predict OUT/films -o OUT/results --no-overlay
      python -m cmnet_monai.evaluation wrong-films OUT --results OUT/results
    """
    from cmnet_monai.evaluation.flag_rates import run_wrong_film_rates, write_wrong_films

    if results is None:
        typer.echo(f"films: {write_wrong_films(output, count, seed)}")
    else:
        _show(run_wrong_film_rates(output, results))


_Films = Annotated[list[Path], typer.Option(help="A datalist with label maps (section test, else validation).")]
_Weights = Annotated[list[Path], typer.Option(help="The weights to use on it, in the order of the datalists.")]
_Count = Annotated[int, typer.Option("--count", "-n", min=1, help="At most so many films of each datalist.")]
_Grid = Annotated[
    tuple[int, int], typer.Option(help="Width and height of the network's grid; a prompt's sigma goes with it.")
]


def _compare(run: Any, output: Path, films: list[Path], weights: list[Path], count: int, size: tuple[int, int]) -> None:
    from cmnet_monai.datasets import read_datalist
    from cmnet_monai.evaluation.settings import Grid

    if len(films) != len(weights):
        raise ValueError(f"{len(films)} datalists and {len(weights)} weights: give one file of weights a datalist")
    items = [read_datalist(datalist, ["test", "validation"])[:count] for datalist in films]
    _show(run(list(zip(items, weights)), output, grid=Grid(size, sigma_px=4.0 * size[0] / 288)))


@app.command()
def settings(
    output: Annotated[Path, typer.Argument(help="Folder for settings.md and the scores behind it.")],
    films: _Films,
    weights: _Weights,
    count: _Count = 1000,
    grid: _Grid = (288, 384),
) -> None:
    """Compare settings of inference with the same weights: label protocols, passes, the mirrored film.

    \b
    Example, out of fold: python -m cmnet_monai.evaluation settings OUT \\
      --films WORK/fold_0_test.json --weights WORK/fold_0.pt --films WORK/fold_1_test.json --weights WORK/fold_1.pt
    """
    from cmnet_monai.evaluation.settings import compare_settings

    _compare(compare_settings, output, films, weights, count, grid)


@app.command()
def variants(
    output: Annotated[Path, typer.Argument(help="Folder for variants.md, the films and the scores behind it.")],
    films: _Films,
    weights: _Weights,
    count: _Count = 1000,
    grid: _Grid = (288, 384),
) -> None:
    """Compare films as other machines would have stored them: size, polarity, borders, parts, tilt, noise.

    Example: python -m cmnet_monai.evaluation variants OUT --films VAL.json --weights bundle/models/model.pt
    """
    from cmnet_monai.evaluation.settings import compare_variants

    _compare(compare_variants, output, films, weights, count, grid)


_LabelledFilms = Annotated[list[Path], typer.Argument(help="Datalists, or folders with images/ and labels/ (PNG).")]
_Mapper = Annotated[Path, typer.Option("--weights", help="Weights of the network.")]
_LevelChannel = Annotated[bool, typer.Option("--level-channel", help="The network has a level channel.")]
_Doubtful = Annotated[_Texts, typer.Option("--leave-out", help="Name of a film of doubtful numbering; repeatable.")]


def _labelled(source: Path) -> list[dict[str, Any]]:
    """Films with label maps, of a datalist or a folder."""
    if source.is_file():
        return _items(source)
    films = sorted((source / "images").glob("*.png"))
    if not films:
        raise ValueError(f"{source}: neither a datalist nor a folder with images/*.png and labels/")
    return [{"image": str(film), "label": str(source / "labels" / film.name)} for film in films]


@app.command()
def stress(
    films: _LabelledFilms,
    output: Annotated[Path, typer.Option(help="Folder for stress.md, stress.csv and reliability.png.")],
    weights: _Mapper = Path("bundle/models/model.pt"),
    level_channel: _LevelChannel = False,
    leave_out: _Doubtful = None,
    grid: _Grid = (288, 384),
) -> None:
    """Names of films that are cut, tilted, mirrored, coarse or spoilt, and how far the naming knows when it is wrong.

    Example: python -m cmnet_monai.evaluation stress DATA/eval_site_a HELD_OUT/datalist.json --output OUT
    """
    from cmnet_monai.evaluation.stress import FilmMapper, run_stress

    mapper = FilmMapper(weights, grid, level_channel=level_channel)
    _show(run_stress({source.stem: _labelled(source) for source in films}, output, mapper, leave_out or ()))


@app.command("fit-naming")
def fit_naming(
    films: _LabelledFilms,
    output: Annotated[Path, typer.Option(help="File to write: cmnet_monai/decode/naming_model.json.")],
    weights: _Mapper = Path("bundle/models/model.pt"),
    level_channel: _LevelChannel = False,
    leave_out: _Doubtful = None,
    grid: _Grid = (288, 384),
    about: Annotated[str, typer.Option(help="What the films are, for the record.")] = "",
) -> None:
    """Fit the decoder's numbers on films that are not to be evaluated on, for a network's weights.

    Example: python -m cmnet_monai.evaluation fit-naming DATA/real_films HELD_OUT/datalist.json --output naming.json
    """
    from cmnet_monai.evaluation.fit_naming import run_fit
    from cmnet_monai.evaluation.stress import FilmMapper

    items = [item for source in films for item in _labelled(source)]
    kept = [item for item in items if Path(item["image"]).stem not in (leave_out or ())]
    typer.echo(f"model: {run_fit(kept, FilmMapper(weights, grid, level_channel=level_channel), output, about=about)}")


@app.command()
def recipe(
    real: Annotated[Path, typer.Argument(help="Folder with fold_0.json ... (cmnet-monai datalist ... --folds 4).")],
    work: Annotated[Path, typer.Argument(help="Folder for films, runs, results and scores.")],
    synthetic: Annotated[int, typer.Option(min=300, help="Number of synthetic films.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the synthetic films.")] = 300,
    extra: Annotated[
        _Paths, typer.Option(help="A further data set to pretrain on, such as films made from CT; may be repeated.")
    ] = None,
    init_weights: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Weights to start pretraining from; from nothing by default."),
    ] = None,
    outlines: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder of <film>.json with the reader's confidence in each outline: weak ones apart."),
    ] = None,
    setting: Annotated[
        _Texts,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A training setting: precision=bf16, pretrain.max_epochs=24; may be repeated. Any coarse.NAME=VALUE "
            "puts a training on a coarser grid in front: coarse.spatial_size=[144,192], coarse.heatmap_sigma=2.",
        ),
    ] = None,
    overlay: Annotated[_Texts, typer.Option(help="A config that all trainings read last: look_mixing.")] = None,
    bundle: _Bundle = None,
    jobs: Annotated[int, typer.Option(min=1, help="Folds that run at the same time, sharing the cores.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands, run nothing.")] = False,
) -> None:
    """Make weights as the shipped ones were made, and measure them on real films that they never saw.

    Synthetic films, pretraining on them, a fine-tuning for each fold of the real films, scores of each film by the
    weights of the fold that left it out, and the mean of the folds' weights. What ran before is skipped.

    \b
    Example:
      cmnet-monai datalist folder FILMS data/real --folds 4 --validation 0
      python -m cmnet_monai.evaluation recipe data/real runs/recipe
    """
    from cmnet_monai.bundle_location import bundle_root
    from cmnet_monai.evaluation.recipe import Recipe, run_recipe

    chosen = dict(name_and_value(text) for text in setting or [])
    folders = (work.resolve(), real.resolve(), bundle_root(bundle).resolve())
    more = tuple(path.resolve() for path in extra or ())
    what = Recipe(*folders, synthetic, seed, more, init_weights, outlines, chosen, tuple(overlay or ()))
    report = run_recipe(what, typer.echo, dry_run, jobs)
    if report is not None:
        _show(report)
        typer.echo(f"overlays: {report.parent}; weights: {what.work}")


@app.command("pack-weights")
def pack_weights(
    checkpoints: Annotated[list[Path], typer.Argument(help="best.pt or last.pt of a training run, or of several.")],
    output: Annotated[Path, typer.Argument(help="File to write, such as bundle/models/model.pt.")],
    setting: Annotated[
        _Texts, typer.Option("--set", metavar="NAME=VALUE", help="What weights without a record were trained with.")
    ] = None,
) -> None:
    """Store a network's weights the way the bundle ships them: a flat state_dict in half precision, and its record.

    Of several checkpoints the mean is stored: sensible for the folds of a cross-validation that were fine-tuned from
    the same weights.

    Example: python -m cmnet_monai.evaluation pack-weights RUN/best.pt model.pt
    """
    from cmnet_monai.engines import pack_checkpoint

    given = dict(name_and_value(text) for text in setting or [])
    typer.echo(f"{output}: {pack_checkpoint(checkpoints, output, **given) / 1e6:.1f} MB")


if __name__ == "__main__":
    app()
