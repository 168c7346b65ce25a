"""Where a number comes from: identities of settings and data, commit, versions, hardware."""

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
    try:
        found, tracked, changed = (
            subprocess.run(
                ["git", "-C", str(Path(__file__).parent), *arguments],
                capture_output=True,
                text=True,
                check=True,
                timeout=30,
            ).stdout.strip()
            for arguments in (
                ("rev-parse", "--short=12", "HEAD"),
                ("ls-files", "__init__.py"),
                ("status", "--porcelain", "--untracked-files=no"),
            )
        )
    except (OSError, subprocess.SubprocessError):
        return f"version {__version__}"
    return found + ("+" if changed else "") if tracked else f"version {__version__}"


def provenance() -> dict[str, Any]:
    """Commit, versions and hardware that a number is made with now."""
    import monai
    import torch

    return {
        "commit": commit(),
        "version": __version__,
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "monai": monai.__version__,
    }


@cache
def cpu_model() -> str:
    """Name of the processor, as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
