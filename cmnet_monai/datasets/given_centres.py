"""Centres that a reader gives for some films, to guide the network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

GIVEN_CENTRES = "given_centres"
"""Key of an item's given centres, a list of (x, y) in pixels of the film."""


def with_given_centres(items: Sequence[Mapping[str, Any]], file: str | Path) -> list[dict[str, Any]]:
    """Films for inference, each with the centres that a reader gave for it.

    The file is a JSON object: the film's file name, or the stem of its outputs, to a list of centres, each as
    ``{"x_px": 411.5, "y_px": 302.0}`` (records of ``<name>_centres.json`` will do) or ``[411.5, 302.0]``, pixels of
    the film, the middle of the top-left pixel being (0, 0).

    Args:
        items: films, see `film_items`.
        file: the JSON file; "" gives the items back without centres.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not such a JSON, or names a film that is not there, or that two films answer to.
    """
    if not str(file):
        return [dict(item) for item in items]
    given = _read(Path(file))
    owners: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        for name in {str(item["name"]), Path(str(item["path"])).name}:
            owners.setdefault(name, []).append(number)
    result = [dict(item) for item in items]
    for name, centres in given.items():
        found = owners.get(name, [])
        if len(found) != 1:
            what = "no film of that name" if not found else "several films of that name; use the names of their outputs"
            raise ValueError(f"{file}: {name!r}: {what}")
        result[found[0]][GIVEN_CENTRES] = centres
    return result


def _read(file: Path) -> dict[str, list[tuple[float, float]]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: not a JSON file ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file}: a JSON object of film names is wanted, with a list of centres each")
    return {str(name): [_point(file, name, centre) for centre in centres] for name, centres in content.items()}


def _point(file: Path, name: str, centre: Any) -> tuple[float, float]:
    try:
        x, y = (centre["x_px"], centre["y_px"]) if isinstance(centre, dict) else centre
        point = (float(x), float(y))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: {name}: a centre is an x_px and a y_px, or two numbers; got {centre!r}") from error
    if not all(math.isfinite(value) for value in point):
        raise ValueError(f"{file}: {name}: a centre has finite coordinates; got {centre!r}")
    return point
