"""Where a number comes from, and files that hold numbers."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cmnet_monai._version import __version__
from cmnet_monai.io import atomic_write


def identity_of(*parts: Any) -> str:
    """A short hash of plain values, the same for equal ones in any process."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def data_hash(items: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 of the contents of all films and label maps of datalist items, in the order of the items."""
    digest = hashlib.sha256()
    for item in items:
        for key in ("image", "label"):
            if key in item:
                digest.update(hashlib.sha256(Path(str(item[key])).read_bytes()).digest())
    return digest.hexdigest()[:16]


@cache
def commit() -> str:
    """The checkout's commit, with "+" behind it where files were changed; the package's version outside a checkout."""
    package = Path(__file__).resolve().parents[2]
    try:
        found = _git(package, "rev-parse", "--short=12", "HEAD")
        tracked = _git(package, "ls-files", "__init__.py")
        changed = _git(package, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return f"version {__version__}"
    return found + ("+" if changed else "") if tracked else f"version {__version__}"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.strip()


def provenance() -> dict[str, Any]:
    """Commit, versions and hardware that a number is made with now."""
    import monai
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {
        "commit": commit(),
        "version": __version__,
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "monai": monai.__version__,
    }


@cache
def cpu_model() -> str:
    """Name of the processor, as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def read_json(path: str | Path) -> Any:
    """A JSON file's content, None where there is no such file."""
    file = Path(path)
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def write_json(path: str | Path, content: Any, indent: int | None = 1) -> None:
    """Write JSON, whole or not at all; numbers that are not finite become null."""
    with atomic_write(path) as temporary:
        text = json.dumps(finite_or_none(content), indent=indent, default=str, allow_nan=False)
        Path(temporary).write_text(text + "\n", encoding="utf-8")


def finite_or_none(value: Any) -> Any:
    """The same content with None for numbers that are not finite, which JSON does not know."""
    if isinstance(value, Mapping):
        return {key: finite_or_none(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_or_none(v) for v in value]
    if isinstance(value, float) and not (float("-inf") < value < float("inf")):
        return None
    return value


def number(value: Any) -> float:
    """A number of a JSON file; null is NaN."""
    return float("nan") if value is None else float(value)
