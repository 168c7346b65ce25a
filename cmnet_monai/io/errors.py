"""The error that every unreadable film raises, and the warning of every film whose header is in doubt."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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


class FilmWarning(UserWarning):
    """A film was read, but its header is in doubt: the text says what to check, never what names the patient."""


_notes: ContextVar[list[str] | None] = ContextVar("notes", default=None)


def warn_of_film(text: str) -> None:
    """Warn that a film's header is in doubt; `notes_of_film` gathers the text too."""
    warnings.warn(text, FilmWarning, stacklevel=3)
    notes = _notes.get()
    if notes is not None and text not in notes:
        notes.append(text)


@contextmanager
def notes_of_film() -> Iterator[list[str]]:
    """A list that gets the text of every `warn_of_film` within, whatever warning filters say and in any thread."""
    notes: list[str] = []
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)
