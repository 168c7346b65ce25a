"""Licences of the packages that come along when this one is installed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NOT_STATED = "not stated"
_COPYLEFT = re.compile(r"\b(A?GPL|LGPL|MPL|EPL|EUPL|CDDL|CECILL|GNU|Mozilla)", re.IGNORECASE)
_SPDX = {
    r"apache( software)?( license)?( version)?( 2\.0)?": "Apache-2.0",
    r"(3 clause bsd|bsd 3 clause)( license)?": "BSD-3-Clause",
    r"bsd( license)?": "BSD",
    r"isc license.*": "ISC",
    r"mit license": "MIT",
    r"mozilla public license 2\.0.*": "MPL-2.0",
    r"python software foundation license": "PSF-2.0",
    r"the unlicense.*": "Unlicense",
}
_HEAD = """# Licences of the packages that come along

cmnet-monai itself is Apache-2.0. `pip install cmnet-monai` brings the packages below;
`python -m cmnet_monai.deploy licences FILE` makes this page from what they say of themselves, in the environment that
it runs in. Wheels may hold further libraries (OpenBLAS, libgfortran, OpenJPEG); their own licence files say so.
Packages that pip installs for CUDA are not listed: they come with NVIDIA's own licences. The extra `libjpeg` is never
installed by default: pylibjpeg-libjpeg is GPL-3.0.

## Copyleft among them, weak ones included

"""


@dataclass(frozen=True)
class PackageLicence:
    """What an installed package says of its licence, and the extra of this package that asks for it.

    >>> words = ("Apache-2.0", "GPL-3.0-only", "MPL-2.0", "BSD-3-Clause")
    >>> [PackageLicence("package", "1.0", licence).copyleft for licence in words]
    [False, True, True, False]
    """

    name: str
    version: str
    licence: str
    extra: str = ""

    @property
    def copyleft(self) -> bool:
        """Whether the words name a copyleft licence, weak ones (MPL, LGPL) included."""
        return bool(_COPYLEFT.search(self.licence))


def installed_licences(package: str = "cmnet-monai", extras: Iterable[str] = ("onnx", "ct")) -> list[PackageLicence]:
    """Licences of everything that a package and its extras require, as far as it is installed; by name.

    Raises:
        importlib.metadata.PackageNotFoundError: the package itself is not installed.
    """
    metadata.distribution(package)
    found: dict[str, PackageLicence] = {}
    for extra in ("", *extras):
        for name in {name for name, _ in _closure(package, extra, set())} - {package, *found}:
            if not name.startswith(("nvidia-", "triton", "cuda-")):
                distribution = metadata.distribution(name)
                found[name] = PackageLicence(name, distribution.version, licence_of(distribution), extra)
    return [found[name] for name in sorted(found)]


def _closure(name: str, extra: str, seen: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """An installed package with one of its extras, and all that it needs."""
    try:
        requirements = [Requirement(text) for text in metadata.requires(name) or []]
    except metadata.PackageNotFoundError:
        return seen
    seen.add((name, extra))
    for needed in requirements:
        if needed.marker is None or needed.marker.evaluate({"extra": extra}):
            for each in ("", *needed.extras):
                if (canonicalize_name(needed.name), each) not in seen:
                    _closure(canonicalize_name(needed.name), each, seen)
    return seen


def licence_of(distribution: metadata.Distribution) -> str:
    """The licence that a package states: its SPDX expression, its classifiers, or the first line of its own words."""
    stated = distribution.metadata
    if "License-Expression" in stated:
        return stated["License-Expression"]
    kinds = [text.split(" :: ") for text in stated.get_all("Classifier") or [] if text.startswith("License :: ")]
    classifiers = [_spdx(kind[-1]) for kind in kinds if kind[-1] != "OSI Approved"]
    words = (stated["License"] or "").strip().split("\n")[0] if "License" in stated else ""
    says_which_bsd = len(words) < 40 and "BSD" in words.upper() and re.search("[23]", words)
    if classifiers and not (classifiers == ["BSD"] and says_which_bsd):
        return " or ".join(classifiers)
    return _spdx(words) or NOT_STATED


def _spdx(words: str) -> str:
    key = " ".join(re.sub(r"[^a-z0-9. ]", " ", words.lower()).split())
    return next((name for pattern, name in _SPDX.items() if re.fullmatch(pattern, key)), words.strip())


def licences_page(licences: Iterable[PackageLicence]) -> str:
    """The licences as a page of Markdown, what is copyleft first."""
    rows = sorted(licences, key=lambda one: (one.extra, one.name))
    lines = [f"- {one.name}: {one.licence}" for one in rows if one.copyleft] or ["None of them."]
    if silent := ", ".join(one.name for one in rows if one.licence == NOT_STATED):
        lines += ["", f"Nothing is stated by: {silent}."]
    lines += ["", "## All of them", "", "| Package | Version | Licence | Extra |", "|---|---|---|---|"]
    lines += [f"| {one.name} | {one.version} | {one.licence} | {one.extra} |" for one in rows]
    return _HEAD + "\n".join(lines) + "\n"
