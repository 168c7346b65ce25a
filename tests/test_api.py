"""The public names, room by room, against the record in public_names.json.

CHANGELOG.md names what went; the record is brought up to date by `python tests/test_api.py`.
"""

from __future__ import annotations

import ast
import importlib
import json
from pathlib import Path

import pytest

import cmnet_monai

RECORD = Path(__file__).with_name("public_names.json")
PACKAGE = Path(cmnet_monai.__file__).parent


def rooms() -> list[str]:
    """Packages that bring names up in their ``__init__``, and the module that is meant to be imported from."""
    packages = [
        ".".join(("cmnet_monai", *file.parent.relative_to(PACKAGE).parts))
        for file in PACKAGE.rglob("__init__.py")
        if "import" in file.read_text(encoding="utf-8")
    ]
    return sorted([*packages, "cmnet_monai.conventions"])


def public_names(room: str) -> list[str]:
    """``__all__``, or what a package imports, or what a module defines."""
    module = importlib.import_module(room)
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    names: set[str] = set()
    for node in ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(room + "."):
            names |= {alias.asname or alias.name for alias in node.names}
    return sorted(name for name in names if not name.startswith("_"))


@pytest.mark.parametrize("room", rooms())
def test_public_names_exist_and_are_those_on_record(room: str) -> None:
    recorded = json.loads(RECORD.read_text(encoding="utf-8")).get(room, [])
    names = public_names(room)
    gone, new = sorted(set(recorded) - set(names)), sorted(set(names) - set(recorded))
    module = importlib.import_module(room)
    assert not [name for name in names if not hasattr(module, name)]
    assert not gone, f"{room} lost {gone}: name them in CHANGELOG.md, then run `python tests/test_api.py`"
    assert not new, f"{room} has new names {new}: put them on record with `python tests/test_api.py`"


def test_no_room_has_gone() -> None:
    assert sorted(json.loads(RECORD.read_text(encoding="utf-8"))) == rooms()


if __name__ == "__main__":
    record = {room: public_names(room) for room in rooms()}
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
