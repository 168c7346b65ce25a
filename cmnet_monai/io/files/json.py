"""JSON files: whole or not there, and without the numbers that JSON does not know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmnet_monai.io.files.atomic import atomic_write


def read_json(path: str | Path) -> Any:
    """A JSON file's content; None where there is no such file."""
    file = Path(path)
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def write_json(path: str | Path, content: Any, indent: int | None = 1) -> None:
    """Write JSON, whole or not at all; numbers that are not finite become null, objects such as paths their text.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_json(f"{folder}/scores.json", {"dice": float("nan"), "film": Path("a.dcm")})
    ...     read_json(f"{folder}/scores.json"), read_json(f"{folder}/none.json")
    ({'dice': None, 'film': 'a.dcm'}, None)
    """
    text = json.dumps(_finite(content), indent=indent, default=str, allow_nan=False)
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if hasattr(value, "tolist"):  # a number or an array of NumPy's
        return _finite(value.tolist())
    return None if isinstance(value, float) and not (float("-inf") < value < float("inf")) else value
