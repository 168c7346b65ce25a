"""Every bad file is refused in one clear line, in bounded memory and time, whatever its name says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from bad_films import BAD_FILMS, BESIDE_FILMS, BOMBS, FILM, TWELVE, UNREADABLE
from pydicom.uid import DeflatedExplicitVRLittleEndian
from raw_dicom import write_raw_dicom

from cmnet_monai.io import FilmError

REFUSED = {**BAD_FILMS, **BESIDE_FILMS}

MEMORY_MIB = 1024
"""A bomb unpacks to twice as much."""

READ = """
import resource, sys
from cmnet_monai.io import FilmError, read_film
from cmnet_monai.io.films import dicom_film, nifti_film, raster
import nibabel, PIL.Image, pydicom.pixels
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {mib} * 2**20,) * 2)
for path in sys.argv[1:]:
    try:
        print(path, read_film(path, 10**7).pixels.shape)
    except FilmError as error:
        print(error)
"""


def refusal(path: Path, read_film) -> FilmError:
    with warnings.catch_warnings(), pytest.raises(FilmError) as caught:
        warnings.simplefilter("ignore")  # pydicom warns of much that is refused after
        read_film(path)
    return caught.value


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_film_is_refused_in_one_line(name, tmp_path, read_film):
    make, words = REFUSED[name]
    make(tmp_path / name)
    error = refusal(tmp_path / name, read_film)
    assert error.path == str(tmp_path / name)
    assert error.remedy and "\n" not in str(error) and len(error.reason) < 250
    assert "secret" not in str(error).lower()
    assert re.search(words, error.reason), error.reason


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_nobody_can_open_is_refused(name, tmp_path, read_film):
    if name == "forbidden.dcm" and os.geteuid() == 0:
        pytest.skip("root reads everything")
    make, words = UNREADABLE[name]
    make(tmp_path / name)
    assert re.search(words, refusal(tmp_path / name, read_film).reason)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits its own memory by Linux's means")
def test_bombs_take_no_memory(tmp_path):
    for name, make in BOMBS.items():
        make(tmp_path / name)
    paths = [str(tmp_path / name) for name in BOMBS]
    code = READ.format(mib=MEMORY_MIB)
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, timeout=300)
    film, bomb = done.stdout.splitlines()
    assert film == f"{paths[0]} (7, 5)"
    assert "the file unpacks to more than 0.1 GB" in bomb


def test_a_file_larger_than_any_film_is_not_opened(tmp_path, read_film):
    path = tmp_path / "giant.dcm"
    with path.open("wb") as file:
        file.truncate(5_000_000_000)  # a hole takes no room
    assert "the file has 5.0 GB, more than a film of 100000000 pixels" in refusal(path, read_film).reason


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits its own memory by Linux's means")
def test_a_length_of_gigabytes_in_a_small_file_is_refused_where_memory_is_short(tmp_path):
    path = write_raw_dicom(tmp_path / "film.dcm", FILM, syntax=DeflatedExplicitVRLittleEndian)
    data = bytearray(path.read_bytes())
    assert data[144:150] == b"\x02\0\x01\0OB"  # File Meta Information Version, its length in bytes 152 to 155
    data[152:156] = (2 * MEMORY_MIB << 20).to_bytes(4, "little")
    path.write_bytes(data)
    code = READ.format(mib=MEMORY_MIB)
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-500:]
    assert "the DICOM header cannot be parsed (MemoryError)" in done.stdout


# Odd, but films


@pytest.mark.parametrize("character_set", ["ISO_IR 999", "ISO 2022 IR 6\\ISO 2022 IR 87", "", "\\\\"])
def test_an_unknown_character_set_does_not_matter(character_set, tmp_path, read_film):
    path = write_raw_dicom(
        tmp_path / "film.dcm", FILM, SpecificCharacterSet=character_set, PixelSpacing=[0.3, 0.2],
        PixelSpacingCalibrationDescription="fiducial", **TWELVE,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pixels, meta = read_film(path)
    np.testing.assert_array_equal(pixels, FILM.T)
    assert meta["spacing_provenance"] == "calibrated"


def test_padding_behind_the_pixels_is_no_fault(tmp_path, read_film):
    path = write_raw_dicom(tmp_path / "film.dcm", FILM, **TWELVE)
    data = path.read_bytes()
    size = FILM.nbytes.to_bytes(4, "little")
    assert data.count(size) == 1
    path.write_bytes(data.replace(size, (FILM.nbytes + 20).to_bytes(4, "little")) + bytes(20))
    np.testing.assert_array_equal(read_film(path)[0], FILM.T)


def test_single_numbers_that_are_not_finite_are_left_out(tmp_path, read_film):
    from PIL import Image

    values = FILM.astype(np.float32)
    values[3, 2], values[7, 5] = np.nan, np.inf
    Image.fromarray(values).save(tmp_path / "film.tif")
    pixels, meta = read_film(tmp_path / "film.tif")
    assert np.argwhere(~meta["valid_area"]).tolist() == [[2, 3], [5, 7]]  # x, y
    assert np.isfinite(pixels).all()


def test_doubts_about_the_header_stay_with_the_film(tmp_path, read_film):
    doubtful = write_raw_dicom(tmp_path / "film.dcm", FILM, PresentationLUTShape="INVERSE", **TWELVE)
    with pytest.warns(UserWarning, match="contradicts"):
        _, meta = read_film(doubtful)
    assert meta["reader_notes"].startswith("Photometric Interpretation MONOCHROME2 contradicts")
    assert read_film(write_raw_dicom(tmp_path / "film.dcm", FILM, **TWELVE))[1]["reader_notes"] == ""
