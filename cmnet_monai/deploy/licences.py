"""Licences of the packages that come along when this one is installed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement

NOT_STATED = "not stated"
_COPYLEFT = re.compile(r"\b(A?GPL|LGPL|MPL|EPL|EUPL|CDDL|CECILL|GNU|Mozilla)", re.IGNORECASE)
_NUMBERED_BSD = re.compile(r"(?=.{0,40}$).*BSD.*[23]|(?=.{0,40}$).*[23].*BSD", re.IGNORECASE)
"""Short words that say which BSD licence it is, where the classifier leaves that open."""

_NAMES = {
    "3 clause bsd license": "BSD-3-Clause",
    "bsd 3 clause license": "BSD-3-Clause",
    "isc license iscl": "ISC",
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD",
    "bsd license": "BSD",
    "mit license": "MIT",
    "mozilla public license 2.0 mpl 2.0": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense unlicense": "Unlicense",
}
_HEAD = """# Licences of the packages that come along

cmnet-monai itself is Apache-2.0. `pip install cmnet-monai` brings the packages below;
`python -m cmnet_monai.deploy licences FILE` makes this page from what they say of themselves, in the environment that
it runs in. Wheels may hold further libraries (OpenBLAS, libgfortran, OpenJPEG); their own licence files say so.
Packages that pip installs for CUDA are not listed: they come with NVIDIA's own licences. The extra `libjpeg` is never
installed by default: pylibjpeg-libjpeg is GPL-3.0.

"""


@dataclass(frozen=True)
class PackageLicence:
    """What an installed package says of its licence.

    Args:
        name: of the package.
        version: of the package.
        licence: SPDX expression where it gives one, else its own words, else "not stated".
        extra: the extra of this package that asks for it; "" if it always comes along.

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
    """Licences of everything that a package requires, directly or not, as far as it is installed; by name.

    Args:
        package: name of an installed package.
        extras: its extras that are followed too.

    Raises:
        importlib.metadata.PackageNotFoundError: the package itself is not installed.
    """
    found: dict[str, PackageLicence] = {}
    for extra in ("", *extras):
        for name in sorted(_closure(package, extra)):
            distribution = metadata.distribution(name)
            if name not in found and not name.startswith(("nvidia-", "triton", "cuda-")):
                found[name] = PackageLicence(name, distribution.version, licence_of(distribution), extra)
    return [found[name] for name in sorted(found)]


def licence_of(distribution: metadata.Distribution) -> str:
    """The licence that a package states: its SPDX expression, its classifiers, or the first line of its own words."""
    stated = distribution.metadata
    classifiers = [
        _plain(text.rsplit("::", 1)[-1])
        for text in stated.get_all("Classifier") or []
        if text.startswith("License ::") and text.strip() != "License :: OSI Approved"
    ]
    own = (stated["License"] or "").strip().splitlines() if "License" in stated else []
    words = own[0].strip() if own else ""
    if "License-Expression" in stated:
        return stated["License-Expression"]
    if classifiers and not (classifiers == ["BSD"] and _NUMBERED_BSD.match(words)):
        return " or ".join(classifiers)
    return _plain(words) if words else NOT_STATED


def licences_page(licences: Iterable[PackageLicence]) -> str:
    """The licences as a page of Markdown, what is copyleft first."""
    rows = sorted(licences, key=lambda one: (one.extra, one.name))
    copyleft = [one for one in rows if one.copyleft]
    lines = [f"- {one.name}: {one.licence}" for one in copyleft] or ["None of them."]
    silent = ", ".join(one.name for one in rows if one.licence == NOT_STATED)
    lines += ["", f"Nothing is stated by: {silent}."] if silent else []
    table = [f"| {one.name} | {one.version} | {one.licence} | {one.extra} |" for one in rows]
    return (
        _HEAD
        + "## Copyleft among them, weak ones included\n\n"
        + "\n".join(lines)
        + "\n\n## All of them\n\n| Package | Version | Licence | Extra |\n|---|---|---|---|\n"
        + "\n".join(table)
        + "\n"
    )


def _plain(words: str) -> str:
    key = " ".join(re.sub(r"[^a-z0-9. ]", " ", words.lower()).split())
    return _NAMES.get(key, words.strip())


def _closure(package: str, extra: str) -> set[str]:
    """Names of the installed packages that one package, with an extra, needs."""
    seen: set[tuple[str, str]] = set()
    waiting = [(package, extra)]
    while waiting:
        name, wanted = waiting.pop()
        for needed in _requirements(name, wanted):
            for each in ("", *needed.extras):
                step = (_normal(needed.name), each)
                if step not in seen and _installed(step[0]):
                    seen.add(step)
                    waiting.append(step)
    return {name for name, _ in seen} - {_normal(package)}


def _requirements(name: str, extra: str) -> Iterator[Requirement]:
    for text in metadata.requires(name) or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def _installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
