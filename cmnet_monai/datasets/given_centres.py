"""Centres that a reader gives for some films, to guide the network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cmnet_monai.decode import SAID_BY_USER, GivenCentres

GIVEN_CENTRES = "given_centres"
"""Key of an item's `GivenCentres`, in pixels of the film."""
ADD = "add"


def with_given_centres(items: Sequence[Mapping[str, Any]], file: str | Path) -> list[dict[str, Any]]:
    """Films for inference, each with the centres that a reader gave for it.

    The file is a JSON object: the film's file name, or the stem of its outputs, to a list of all its centres, or to
    ``{"add": [...]}``, centres that are added to the found ones. A centre is ``{"x_px": 411.5, "y_px": 302.0}``, if
    wanted with ``"level": "L5"``, or ``[411.5, 302.0]``, pixels of the film, the middle of the top-left pixel being
    (0, 0). Records of ``<name>_centres.json`` will do; the level of a record that has an ``evidence`` other than "user"
    was not said by a reader and does not count.

    Args:
        items: films, see `film_items`.
        file: the JSON file; "" gives the items back without centres.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not such a JSON, or names a film that is not there, or that two films answer to.

    >>> import tempfile
    >>> items = [{"name": "a", "path": "films/a.dcm"}, {"name": "b", "path": "films/b.dcm"}]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "given.json")
    ...     _ = file.write_text('{"b.dcm": {"add": [{"x_px": 411.5, "y_px": 302.0, "level": "L5"}, [410.0, 200.0]]}}')
    ...     a, b = with_given_centres(items, file)
    >>> "given_centres" in a, b["given_centres"].xy_px, b["given_centres"].levels, b["given_centres"].adds
    (False, ((411.5, 302.0), (410.0, 200.0)), ('L5', ''), True)
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


def _read(file: Path) -> dict[str, GivenCentres]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: not a JSON file ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file}: a JSON object of film names is wanted, with a list of centres each")
    given = {}
    for name, entry in content.items():
        try:
            given[str(name)] = _centres(entry)
        except ValueError as error:
            raise ValueError(f"{file}: {name}: {error}") from error
    return given


def _centres(entry: Any) -> GivenCentres:
    adds = isinstance(entry, dict)
    centres = entry.get(ADD) if isinstance(entry, dict) else entry
    if not isinstance(centres, list) or (adds and set(entry) != {ADD}):
        raise ValueError(f'a list of all centres is wanted, or {{"{ADD}": [...]}}; got {entry!r}')
    found = [_centre(centre) for centre in centres]
    return GivenCentres(tuple(xy for xy, _ in found), tuple(level for _, level in found), adds)


def _centre(centre: Any) -> tuple[tuple[float, float], str]:
    try:
        x, y = (centre["x_px"], centre["y_px"]) if isinstance(centre, dict) else centre
        point = (float(x), float(y))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a centre is an x_px and a y_px, or two numbers; got {centre!r}") from error
    said = isinstance(centre, dict) and centre.get("evidence", SAID_BY_USER) == SAID_BY_USER
    return point, str(centre.get("level") or "") if said else ""
