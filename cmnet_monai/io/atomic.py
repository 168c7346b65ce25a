"""Files that are either whole or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_PREFIX = ".cmnet-part-"
"""Start of every temporary name; what is left of it after a kill may be deleted."""


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Write to a temporary name in the same folder, then take the final name in one step.

    The temporary file keeps the suffix (and ``.nii`` before ``.gz``), so writers that choose the format by name work.
    On success the data are flushed to the disk and the file replaces whatever had the name; on any exception
    the temporary file is removed and the old file stays.

    Args:
        path: final name; missing folders are made.
    Yields:
        Temporary path, not created yet, to be written by the caller.
    Raises:
        FileNotFoundError: the caller wrote nothing.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{_suffix(final)}"
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(final)
        _flush_folder(final.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _suffix(path: Path) -> str:
    suffix = path.suffix
    if suffix.lower() == ".gz":
        suffix = Path(path.stem).suffix + suffix
    return suffix[:32]


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems cannot; the file itself is safe
        pass
    finally:
        os.close(descriptor)
