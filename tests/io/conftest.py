from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from cmnet_monai.io import RadiographReader

CR = "1.2.840.10008.5.1.4.1.1.1"


def read_film(path: Path, **arguments: Any) -> tuple[np.ndarray, dict]:
    reader = RadiographReader(**arguments)
    return reader.get_data(reader.read(path))


@pytest.fixture(name="read_film")
def read_film_fixture() -> Callable:
    return read_film


@pytest.fixture
def make_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Write stored values (row, column), or (row, column, 3), as a small DICOM file; attributes by keyword."""

    def make(
        stored: np.ndarray,
        name: str = "film.dcm",
        syntax: str = ExplicitVRLittleEndian,
        file_meta: bool = True,
        preamble: bool = True,
        **attributes: Any,
    ) -> Path:
        dataset = Dataset()
        dataset.SOPClassUID = CR
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[name])
        dataset.Modality = "CR"
        dataset.PatientName, dataset.PatientID = "Secret^Patient", "SECRET-1"
        dataset.Rows, dataset.Columns = stored.shape[:2]
        dataset.SamplesPerPixel = 3 if stored.ndim == 3 else 1
        dataset.PhotometricInterpretation = "RGB" if stored.ndim == 3 else "MONOCHROME2"
        if stored.ndim == 3:
            dataset.PlanarConfiguration = 0
        width = 8 * stored.dtype.itemsize
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = width, width, width - 1
        dataset.PixelRepresentation = int(stored.dtype.kind == "i")
        big = syntax == ExplicitVRBigEndian
        data = stored.astype(stored.dtype.newbyteorder(">" if big else "<")).tobytes()
        dataset.PixelData = data + b"\0" * (len(data) % 2)
        dataset["PixelData"].VR = "OB" if width == 8 else "OW"
        for keyword, value in attributes.items():
            if value is None:
                del dataset[keyword]
            else:
                setattr(dataset, keyword, value)
        path = tmp_path / name
        implicit = syntax == ImplicitVRLittleEndian
        if file_meta:
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CR)
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.file_meta.TransferSyntaxUID = UID(syntax)
            dataset.save_as(path, enforce_file_format=True)
            if not preamble:
                path.write_bytes(path.read_bytes()[132:])
        else:
            dataset.save_as(path, implicit_vr=implicit, little_endian=not big)
        return path

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
