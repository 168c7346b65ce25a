"""`cmnet-monai package` and `export`: what leaves this project for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from cmnet_monai.cli.common import fail, quiet

Bundle = Annotated[Optional[Path], typer.Option(help="Another bundle folder than the one that came along.")]  # noqa: UP045
Weights = Annotated[Optional[Path], typer.Option(help="Other weights than the bundle's, of the same network.")]  # noqa: UP045


def package(
    output: Annotated[Path, typer.Argument(help="Archive to write, such as lumbar_radiograph_segmentation.zip.")],
    weights: Weights = None,
    bundle: Bundle = None,
) -> None:
    """Write the bundle as one file: configs, weights (.pt and TorchScript), model card, licences, and all code.

    Whoever has MONAI and the packages that configs/metadata.json names needs nothing else. The same bundle, code, torch
    and MONAI give the same bytes.

    \b
    Example:
      cmnet-monai package lumbar_radiograph_segmentation.zip
      python -m monai.bundle download --name lumbar_radiograph_segmentation --bundle_dir . \\
        --url file:///PATH/lumbar_radiograph_segmentation.zip
    """
    quiet()
    from cmnet_monai.bundle_location import bundle_root
    from cmnet_monai.deploy import package_bundle

    try:
        digest = package_bundle(output, bundle_root(bundle), weights, typer.echo)
    except (OSError, ValueError, RuntimeError) as error:
        fail(error)
    typer.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB, SHA-256 {digest}")


def export(
    output: Annotated[Path, typer.Argument(help="File to write: .ts (TorchScript), .onnx or .pt2 (torch.export).")],
    weights: Weights = None,
    bundle: Bundle = None,
) -> None:
    """Export the network with its weights; the file's ending chooses the format.

    ONNX: input "image" (B, 2, W, H), film and prompt, output "pred" (B, C, W, H), logits; any batch and size.

    \b
    Example: cmnet-monai export model.onnx && cmnet-monai predict FILMS -o OUT --engine onnx --weights model.onnx
    """
    quiet()
    from cmnet_monai.bundle_location import bundle_root
    from cmnet_monai.deploy import export_network

    try:
        name = export_network(bundle_root(bundle), output, weights)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        fail(error)
    typer.echo(f"{output}: {name}, {output.stat().st_size / 1e6:.1f} MB")
