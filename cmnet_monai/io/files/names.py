"""Names of output files, safe on every file system."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path, PurePosixPath, PureWindowsPath

MAX_STEM_BYTES = 120
"""Length limit of a stem in UTF-8; leaves room for a hash and suffixes below the usual limit of 255 bytes."""

_HASH_DIGITS = 8
_ANONYMOUS_DIGITS = 16
_SUFFIXES = (".nii.gz", ".dicom", ".dcm", ".dic", ".ima", ".png", ".jpeg", ".jpg", ".tiff", ".tif", ".bmp", ".nii")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_FALLBACK = "film"


def safe_stem(path: str | os.PathLike) -> str:
    """The file's name without folders and film suffix, safe as part of a new name.

    Letters of every script stay (composed, NFC). Control and invisible characters, path separators and characters
    that Windows forbids become ``_``, as do a leading dot and runs of dots; trailing dots and spaces go. Names that
    Windows reserves get a leading ``_``. The result is never empty and at most `MAX_STEM_BYTES` bytes of UTF-8.

    >>> safe_stem("folder/Müller 1.dcm"), safe_stem("../.."), safe_stem("a/CON.png"), safe_stem("scan.nii.gz")
    ('Müller 1', 'film', '_CON', 'scan')
    """
    name = PureWindowsPath(PurePosixPath(os.fspath(path)).name).name  # either kind of separator
    name = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8"))
    lower = name.lower()
    for suffix in _SUFFIXES:
        if lower.endswith(suffix) and len(name) > len(suffix):
            name = name[: -len(suffix)]
            break
    name = "".join("_" if _is_unsafe(character) else character for character in name)
    name = re.sub(r"\.{2,}", "_", name).strip()
    name = re.sub(r"^\.", "_", name).rstrip(". ")
    if not name.strip("_"):
        return _FALLBACK
    if _RESERVED.fullmatch(name):
        name = "_" + name
    return _shortened(name)


def printable(text: str) -> str:
    r"""Text from a file or its name, safe to print: control, invisible and direction-changing characters become ``?``.

    A terminal obeys escape sequences, and a right-to-left override makes one name look like another.

    >>> printable("film\x1b]0;owned\x07 é 脊.dcm")
    'film?]0;owned? é 脊.dcm'
    """
    return "".join("?" if _is_invisible(character) else character for character in str(text))


def output_names(paths: Sequence[str | os.PathLike], anonymous: bool = False) -> list[str]:
    """One output stem per film, all different even where the file system ignores case.

    A stem that stands alone is kept; all that collide get ``-`` and a short hash of their path, so that a name does not
    depend on the order of the films.

    Args:
        paths: films, each given once; relative paths make names that hold on every machine.
        anonymous: a hash of the path alone, without any part of its name.
    Returns:
        Stems in the order of `paths`.
    Raises:
        ValueError: a path is given twice.

    >>> one, other, alone = output_names(["a/film.dcm", "b/film.dcm", "a/knee.png"])
    >>> alone, one.startswith("film-"), one != other
    ('knee', True, True)
    """
    keys = [PurePosixPath(Path(path).as_posix()).as_posix() for path in paths]
    repeated = [key for key, count in Counter(keys).items() if count > 1]
    if repeated:
        raise ValueError(f"{repeated[0]} is given {keys.count(repeated[0])} times.")
    if anonymous:
        return _distinct_hashes(keys)
    stems = [safe_stem(path) for path in paths]
    counts = Counter(_folded(stem) for stem in stems)
    names = [
        stem if counts[_folded(stem)] == 1 else f"{stem}-{_hash(key, _HASH_DIGITS)}" for stem, key in zip(stems, keys)
    ]
    if len({_folded(name) for name in names}) < len(names):  # a lone stem looks like another one with its hash
        names = [f"{stem}-{_hash(key, 2 * _ANONYMOUS_DIGITS)}" for stem, key in zip(stems, keys)]
    return names


def _distinct_hashes(keys: list[str]) -> list[str]:
    names = [_hash(key, _ANONYMOUS_DIGITS) for key in keys]
    return names if len(set(names)) == len(names) else [_hash(key, 64) for key in keys]


def _hash(key: str, digits: int) -> str:
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:digits]


def _folded(stem: str) -> str:
    return unicodedata.normalize("NFKC", stem).casefold()


def _is_unsafe(character: str) -> bool:
    return character in '<>:"/\\|?*' or _is_invisible(character)


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character)[0] == "C" or character in "\u2028\u2029"


def _shortened(name: str) -> str:
    data = name.encode("utf-8")
    if len(data) <= MAX_STEM_BYTES:
        return name
    return data[:MAX_STEM_BYTES].decode("utf-8", "ignore").rstrip(". ")
