"""Where the bundle is: inside an installed package, beside the package in a checkout, or around it in an archive."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def bundle_root(override: str | Path | None = None) -> Path:
    """Folder of the bundle.

    Args:
        override: a bundle folder to use instead.
    Returns:
        The folder that holds ``configs`` and ``models``.
    Raises:
        FileNotFoundError: it has no ``configs/metadata.json``.
    """
    package = Path(str(files("cmnet_monai")))
    places = [package / "bundle", package.parent / "bundle", package.parent]
    candidates = [Path(override)] if override is not None else places
    for candidate in candidates:
        if (candidate / "configs" / "metadata.json").is_file():
            return candidate
    raise FileNotFoundError(f"{candidates[0]}: no bundle there; a bundle folder holds configs/metadata.json")
