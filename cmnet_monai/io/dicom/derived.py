"""What all DICOM objects derived from a film share: source, identity, what they inherit, how they are saved."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmnet_monai._version import __version__
from cmnet_monai.io.errors import FilmError
from cmnet_monai.io.files.atomic import atomic_write
from cmnet_monai.io.films.dicom_header import read_film_header
from cmnet_monai.io.films.sniff import DICOM, file_kind

if TYPE_CHECKING:
    from highdicom import AlgorithmIdentificationSequence
    from pydicom import Dataset

MANUFACTURER = "cmnet-monai"
STAND_IN_CLASS = "1.2.840.10008.5.1.4.1.1.7"
"""Class that a film is given while highdicom builds an object: Secondary Capture, see `SourceFilm.reference`."""

SERIAL_NUMBER = "0"
"""Device Serial Number, which DICOM demands; a program has none."""

_LONG_STRING = 64
_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_INHERITED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)


@dataclass(frozen=True)
class Algorithm:
    """What made a result, as it is written into DICOM objects.

    Attributes:
        name: of the algorithm.
        version: of the program.
        parameters: what else decides the result, such as ``{"weights": "sha256:..."}``; no identifiers of a patient.
    Raises:
        ValueError: the name or version is empty or longer than DICOM's 64 characters.
    """

    name: str = "CM-Net"
    version: str = __version__
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, text in (("name", self.name), ("version", self.version)):
            if not 1 <= len(text) <= _LONG_STRING:
                raise ValueError(f"an algorithm's {what} must have 1 to {_LONG_STRING} characters, got {len(text)}.")

    def identification(self) -> AlgorithmIdentificationSequence:
        """As highdicom takes it."""
        from highdicom import AlgorithmIdentificationSequence

        from cmnet_monai.io.dicom.codes import ARTIFICIAL_INTELLIGENCE

        return AlgorithmIdentificationSequence(
            name=self.name,
            family=ARTIFICIAL_INTELLIGENCE.code(),
            version=self.version,
            source=MANUFACTURER,
            parameters=dict(self.parameters) or None,
        )


@dataclass(frozen=True)
class SourceFilm:
    """The film that an object is derived from.

    Attributes:
        path: its file.
        header: its data set without pixels, as the file gives it.
    """

    path: Path
    header: Dataset

    @property
    def uid(self) -> str:
        """SOP Instance UID."""
        return str(self.header.SOPInstanceUID)

    @property
    def size_xy_px(self) -> tuple[int, int]:
        """Columns and rows."""
        return int(self.header.Columns), int(self.header.Rows)

    def reference(self) -> Dataset:
        """A data set that names the film and gives its geometry, with nothing about the patient.

        It stands in for the film where highdicom builds an object, so that no odd value of a patient's entry can stop
        it or reach a log; `inherit` brings these entries in afterwards. It has no frame of reference and no spacing: a
        projection has neither a position in space nor a slice thickness. Its class is Secondary Capture, whatever the
        film's: highdicom knows no private class, and asks others for frames; `inherit` writes the true one.
        """
        from pydicom import Dataset

        header, reference = self.header, Dataset()
        for keyword in (*_UIDS, "Rows", "Columns"):
            setattr(reference, keyword, header[keyword].value)
        reference.SOPClassUID = STAND_IN_CLASS
        for keyword in _INHERITED:
            setattr(reference, keyword, "")
        reference.Modality = str(header.get("Modality") or "OT")
        if header.get("LossyImageCompression") in ("00", "01"):
            for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
                if keyword in header:
                    setattr(reference, keyword, header[keyword].value)
        return reference


def is_dicom_source(source: Any) -> bool:
    """Whether DICOM objects can be derived from a source: a DICOM file or data set, and no picture or array."""
    if isinstance(source, (str, os.PathLike)):
        try:
            return file_kind(Path(source)) == DICOM
        except OSError:
            return True  # reading it will say what is wrong
    return hasattr(source, "SOPClassUID")


def read_source(source: str | os.PathLike | Dataset) -> SourceFilm:
    """The header of the film that an object will be derived from.

    Args:
        source: its file, or its data set.
    Raises:
        FilmError: the file is missing, is not DICOM or not one radiograph, or lacks the UIDs to refer to it by.
    """
    is_file = isinstance(source, (str, os.PathLike))
    path = Path(source) if is_file else Path("data set")
    if is_file:
        try:
            kind = file_kind(path)
        except OSError as error:
            raise FilmError(path, f"the file cannot be opened ({error.strerror})", "Check the name") from error
        if kind != DICOM:
            raise FilmError(path, "DICOM objects can be derived from a DICOM film only", "Give the film as DICOM")
    with as_it_is():
        header: Any = read_film_header(path) if is_file else source
        missing = [keyword for keyword in _UIDS if not str(header.get(keyword) or "").strip()]
    if missing:
        raise FilmError(
            path,
            f"the film has no {', '.join(missing)}, so nothing can refer to it",
            "Export the film again as a complete DICOM file",
        )
    return SourceFilm(path, header)


@contextmanager
def as_it_is() -> Iterator[None]:
    """Take over what a film's header says without judging it: pydicom's warnings would quote a patient's entries."""
    from pydicom.config import disable_value_validation

    with disable_value_validation():
        yield


@contextmanager
def refusing(source: SourceFilm, what: str) -> Iterator[None]:
    """Turn whatever highdicom cannot take from a film's header into a `FilmError` without what the header says."""
    try:
        with as_it_is():
            yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, FilmError):
            raise
        raise FilmError(
            source.path,
            f"its header does not allow a {what} ({type(error).__name__})",
            "Export the film again as a complete DICOM file",
        ) from error


def derived_uid(source: SourceFilm, *parts: str, run_id: str | None) -> str:
    """A UID that follows from the film, the run and `parts`; a new one where `run_id` is None."""
    from pydicom.uid import generate_uid

    return generate_uid(entropy_srcs=None if run_id is None else [source.uid, run_id, *parts])


def writing_time() -> datetime.datetime:
    """The time to write into an object: now, or what SOURCE_DATE_EPOCH says (seconds since 1970, then in UTC).

    With that variable set (https://reproducible-builds.org/specs/source-date-epoch/) the same film, run and content
    give the same bytes.

    Raises:
        ValueError: the variable is no whole number of seconds.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not epoch:
        return datetime.datetime.now()
    try:
        return datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"SOURCE_DATE_EPOCH is a number of seconds since 1970, got {epoch!r}") from error


def tracking_uid(source: SourceFilm, site: str) -> str:
    """Tracking UID of a vertebra, a disc or the lumbar spine of a film: the same in every object and every run."""
    from pydicom.uid import generate_uid

    return generate_uid(entropy_srcs=[source.uid, "tracking", site])


def common_arguments(
    source: SourceFilm,
    algorithm: Algorithm,
    kind: str,
    content: str,
    run_id: str | None,
    created: datetime.datetime,
    series_number: int,
) -> dict[str, Any]:
    """Arguments that highdicom takes for any object: identity, equipment and time.

    Args:
        source: the film.
        algorithm: what made the content.
        kind: modality of the object, "SEG" or "SR".
        content: digest of what it says, so that other content gets another UID.
        run_id: see `derived_uid`.
        created: time of writing.
        series_number: Series Number of the object's series.
    Raises:
        ValueError: the series number is not positive.
    """
    if series_number < 1:
        raise ValueError(f"series_number must be positive, got {series_number}.")
    return {
        "series_instance_uid": derived_uid(source, kind, "series", run_id=run_id),
        "sop_instance_uid": derived_uid(source, kind, "instance", content, run_id=run_id),
        "series_number": series_number,
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": algorithm.name,
        "software_versions": __version__,
        "device_serial_number": SERIAL_NUMBER,
        "content_date": created.date(),
        "content_time": created.time(),
        "specific_character_set": None,
    }


def inherit(dataset: Any, source: SourceFilm, created: datetime.datetime) -> None:
    """Give an object the film's true class, its patient and study modules as they stand in the file, and one time.

    Args:
        dataset: a highdicom object, changed in place.
        source: the film.
        created: time of writing.
    """
    from pydicom.valuerep import DT

    if "SpecificCharacterSet" in source.header:
        dataset.SpecificCharacterSet = source.header.SpecificCharacterSet
    header = source.header[:]
    header.add_new("SOPClassUID", "UI", STAND_IN_CLASS)  # a new element: the old one is shared
    dataset.copy_patient_and_study_information(header)
    _name_class(dataset, source)
    dataset.InstanceCreationDate = dataset.ContentDate
    dataset.InstanceCreationTime = dataset.ContentTime
    for item in dataset.ContributingEquipmentSequence:
        if "ContributionDateTime" in item:
            item.ContributionDateTime = DT(created)


def _name_class(dataset: Dataset, source: SourceFilm) -> None:
    """Give every reference to the film the film's class."""
    if dataset.get("ReferencedSOPInstanceUID") == source.uid:
        dataset.ReferencedSOPClassUID = source.header.SOPClassUID
    for element in dataset:
        for item in element.value if element.VR == "SQ" else ():
            _name_class(item, source)


def save(dataset: Dataset, path: str | os.PathLike) -> Path:
    """Write an object, whole or not at all."""
    with atomic_write(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)
    return Path(path)
