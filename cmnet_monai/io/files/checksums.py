"""SHA-256 of weights, and the record of it that stands beside them."""

from __future__ import annotations

import re
from pathlib import Path

from cmnet_monai.io.files.atomic import atomic_write
from cmnet_monai.io.files.results import file_sha256

RECORD_SUFFIX = ".sha256"
"""``model.pt.sha256`` records ``model.pt``, in the form of ``sha256sum``."""

_LINE = re.compile(r"\s*([0-9a-fA-F]{64})(\s.*)?", re.DOTALL)


def recorded_sha256(path: str | Path) -> str:
    """The SHA-256 that stands beside a file, as hexadecimal digits; "" where none does.

    Raises:
        ValueError: the record holds no such number.
    """
    record = Path(f"{path}{RECORD_SUFFIX}")
    if not str(path) or not record.is_file():
        return ""
    found = _LINE.fullmatch(record.read_text(encoding="utf-8", errors="replace"))
    if found is None:
        raise ValueError(f"{record}: no SHA-256 in it; `sha256sum {Path(path).name}` prints such a record")
    return found[1].lower()


def checked_sha256(path: str | Path) -> str:
    """SHA-256 of a file, as hexadecimal digits, equal to what is recorded beside it if anything is.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not the one that was recorded.
    """
    found, recorded = file_sha256(path), recorded_sha256(path)
    if recorded and found != recorded:
        raise ValueError(
            f"{path}: its SHA-256 begins with {found[:12]}, {Path(path).name}{RECORD_SUFFIX} beside it says "
            f"{recorded[:12]}: the file is damaged or was exchanged. Get it again; if the exchange is yours, renew or "
            "delete that record"
        )
    return found


def write_sha256(path: str | Path) -> Path:
    """Record a file's SHA-256 beside it, for `checked_sha256` and ``sha256sum --check``; returns the record's path."""
    record = Path(f"{path}{RECORD_SUFFIX}")
    with atomic_write(record) as temporary:
        temporary.write_text(f"{file_sha256(path)}  {Path(path).name}\n", encoding="utf-8")
    return record
