"""`cmnet-monai predict`: the bundle's inference with a person's habits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from cmnet_monai.cli.common import fail, quiet
from cmnet_monai.cli.threads import Threads, use_threads
from cmnet_monai.conventions import LABEL_OF_LEVEL, LUMBAR

if TYPE_CHECKING:
    from cmnet_monai.engines.inference import Prediction


def predict(
    films: Annotated[
        list[str], typer.Argument(help='Films, folders (searched recursively), datalists, or patterns: "in/*.dcm".')
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")],
    overlay: Annotated[bool, typer.Option(help="A picture of each film with what was found on it.")] = True,
    dicom_seg: Annotated[bool, typer.Option("--dicom-seg", help="A DICOM Segmentation for each DICOM film.")] = False,
    dicom_sr: Annotated[
        bool, typer.Option("--dicom-sr", help="A DICOM structured report with the measurements, likewise.")
    ] = False,
    dicom_flagged: Annotated[
        bool, typer.Option("--dicom-flagged", help="DICOM objects of films that may be no lateral lumbar ones, too.")
    ] = False,
    seg_nrrd: Annotated[
        bool, typer.Option("--seg-nrrd", help="A segmentation for 3D Slicer, names and colours inside (.seg.nrrd).")
    ] = False,
    csv: Annotated[bool, typer.Option(help="The batch's tables; failures.csv is always written.")] = True,
    levels: Annotated[str, typer.Option(help="Levels that the binary mask holds.")] = ",".join(LUMBAR),
    anterior: Annotated[str, typer.Option(help="Where the patient's front is: left, right, or auto.")] = "auto",
    centres: Annotated[Optional[Path], typer.Option(help="JSON of centres to mend films by: docs/outputs.md.")] = None,  # noqa: UP045
    all_mm: Annotated[
        bool, typer.Option("--all-mm", help="Millimetres for detector and unspecified spacings too (magnified!).")
    ] = False,
    anonymous_names: Annotated[
        bool, typer.Option("--anonymous-names", help="Name outputs by a hash, not by the film.")
    ] = False,
    with_identifiers: Annotated[
        bool, typer.Option("--with-identifiers", help="Patient and study in films.csv and report.html; else nowhere.")
    ] = False,
    resume: Annotated[bool, typer.Option(help="Keep results that are there already; or do every film again.")] = True,
    device: Annotated[Optional[str], typer.Option(help="cpu, cuda, cuda:1; found by itself by default.")] = None,  # noqa: UP045
    batch_size: Annotated[int, typer.Option(min=1, help="Films that the network sees at a time.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read films; with 0 a film can end the run.")] = 1,
    threads: Threads = None,
    weights: Annotated[Optional[Path], typer.Option(help="Other weights than the bundle's.")] = None,  # noqa: UP045
    engine: Annotated[
        str, typer.Option(help="torch, torchscript or onnx; exported networks: models/model.ts, .onnx, or --weights.")
    ] = "torch",
    bundle: Annotated[Optional[Path], typer.Option(help="Another bundle folder than the one that came along.")] = None,  # noqa: UP045
) -> None:
    """Segment, name and measure the vertebrae of lateral lumbar radiographs.

    Each film gets a mask of L1-L5, a label map of every level (NIfTI and PNG), centres and measurements (JSON) and a
    picture; the batch gets films.csv, vertebrae.csv, discs.csv, flags.csv and failures.csv. Results that are there
    already are kept, so a run that was broken off goes on where it stopped. One bad film never stops the others.
    Exit code: 0 if every film worked, 3 if some did not, 1 if none did.

    \b
    Examples:
      cmnet-monai predict film.dcm -o out
      cmnet-monai predict archive/ "more/*.png" -o out --dicom-seg --dicom-sr --workers 2
    """
    use_threads(threads)
    quiet()
    from cmnet_monai.bundle_location import bundle_root
    from cmnet_monai.engines.inference import predict as run

    settings = {
        "overlay": overlay,
        "dicom_seg": dicom_seg,
        "dicom_sr": dicom_sr,
        "dicom_flagged": dicom_flagged,
        "seg_nrrd": seg_nrrd,
        "tables": csv,
        "anterior": anterior,
        "all_mm": all_mm,
        "identifiers": with_identifiers,
        "anonymous_names": anonymous_names,
        "resume": resume,
        "batch_size": batch_size,
        "num_workers": workers,
        "engine": engine,
    } | _given(device=device, ckpt_path=weights, given_centres=centres)
    try:
        settings["levels"] = _levels(levels)
        done = run(films, output, bundle_root(bundle), **settings)
    except (OSError, ValueError, RuntimeError) as error:
        fail(error)
    _say(done)
    raise typer.Exit(done.exit_code)


def _given(**options: object) -> dict[str, object]:
    """Overrides of the inference config, of the options that were given."""
    return {name: str(v) if isinstance(v, Path) else v for name, v in options.items() if v is not None}


def _say(done: Prediction) -> None:
    """What became of the batch, and the first failures."""
    from cmnet_monai.io import printable

    typer.echo(
        f"\n{done.done} films done, {done.kept} kept from before, {done.flagged} with flags, "
        f"{len(done.failures)} problems; results in {done.output.resolve()}"
    )
    for reason, count in done.left_out:
        typer.echo(f"  {reason}: {count} films")
    for failure in done.failures[:10]:
        typer.echo(printable(f"  {failure['film']}: {failure['reason']}. {failure['remedy']}."), err=True)
    if len(done.failures) > 10:
        typer.echo(f"  and {len(done.failures) - 10} more, see failures.csv", err=True)


def _levels(text: str) -> list[str]:
    levels = [level.strip() for level in text.split(",") if level.strip()]
    unknown = [level for level in levels if level not in LABEL_OF_LEVEL]
    if unknown or not levels:
        raise ValueError(f"--levels takes levels such as L1,L2; got {text!r}")
    return levels
