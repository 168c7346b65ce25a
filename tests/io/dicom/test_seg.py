from __future__ import annotations

import datetime
import re

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from cmnet_monai.conventions import LABEL_OF_LEVEL, LEVEL_OF_LABEL
from cmnet_monai.io import Algorithm, FilmError, write_dicom_seg, write_dx

SIZE = (37, 53)  # neither side a multiple of 8: frames of single bits do not end at a byte
CREATED = datetime.datetime(2024, 1, 2, 3, 4, 5)


def label_map(size: tuple[int, int] = SIZE) -> np.ndarray:
    """Bodies that no flip, no transposition and no shift maps onto each other."""
    labels = np.zeros(size, np.uint8)
    labels[3:11, 2:7] = LABEL_OF_LEVEL["T12"]
    labels[5:15, 8:13] = LABEL_OF_LEVEL["L1"]
    labels[14, 14] = LABEL_OF_LEVEL["L1"]
    labels[7:20, 20:22] = LABEL_OF_LEVEL["L2"]
    labels[0, 0] = LABEL_OF_LEVEL["L5"]
    labels[-1, -1] = LABEL_OF_LEVEL["S1"]
    return labels


def pixels(size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 4096, size).astype(np.uint16)


@pytest.fixture(params=["dx", "cr"])
def make_film(request, tmp_path, make_dicom):
    """A function that writes a film, DX by the package's writer or CR by hand."""

    def make(monochrome1: bool = False, size: tuple[int, int] = SIZE):
        if request.param == "dx":
            return write_dx(tmp_path / "film.dcm", pixels(size), monochrome1=monochrome1, faces="right")
        return make_dicom(
            pixels(size).T,
            PhotometricInterpretation="MONOCHROME1" if monochrome1 else "MONOCHROME2",
            StudyInstanceUID=generate_uid(entropy_srcs=["study"]),
            SeriesInstanceUID=generate_uid(entropy_srcs=["series"]),
            PatientOrientation=["A", "F"],
        )

    return make


def read_back(path, film) -> np.ndarray:
    """Label map (x, y) as highdicom reads it, by way of the film that the frames refer to."""
    from highdicom.seg import segread

    segmentation = segread(path)
    frames = segmentation.get_pixels_by_source_instance([dcmread(film).SOPInstanceUID])
    labels = np.zeros(frames.shape[2:0:-1], np.uint8)
    for index, number in enumerate(segmentation.segment_numbers):
        level = segmentation.get_segment_description(number).segment_label
        labels[frames[0, ..., index].T > 0] = LABEL_OF_LEVEL[level]
    return labels


@pytest.mark.parametrize("monochrome1", [False, True])
@pytest.mark.parametrize("size", [SIZE, (64, 24), (9, 8)])
def test_the_map_comes_back_from_highdicom(make_film, monochrome1, size, tmp_path):
    film = make_film(monochrome1, size)
    labels = np.zeros(size, np.uint8)
    labels[: SIZE[0], : SIZE[1]] = label_map()[: size[0], : size[1]]
    path = write_dicom_seg(tmp_path / "seg.dcm", film, labels)
    np.testing.assert_array_equal(read_back(path, film), labels)


def test_dcmtk_sees_each_body_where_it_is(make_film, tmp_path, run_tool):
    from PIL import Image

    path = write_dicom_seg(tmp_path / "seg.dcm", make_film(), label_map())
    levels = [item.SegmentLabel for item in dcmread(path).SegmentSequence]
    for frame, level in enumerate(levels, start=1):
        picture = tmp_path / "frame.pgm"
        run_tool("dcm2pnm", "+F", frame, "+op", path, picture)
        seen = np.asarray(Image.open(picture)) > 0  # (row, column)
        np.testing.assert_array_equal(seen.T, label_map() == LABEL_OF_LEVEL[level])


def test_segments_name_levels_from_head_to_foot(make_film, tmp_path):
    labels = label_map()
    labels[30:33, 40] = LABEL_OF_LEVEL["T13"]
    labels[34:36, 40:43] = LABEL_OF_LEVEL["L6"]
    algorithm = Algorithm("CM-Net", "9.8", {"weights": "abc"})
    segments = dcmread(write_dicom_seg(tmp_path / "seg.dcm", make_film(), labels, algorithm=algorithm)).SegmentSequence
    codes = {s.SegmentLabel: s.SegmentedPropertyTypeCodeSequence[0].CodeValue for s in segments}
    # PS3.16 CID 7603; T13 and L6 have no code of their own: "Vertebra".
    assert list(codes.items()) == [
        ("T12", "23215003"),
        ("T13", "51282000"),
        ("L1", "66794005"),
        ("L2", "14293000"),
        ("L5", "49668003"),
        ("L6", "51282000"),
        ("S1", "65985001"),
    ]
    assert [s.SegmentNumber for s in segments] == [1, 2, 3, 4, 5, 6, 7]
    for segment in segments:
        category = segment.SegmentedPropertyCategoryCodeSequence[0]
        assert (category.CodeValue, category.CodeMeaning) == ("91723000", "Anatomical Structure")
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        made_by = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert (made_by.AlgorithmName, made_by.AlgorithmVersion) == ("CM-Net", "9.8")
        assert made_by.AlgorithmParameters == "weights=abc"
        assert made_by.AlgorithmFamilyCodeSequence[0].CodeMeaning == "Artificial Intelligence"
        assert segment.TrackingID == segment.SegmentLabel
    assert (
        len({s.TrackingUID for s in segments}) == len({tuple(s.RecommendedDisplayCIELabValue) for s in segments}) == 7
    )


def test_s1_can_stay_out(make_film, tmp_path):
    film = make_film()
    path = write_dicom_seg(tmp_path / "seg.dcm", film, label_map(), include_s1=False)
    expected = np.where(label_map() == LABEL_OF_LEVEL["S1"], 0, label_map())
    np.testing.assert_array_equal(read_back(path, film), expected)


def test_it_refers_to_its_film_and_has_no_position_in_space(make_film, tmp_path):
    film = make_film()
    header, segmentation = dcmread(film), dcmread(write_dicom_seg(tmp_path / "seg.dcm", film, label_map()))
    (series,) = segmentation.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == header.SeriesInstanceUID
    assert [i.ReferencedSOPInstanceUID for i in series.ReferencedInstanceSequence] == [header.SOPInstanceUID]
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        (image,) = frame.DerivationImageSequence[0].SourceImageSequence
        assert image.ReferencedSOPClassUID == header.SOPClassUID
        assert image.ReferencedSOPInstanceUID == header.SOPInstanceUID
        assert image.SpatialLocationsPreserved == "YES"
    assert list(segmentation.PatientOrientation) == ["A", "F"] == list(header.PatientOrientation)
    assert (segmentation.Columns, segmentation.Rows) == SIZE
    assert segmentation.SegmentationType == "BINARY"
    found = {element.keyword for element in segmentation.iterall()}
    assert not found & {"FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"}
    assert segmentation.StudyInstanceUID == header.StudyInstanceUID
    assert segmentation.SeriesInstanceUID != header.SeriesInstanceUID


def test_a_film_with_a_frame_of_reference_but_no_position_gets_none(tmp_path, make_dicom):
    film = make_dicom(
        pixels().T,
        StudyInstanceUID="1.2.3",
        SeriesInstanceUID="1.2.4",
        FrameOfReferenceUID="1.2.5",
        PixelSpacing=[1, 2],
    )
    path = write_dicom_seg(tmp_path / "seg.dcm", film, label_map())
    np.testing.assert_array_equal(read_back(path, film), label_map())
    assert "FrameOfReferenceUID" not in dcmread(path)


@pytest.mark.filterwarnings("ignore:The film has no spacing and pixels that are not square")
@pytest.mark.parametrize(
    ("spacing", "ratio"),
    [
        ({"PixelSpacing": [0.3, 0.2]}, [3, 2]),  # (row, column) spacing is (height, width) of a pixel
        ({"ImagerPixelSpacing": [0.15, 0.15]}, None),
        ({"PixelAspectRatio": ["4", "5"]}, [4, 5]),
        ({"PixelSpacing": [0, 0]}, None),
        ({"PixelAspectRatio": "1"}, None),  # malformed, as real files have it
        ({}, None),
    ],
)
def test_pixels_that_are_not_square_are_told(spacing, ratio, tmp_path, make_dicom):
    film = make_dicom(pixels().T, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.4", **spacing)
    segmentation = dcmread(write_dicom_seg(tmp_path / "seg.dcm", film, label_map()))
    assert segmentation.get("PixelAspectRatio") == ratio


@pytest.mark.parametrize("levels", [1, 5])
@pytest.mark.parametrize("options", [{}, {"pixel_spacing_xy_mm": (0.12, 0.13)}, {"monochrome1": True}])
def test_dciodvfy_finds_neither_error_nor_warning(levels, options, tmp_path, run_tool):
    film = write_dx(tmp_path / "film.dcm", pixels(), **options)
    labels = label_map() if levels == 5 else np.where(label_map() == 20, 20, 0)
    findings = run_tool("dciodvfy", "-new", write_dicom_seg(tmp_path / "seg.dcm", film, labels))
    assert "Segmentation" in findings
    assert not re.findall(r"^(?:Error|Warning).*", findings, re.MULTILINE)


def test_the_same_run_gives_the_same_bytes(make_film, tmp_path):
    film = make_film()

    def written(name: str, labels=None, run_id="run-1", created=CREATED):
        labels = label_map() if labels is None else labels
        return write_dicom_seg(tmp_path / name, film, labels, run_id=run_id, created=created)

    first = written("a.dcm")
    assert first.read_bytes() == written("b.dcm", label_map().astype(np.int64)).read_bytes()
    header = dcmread(first)
    assert header.ContentDate == header.InstanceCreationDate == "20240102"
    assert header.ContentTime == header.InstanceCreationTime
    assert str(header.ContentTime).startswith("030405")
    changed = label_map()
    changed[20, 30] = LABEL_OF_LEVEL["L2"]
    others = [dcmread(written("c.dcm", changed)), dcmread(written("d.dcm", run_id="run-2"))]
    assert len({header.SOPInstanceUID, *(other.SOPInstanceUID for other in others)}) == 3
    assert others[0].SeriesInstanceUID == header.SeriesInstanceUID != others[1].SeriesInstanceUID
    tracked = [{s.SegmentLabel: s.TrackingUID for s in h.SegmentSequence} for h in (header, *others)]
    assert tracked[0] == tracked[1] == tracked[2]  # the same vertebra of the same film, whoever outlines it
    fresh = [dcmread(written(name, run_id=None)).SOPInstanceUID for name in ("e.dcm", "f.dcm")]
    assert fresh[0] != fresh[1]


def test_a_synthetic_films_bodies_come_back(tmp_path):
    from cmnet_monai.synthetic.film import generate_film

    truth = generate_film(4, height_px=160)
    film = write_dx(tmp_path / "film.dcm", truth.pixels, bits_stored=truth.bits_stored, faces=truth.faces)
    path = write_dicom_seg(tmp_path / "seg.dcm", film, truth.label_map)
    np.testing.assert_array_equal(read_back(path, film), truth.label_map)
    assert {LEVEL_OF_LABEL[body] for body in np.unique(truth.label_map) if body} == {
        s.SegmentLabel for s in dcmread(path).SegmentSequence
    }


REAL = ["RG1_J2KI", "RG2_RLE", "RG3_JPLL", "XA1_J2KR", "fodicom_CR-MONO1-10-chest", "pydicom_CSPINE_LL_16x16_6154.dcm"]


@pytest.mark.parametrize("name", REAL)
def test_real_headers_are_taken(name, shared_data, tmp_path, run_tool):
    film = shared_data / "dicom_cr" / name
    header = dcmread(film, force=True, stop_before_pixels=True)
    labels = np.zeros((header.Columns, header.Rows), np.uint8)
    labels[3:9, 4:7], labels[2:5, 9:14] = 20, 21
    path = write_dicom_seg(tmp_path / "seg.dcm", film, labels)
    from highdicom.seg import segread

    frames = segread(path).get_pixels_by_source_instance([header.SOPInstanceUID], combine_segments=True)
    np.testing.assert_array_equal(frames[0].T, np.where(labels, labels.astype(int) - 19, 0))
    findings = run_tool("dciodvfy", "-new", path)
    assert not re.findall(r"^Error.*", findings, re.MULTILINE)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (label_map().T, r"\(columns, rows\) of the film, \(37, 53\), got shape \(53, 37\)"),
        (label_map()[None], r"got shape \(1, 37, 53\)"),
        (label_map().astype(float), "must hold integers, got float64"),
        (np.zeros(SIZE, np.uint8), "no vertebra"),
        (label_map() + 100, "are no labels of vertebrae"),
        (label_map().astype(np.int16) * -1, "are no labels of vertebrae"),
    ],
)
def test_wrong_maps_are_refused_and_nothing_is_written(labels, message, tmp_path):
    film = write_dx(tmp_path / "film.dcm", pixels())
    with pytest.raises(ValueError, match=message):
        write_dicom_seg(tmp_path / "out" / "seg.dcm", film, labels)
    assert not (tmp_path / "out").exists()


def test_a_film_with_s1_alone_is_no_film_without_it(tmp_path):
    film = write_dx(tmp_path / "film.dcm", pixels())
    labels = np.where(label_map() == LABEL_OF_LEVEL["S1"], label_map(), 0)
    write_dicom_seg(tmp_path / "seg.dcm", film, labels)
    with pytest.raises(ValueError, match="no vertebra"):
        write_dicom_seg(tmp_path / "none.dcm", film, labels, include_s1=False)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    from highdicom.seg import Segmentation

    film = write_dx(tmp_path / "film.dcm", pixels())
    path = write_dicom_seg(tmp_path / "out" / "seg.dcm", film, label_map())
    old = path.read_bytes()

    def broken(self, path, **_):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Segmentation, "save_as", broken)
    with pytest.raises(OSError, match="disk full"):
        write_dicom_seg(path, film, label_map())
    assert path.read_bytes() == old
    assert [file.name for file in path.parent.iterdir()] == ["seg.dcm"]


def test_a_film_without_uids_is_refused(tmp_path, make_dicom):
    with pytest.raises(FilmError, match="no SeriesInstanceUID, StudyInstanceUID, so nothing can refer to it"):
        write_dicom_seg(tmp_path / "seg.dcm", make_dicom(pixels().T), label_map())
