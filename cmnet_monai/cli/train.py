"""`cmnet-monai train` and `cmnet-monai evaluate`: the bundle's configs with a person's habits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from cmnet_monai.cli.common import fail, name_and_value, quiet
from cmnet_monai.cli.threads import Threads, use_threads

Settings = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", metavar="NAME=VALUE", help="A setting of the config: batch_size=2; may be repeated."),
]
Device = Annotated[Optional[str], typer.Option(help="cpu, cuda, cuda:1; found by itself by default.")]  # noqa: UP045
Bundle = Annotated[Optional[Path], typer.Option(help="Another bundle folder than the one that came along.")]  # noqa: UP045
Data = Annotated[
    Path, typer.Argument(help="Folder with datalist.json, the datalist, or a folder of images and labels.")
]


def train(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run: best.pt, last.pt, curves.")],
    config: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="NAME",
            help="Configs of the bundle on top of train.json, in order: pretrain, finetune, baseline, ...; "
            "may be repeated.",
        ),
    ] = None,
    weights: Annotated[Optional[Path], typer.Option(help="Weights to start from; from nothing by default.")] = None,  # noqa: UP045
    setting: Settings = None,
    resume: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option(help="Insist on resuming the run in OUTPUT, or on starting afresh; found by itself by default."),
    ] = None,
    threads: Threads = None,
    device: Device = None,
    bundle: Bundle = None,
) -> None:
    """Train the network on films with label maps.

    Without --config the settings are the paper's. The same command goes on with a run that was broken off; an earlier
    run in OUTPUT is never overwritten, but moved aside. The weights with the best validation Dice are OUTPUT/best.pt,
    and best.json beside them says what they were trained with.

    \b
    Examples:
      cmnet-monai train data -o run --config pretrain --set max_epochs=12
      cmnet-monai train mine -o tuned --config pretrain --config finetune \\
        --weights run/best.pt --set extra_dirs='["data"]'
    """
    settings = {"init_weights": weights, "resume": resume, "device": device}
    run(["train", *(config or [])], data, output, settings, setting, threads, bundle)
    best = output / "best.pt"
    if not best.is_file():
        fail(ValueError(f"{output}: no best.pt: every validation Dice was undefined. Check the label maps of {data}"))
    typer.echo(f"weights: {best.resolve()}")


def evaluate(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for metrics.csv and the values of films.")],
    weights: Annotated[Optional[Path], typer.Option(help="Weights to measure; the bundle's by default.")] = None,  # noqa: UP045
    setting: Settings = None,
    threads: Threads = None,
    device: Device = None,
    bundle: Bundle = None,
) -> None:
    """Measure weights on films with label maps: Dice and more of L1-L5, at each film's own size.

    The datalist's section test is measured, or validation where there is none. Grid, label protocol and the like are
    those that the weights were trained with.

    \b
    Example: cmnet-monai evaluate data --weights run/best.pt -o eval
    """
    settings = {"ckpt_path": weights, "device": device}
    metrics = run(["train", "evaluate"], data, output, settings, setting, threads, bundle)
    for name, value in metrics.items():
        typer.echo(f"{name.removeprefix('test_').replace('_', ' '):<20}{value:.3f}")
    typer.echo(f"values of every film: {output.resolve()}")


def run(
    configs: Sequence[str],
    data: Path,
    output: Path,
    settings: dict[str, Any],
    more: Sequence[str] | None,
    threads: int | None,
    bundle: Path | None,
) -> dict[str, float]:
    """Run configs of the bundle with settings on top, or end with one line about what is wrong.

    Returns:
        The metrics of the last validation.
    """
    quiet()
    use_threads(threads)
    from monai.bundle import ConfigWorkflow

    from cmnet_monai.bundle_location import bundle_root

    _show_epochs()
    try:
        root = bundle_root(bundle)
        files = [root / "configs" / f"{name}.json" for name in configs]
        known = {name.split("#")[0] for file in files for name in _read(file)}
        chosen = {name: str(v) if isinstance(v, Path) else v for name, v in settings.items() if v is not None}
        chosen |= {"dataset_dir": str(data), "output_dir": str(output)}
        for name, value in map(name_and_value, more or []):
            if name.split("#")[0] not in known:
                raise ValueError(f"{name}: no setting of {', '.join(file.name for file in files)}")
            chosen[name] = _value(value)
        workflow = ConfigWorkflow(
            workflow_type="training",
            config_file=[str(file) for file in files],
            logging_file=False,
            bundle_root=str(root),
            **chosen,
        )
        workflow.initialize()
        workflow.run()
        metrics = dict(workflow.parser.get_parsed_content("validate#evaluator").state.metrics)
        workflow.finalize()
    except KeyboardInterrupt:
        fail(RuntimeError("stopped; the same command goes on from the last whole epoch"))
    except (OSError, ValueError, RuntimeError) as error:
        fail(error)
    return {name: float(value) for name, value in metrics.items()}


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        names = ", ".join(sorted(path.stem for path in file.parent.glob("*.json")))
        raise FileNotFoundError(f"{file}: no such config; there are {names}")
    return dict(json.loads(file.read_text(encoding="utf-8")))


def _value(text: str) -> Any:
    """A value as JSON, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _show_epochs() -> None:
    """Let the loggers of training and evaluation through: a line an epoch, and what becomes of a run."""
    import logging

    logging.disable(logging.NOTSET)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    for name in ("train", "validate", "evaluate", "cmnet_monai"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.handlers = [handler]  # MONAI gives loggers that have no name yet one of its own
        logger.propagate = False
    for name in ("monai.bundle.workflows", "ignite"):
        logging.getLogger(name).setLevel(logging.ERROR)
