from __future__ import annotations

import os
import zipfile
from pathlib import Path

from cmnet_monai.deploy.programs import write_archive


def test_archive_depends_on_names_order_and_content_alone(tmp_path: Path) -> None:
    for number, (mode, time) in enumerate(((0o600, 1_000_000_000), (0o755, 1_700_000_000))):
        source = tmp_path / f"source_{number}"
        source.write_bytes(b"film" * 1000)
        source.chmod(mode)
        os.utime(source, (time, time))
        write_archive(tmp_path / f"{number}.zip", [("b/x.bin", source), ("a.txt", b"text")])
    first, second = ((tmp_path / f"{number}.zip").read_bytes() for number in range(2))
    assert first == second
    with zipfile.ZipFile(tmp_path / "0.zip") as archive:
        assert archive.namelist() == ["b/x.bin", "a.txt"]
        assert [archive.read(name) for name in archive.namelist()] == [b"film" * 1000, b"text"]
        for entry in archive.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert (entry.external_attr >> 16, entry.compress_type) == (0o100644, zipfile.ZIP_STORED)


def test_other_content_makes_another_archive(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", [("x", b"1")])
    write_archive(tmp_path / "b.zip", [("x", b"2")])
    assert (tmp_path / "a.zip").read_bytes() != (tmp_path / "b.zip").read_bytes()
