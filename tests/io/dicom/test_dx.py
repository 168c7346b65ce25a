from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest

from cmnet_monai.io import write_dx

RNG = np.random.default_rng(6)


def film(bits: int) -> np.ndarray:
    pixels = RNG.integers(0, 2**bits, (37, 53)).astype(np.uint16)  # odd x odd
    pixels[0, 0], pixels[0, 1] = 0, 2**bits - 1
    return pixels


SPACINGS = [
    {},
    {"imager_spacing_xy_mm": (0.1437, 0.15)},
    {"imager_spacing_xy_mm": (0.1437, 0.15), "pixel_spacing_xy_mm": (1 / 9, 0.13)},
]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("monochrome1", [False, True])
@pytest.mark.parametrize("spacing", SPACINGS, ids=["default", "detector", "calibrated"])
@pytest.mark.parametrize("faces", ["left", "right"])
def test_dciodvfy_finds_no_error(bits, monochrome1, spacing, faces, tmp_path, run_tool):
    path = write_dx(
        tmp_path / "film.dcm", film(bits), bits_stored=bits, monochrome1=monochrome1, faces=faces, **spacing
    )
    findings = run_tool("dciodvfy", path)
    assert "DXImageForPresentation" in findings
    assert not re.findall(r"^(?:Error|Warning).*", findings, re.MULTILINE)


def test_dciodvfy_would_find_an_error(tmp_path, run_tool):
    from pydicom import dcmread

    path = write_dx(tmp_path / "film.dcm", film(12))
    dataset = dcmread(path)
    dataset.PresentationLUTShape = "INVERSE"
    dataset.save_as(path)
    import subprocess

    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True)
    run_tool("dcmdump", path)
    assert "Error" in done.stdout + done.stderr


@pytest.mark.parametrize("bits", [8, 12, 14, 16])
@pytest.mark.parametrize("monochrome1", [False, True])
def test_the_reader_gives_back_the_bone_bright_film(bits, monochrome1, tmp_path, read_film):
    pixels = film(bits)
    path = write_dx(tmp_path / "film.dcm", pixels, bits_stored=bits, monochrome1=monochrome1)
    read, meta = read_film(path)
    np.testing.assert_array_equal(read, pixels)
    assert meta["polarity_inverted"] is monochrome1
    assert meta["bits_stored"] == bits


@pytest.mark.parametrize("monochrome1", [False, True])
def test_dcmtk_sees_the_stored_words(monochrome1, tmp_path, dcmtk_stored):
    pixels = film(14)
    path = write_dx(tmp_path / "film.dcm", pixels, bits_stored=14, monochrome1=monochrome1)
    expected = 2**14 - 1 - pixels.T if monochrome1 else pixels.T
    np.testing.assert_array_equal(dcmtk_stored(path), expected)


def test_spacing_orientation_and_padding_come_back(tmp_path, read_film):
    pixels = np.maximum(film(12), 1)
    pixels[4:9, 5:7] = 0
    for monochrome1 in (False, True):
        path = write_dx(
            tmp_path / "film.dcm",
            pixels,
            monochrome1=monochrome1,
            imager_spacing_xy_mm=(0.14, 0.15),
            pixel_spacing_xy_mm=(0.12, 0.13),
            faces="right",
            padding_value=0,
        )
        _, meta = read_film(path)
        assert meta["spacing_xy_mm"].tolist() == [0.12, 0.13]
        assert meta["spacing_provenance"] == "calibrated"
        assert meta["patient_orientation"] == "A\\F"
        np.testing.assert_array_equal(meta["valid_area"], pixels > 0)
    _, meta = read_film(write_dx(tmp_path / "film.dcm", pixels, imager_spacing_xy_mm=(0.14, 0.15), faces="left"))
    assert (meta["spacing_provenance"], meta["patient_orientation"]) == ("detector", "P\\F")


def digest(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_arguments_give_the_same_bytes(tmp_path):
    from pydicom import dcmread

    pixels = film(12)
    first = write_dx(tmp_path / "a.dcm", pixels, patient_id="P1", seed=3)
    assert digest(first) == digest(write_dx(tmp_path / "b.dcm", pixels.copy(), patient_id="P1", seed=3))
    headers = [dcmread(first)] + [
        dcmread(write_dx(tmp_path / "c.dcm", image, patient_id=patient, seed=seed))
        for image, patient, seed in ((pixels, "P2", 3), (pixels, "P1", 4), (pixels ^ 1, "P1", 3))
    ]
    assert len({header.SOPInstanceUID for header in headers}) == 4
    assert headers[0].StudyInstanceUID == headers[3].StudyInstanceUID  # same patient and seed: same study
    assert len({header.StudyInstanceUID for header in headers}) == 3


def test_simpleitk_sees_an_identity_direction_and_the_detectors_spacing(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    path = write_dx(tmp_path / "film.dcm", film(12), imager_spacing_xy_mm=(0.14, 0.15))
    image = sitk.ReadImage(str(path))
    assert image.GetSize() == (37, 53, 1)
    np.testing.assert_allclose(image.GetSpacing(), (0.14, 0.15, 1))
    np.testing.assert_array_equal(image.GetDirection(), np.eye(3).ravel())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bits_stored": 7}, "bits_stored must be 8 to 16, got 7"),
        ({"bits_stored": 17}, "bits_stored must be 8 to 16, got 17"),
        ({"bits_stored": 11}, r"0 to 2047 for 11 bits stored, got uint16 from 0 to 4095"),
        ({"faces": "up"}, "faces must be one of .*, got 'up'"),
        ({"laterality": "X"}, "laterality must be one of .*, got 'X'"),
        ({"compression": "zip"}, "compression must be one of .*, got 'zip'"),
        ({"padding_value": 4096}, "padding_value must be 0 to 4095, got 4096"),
        ({"imager_spacing_xy_mm": (0.1, 0)}, r"two positive numbers of mm, got \(0\.1, 0\)"),
        ({"pixel_spacing_xy_mm": (np.nan, 1)}, r"two positive numbers of mm, got \(nan, 1\)"),
    ],
)
def test_wrong_arguments_are_named(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_dx(tmp_path / "film.dcm", film(12), **arguments)
    assert list(tmp_path.iterdir()) == []


def test_wrong_arrays_are_refused(tmp_path):
    for array in (np.zeros((3, 4, 1), np.uint16), np.zeros((0, 4), np.uint16), np.zeros((3, 4)), np.full((3, 4), -1)):
        with pytest.raises(ValueError, match="pixels_xy"):
            write_dx(tmp_path / "film.dcm", array)
