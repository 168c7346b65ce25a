from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_dicom import write_raw_dicom

from cmnet_monai.io import RadiographReader


def read_film(path: Path, **arguments: Any) -> tuple[np.ndarray, dict]:
    reader = RadiographReader(**arguments)
    return reader.get_data(reader.read(path))


@pytest.fixture(name="read_film")
def read_film_fixture() -> Callable:
    return read_film


@pytest.fixture
def make_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Write stored values (row, column), or (row, column, 3), as a small DICOM file; attributes by keyword."""

    def make(stored: np.ndarray, name: str = "film.dcm", **how: Any) -> Path:
        return write_raw_dicom(tmp_path / name, stored, **how)

    return make


@pytest.fixture
def run_tool() -> Callable[..., str]:
    """Run an installed command-line tool; skips the test where it is not installed."""

    def run(tool: str, *arguments: object) -> str:
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool} as an independent witness")
        done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def dcmtk_stored(run_tool: Callable, tmp_path: Path) -> Callable[[Path], np.ndarray]:
    """Stored words (row, column) of a DICOM file, decompressed and dumped by DCMTK alone."""

    def stored(path: Path) -> np.ndarray:
        header = run_tool("dcmdump", path)
        syntax = re.search(r"Transfer Syntax: *(.*)|\(0002,0010\) UI =(\S+)", header)
        name = "".join(filter(None, syntax.groups())) if syntax else "LittleEndian"
        plain = tmp_path / "plain.dcm"
        if "RLE" in name:
            run_tool("dcmdrle", path, plain)
        elif "JPEGLS" in name:
            run_tool("dcmdjpls", path, plain)
        elif "JPEG" in name:
            run_tool("dcmdjpeg", path, plain)
        else:
            run_tool("dcmconv", "+te", path, plain)
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        for old in raw.iterdir():
            old.unlink()
        run_tool("dcmdump", "+W", raw, plain)
        header = run_tool("dcmdump", plain)
        rows, columns, allocated = (
            int(re.search(rf"\({tag}\) US (\d+)", header).group(1)) for tag in ("0028,0010", "0028,0011", "0028,0100")
        )
        (file,) = raw.iterdir()
        data = np.fromfile(file, np.uint8 if allocated == 8 else "<u2")
        return data[: rows * columns].reshape(rows, columns)

    return stored
