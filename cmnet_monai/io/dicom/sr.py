"""Measurements of vertebrae as a DICOM structured report (Comprehensive SR, TID 1500)."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmnet_monai.conventions import NO_SPACING
from cmnet_monai.film_result import FilmResult, Measure
from cmnet_monai.io.dicom.codes import (
    ANATOMICAL_STRUCTURE,
    CENTER,
    EVALUATION_VALUES,
    EVALUATIONS,
    FLAG,
    INFERIOR_END_PLATE,
    MEASUREMENTS,
    MILLIMETRES,
    PRIVATE_SCHEME,
    PROJECTION_X_RAY,
    SITES,
    SPACING_PROVENANCE,
    SUPERIOR_END_PLATE,
    UNITS,
    VERTEBRA,
    VERTEBRAE,
    Concept,
)
from cmnet_monai.io.dicom.derived import (
    MANUFACTURER,
    SERIAL_NUMBER,
    STAND_IN_CLASS,
    Algorithm,
    SourceFilm,
    as_it_is,
    common_arguments,
    inherit,
    read_source,
    refusing,
    save,
    tracking_uid,
    writing_time,
)
from cmnet_monai.io.dicom.measured_sites import MeasuredSite, measured_sites
from cmnet_monai.io.errors import FilmError
from cmnet_monai.io.films.spacing import pair_xy

if TYPE_CHECKING:
    from highdicom.sr import MeasurementReport, ObservationContext, ReferencedSegmentationFrame
    from pydicom import Dataset

SR_SERIES_NUMBER = 902

_PIXEL_MIDDLE = 0.5
"""DICOM counts coordinates of a report from the corner of the top-left pixel, this package from its middle."""

_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


def write_dicom_sr(
    path: str | os.PathLike,
    source_film: str | os.PathLike | Dataset,
    measurements: Iterable[MeasuredSite],
    *,
    spacing_provenance: str = NO_SPACING,
    seg_path: str | os.PathLike | None = None,
    algorithm: Algorithm | None = None,
    run_id: str | None = None,
    created: datetime.datetime | None = None,
    series_number: int = SR_SERIES_NUMBER,
) -> Path:
    """Write measurements as a DICOM Comprehensive SR, Measurement Report (PS3.16, TID 1500), whole or not at all.

    One measurement group for each vertebra, disc or the lumbar spine: tracking identifier and UID, finding site,
    numbers with units, findings in words, and its centre and end plates as spatial coordinates on the film. With a
    segmentation a vertebra's group refers to its segment (TID 1410), else to the film (TID 1501). The report is
    unverified and preliminary: no person has seen it. Patient and study modules are the film's.

    Args:
        path: file to write; missing folders are made.
        source_film: the film, a DICOM file or data set of one radiograph.
        measurements: what to report, see `MeasuredSite`; `measured_sites` makes them of a film's result.
        spacing_provenance: where the pixel spacing behind millimetres comes from (``conventions``); it is written
            beside them.
        seg_path: segmentation of the same film, by `write_dicom_seg`.
        algorithm: what measured; CM-Net and the package's version when None.
        run_id: as in `write_dicom_seg`.
        created: time to write as that of the content; `writing_time` when None.
        series_number: Series Number of the new series.
    Returns:
        The path.
    Raises:
        FilmError: the film is not a DICOM radiograph, lacks the UIDs to refer to it by, or has a header that allows no
            report; or the segmentation cannot be read or is of another film.
        ValueError: there is nothing to report, a site comes twice, or there are millimetres without provenance.

    >>> import tempfile
    >>> from highdicom.sr import srread
    >>> from cmnet_monai.io import MeasuredSite, write_dx
    >>> site = MeasuredSite("L3", [Measure("height_anterior", 9.5, "px")], centre_xy=(14.0, 20.0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     film = write_dx(f"{folder}/film.dcm", np.arange(1500, dtype=np.uint16).reshape(30, 50))
    ...     report = srread(write_dicom_sr(f"{folder}/sr.dcm", film, [site]))
    >>> (group,) = report.content.get_image_measurement_groups()
    >>> group.tracking_identifier, [(found.value, found.unit.meaning) for found in group.get_measurements()]
    ('L3', [(9.5, 'Pixels')])
    """
    sites = list(measurements)
    _check(sites, spacing_provenance)
    source = read_source(source_film)
    segmentation = None if seg_path is None else _segmentation_of(source, Path(seg_path))
    algorithm = algorithm or Algorithm()
    created = created or writing_time()
    with refusing(source, "structured report"):
        groups = [_group(site, source, segmentation, algorithm, spacing_provenance) for site in sites]
        report, frame = (_report(source, some, algorithm) for some in (groups, groups[:1]))
    outlined = "" if segmentation is None else str(segmentation.SOPInstanceUID)
    content = _digest(sites, algorithm, spacing_provenance, outlined)
    common = common_arguments(source, algorithm, "SR", content, run_id, created, series_number)
    with refusing(source, "structured report"):
        document = _document(source, report, frame, segmentation, common)
        inherit(document, source, created)
        return save(document, path)


def _digest(sites: Iterable[MeasuredSite], *more: Any) -> str:
    """Digest of everything that the report says."""
    said = [
        (
            site.site,
            [(m.name, float(m.value or 0.0), m.unit) for m in site.measurements],
            sorted(site.evaluations.items()),
            list(site.flags),
            *(
                None if points is None else np.asarray(points, dtype=float).tolist()
                for points in (site.centre_xy, site.superior_end_plate_xy, site.inferior_end_plate_xy)
            ),
        )
        for site in sites
    ]
    return sha256(repr((said, *more)).encode()).hexdigest()


def save_dicom_sr(
    path: str | os.PathLike, source: str | os.PathLike | Dataset, result: FilmResult, seg_path: Path | None = None
) -> Path:
    """Write the measures of a film's result, its flags with them, as `write_dicom_sr` does."""
    film = result.film
    return write_dicom_sr(
        path,
        source,
        measured_sites(result),
        spacing_provenance=film.spacing_provenance if film.in_mm else NO_SPACING,
        seg_path=seg_path,
        algorithm=Algorithm(parameters={"run": result.run}),
        run_id=result.run,
    )


def _check(sites: Sequence[MeasuredSite], spacing_provenance: str) -> None:
    if not sites:
        raise ValueError("there is no measurement to report.")
    names = [site.site for site in sites]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{', '.join(repeated)} comes more than once.")
    known = EVALUATION_VALUES[SPACING_PROVENANCE]
    if any(_has_millimetres(site) for site in sites) and spacing_provenance not in known:
        raise ValueError(f"millimetres need spacing_provenance, one of {', '.join(known)}, got {spacing_provenance!r}.")


def _has_millimetres(site: MeasuredSite) -> bool:
    return any(measurement.unit == MILLIMETRES for measurement in site.measurements)


def _segmentation_of(source: SourceFilm, path: Path) -> Dataset:
    """A segmentation without its pixels, known to be of this film."""
    from pydicom import dcmread

    try:
        with as_it_is():
            segmentation = dcmread(path, stop_before_pixels=True)
            films = {
                str(item.ReferencedSOPInstanceUID)
                for series in segmentation.get("ReferencedSeriesSequence") or []
                for item in series.ReferencedInstanceSequence
            }
    except Exception as error:  # as in dicom_header: pydicom raises many kinds, and their text may quote the header
        raise FilmError(path, f"the segmentation cannot be read ({type(error).__name__})", "Write it again") from error
    if segmentation.get("SOPClassUID") != _SEGMENTATION:
        raise FilmError(path, "it is no DICOM Segmentation", "Give the file that write_dicom_seg wrote")
    if films != {source.uid}:
        raise FilmError(path, "the segmentation is of another film", "Write it again from this film")
    return segmentation


def _group(
    site: MeasuredSite, source: SourceFilm, segmentation: Dataset | None, algorithm: Algorithm, provenance: str
) -> Any:
    """Measurement group of one site: TID 1410 where its segment is known, else TID 1501."""
    from highdicom import sr

    evaluations = dict(site.evaluations)
    if _has_millimetres(site):
        evaluations[SPACING_PROVENANCE] = provenance
    is_vertebra = site.site in VERTEBRAE
    common: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(tracking_uid(source, site.site), site.site),
        "finding_category": ANATOMICAL_STRUCTURE.code(),
        "finding_type": (VERTEBRA if is_vertebra else SITES[site.site]).code(),
        "finding_sites": [sr.FindingSite(SITES[site.site].code())],
        "algorithm_id": sr.AlgorithmIdentification(
            algorithm.name, algorithm.version, [f"{key}={value}" for key, value in algorithm.parameters.items()] or None
        ),
        "measurements": [_number(measurement) for measurement in site.measurements],
        "qualitative_evaluations": [
            sr.QualitativeEvaluation(EVALUATIONS[name].code(), EVALUATION_VALUES[name][value].code())
            for name, value in evaluations.items()
        ],
    }
    group: Any
    segment = _segment(site.site, source, segmentation) if is_vertebra and segmentation is not None else None
    if segment is not None:
        group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **common)
    else:
        film = sr.SourceImageForMeasurementGroup(STAND_IN_CLASS, source.uid)
        group = sr.MeasurementsAndQualitativeEvaluations(source_images=[film], **common)
    group[0].ContentSequence.extend([*_flags(site), *_coordinates(site, source)])
    return group


def _number(measure: Measure) -> Any:
    from highdicom.sr import Measurement

    name, unit = MEASUREMENTS[measure.name].code(), UNITS[measure.unit].code()
    return Measurement(name=name, value=float(measure.value or 0.0), unit=unit)


def _flags(site: MeasuredSite) -> list[Any]:
    """Flags as text items of a group."""
    from highdicom.sr import RelationshipTypeValues, TextContentItem

    return [TextContentItem(FLAG.code(), text, RelationshipTypeValues.CONTAINS) for text in site.flags]


def _segment(site: str, source: SourceFilm, segmentation: Dataset) -> ReferencedSegmentationFrame | None:
    """The frame that outlines a vertebra, found by its tracking UID."""
    from highdicom.sr import ReferencedSegmentationFrame, SourceImageForSegmentation

    wanted = tracking_uid(source, site)
    numbers = [int(s.SegmentNumber) for s in segmentation.SegmentSequence if s.get("TrackingUID") == wanted]
    if not numbers:
        return None
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    for frame, groups in enumerate(segmentation.PerFrameFunctionalGroupsSequence, start=1):
        identification = groups if "SegmentIdentificationSequence" in groups else shared  # one segment stands there
        if int(identification.SegmentIdentificationSequence[0].ReferencedSegmentNumber) == numbers[0]:
            film = SourceImageForSegmentation(STAND_IN_CLASS, source.uid)
            reference = ReferencedSegmentationFrame(
                segmentation.SOPClassUID, segmentation.SOPInstanceUID, frame, numbers[0], film
            )
            # highdicom gives frame and segment; DICOM (PS3.3, table 10-3) allows one, and the frame tells the segment.
            del reference[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
            return reference
    return None


def _coordinates(site: MeasuredSite, source: SourceFilm) -> list[Any]:
    """Centre and end plates on the film, (column, row) from the corner of the top-left pixel."""
    from highdicom.sr import ContentSequence, RelationshipTypeValues, ScoordContentItem, SourceImageForRegion

    shapes: list[tuple[Concept, str, Any]] = []
    if site.centre_xy is not None:
        shapes.append((CENTER, "POINT", [site.centre_xy]))
    if site.superior_end_plate_xy is not None:
        shapes.append((SUPERIOR_END_PLATE, "POLYLINE", site.superior_end_plate_xy))
    if site.inferior_end_plate_xy is not None:
        shapes.append((INFERIOR_END_PLATE, "POLYLINE", site.inferior_end_plate_xy))
    items = []
    for name, graphic, points_xy in shapes:
        item = ScoordContentItem(
            name.code(),
            graphic,
            np.asarray(points_xy, dtype=float) + _PIXEL_MIDDLE,
            relationship_type=RelationshipTypeValues.CONTAINS,
        )
        item.ContentSequence = ContentSequence([SourceImageForRegion(STAND_IN_CLASS, source.uid)])
        items.append(item)
    return items


def _report(source: SourceFilm, groups: list[Any], algorithm: Algorithm) -> MeasurementReport:
    from highdicom.sr import MeasurementReport

    return MeasurementReport(
        observation_context=_observer(algorithm),
        procedure_reported=PROJECTION_X_RAY.code(),
        imaging_measurements=groups,
        referenced_images=[_library_entry(source)],
    )


def _observer(algorithm: Algorithm) -> ObservationContext:
    from highdicom import sr
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    device = sr.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[MANUFACTURER, algorithm.name, algorithm.version]),
        name=algorithm.name,
        manufacturer_name=MANUFACTURER,
        model_name=f"{algorithm.name} {algorithm.version}",
        serial_number=SERIAL_NUMBER,
    )
    return sr.ObservationContext(sr.ObserverContext(codes.DCM.Device, device))


def _library_entry(source: SourceFilm) -> Dataset:
    """The film as the image library (TID 1600) describes it.

    Orientation and detector spacing of a radiograph stand there together or, where the header lacks one, not at all.
    """
    entry, header = source.reference(), source.header
    is_oriented = "PatientOrientation" in header and header["PatientOrientation"].VM == 2
    if is_oriented and pair_xy(header.get("ImagerPixelSpacing")) is not None:
        entry.PatientOrientation, entry.ImagerPixelSpacing = header.PatientOrientation, header.ImagerPixelSpacing
    else:
        entry.Modality = ""
    return entry


def _document(
    source: SourceFilm,
    report: MeasurementReport,
    frame: MeasurementReport,
    segmentation: Dataset | None,
    common: dict[str, Any],
) -> Any:
    """The report as a document.

    highdicom makes it from ``frame``, the same report with a single group: it copies what it is given and searches it
    three times, which took half of all the time for what this module has made itself.
    """
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from highdicom.sr import ComprehensiveSR

    scheme = CodingSchemeIdentificationItem(
        PRIVATE_SCHEME, name="Codes of cmnet-monai", responsible_organization=MANUFACTURER
    )
    document = ComprehensiveSR(
        evidence=[source.reference(), *([] if segmentation is None else [segmentation])],
        content=frame,
        is_complete=True,
        series_description="Measurements of vertebrae",
        coding_schemes=[scheme],
        **common,
    )
    for tag, element in report[0].items():
        document[tag] = element
    return document
