"""Write a radiograph as a Digital X-Ray Image (DX, For Presentation)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmnet_monai.io.files.atomic import atomic_write

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

DX_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
COMPRESSIONS = {
    "none": "1.2.840.10008.1.2.1",
    "rle": "1.2.840.10008.1.2.5",
    "jpegls": "1.2.840.10008.1.2.4.80",
    "jpeg2000": "1.2.840.10008.1.2.4.90",
}
"""Lossless transfer syntaxes by name."""

_ORIENTATION_OF_FACE = {"left": ["P", "F"], "right": ["A", "F"]}
"""Direction of the rows (to the right of the film) and of the columns (downwards)."""
_ENCODERS = ("pyjpegls", "pylibjpeg", "pydicom")
_LATERALITIES = ("R", "L", "U", "B")
_DATE, _TIME = "20200101", "120000"


def write_dx(
    path: str | os.PathLike,
    pixels_xy: np.ndarray,
    *,
    bits_stored: int = 12,
    monochrome1: bool = False,
    imager_spacing_xy_mm: tuple[float, float] | None = None,
    pixel_spacing_xy_mm: tuple[float, float] | None = None,
    faces: str = "left",
    laterality: str = "U",
    patient_id: str = "SYNTHETIC-0",
    patient_name: str = "Synthetic^Film",
    seed: int | str = 0,
    compression: str = "none",
    padding_value: int | None = None,
) -> Path:
    """Write a lateral lumbar spine film, whole or not at all; the same arguments give the same bytes.

    Every identifier and date is made up: UIDs are hashes of `patient_id`, `seed` and the stored pixels.

    Args:
        path: file to write; missing folders are made.
        pixels_xy: (x, y) unsigned values, bone bright, below ``2 ** bits_stored``.
        bits_stored: 8 to 16; 8 bits are allocated for 8, else 16.
        monochrome1: store ``2 ** bits_stored - 1 - value`` as MONOCHROME1, so that a reader gets `pixels_xy` back.
        imager_spacing_xy_mm: (sx, sy) in the plane of the detector. The DX standard wants it; (0.15, 0.15) when None.
        pixel_spacing_xy_mm: (sx, sy) in the patient, from a calibration; written with its calibration type.
        faces: side of the film the patient faces, "left" or "right".
        laterality: R, L, U (unpaired) or B.
        patient_id: pseudonym of the patient; one patient and seed make one study.
        patient_name: name to write.
        seed: further input to the UIDs.
        compression: one of `COMPRESSIONS`, all lossless.
        padding_value: bone-bright value of pixels that are padding, written as Pixel Padding Value.
    Returns:
        The path.
    Raises:
        ValueError: an argument is out of range.

    >>> import tempfile
    >>> from cmnet_monai.io import read_film
    >>> pixels = np.zeros((30, 50), dtype=np.uint16)  # (x, y)
    >>> pixels[4, 7] = 4095
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_dx(f"{folder}/film.dcm", pixels, monochrome1=True, imager_spacing_xy_mm=(0.2, 0.3))
    ...     film = read_film(path)
    >>> film.pixels.shape, int(film.pixels[4, 7]), film.inverted, film.spacing_xy_mm, film.provenance
    ((30, 50), 4095, True, (0.2, 0.3), 'detector')
    """
    pixels = np.asarray(pixels_xy)
    _check(pixels, bits_stored, faces, laterality, compression, padding_value)
    spacings = [_checked_spacing(s) for s in (imager_spacing_xy_mm or (0.15, 0.15), pixel_spacing_xy_mm)]
    highest = (1 << bits_stored) - 1
    stored = np.ascontiguousarray(pixels.T.astype(np.uint8 if bits_stored == 8 else np.uint16))
    if monochrome1:
        stored = stored.dtype.type(highest) - stored
    dataset = _identity(patient_id, patient_name, str(seed), stored)
    _add_view(dataset, faces, laterality)
    _add_detector(dataset, spacings[0], spacings[1])
    _add_pixels(dataset, stored, bits_stored, monochrome1)
    if padding_value is not None:
        dataset.PixelPaddingValue = highest - padding_value if monochrome1 else int(padding_value)
    _save(dataset, Path(path), compression)
    return Path(path)


def _check(
    pixels: np.ndarray, bits: int, faces: str, laterality: str, compression: str, padding_value: int | None
) -> None:
    if not 8 <= bits <= 16:
        raise ValueError(f"bits_stored must be 8 to 16, got {bits}.")
    if pixels.ndim != 2 or 0 in pixels.shape or max(pixels.shape) > 65535:
        raise ValueError(f"pixels_xy must be (x, y) with 1 to 65535 pixels a side, got shape {pixels.shape}.")
    if pixels.dtype.kind not in "ui" or pixels.min() < 0 or pixels.max() >= 1 << bits:
        raise ValueError(
            f"pixels_xy must be integers from 0 to {(1 << bits) - 1} for {bits} bits stored, got {pixels.dtype} from "
            f"{pixels.min()} to {pixels.max()}."
        )
    if padding_value is not None and not 0 <= padding_value < 1 << bits:
        raise ValueError(f"padding_value must be 0 to {(1 << bits) - 1}, got {padding_value}.")
    for name, value, allowed in (
        ("faces", faces, tuple(_ORIENTATION_OF_FACE)),
        ("laterality", laterality, _LATERALITIES),
        ("compression", compression, tuple(COMPRESSIONS)),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")


def _checked_spacing(spacing_xy_mm: tuple[float, float] | None) -> list[str] | None:
    """DICOM's (row, column) order, in at most 16 characters."""
    if spacing_xy_mm is None:
        return None
    sx, sy = (float(s) for s in spacing_xy_mm)
    if not (np.isfinite([sx, sy]).all() and sx > 0 and sy > 0):
        raise ValueError(f"a spacing must be two positive numbers of mm, got {spacing_xy_mm}.")
    return [f"{sy:.10g}"[:16], f"{sx:.10g}"[:16]]


def _identity(patient_id: str, patient_name: str, seed: str, stored: np.ndarray) -> Dataset:
    from hashlib import sha256

    from pydicom import Dataset
    from pydicom.uid import generate_uid

    content = sha256(repr(stored.shape).encode() + stored.tobytes()).hexdigest()
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = DX_FOR_PRESENTATION
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["instance", patient_id, seed, content])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["study", patient_id, seed])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series", patient_id, seed])
    for name in ("Study", "Series", "Content", "Acquisition"):
        setattr(dataset, f"{name}Date", _DATE)
        setattr(dataset, f"{name}Time", _TIME)
    dataset.AccessionNumber = ""
    dataset.Modality = "DX"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.Manufacturer = "cmnet-monai"
    dataset.ManufacturerModelName = "synthetic radiograph"
    dataset.DeviceSerialNumber = "0"
    dataset.SoftwareVersions = "1"
    dataset.ReferringPhysicianName = ""
    dataset.PatientName = patient_name
    dataset.PatientID = patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = ""
    dataset.StudyID = "1"
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.AcquisitionContextSequence = []
    return dataset


def _add_view(dataset: Dataset, faces: str, laterality: str) -> None:
    dataset.BodyPartExamined = "LSPINE"
    dataset.ImageLaterality = laterality
    dataset.PatientOrientation = _ORIENTATION_OF_FACE[faces]
    dataset.AnatomicRegionSequence = [_code("122496007", "SCT", "Lumbar spine")]
    view = _code("399067008", "SCT", "lateral projection")
    view.ViewModifierCodeSequence = []
    dataset.ViewCodeSequence = [view]


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    from pydicom import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _add_detector(dataset: Dataset, imager: list[str] | None, pixel: list[str] | None) -> None:
    dataset.ImagerPixelSpacing = imager
    dataset.DetectorType = "DIRECT"
    dataset.DetectorConfiguration = "AREA"
    dataset.DetectorDescription = "simulated"
    dataset.PositionerType = "NONE"
    dataset.KVP = "85"
    if pixel is not None:
        dataset.PixelSpacing = pixel
        dataset.PixelSpacingCalibrationType = "GEOMETRY"
        dataset.PixelSpacingCalibrationDescription = "simulated geometry"


def _add_pixels(dataset: Dataset, stored: np.ndarray, bits: int, monochrome1: bool) -> None:
    highest = (1 << bits) - 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", ""]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if monochrome1 else "MONOCHROME2"
    dataset.PresentationLUTShape = "INVERSE" if monochrome1 else "IDENTITY"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * stored.dtype.itemsize, bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelIntensityRelationship = "LOG"
    # -1: higher stored values mean less radiation at the detector, that is bone; 1 the other way round.
    dataset.PixelIntensityRelationshipSign = 1 if monochrome1 else -1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.WindowCenter, dataset.WindowWidth = f"{(highest + 1) / 2:g}", f"{highest + 1}"
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    data = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB" if stored.itemsize == 1 else "OW"


def _save(dataset: Dataset, path: Path, compression: str) -> None:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID

    meta: Any = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(COMPRESSIONS["none"])
    dataset.file_meta = meta
    if compression != "none":
        _compress(dataset, UID(COMPRESSIONS[compression]))
    with atomic_write(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)


def _compress(dataset: Dataset, syntax: UID) -> None:
    from pydicom.pixels import get_encoder

    # Never GDCM: its run-length coder ends the whole process on some sizes.
    plugins = [p for p in _ENCODERS if p in get_encoder(syntax).available_plugins]
    if not plugins:
        raise ValueError(
            f"no installed encoder writes {syntax.name}: "
            "pip install pylibjpeg pylibjpeg-openjpeg pylibjpeg-rle pyjpegls"
        )
    dataset.compress(syntax, encoding_plugin=plugins[0], generate_instance_uid=False)
