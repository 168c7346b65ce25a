"""What all commands share: how they fail, and what they keep off the console."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup


def fail(error: BaseException) -> NoReturn:
    """Say what went wrong in one line, and end with exit code 1."""
    from cmnet_monai.io import printable
    from cmnet_monai.io.errors import unwrapped

    typer.echo(f"cmnet-monai: {printable(str(unwrapped(error)).replace(chr(10), ' '))}", err=True)
    raise typer.Exit(1)


def quiet() -> None:
    """Keep the console for what the user asked for, unless warnings were asked for."""
    import logging
    import warnings

    if not sys.warnoptions and not os.environ.get("PYTHONWARNINGS"):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        os.environ["PYTHONWARNINGS"] = "ignore"


class Commands(TyperGroup):
    """A group of commands that run quietly and tell their errors in one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        quiet()
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            fail(error)


def name_and_value(text: str) -> tuple[str, str]:
    """The two sides of NAME=VALUE.

    Raises:
        ValueError: there is no name, or no sign.
    """
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ValueError(f"--set takes NAME=VALUE; got {text!r}")
    return name, value
