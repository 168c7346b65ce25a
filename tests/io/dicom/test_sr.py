from __future__ import annotations

import datetime
import re
from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from cmnet_monai.film_result import Measure
from cmnet_monai.io import Algorithm, FilmError, MeasuredSite, write_dicom_seg, write_dicom_sr, write_dx

SIZE = (37, 53)
CREATED = datetime.datetime(2024, 1, 2, 3, 4, 5)
SITES = [
    MeasuredSite(
        "L1",
        [
            Measure("height_anterior", 10.125, "px"),
            Measure("height_anterior", 1.2345678901234, "mm"),
            Measure("height_posterior", 11.5, "px"),
            Measure("ha_hp", 0.9, "ratio"),
            Measure("grey_mean", 1234.5, "grey"),
            Measure("depth_middle", 8.125, "px"),
        ],
        {"genant_candidate": "1", "deformity_candidate": "wedge"},
        ["L1 reaches the edge of the film."],
        (5.25, 6.5),
        [(2, 3), (4.5, 3.25), (7, 3)],
        [(2, 9), (4.5, 8.75), (7.25, 9)],
    ),
    MeasuredSite(
        "T12", [Measure("height_posterior", 4.0, "px"), Measure("slip", 3.5, "percent")], centre_xy=(4.0, 0.0)
    ),
    MeasuredSite("L1-L2", [Measure("disc_middle", 3.25, "px")]),
    MeasuredSite("lumbar spine", [Measure("lordosis_l1_l5", -41.5, "deg")]),
]


def label_map() -> np.ndarray:
    labels = np.zeros(SIZE, np.uint8)
    labels[3:11, 2:7] = 19  # T12: segment and frame 1
    labels[5:15, 8:13] = 20  # L1: segment and frame 2
    return labels


def pixels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 4096, SIZE).astype(np.uint16)


@pytest.fixture(params=["dx", "cr"])
def film(request, tmp_path, make_dicom):
    if request.param == "dx":
        return write_dx(tmp_path / "film.dcm", pixels(), faces="right", imager_spacing_xy_mm=(0.14, 0.15))
    return make_dicom(
        pixels().T,
        PhotometricInterpretation="MONOCHROME1",
        StudyInstanceUID=generate_uid(entropy_srcs=["study"]),
        SeriesInstanceUID=generate_uid(entropy_srcs=["series"]),
    )


@pytest.fixture
def report(film, tmp_path):
    """A function that writes a report and reads it with highdicom."""
    from highdicom.sr import srread

    def write(sites=SITES, **options):
        options = {"spacing_provenance": "calibrated", **options}
        return srread(write_dicom_sr(tmp_path / "sr.dcm", film, sites, **options))

    return write


def groups_of(document) -> dict:
    content = document.content
    groups = [*content.get_image_measurement_groups(), *content.get_planar_roi_measurement_groups()]
    return {group.tracking_identifier: group for group in groups}


def test_numbers_come_back_with_codes_and_units(report):
    groups = groups_of(report())
    assert set(groups) == {"L1", "T12", "L1-L2", "lumbar spine"}
    read = [
        (m.name.value, m.name.scheme_designator, m.name.meaning, m.value, m.unit.value, m.unit.scheme_designator)
        for m in groups["L1"].get_measurements()
    ]
    assert read == [
        ("HA", "99CMNET", "Anterior height of vertebral body", 10.125, "{pixels}", "UCUM"),
        ("HA", "99CMNET", "Anterior height of vertebral body", 1.2345678901234, "mm", "UCUM"),
        ("HP", "99CMNET", "Posterior height of vertebral body", 11.5, "{pixels}", "UCUM"),
        ("HA_HP", "99CMNET", "Anterior to posterior height ratio of vertebral body", 0.9, "{ratio}", "UCUM"),
        ("PIXEL_MEAN", "99CMNET", "Mean pixel value of vertebral body", 1234.5, "[arb'U]", "UCUM"),
        ("103355008", "SCT", "Width", 8.125, "{pixels}", "UCUM"),
    ]
    (slip,) = [m for m in groups["T12"].get_measurements() if m.name.value == "SLIP"]
    assert (slip.value, slip.unit.value) == (3.5, "%")
    (disc,) = groups["L1-L2"].get_measurements()
    assert (disc.name.value, disc.value) == ("DISC_HM", 3.25)
    (lordosis,) = groups["lumbar spine"].get_measurements()
    assert (lordosis.name.value, lordosis.value, lordosis.unit.value) == ("LORDOSIS_L1_L5", -41.5, "deg")


def test_finding_sites_are_snomed_codes(report):
    sites = {name: group.finding_sites[0].value.value for name, group in groups_of(report()).items()}
    assert sites == {"L1": "66794005", "T12": "23215003", "L1-L2": "80064006", "lumbar spine": "122496007"}


def test_findings_in_words_and_the_spacings_origin_stand_where_they_belong(report):
    words = {
        name: {e.name.value: e.value.value for e in group.get_qualitative_evaluations()}
        for name, group in groups_of(report()).items()
    }
    for found in words.values():
        assert found.pop("276214006") == "91723000"  # finding category: anatomical structure
    assert words["L1"] == {"GENANT": "GENANT_1", "DEFORMITY": "DEFORMITY_WEDGE", "SPACING": "SPACING_CALIB"}
    assert words["T12"] == words["L1-L2"] == {}  # no millimetres there


def scoords(group) -> dict:
    return {
        item.ConceptNameCodeSequence[0].CodeValue: item
        for item in group[0].ContentSequence
        if item.ValueType == "SCOORD"
    }


def test_points_are_column_and_row_from_the_corner_of_the_first_pixel(report, film):
    groups = groups_of(report())
    items = scoords(groups["L1"])
    # The middle of the top-left pixel is (0, 0) in the package and (0.5, 0.5) in DICOM.
    assert (items["111010"].GraphicType, list(items["111010"].GraphicData)) == ("POINT", [5.75, 7.0])
    assert items["END_PLATE_SUP"].GraphicType == "POLYLINE"
    assert list(items["END_PLATE_SUP"].GraphicData) == [2.5, 3.5, 5.0, 3.75, 7.5, 3.5]
    assert list(items["END_PLATE_INF"].GraphicData) == [2.5, 9.5, 5.0, 9.25, 7.75, 9.5]
    for item in items.values():
        (image,) = item.ContentSequence
        assert image.RelationshipType == "SELECTED FROM"
        assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == dcmread(film).SOPInstanceUID
    assert list(scoords(groups["T12"])) == ["111010"]
    assert not scoords(groups["lumbar spine"])


def test_the_centre_of_a_segment_is_the_mean_of_its_pixels_corners_apart(film, tmp_path, report):
    """The segmentation's pixels and the report's point tell one place: a check across both conventions."""
    from highdicom.seg import segread

    seg = segread(write_dicom_seg(tmp_path / "seg.dcm", film, label_map()))
    rows, columns = np.nonzero(seg.get_pixels_by_source_instance([dcmread(film).SOPInstanceUID])[0, ..., 1])
    x, y = (axis.mean() for axis in np.nonzero(label_map() == 20))
    point = scoords(groups_of(report([MeasuredSite("L1", centre_xy=(x, y))]))["L1"])["111010"].GraphicData
    # Pixel c covers c to c + 1 where coordinates start at a corner.
    assert list(point) == [(2 * columns + 1).mean() / 2, (2 * rows + 1).mean() / 2] == [10.0, 10.5]


def test_it_refers_to_its_film_and_observer(report, film):
    header = dcmread(film)
    document = report(algorithm=Algorithm("CM-Net", "9.8", {"weights": "abc"}))
    assert document.StudyInstanceUID == header.StudyInstanceUID
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == header.SeriesInstanceUID
    assert [i.ReferencedSOPInstanceUID for i in series.ReferencedSOPSequence] == [header.SOPInstanceUID]
    assert (document.CompletionFlag, document.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    (observer,) = document.content.get_observer_contexts()
    assert observer.observer_type.meaning == "Device"
    attributes = observer.observer_identifying_attributes
    assert (attributes.name, attributes.model_name) == ("CM-Net", "CM-Net 9.8")
    for group in groups_of(document).values():
        texts = [item for item in group[0].ContentSequence if item.ValueType == "TEXT"]
        values = [item.TextValue for item in texts if item.ConceptNameCodeSequence[0].CodeValue != "FLAG"]
        assert values[1:] == ["CM-Net", "9.8", "weights=abc"]
        assert [image.referenced_sop_instance_uid for image in group.source_images] == [header.SOPInstanceUID]


def test_with_a_segmentation_vertebrae_refer_to_their_frames(film, tmp_path, report):
    seg = write_dicom_seg(tmp_path / "seg.dcm", film, label_map())
    document = report(seg_path=seg)
    header, outlined = dcmread(film), dcmread(seg)
    regions = {g.tracking_identifier: g for g in document.content.get_planar_roi_measurement_groups()}
    assert set(regions) == {"L1", "T12"}
    for level, frame in (("T12", 1), ("L1", 2)):
        reference = regions[level].referenced_segmentation_frame
        assert reference[0].referenced_sop_instance_uid == outlined.SOPInstanceUID
        assert list(reference[0].referenced_frame_numbers) == [frame]
        assert reference[1].referenced_sop_instance_uid == header.SOPInstanceUID
        number = outlined.PerFrameFunctionalGroupsSequence[frame - 1].SegmentIdentificationSequence[0]
        segment = outlined.SegmentSequence[number.ReferencedSegmentNumber - 1]
        assert (segment.SegmentLabel, segment.TrackingUID) == (level, regions[level].tracking_uid)
    assert {g.tracking_identifier for g in document.content.get_image_measurement_groups()} == {"L1-L2", "lumbar spine"}
    assert scoords(regions["L1"])["111010"].GraphicData == [5.75, 7.0]


def test_a_segmentation_of_one_vertebra_serves_that_one(film, tmp_path, report):
    seg = write_dicom_seg(tmp_path / "seg.dcm", film, np.where(label_map() == 20, 20, 0))
    content = report(seg_path=seg).content
    (group,) = content.get_planar_roi_measurement_groups()
    assert (group.tracking_identifier, group.referenced_segmentation_frame[0].referenced_frame_numbers) == ("L1", [1])
    assert len(content.get_image_measurement_groups()) == 3


@pytest.mark.parametrize("with_seg", [False, True])
def test_dciodvfy_finds_no_error_and_warns_of_private_codes_alone(with_seg, film, tmp_path, report, run_tool):
    report(seg_path=write_dicom_seg(tmp_path / "seg.dcm", film, label_map()) if with_seg else None)
    findings = run_tool("dciodvfy", "-new", tmp_path / "sr.dcm")
    assert "ComprehensiveSR" in findings
    lines = re.findall(r"^(?:Error|Warning).*", findings, re.MULTILINE)
    # dciodvfy knows the public coding schemes only.
    unexplained = [line for line in lines if not line.endswith("Unrecognized defined term = <99CMNET>")]
    if "StudyID" not in dcmread(film):  # made by hand, without the entries that a directory of files would want
        unexplained = [line for line in unexplained if "needed to build DICOMDIR" not in line]
    assert not unexplained


def test_dsrdump_prints_the_report(report, tmp_path, run_tool):
    report()
    printed = run_tool("dsrdump", "+Pl", tmp_path / "sr.dcm")
    for text in (
        'NUM:(,,"Anterior height of vertebral body")="10.125" ({pixels},UCUM,"Pixels")',
        'CODE:(,,"Finding Site")=(66794005,SCT,"L1 vertebra")',
        'CODE:(,,"Genant grade, candidate")=(GENANT_1,99CMNET,"Genant grade 1 (mild)")',
        'SCOORD:(,,"Center")=(POINT,5.75/7)',
        'TEXT:(,,"Algorithm Name")="CM-Net"',
        'TEXT:(,,"Flag: look before the values are trusted")="L1 reaches the edge of the film."',
        "UNVERIFIED",
    ):
        assert text in printed
    assert "E: " not in printed


def test_the_image_library_gives_orientation_and_spacing_where_the_film_does(report, film):
    library = [item for item in report().ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "111028"]
    (image,) = library[0].ContentSequence[0].ContentSequence
    described = {i.ConceptNameCodeSequence[0].CodeMeaning: i for i in image.ContentSequence}
    assert {"Pixel Data Rows", "Pixel Data Columns", "Modality"} <= set(described)
    if "ImagerPixelSpacing" in dcmread(film):
        assert described["Patient Orientation Row"].TextValue == "A"
        assert described["Horizontal Pixel Spacing"].MeasuredValueSequence[0].NumericValue == 0.14
    else:
        assert set(described) == {"Pixel Data Rows", "Pixel Data Columns", "Modality"}


def test_the_same_run_gives_the_same_bytes(film, tmp_path):
    def written(name, sites=SITES, run_id="run-1"):
        options = {"spacing_provenance": "user", "run_id": run_id, "created": CREATED}
        return write_dicom_sr(tmp_path / name, film, sites, **options)

    first = written("a.dcm")
    same = [replace(s, measurements=[replace(m, value=np.float64(m.value)) for m in s.measurements]) for s in SITES]
    assert first.read_bytes() == written("b.dcm", same).read_bytes()
    uids = {dcmread(path).SOPInstanceUID for path in (first, written("c.dcm", SITES[:2]), written("d.dcm", run_id="2"))}
    assert len(uids) == 3


@pytest.mark.parametrize(
    ("sites", "options", "message"),
    [
        ([], {}, "no measurement to report"),
        ([SITES[1], SITES[1]], {}, "T12 comes more than once"),
        (SITES, {}, "millimetres need spacing_provenance, one of calibrated, user, .*, got 'none'"),
        (SITES, {"spacing_provenance": "guessed"}, "got 'guessed'"),
    ],
)
def test_nothing_senseless_is_written(sites, options, message, tmp_path):
    film = write_dx(tmp_path / "film.dcm", pixels())
    with pytest.raises(ValueError, match=message):
        write_dicom_sr(tmp_path / "out" / "sr.dcm", film, sites, **options)
    assert not (tmp_path / "out").exists()


def test_pixels_alone_need_no_spacing(report):
    assert set(groups_of(report(SITES[1:], spacing_provenance="none"))) == {"T12", "L1-L2", "lumbar spine"}


def test_a_segmentation_of_another_film_is_refused(tmp_path):
    film = write_dx(tmp_path / "film.dcm", pixels())
    other = write_dx(tmp_path / "other.dcm", pixels() ^ 1)
    seg = write_dicom_seg(tmp_path / "seg.dcm", other, label_map())
    for path, reason in (
        (seg, "the segmentation is of another film"),
        (film, "it is no DICOM Segmentation"),
        (tmp_path / "missing.dcm", "the segmentation cannot be read"),
    ):
        with pytest.raises(FilmError, match=reason):
            write_dicom_sr(tmp_path / "sr.dcm", film, SITES[1:], seg_path=path)
    assert not (tmp_path / "sr.dcm").exists()


@pytest.mark.parametrize("name", ["RG1_J2KI", "RG3_RLE", "XA1_J2KR", "fodicom_CR-MONO1-10-chest"])
def test_real_headers_are_taken(name, shared_data, tmp_path, run_tool):
    film = shared_data / "dicom_cr" / name
    path = write_dicom_sr(tmp_path / "sr.dcm", film, SITES[1:])
    assert not re.findall(r"^Error.*", run_tool("dciodvfy", "-new", path), re.MULTILINE)
    assert 'CODE:(,,"Finding Site")=(23215003,SCT,"T12 vertebra")' in run_tool("dsrdump", path)
