"""Errors and doubts about one film, and errors of the place where results go."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

_Error = TypeVar("_Error", bound=BaseException)

_NO_PLACE = frozenset(
    getattr(errno, name)
    for name in (
        "ENOSPC",
        "EDQUOT",
        "EROFS",
        "EACCES",
        "EPERM",
        "ENOTDIR",
        "EIO",
        "EFBIG",
        "ESTALE",
        "ENODEV",
        "EEXIST",
    )
    if hasattr(errno, name)
)
"""What the place is to blame for, not the file that was to be written there."""


class FilmError(ValueError):
    """A file cannot be read as one radiograph.

    The text is ``<path>: <reason>. <remedy>.`` It names the file, never what the file says about the patient.

    Args:
        path: the file.
        reason: what is wrong with it, without a full stop.
        remedy: what the user can do about it, without a full stop.

    >>> error = FilmError("films/a.dcm", "this is a folder, not a film", "Give one file per film")
    >>> print(error)
    films/a.dcm: this is a folder, not a film. Give one file per film.
    >>> error.reason, isinstance(error, ValueError)
    ('this is a folder, not a film', True)
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


class OutputError(OSError):
    """Nothing can be written to a folder any more: the disk is full, read-only, gone, or closed to the user.

    It concerns a whole run, and no film of it: a run that meets it stops.

    Args:
        folder: where something was to be written.
        reason: what the system says.

    >>> error = OutputError("results", "No space left on device")
    >>> error.folder, error.reason, isinstance(error, OSError)
    ('results', 'No space left on device', True)
    """

    def __init__(self, folder: str | os.PathLike, reason: str) -> None:
        self.folder = os.fspath(folder)
        self.reason = reason
        super().__init__(
            f"{self.folder}: nothing can be written there ({reason}). Make room or give another folder, and run it "
            "again: it goes on where it stopped."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder, self.reason)


def output_error(error: BaseException, folder: str | os.PathLike) -> OutputError | None:
    """The `OutputError` that an error of writing into a folder amounts to; None where the folder is not to blame."""
    if isinstance(error, OSError) and error.errno in _NO_PLACE:
        return OutputError(folder, error.strerror or type(error).__name__)
    if isinstance(error, RuntimeError) and "PytorchStreamWriter" in str(error):  # how torch.save says it
        return OutputError(folder, "a file could not be written whole; is the disk full?")
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from, what that was raised from, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def first_cause(error: BaseException, kind: type[_Error]) -> _Error | None:
    """The first of an error's `causes` that is of a kind; None where none is."""
    return next((cause for cause in causes(error) if isinstance(cause, kind)), None)


def unwrapped(error: BaseException) -> BaseException:
    """The error that a config raised, which MONAI wraps in RuntimeErrors."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def error_text(error: BaseException) -> str:
    """An error in a few words, the first line of it: kind and text, without the name of a file that the system adds."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    line = text.strip().split("\n")[0]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


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
