"""What segmentations and reports take over from their film, and what they refuse."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
from pydicom import dcmread

from cmnet_monai.io import Algorithm, FilmError, MeasuredSite, write_dicom_seg, write_dicom_sr, write_dx, write_nifti

SIZE = (16, 24)
UIDS = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.4"}


def write_seg(path, film, **options):
    labels = np.zeros(SIZE, np.uint8)
    labels[2:5, 3:9] = 20
    return write_dicom_seg(path, film, labels, **options)


def write_sr(path, film, **options):
    return write_dicom_sr(path, film, [MeasuredSite("L1", centre_xy=(3.0, 5.5))], **options)


WRITERS = pytest.mark.parametrize("write", [write_seg, write_sr], ids=["seg", "sr"])


@pytest.fixture
def make_film(make_dicom):
    def make(**attributes):
        return make_dicom(np.zeros(SIZE[::-1], np.uint16), **{**UIDS, **attributes})

    return make


INHERITED = {
    "PatientName": "Müller^Änne",
    "PatientID": "P-7",
    "PatientBirthDate": "19500229",  # no such day
    "PatientSex": "F",
    "PatientAge": "071Y",
    "PatientComments": "as told",
    "StudyID": "S-1",
    "StudyDate": "20200102",
    "StudyTime": "0304",
    "StudyDescription": "LWS seitlich",
    "AccessionNumber": "A-1",
    "ReferringPhysicianName": "Dr. Süß",
}
NOT_INHERITED = {
    "InstitutionName": "SECRET-HOSPITAL",
    "InstitutionAddress": "SECRET-STREET",
    "StationName": "SECRET-STATION",
    "OperatorsName": "SECRET^OPERATOR",
    "PerformingPhysicianName": "SECRET^PERFORMER",
    "SeriesDescription": "SECRET-SERIES",
    "ProtocolName": "SECRET-PROTOCOL",
    "ImageComments": "SECRET-COMMENT",
    "RequestAttributesSequence": [],
}


@WRITERS
def test_patient_and_study_are_the_films_and_nothing_else_is(write, make_film, tmp_path):
    film = make_film(SpecificCharacterSet="ISO_IR 100", **INHERITED, **NOT_INHERITED)
    path = write(tmp_path / "object.dcm", film)
    written, header = dcmread(path), dcmread(film)
    for keyword in INHERITED:
        assert str(written[keyword].value) == str(header[keyword].value), keyword
    assert written.SpecificCharacterSet == "ISO_IR 100"
    assert "Müller^Änne".encode("latin-1") in path.read_bytes()
    assert b"SECRET" not in path.read_bytes()


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 192", "Ŵang^小東"),
        ("GB18030", "王^小东"),
        ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 144", "\u041b\u044e\u043a^\u0418\u0432\u0430\u043d"),
        (None, "Plain^Name"),
    ],
)
@WRITERS
def test_names_in_every_script_come_through(write, charset, name, make_film, tmp_path):
    options = {} if charset is None else {"SpecificCharacterSet": charset.split("\\") if "\\" in charset else charset}
    film = make_film(PatientName=name, **options)
    written = dcmread(write(tmp_path / "object.dcm", film))
    assert str(written.PatientName) == name == str(dcmread(film).PatientName)


@WRITERS
def test_bytes_without_a_charset_come_through(write, make_film, tmp_path):
    film = make_film(PatientName="MARKER^X")
    film.write_bytes(film.read_bytes().replace(b"MARKER^X", "MÄRKÖR^X".encode("latin-1")))
    assert "MÄRKÖR^X".encode("latin-1") in write(tmp_path / "object.dcm", film).read_bytes()


ODD = {
    "PatientAge": "SECRET-AGE",
    "PatientSize": "1.75",
    "StudyInstanceUID": "1.2.SECRET",
    "PatientSex": "unknown to us",
    "PatientBirthDate": "1950-13-40",
    "PatientName": "SECRET \\ NAME" * 9,
    "PatientID": "SECRET-ID" * 20,
    "StudyDate": "SECRET",
    "StudyTime": "SECRET",
    "AccessionNumber": "SECRET-ACCESSION-NUMBER",
    "ReferringPhysicianName": "SECRET^A^B^C^D^E^F",
}


@WRITERS
def test_odd_entries_are_kept_and_never_reach_a_log(write, tmp_path, make_film, caplog, capfd):
    film = make_film()
    header = dcmread(film)
    from pydicom.config import disable_value_validation

    with disable_value_validation():
        for keyword, value in ODD.items():
            setattr(header, keyword, value)
        header.save_as(film)
    film.write_bytes(film.read_bytes().replace(b"1.75", b"1,75"))  # no number: pydicom would not write it
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        path = write(tmp_path / "object.dcm", film)
    told = caplog.text + "".join(capfd.readouterr()) + "".join(str(warning.message) for warning in caught)
    for fragment in ("SECRET", "unknown to us", "1950-13"):
        assert fragment not in told
    with disable_value_validation():
        written = dcmread(path)
        assert written.PatientSex == "unknown to us"
        assert str(written.PatientID) == ODD["PatientID"]
        assert str(written["PatientSize"].value) == "1,75"


@WRITERS
@pytest.mark.parametrize("lossy", ["01", "00", None, ""])
def test_lossy_compression_of_the_film_is_told(write, lossy, make_film, tmp_path):
    options = {} if lossy is None else {"LossyImageCompression": lossy}
    if lossy == "01":
        options |= {"LossyImageCompressionRatio": "12.5", "LossyImageCompressionMethod": "ISO_10918_1"}
    written = dcmread(write(tmp_path / "object.dcm", make_film(**options)))
    if write is write_seg:
        assert written.LossyImageCompression == ("01" if lossy == "01" else "00")
        assert written.get("LossyImageCompressionRatio") == (12.5 if lossy == "01" else None)


@WRITERS
def test_a_film_in_big_endian_or_without_header_serves(write, make_dicom, tmp_path):
    from pydicom.uid import ExplicitVRBigEndian

    stored = np.zeros(SIZE[::-1], np.uint16)
    for options in ({"syntax": ExplicitVRBigEndian}, {"file_meta": False}):
        film = make_dicom(stored, StudyDescription="Lumbar", **UIDS, **options)
        written = dcmread(write(tmp_path / "object.dcm", film))
        assert (str(written.PatientName), written.StudyDescription) == ("Secret^Patient", "Lumbar")
        assert written.file_meta.TransferSyntaxUID.is_little_endian


@WRITERS
def test_no_film_no_object(write, tmp_path, make_film):
    from PIL import Image

    picture = tmp_path / "film.png"
    Image.fromarray(np.zeros(SIZE[::-1], np.uint8)).save(picture)
    nifti = write_nifti(tmp_path / "film.nii.gz", np.zeros(SIZE, np.uint8))
    cases = {
        picture: "DICOM objects can be derived from a DICOM film only. Give the film as DICOM",
        nifti: "DICOM objects can be derived from a DICOM film only",
        tmp_path / "missing.dcm": "cannot be opened",
        write_seg(tmp_path / "seg.dcm", make_film()): "the DICOM object is a Segmentation, not a radiograph",
        make_film(name="frames.dcm", NumberOfFrames=2): "the image has 2 frames",
        make_film(
            name="nameless.dcm", SOPInstanceUID="", file_meta=False
        ): "has no SOPInstanceUID, so nothing can refer to it",
        make_film(name="studyless.dcm", StudyInstanceUID=""): "has no StudyInstanceUID",
    }
    for film, reason in cases.items():
        with pytest.raises(FilmError, match=reason):
            write(tmp_path / "out" / "object.dcm", film)
    assert not (tmp_path / "out").exists()


STORAGE = "1.2.840.10008.5.1.4.1.1."


@WRITERS
@pytest.mark.parametrize("frames", [None, 1])
@pytest.mark.parametrize(
    "uid", [*(STORAGE + leaf for leaf in ("7", "7.2", "7.3", "7.4", "12.1", "12.2", "481.1")), "1.2.3.4"]
)
def test_a_film_of_every_class_gets_its_objects(write, uid, frames, make_film, tmp_path, run_tool):
    how = {} if frames is None else {"NumberOfFrames": frames}
    film = make_film(SOPClassUID=uid, PatientBirthDate="19600101", StudyDescription="LWS", **how)
    path = write(tmp_path / "object.dcm", film)
    written = dcmread(path)
    classes = {
        item.ReferencedSOPClassUID
        for element in written.iterall()
        if element.VR == "SQ"
        for item in element.value
        if item.get("ReferencedSOPInstanceUID") == dcmread(film).SOPInstanceUID
    }
    assert classes == {uid}
    assert (written.PatientBirthDate, written.StudyDescription) == ("19600101", "LWS")
    assert "Error" not in run_tool("dciodvfy", path)


@pytest.mark.parametrize("algorithm", [{"name": ""}, {"version": "v" * 65}])
def test_an_algorithm_has_a_short_name(algorithm):
    with pytest.raises(ValueError, match=r"must have 1 to 64 characters, got (0|65)"):
        Algorithm(**algorithm)


@WRITERS
def test_series_have_the_wanted_number(write, tmp_path):
    film = write_dx(tmp_path / "film.dcm", np.zeros(SIZE, np.uint16))
    assert dcmread(write(tmp_path / "a.dcm", film)).SeriesNumber == (901 if write is write_seg else 902)
    assert dcmread(write(tmp_path / "b.dcm", film, series_number=7)).SeriesNumber == 7
    with pytest.raises(ValueError, match="series_number must be positive, got 0"):
        write(tmp_path / "c.dcm", film, series_number=0)


def test_importing_the_room_loads_no_dicom_library():
    import subprocess
    import sys

    code = (
        "import sys; from cmnet_monai.io import write_dicom_seg, write_dicom_sr, measured_sites; "
        "print([m for m in ('pydicom', 'highdicom', 'monai', 'torch') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
