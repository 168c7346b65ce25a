"""Who and what a DICOM film is of: asked for by name, never taken along by itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from cmnet_monai.io.errors import FilmError

IDENTIFIERS: Mapping[str, str] = MappingProxyType(
    {
        "patient_id": "PatientID",
        "patient_name": "PatientName",
        "patient_birth_date": "PatientBirthDate",
        "patient_sex": "PatientSex",
        "accession_number": "AccessionNumber",
        "study_date": "StudyDate",
        "study_uid": "StudyInstanceUID",
        "image_uid": "SOPInstanceUID",
    }
)
"""Columns of `read_identifiers`, and the DICOM keywords that they hold (DICOM PS3.6)."""


def read_identifiers(path: str | os.PathLike) -> dict[str, str | None]:
    """Identifiers in a DICOM film's header, as text; None where it says nothing, or where the file is no DICOM film.

    Args:
        path: the film.
    """
    from cmnet_monai.io.films.dicom_header import read_film_header

    try:
        header = read_film_header(Path(path))
    except (FilmError, OSError):
        return dict.fromkeys(IDENTIFIERS)
    return {name: str(header.get(keyword) or "") or None for name, keyword in IDENTIFIERS.items()}
