"""Which films a command line means."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable
from pathlib import Path

from cmnet_monai.datasets import find_films
from cmnet_monai.datasets.datalist import real_path


def collect_films(sources: Iterable[str], say: Callable[[str], None] = print) -> tuple[list[Path], dict[str, str]]:
    """Films of files, folders (searched recursively), datalists and patterns such as ``"films/*.dcm"``.

    Args:
        sources: as they stand on the command line; a pattern that the shell did not expand is expanded here.
        say: gets a line about what folders hold beside films.
    Returns:
        The films, each once, in the order given, and why a source holds none, by source.
    """
    films: dict[Path, None] = {}
    missing: dict[str, str] = {}
    for source in sources:
        path = Path(source)
        try:
            if glob.has_magic(source) and not path.exists():
                root = Path(path.anchor)
                found = sorted(root.glob(str(path.relative_to(root))))
            else:
                found = [path]
        except OSError as error:  # a name that the file system cannot hold
            missing[source] = error.strerror or type(error).__name__
            continue
        if not found:
            missing[source] = "no file fits this pattern"
        for one in found:
            try:
                films.update(dict.fromkeys(real_path(film) for film in find_films(one, say)))
            except FileNotFoundError as error:
                missing[source] = str(error).removeprefix(f"{one}: ")
            except (OSError, ValueError) as error:  # a datalist that is none, a name that the file system cannot hold
                missing[source] = getattr(error, "strerror", None) or str(error).removeprefix(f"{one}: ")
    return list(films), missing
