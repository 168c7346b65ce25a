"""The command `cmnet-monai`: parse, call, exit code. Everything heavy is imported when a command runs."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from cmnet_monai import cli_experiments, cli_package, cli_predict, cli_results
from cmnet_monai.cli_common import fail as _fail
from cmnet_monai.cli_common import name_and_value as _name_and_value
from cmnet_monai.cli_common import quiet as _quiet

_Files = Optional[list[Path]]  # noqa: UP045

app = typer.Typer(
    name="cmnet-monai",
    help="Vertebrae on lateral lumbar radiographs: masks and centres of L1-L5, with CM-Net.",
    epilog="Training, evaluation and inference run as a MONAI bundle: see `cmnet-monai bundle` for where it is. "
    "Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
app.add_typer(cli_experiments.app, name="experiments")
app.command("predict")(cli_predict.predict)
app.command("package")(cli_package.package)
app.command("export")(cli_package.export)
app.command("licences")(cli_package.licences)
app.command("calibrate")(cli_results.calibrate)
app.command("compare-measures")(cli_results.compare_measures)


def _version(show: bool) -> None:
    if show:
        from cmnet_monai import __version__

        typer.echo(f"cmnet-monai {__version__}")
        raise typer.Exit()


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of the command itself."""


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for films, masks and overlays.")] = Path(
        "cmnet-monai-demo"
    ),
    seed: Annotated[Optional[int], typer.Option(help="Another seed makes other films.")] = None,  # noqa: UP045
    device: Annotated[Optional[str], typer.Option(help="cpu, cuda, cuda:1; found by itself by default.")] = None,  # noqa: UP045
    bundle: Annotated[Optional[Path], typer.Option(help="Another bundle folder than the one that came along.")] = None,  # noqa: UP045
) -> None:
    """Make three radiographs with known truth, segment them, and compare.

    A healthy spine, one with compression fractures and one with an implant are written as DICOM, read back, run through
    the bundle's inference workflow with the shipped weights, and drawn with their outlines. The films are synthetic:
    the numbers show that everything works, not how good the model is on patients.
    """
    _quiet()
    from cmnet_monai.bundle_location import bundle_root
    from cmnet_monai.demo import DEMO_SEED, run_demo, table

    settings = {} if device is None else {"device": device}
    try:
        rows = run_demo(output, bundle_root(bundle), DEMO_SEED if seed is None else seed, typer.echo, **settings)
    except (OSError, ValueError, RuntimeError) as error:
        _fail(error)
    typer.echo("\n" + table(rows))
    typer.echo(
        "\nDice of L1-L5 on synthetic films; found: centres inside the body of their level. Not clinical performance."
    )
    for what, where in (("films", "films"), ("masks and centres", "results"), ("overlays", "overlays")):
        typer.echo(f"{what + ':':<19}{(output / where).resolve()}")


@app.command()
def synthesize(
    output: Annotated[Path, typer.Argument(help="Folder for films/, labels/, truth/ and datalist.json.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of films.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same films.")] = 0,
    films_per_patient: Annotated[int, typer.Option(min=1, help="Films of one patient, never split apart.")] = 1,
    kind: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="healthy, compression_fracture, implant, cement, six_lumbar; all but the last by default."),
    ] = None,
    height: Annotated[int, typer.Option(min=128, help="Height of the films in pixels.")] = 1280,
    workers: Annotated[Optional[int], typer.Option(min=1, help="Processes; every core by default.")] = None,  # noqa: UP045
    region: Annotated[str, typer.Option(help="lumbar, thoracic or whole.")] = "lumbar",
    look: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="a (film-like) or b (multi-scale processing); a mix by default."),
    ] = None,
) -> None:
    """Write synthetic lateral radiographs with their truth, split 8 : 1 : 1 by patient.

    Films are DX DICOM, label maps are PNG in VerSe codes. A run that was broken off goes on where it stopped.

    Example: cmnet-monai synthesize data -n 100 --seed 0
    """
    _quiet()
    from cmnet_monai.datasets import synthesize as make

    try:
        datalist = make(output, count, seed, films_per_patient, kind, height, workers, region=region, look=look)
    except (OSError, ValueError) as error:
        _fail(error)
    typer.echo(f"{count} films; datalist: {datalist.resolve()}")


@app.command("synthesize-ct")
def synthesize_ct(
    output: Annotated[Path, typer.Argument(help="Folder for films/, labels/, truth/ and datalist.json.")],
    ct: Annotated[_Files, typer.Option(help="A CT (NIfTI); repeat it for more of them.")] = None,
    labels: Annotated[_Files, typer.Option(help="Its vertebra labels (NIfTI), in the order of the CTs.")] = None,
    shapes: Annotated[_Files, typer.Option(help="Vertebra labels without a CT: bone is simulated; repeatable.")] = None,
    codes: Annotated[str, typer.Option(help="verse or totalsegmentator: what the label values mean.")] = "verse",
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of films.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same films.")] = 0,
    height: Annotated[int, typer.Option(min=128, help="Height of the films in pixels.")] = 640,
    workers: Annotated[Optional[int], typer.Option(min=1, help="Processes; every core by default.")] = None,  # noqa: UP045
    look: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="a (film-like) or b (multi-scale processing); a mix by default."),
    ] = None,
    outline: Annotated[str, typer.Option(help="Masks: silhouette, or middle (of doubled end plates).")] = "silhouette",
) -> None:
    """Write lateral radiographs projected from randomly deformed CTs, split 8 : 1 : 1 by CT (one or two: all training).

    Needs the extra "ct". A run that was broken off goes on where it stopped.

    Example: cmnet-monai synthesize-ct data --ct a_ct.nii.gz --labels a_seg.nii.gz -n 100
    """
    _quiet()
    from cmnet_monai.datasets import synthesize_ct as make

    try:
        datalist = make(
            output,
            ct or [],
            labels or [],
            count,
            seed,
            shapes=shapes or [],
            codes=codes,
            height_px=height,
            look=look,
            outline=outline,
            workers=workers,
        )
    except (OSError, ValueError, ImportError) as error:
        _fail(error)
    typer.echo(f"{count} films; datalist: {datalist.resolve()}")


class DataFormat(str, Enum):
    """Layouts of data sets that `datalist` reads."""

    buu_lspine = "buu-lspine"
    mendeley = "mendeley"
    verse = "verse"
    coco = "coco"
    labelme = "labelme"
    folder = "folder"


_DATALIST_HELP = """Turn a public data set into a datalist with label maps, split 8 : 1 : 1 by patient.

Films are referred to where they are, never copied. Pairs of the same picture, whatever their names, keep their
patients together and are listed in duplicates.csv; what cannot be used is listed in skipped.csv with a remedy.

\b
FORMAT and what SOURCE holds:
  buu-lspine  LA/0001-F-037Y1.jpg and .csv: end plates (versions 1 and 2)
  mendeley    Keypointrcnn_data/{images,labels}/{train,val}: four corners
  verse       rawdata/*/*_ct.nii.gz, derivatives/*/*_seg-vert_msk.nii.gz: CT
  coco        JSON of polygons by level name (L1, S1, T12)
  labelme     a JSON of polygons beside each film
  folder      images/ and labels/ (or masks/) of the same names

\b
Examples:
  cmnet-monai datalist buu-lspine BUU_LSPINE_V2 data/buu
  cmnet-monai datalist mendeley Dataset data/mendeley --exclude data/buu
  cmnet-monai datalist verse verse2020 data/verse
  cmnet-monai datalist coco export/annotations.json data/coco
  cmnet-monai datalist labelme outlined data/mine --patient-pattern "^([^/]+)/"
  cmnet-monai datalist folder films data/films --folds 4
"""


@app.command(help=_DATALIST_HELP)
def datalist(
    data_format: Annotated[DataFormat, typer.Argument(metavar="FORMAT", help="The data set's layout, see above.")],
    source: Annotated[Path, typer.Argument(help="Folder of the unpacked data set (coco, labelme: or one JSON file).")],
    output: Annotated[Path, typer.Argument(help="Folder for datalist.json, labels/ and what was skipped.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same split.")] = 0,
    folds: Annotated[int, typer.Option(min=0, help="Also write fold_0.json ... for K-fold cross-validation.")] = 0,
    validation: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, help="Patients of each fold's validation part; a ninth of those not tested by default."),
    ] = None,
    patient_pattern: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="REGEX", help="Its group 1, in the film's path below SOURCE, is the patient."),
    ] = None,
    exclude: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="DATALIST", help="Leave out films whose picture is also in this datalist."),
    ] = None,
    s1: Annotated[
        str, typer.Option(help="buu-lspine: plate draws S1 below its end plate, none leaves it out.")
    ] = "plate",
    levels: Annotated[
        str, typer.Option(help="mendeley: none keeps bodies nameless, from-below guesses: 5 are L1-L5, 6 are L1-S1.")
    ] = "none",
    workers: Annotated[Optional[int], typer.Option(min=1, help="Threads; every core by default.")] = None,  # noqa: UP045
) -> None:
    """Turn a public data set into a datalist with label maps."""
    _quiet()
    from cmnet_monai.datasets import make_datalist

    try:
        done = make_datalist(
            data_format.value, source, output, seed, folds, validation, patient_pattern, exclude, s1, levels, workers
        )
    except (OSError, ValueError) as error:
        _fail(error)
    films = ", ".join(f"{count} {section}" for section, count in done.films.items())
    typer.echo(f"{sum(done.films.values())} films of {done.patients} patients: {films}")
    if done.skipped:
        typer.echo(f"{done.skipped} skipped, see {output / 'skipped.csv'}")
    if done.duplicates:
        typer.echo(f"{done.duplicates} pairs of the same picture, see {output / 'duplicates.csv'}")
    typer.echo(f"datalist: {done.datalist.resolve()}")


@app.command()
def recipe(
    real: Annotated[Path, typer.Argument(help="Folder with fold_0.json ... (cmnet-monai datalist ... --folds 4).")],
    work: Annotated[Path, typer.Argument(help="Folder for films, runs, results and scores.")],
    synthetic: Annotated[int, typer.Option(min=300, help="Number of synthetic films.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the synthetic films.")] = 300,
    extra: Annotated[
        _Files,
        typer.Option(help="A further data set to pretrain on, such as films made from CT; may be repeated."),
    ] = None,
    init_weights: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Weights to start pretraining from; from nothing by default."),
    ] = None,
    outlines: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Folder of <film>.json with the reader's confidence in each outline, to report weak ones apart."
        ),
    ] = None,
    setting: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A training setting: precision=bf16, pretrain.max_epochs=24; may be repeated. Any coarse.NAME=VALUE "
            "puts a training on a coarser grid in front: coarse.spatial_size=[144,192], coarse.heatmap_sigma=2.",
        ),
    ] = None,
    overlay: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="A config of the bundle that all trainings read last: finest_head; may be repeated."),
    ] = None,
    bundle: Annotated[Optional[Path], typer.Option(help="Another bundle folder than the one that came along.")] = None,  # noqa: UP045
    jobs: Annotated[int, typer.Option(min=1, help="Folds that run at the same time, sharing the cores.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands, run nothing.")] = False,
) -> None:
    """Make weights as the shipped ones were made, and measure them on real films that they never saw.

    Synthetic films, pretraining on them, a fine-tuning for each fold of the real films, scores of each film by the
    weights of the fold that left it out, and the mean of the folds' weights. What ran before is skipped.

    \b
    Example:
      cmnet-monai datalist folder FILMS data/real --folds 4 --validation 0
      cmnet-monai recipe data/real runs/recipe
    """
    _quiet()
    from cmnet_monai.bundle_location import bundle_root
    from cmnet_monai.experiments.recipe import Recipe, run_recipe

    try:
        settings = dict(_name_and_value(text) for text in setting or [])
        folders = (work.resolve(), real.resolve(), bundle_root(bundle).resolve())
        more = tuple(path.resolve() for path in extra or ())
        what = Recipe(*folders, synthetic, seed, more, init_weights, outlines, settings, tuple(overlay or ()))
        report = run_recipe(what, typer.echo, dry_run, jobs)
    except (OSError, ValueError, RuntimeError) as error:
        _fail(error)
    if report is not None:
        typer.echo(
            f"\n{report.read_text(encoding='utf-8')}\nreport and overlays: {report.parent}; weights: {what.work}"
        )


@app.command("compare-readings")
def compare(
    output: Annotated[Path, typer.Argument(help="Folder for readings.md (variants.md) and the scores behind it.")],
    films: Annotated[list[Path], typer.Option(help="A datalist with label maps (section test, else validation).")],
    weights: Annotated[list[Path], typer.Option(help="The weights to read it with, in the order of the datalists.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="At most so many films of each datalist.")] = 1000,
    variants: Annotated[
        bool, typer.Option("--variants", help="Compare what other machines would have stored: size, polarity, ...")
    ] = False,
    grid: Annotated[
        tuple[int, int], typer.Option(help="Width and height of the network's grid; a prompt's sigma goes with it.")
    ] = (288, 384),
) -> None:
    """Read films with the same weights in several ways, and compare: label protocols, passes, the mirrored film.

    \b
    Example, out of fold: cmnet-monai compare-readings OUT \\
      --films WORK/fold_0_test.json --weights WORK/fold_0.pt --films WORK/fold_1_test.json --weights WORK/fold_1.pt
    """
    _quiet()
    from cmnet_monai.datasets import read_datalist
    from cmnet_monai.experiments.readings import compare_readings, compare_variants

    try:
        if len(films) != len(weights):
            raise ValueError(f"{len(films)} datalists and {len(weights)} weights: give one file of weights a datalist")
        items = [read_datalist(datalist, ["test", "validation"])[:count] for datalist in films]
        run = compare_variants if variants else compare_readings
        report = run(list(zip(items, weights)), output, spatial_size=grid, sigma_px=4.0 * grid[0] / 288)
    except (OSError, ValueError, RuntimeError) as error:
        _fail(error)
    typer.echo(f"{report.read_text(encoding='utf-8')}\ntable: {report.resolve()}")


@app.command("pack-weights")
def pack_weights(
    checkpoints: Annotated[list[Path], typer.Argument(help="best.pt or last.pt of a training run, or of several.")],
    output: Annotated[Path, typer.Argument(help="File to write, such as bundle/models/model.pt.")],
) -> None:
    """Store a network's weights the way the bundle ships them: a flat state_dict in half precision.

    Of several checkpoints the mean is stored: sensible for the folds of a cross-validation that were fine-tuned from
    the same weights.
    """
    _quiet()
    from cmnet_monai.engines import pack_checkpoint

    try:
        size = pack_checkpoint(checkpoints, output)
    except (OSError, ValueError, RuntimeError) as error:
        _fail(error)
    typer.echo(f"{output}: {size / 1e6:.1f} MB")


@app.command("bundle")
def show_bundle() -> None:
    """Print the folder of the bundle: its configs, weights and model card."""
    from cmnet_monai.bundle_location import bundle_root

    try:
        typer.echo(bundle_root())
    except OSError as error:
        _fail(error)


@app.command("label-bundle")
def label_bundle(
    output: Annotated[Path, typer.Argument(help="New folder, such as apps/monaibundle/model/cmnet.")],
    bundle: Annotated[Optional[Path], typer.Option(help="Another bundle folder than the one that came along.")] = None,  # noqa: UP045
) -> None:
    """Write the bundle as MONAI Label's monaibundle app serves and trains it."""
    from cmnet_monai.bundle_location import bundle_root
    from cmnet_monai.label_bundle import write_label_bundle

    try:
        typer.echo(write_label_bundle(bundle_root(bundle), output))
    except (OSError, ValueError) as error:
        _fail(error)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
