"""The command `cmnet-monai`: parse, call, exit code. Everything heavy is imported when a command runs."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from cmnet_monai.cli import package, predict, train
from cmnet_monai.cli.common import fail as _fail
from cmnet_monai.cli.common import quiet as _quiet

_Files = Optional[list[Path]]  # noqa: UP045

app = typer.Typer(
    name="cmnet-monai",
    help="Vertebrae on lateral lumbar radiographs: masks and centres of L1-L5, with CM-Net.",
    epilog="Maintainers: python -m cmnet_monai.evaluation, .paper, .deploy. Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
app.command("predict")(predict.predict)
app.command("train")(train.train)
app.command("evaluate")(train.evaluate)
app.command("package")(package.package)
app.command("export")(package.export)


def _version(show: bool) -> None:
    if show:
        from cmnet_monai._version import __version__

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
        typer.Option(
            help="healthy, compression_fracture, implant, cement or six_lumbar; a mix of the first four by default."
        ),
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


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
