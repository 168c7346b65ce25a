"""Zip archives that depend on their content alone."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from cmnet_monai.io import atomic_write

_EARLIEST = (1980, 1, 1, 0, 0, 0)
_UNIX, _PLAIN_FILE = 3, 0o100644 << 16


def write_archive(path: str | Path, members: Iterable[tuple[str, bytes | Path]]) -> None:
    """Write a zip archive that is the same, byte for byte, whenever and wherever its members are.

    Members stand in the order given, uncompressed (deflate gives other bytes in other builds of zlib), dated
    1980-01-01, with the permissions of a plain file.

    Args:
        path: the archive; it appears whole or not at all.
        members: name within the archive, with ``/`` between folders, and content or the file that holds it.
    """
    with (
        atomic_write(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        for name, content in members:
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.create_system, entry.external_attr = _UNIX, _PLAIN_FILE
            archive.writestr(entry, content.read_bytes() if isinstance(content, Path) else content)
