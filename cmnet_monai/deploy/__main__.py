"""Commands around the bundle as it is given away: `python -m cmnet_monai.deploy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from cmnet_monai.bundle_location import bundle_root
from cmnet_monai.console import Commands

app = typer.Typer(
    name="python -m cmnet_monai.deploy",
    help="Where the bundle is, the bundle for MONAI Label, and the licences of what comes along.",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
Bundle = Annotated[Optional[Path], typer.Option(help="Another bundle folder than the one that came along.")]  # noqa: UP045


@app.command("bundle")
def show_bundle() -> None:
    """Print the folder of the bundle: its configs, weights and model card.

    Example: python -m cmnet_monai.deploy bundle
    """
    typer.echo(bundle_root())


@app.command("label-bundle")
def label_bundle(
    output: Annotated[Path, typer.Argument(help="New folder, such as apps/monaibundle/model/cmnet.")],
    bundle: Bundle = None,
) -> None:
    """Write the bundle as MONAI Label's monaibundle app serves and trains it.

    Example: python -m cmnet_monai.deploy label-bundle apps/monaibundle/model/cmnet
    """
    from cmnet_monai.deploy.label_bundle import write_label_bundle

    typer.echo(write_label_bundle(bundle_root(bundle), output))


@app.command()
def licences(
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(help="Page to write, such as docs/licences.md; printed by default."),
    ] = None,
) -> None:
    """List the licences of the packages that come along, and which of them are copyleft.

    Example: python -m cmnet_monai.deploy licences docs/licences.md
    """
    from cmnet_monai.deploy import installed_licences, licences_page
    from cmnet_monai.io.files.atomic import write_text

    page = licences_page(installed_licences())
    typer.echo(page if output is None else f"licences: {write_text(output, page)}")


if __name__ == "__main__":
    app()
