"""Files that are either whole or not there."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cmnet_monai.io.errors import output_error

TEMPORARY_PREFIX = ".cmnet-part-"
"""Start of every temporary name; what is left of it after a kill may be deleted."""
LEFT_BEHIND_S = 3600.0
"""A temporary file of this age belongs to no process that still writes it."""


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
        OutputError: the folder takes no more files: the disk is full, read-only, or closed to the user.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(f"{folder}/report.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...         before = Path(folder, "report.txt").exists()
    ...     before, Path(folder, "report.txt").read_text()
    (False, 'whole')
    """
    final = Path(path)
    temporary = final.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{_suffix(final)}"
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(final)
        _flush_folder(final.parent)
    except (OSError, RuntimeError) as error:
        blamed = output_error(error, final.parent)
        if blamed is None:
            raise
        raise blamed from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> Path:
    """Write a text file in UTF-8, whole or not at all; returns its path."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def remove_leftovers(folder: str | os.PathLike, older_than_s: float = LEFT_BEHIND_S) -> int:
    """Delete the temporary files that killed processes left in a folder; returns how many.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in (f"{TEMPORARY_PREFIX}0123.png", "mask.png"):  # the first is what a kill left
    ...         Path(folder, name).touch()
    ...     young, old = remove_leftovers(folder), remove_leftovers(folder, older_than_s=-1)
    ...     young, old, [file.name for file in Path(folder).iterdir()]
    (0, 1, ['mask.png'])
    """
    removed = 0
    for file in Path(folder).glob(f"{TEMPORARY_PREFIX}*"):
        with suppress(OSError):  # another process may have been quicker
            if time.time() - file.stat().st_mtime > older_than_s:
                file.unlink()
                removed += 1
    return removed


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
