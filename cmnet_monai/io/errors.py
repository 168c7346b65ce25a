"""The error that every unreadable film raises."""

from __future__ import annotations

import os
from typing import Any


class FilmError(ValueError):
    """A file cannot be read as one radiograph.

    The text is ``<path>: <reason>. <remedy>.`` It names the file, never what the file says about the patient.

    Args:
        path: the file.
        reason: what is wrong with it, without a full stop.
        remedy: what the user can do about it, without a full stop.
    """

    def __init__(self, path: str | os.PathLike, reason: str | None = None, remedy: str = "") -> None:
        self.path = os.fspath(path)
        self.reason = reason or ""
        self.remedy = remedy
        # A data loader's worker process rebuilds an exception from its text alone.
        text = self.path if reason is None else f"{self.path}: {reason}."
        super().__init__(f"{text} {remedy}." if remedy else text)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.reason or None, self.remedy)
