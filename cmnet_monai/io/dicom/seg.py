"""Named vertebrae as a DICOM Segmentation in the pixel grid of their film."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from cmnet_monai.conventions import LABEL_OF_LEVEL, LEVEL_OF_LABEL
from cmnet_monai.film_result import FilmResult
from cmnet_monai.io.dicom.codes import ANATOMICAL_STRUCTURE, VERTEBRAE, display_lab, levels_present
from cmnet_monai.io.dicom.derived import (
    Algorithm,
    SourceFilm,
    common_arguments,
    derived_uid,
    inherit,
    read_source,
    refusing,
    save,
    tracking_uid,
    writing_time,
)
from cmnet_monai.io.films.spacing import film_spacing, pair_xy

if TYPE_CHECKING:
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom import Dataset

SEG_SERIES_NUMBER = 901
_SHORT_TEXT = 1024
"""Longest text of DICOM's value representation ST."""


def write_dicom_seg(
    path: str | os.PathLike,
    source_film: str | os.PathLike | Dataset,
    label_map_xy: np.ndarray,
    *,
    include_s1: bool = True,
    algorithm: Algorithm | None = None,
    run_id: str | None = None,
    created: datetime.datetime | None = None,
    series_number: int = SEG_SERIES_NUMBER,
    flags: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Path:
    """Write a label map as a DICOM Segmentation (BINARY), whole or not at all.

    One segment for each vertebra in the map, from head to foot, labelled "L1" and so on, with the SNOMED CT code of the
    level (DICOM PS3.16, CID 7603), a recommended colour and a tracking UID that a report on the same film shares. Rows,
    columns and Patient Orientation are the film's, and each frame refers to the film with its spatial locations
    preserved: a radiograph has no position in space that could be written. Patient and study modules are the film's.

    Args:
        path: file to write; missing folders are made.
        source_film: the film, a DICOM file or data set of one radiograph.
        label_map_xy: (x, y), the film's columns and rows, VerSe codes (0 is background).
        include_s1: whether S1 becomes a segment where the map has it.
        algorithm: what made the map; CM-Net and the package's version when None.
        run_id: identity of weights and settings. With it all UIDs follow from the film, the run and the map, so that
            the same film, run, map and `created` give the same bytes. None makes new UIDs.
        created: time to write as that of the content; `writing_time` when None.
        series_number: Series Number of the new series.
        flags: what to look at, in sentences, by level; it stands in the Segment Description.
    Returns:
        The path.
    Raises:
        FilmError: the film is not a DICOM radiograph, lacks the UIDs to refer to it by, or has a header that allows no
            segmentation.
        ValueError: the map has another size than the film, values that are no labels, or no vertebra.

    >>> import tempfile
    >>> from pydicom import dcmread
    >>> from cmnet_monai.io import write_dx
    >>> labels = np.zeros((30, 50), dtype=np.uint8)  # (x, y)
    >>> labels[10:20, 5:15], labels[10:20, 30:40] = 23, 24  # L4, L5
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     film = write_dx(f"{folder}/film.dcm", 10 * labels.astype(np.uint16))
    ...     seg = dcmread(write_dicom_seg(f"{folder}/seg.dcm", film, labels))
    >>> [segment.SegmentLabel for segment in seg.SegmentSequence], seg.pixel_array.shape  # frames, rows, columns
    (['L4', 'L5'], (2, 50, 30))
    """
    source = read_source(source_film)
    labels = _checked(label_map_xy, source)
    levels = [level for level in levels_present(set(np.unique(labels).tolist()) - {0}) if include_s1 or level != "S1"]
    if not levels:
        raise ValueError("the label map has no vertebra, so there is no segmentation to write.")
    algorithm = algorithm or Algorithm()
    created = created or writing_time()
    numbers = _segment_numbers(labels, levels)
    said = {level: list(flags.get(level, ())) for level in levels}
    content = sha256(repr((levels, numbers.shape, algorithm, said)).encode() + numbers.tobytes()).hexdigest()
    common = common_arguments(source, algorithm, "SEG", content, run_id, created, series_number)
    with refusing(source, "segmentation"):
        descriptions = _descriptions(source, said, algorithm)
        segmentation = _segmentation(source, numbers, descriptions, common)
        inherit(segmentation, source, created)
        _complete(segmentation, source, derived_uid(source, "SEG", "dimensions", content, run_id=run_id))
        return save(segmentation, path)


def _checked(label_map_xy: np.ndarray, source: SourceFilm) -> np.ndarray:
    labels = np.asarray(label_map_xy)
    if labels.shape != source.size_xy_px:
        raise ValueError(
            f"label_map_xy must be (columns, rows) of the film, {source.size_xy_px}, got shape {labels.shape}."
        )
    if labels.dtype.kind not in "bui":
        raise ValueError(f"label_map_xy must hold integers, got {labels.dtype}.")
    return labels


def _segment_numbers(labels: np.ndarray, levels: list[str]) -> np.ndarray:
    """(row, column) map of segment numbers, 0 where no segment is."""
    numbers = np.zeros(labels.shape, np.uint8)
    for number, level in enumerate(levels, start=1):
        numbers[labels == LABEL_OF_LEVEL[level]] = number
    return np.ascontiguousarray(numbers.T)


def save_dicom_seg(path: str | os.PathLike, source: str | os.PathLike | Dataset, result: FilmResult) -> Path:
    """Write the label map of a film's result as `write_dicom_seg` does, its flags with it.

    Flags of the film, and of bodies that have no segment, stand in every segment's description.
    """
    levels = [LEVEL_OF_LABEL[label] for label in np.unique(result.labels.array).tolist() if label in LEVEL_OF_LABEL]
    common = [flag.text for flag in result.flags if flag.level not in levels]
    flags = {level: [*(flag.text for flag in result.flags_of(level)), *common] for level in levels}
    algorithm = Algorithm(parameters={"run": result.run})
    return write_dicom_seg(path, source, result.labels.array, algorithm=algorithm, run_id=result.run, flags=flags)


def _descriptions(
    source: SourceFilm, flags: Mapping[str, Sequence[str]], algorithm: Algorithm
) -> list[SegmentDescription]:
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription

    descriptions = []
    for number, (level, texts) in enumerate(flags.items(), start=1):
        description = SegmentDescription(
            segment_number=number,
            segment_label=level,
            segmented_property_category=ANATOMICAL_STRUCTURE.code(),
            segmented_property_type=VERTEBRAE[level].code(),
            algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm.identification(),
            tracking_uid=tracking_uid(source, level),
            tracking_id=level,
            display_color=CIELabColor(*display_lab(level)),
        )
        # The code names the vertebra; only its body is outlined on a lateral film.
        description.SegmentDescription = " ".join([f"Body of {level}.", *texts])[:_SHORT_TEXT]
        descriptions.append(description)
    return descriptions


def _segmentation(
    source: SourceFilm, numbers: np.ndarray, descriptions: list[SegmentDescription], common: dict[str, Any]
) -> Segmentation:
    from highdicom.seg import Segmentation, SegmentationTypeValues

    return Segmentation(
        source_images=[source.reference()],
        pixel_array=numbers,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        content_label="VERTEBRAE",
        content_description="Vertebral bodies on a lateral radiograph",
        series_description="Vertebral bodies",
        **common,
    )


def _complete(segmentation: Segmentation, source: SourceFilm, dimensions_uid: str) -> None:
    """Add what highdicom leaves out or draws at random."""
    # DICOM wants the orientation of an image without a position in space; empty where the film does not say.
    segmentation.PatientOrientation = source.header.get("PatientOrientation") or None
    segmentation.ContentCreatorName = None
    aspect = _aspect_ratio(source)
    if aspect != (1, 1):
        segmentation.PixelAspectRatio = list(aspect)
    for sequence in (segmentation.DimensionOrganizationSequence, segmentation.DimensionIndexSequence):
        for item in sequence:
            item.DimensionOrganizationUID = dimensions_uid


def _aspect_ratio(source: SourceFilm) -> tuple[int, int]:
    """Height to width of a pixel in whole numbers.

    DICOM wants it where pixels are not square and no spacing is written. None is written: the one place for it in a
    segmentation also demands a slice thickness, and a detector's spacing would lose the word that it is one.
    """
    sx, sy = film_spacing(source.header)[0]
    if np.isnan(sx):
        sx, sy = pair_xy(source.header.get("PixelAspectRatio")) or (1.0, 1.0)
    ratio = Fraction(sy / sx).limit_denominator(10_000)
    return max(ratio.numerator, 1), ratio.denominator
