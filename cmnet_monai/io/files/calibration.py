"""The file that says how sure the shipped weights may be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CALIBRATION_NAME = "calibration.json"


def read_calibration(path: str | Path, weights_sha256: str, settings: Mapping[str, Any]) -> dict[str, float]:
    """Constants of a calibration, if it was made for these weights and settings.

    Args:
        path: JSON with ``weights_sha256`` (a list for a network in several formats), ``settings`` (those that it was
            made with) and ``calibration`` (its constants, see `cmnet_monai.decode.Calibration`).
        weights_sha256: of the weights in use.
        settings: of the run.
    Returns:
        The constants; none if there is no such file, or it is for other weights or settings.
    Raises:
        ValueError: the file is no such JSON.
    """
    file = Path(path)
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        named, made_with = content["weights_sha256"], dict(content["settings"])
        made_for = [named] if isinstance(named, str) else list(named)
        constants = {str(name): float(value) for name, value in content["calibration"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: not a calibration ({type(error).__name__}: {error})") from error
    same = weights_sha256 in made_for and all(_plain(settings.get(key)) == _plain(made_with[key]) for key in made_with)
    return constants if same else {}


def _plain(value: Any) -> str:
    """A setting as text: a command line says "true", a config true."""
    return json.dumps(value, default=str).strip('"').lower()
