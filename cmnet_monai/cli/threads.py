"""How many threads a command computes with; asked before PyTorch is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Optional

import typer

Threads = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=1, help="Threads of the network; the free physical cores by default (or OMP_NUM_THREADS)."),
]

_WAITING: Mapping[str, str] = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}


def use_threads(threads: int | None = None) -> int:
    """Compute with so many threads, which sleep rather than spin while one waits for another.

    OpenMP's threads wait actively by default: beside other programs each holds a core that the one it waits for would
    need. Settings of the environment count more. Call it before PyTorch is imported: OpenMP reads them once.

    Args:
        threads: None: OMP_NUM_THREADS, else the physical cores that this process may use, less those that are busy
            now, but one at least.
    Returns:
        The number of threads.
    """
    for name, value in _WAITING.items():
        os.environ.setdefault(name, value)
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    chosen = threads or (int(given) if given.isdigit() and int(given) else free_cores())
    os.environ["OMP_NUM_THREADS"] = str(chosen)  # of worker processes too
    import torch

    torch.set_num_threads(chosen)
    return chosen


def free_cores() -> int:
    """Physical cores that this process may use, less the load of the last minute; one at least."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    siblings = Path("/sys/devices/system/cpu")
    cores = {_read(siblings / f"cpu{n}" / "topology" / "thread_siblings_list") or str(n) for n in allowed}
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, len(cores) - round(busy))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return ""
