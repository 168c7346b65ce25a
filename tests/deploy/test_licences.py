from __future__ import annotations

from email.message import Message
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from cmnet_monai.deploy.licences import PackageLicence, installed_licences, licence_of, licences_page


class Stated(metadata.Distribution):
    """A distribution that states what it is given."""

    def __init__(self, **fields: str) -> None:
        self.fields = Message()
        for name, value in fields.items():
            self.fields[name.replace("_", "-")] = value

    @property
    def metadata(self) -> Message:  # type: ignore[override]
        return self.fields

    def read_text(self, filename: str) -> None:
        return None

    def locate_file(self, path: object) -> Path:
        raise FileNotFoundError(path)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License_Expression": "MPL-2.0 AND MIT", "License": "see file"}, "MPL-2.0 AND MIT"),
        ({"Classifier": "License :: OSI Approved :: Apache Software License", "License": "x" * 80}, "Apache-2.0"),
        ({"Classifier": "License :: OSI Approved :: BSD License", "License": "BSD 3-Clause License"}, "BSD-3-Clause"),
        ({"Classifier": "License :: OSI Approved :: BSD License", "License": "Copyright 2001-2003 X"}, "BSD"),
        ({"License": "GNU General Public License v3\nmore"}, "GNU General Public License v3"),
        ({"Classifier": "License :: OSI Approved"}, "not stated"),
    ],
)
def test_licence_is_the_clearest_thing_that_a_package_says(fields: dict[str, str], expected: str) -> None:
    assert licence_of(Stated(**fields)) == expected


@pytest.mark.parametrize(
    ("licence", "copyleft"),
    [("MPL-2.0 AND MIT", True), ("LGPL-3.0-or-later", True), ("GNU General Public License v3", True)]
    + [(words, False) for words in ("MIT", "Apache-2.0 WITH LLVM-exception", "BSD-3-Clause", "MIT-CMU", "ISC")],
)
def test_copyleft_is_recognised(licence: str, copyleft: bool) -> None:
    assert PackageLicence("x", "1", licence).copyleft is copyleft


def test_page_lists_what_the_package_requires_and_no_gpl_comes_along(repository: Path) -> None:
    licences = installed_licences(extras=())
    names = {one.name for one in licences}
    assert {"monai", "torch", "numpy", "pydicom", "highdicom", "jinja2", "pillow"} <= names
    assert "cmnet-monai" not in names and "pytest" not in names
    strong = [one for one in licences if "GPL" in one.licence.replace("LGPL", "") and " OR " not in one.licence]
    assert not strong
    assert licences_page(licences).count("\n| ") == len(licences) + 1
    page = (repository / "docs" / "licences.md").read_text(encoding="utf-8")
    requirements = [
        Requirement(line).name.lower() for line in metadata.requires("cmnet-monai") or [] if "extra" not in line
    ]
    assert all(f"\n| {name} |" in page for name in requirements)
