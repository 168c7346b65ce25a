"""Small DICOM files with any attribute, right or wrong, and DCMTK's view of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

CR = "1.2.840.10008.5.1.4.1.1.1"


def write_raw_dicom(
    path: Path,
    stored: np.ndarray,
    syntax: str = ExplicitVRLittleEndian,
    file_meta: bool = True,
    preamble: bool = True,
    **attributes: Any,
) -> Path:
    """Write stored values (row, column), or (row, column, 3), as they are; attributes by keyword, None removes one."""
    dataset = Dataset()
    dataset.SOPClassUID = CR
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[path.name])
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
