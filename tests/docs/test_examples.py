"""Examples in docstrings run, and every public name has its place in the API pages."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import cmnet_monai

ROOMS = [
    *("io", "transforms", "networks", "losses", "metrics", "decode", "morphometry"),
    *("datasets", "synthetic", "engines", "visualize", "evaluation", "deploy"),
]


def modules_with_examples() -> list[str]:
    folder = Path(cmnet_monai.__file__).parent
    names = [name for _, name, _ in pkgutil.walk_packages([str(folder)], "cmnet_monai.")]
    files = {name: folder.parent / (name.replace(".", "/") + ".py") for name in names}
    return [name for name, file in files.items() if file.is_file() and ">>> " in file.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_run(name: str) -> None:
    done = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert done.attempted > 0
    assert done.failed == 0


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_have_an_entry(room: str, repository: Path) -> None:
    module = importlib.import_module(f"cmnet_monai.{room}")
    public = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", "").startswith("cmnet_monai.") and not name.endswith(("D", "Dict"))
    ]
    page = (repository / "docs" / "api" / f"{room}.md").read_text(encoding="utf-8")
    if f".. automodule:: cmnet_monai.{room}\n   :members:" in page and hasattr(module, "__all__"):
        return  # autodoc lists __all__
    assert [name for name in public if f":: {name}\n" not in page] == []
