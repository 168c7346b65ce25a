"""Damaged files of every format, and headers that say anything: a film or a FilmError, never anything else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import fuzz_reader
import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.misc import is_dicom
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
)
from raw_dicom import write_raw_dicom

from cmnet_monai.io import FilmError, read_film, write_dx

CASES, MANY_CASES = 500, 20_000
STEP = 32
"""Of the values of a swept byte, how many lie between two that the quick test takes."""

FILM = np.add.outer(60 * np.arange(34), 40 * np.arange(43)).astype(np.uint16) % 4096  # x, y
GREY = (FILM.T >> 4).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small films in every format and transfer syntax that can be written here."""
    folder = tmp_path_factory.mktemp("fuzz")
    seeds = folder / "seeds"
    seeds.mkdir()
    for compression in ("none", "rle", "jpegls", "jpeg2000"):
        write_dx(seeds / f"{compression}.dcm", FILM, compression=compression, monochrome1=True, padding_value=0)
    lossy = dcmread(seeds / "none.dcm")
    lossy.compress(JPEG2000, j2k_cr=[4], encoding_plugin="pylibjpeg", generate_instance_uid=False)
    lossy.save_as(seeds / "jpeg2000_lossy.dcm")
    for name, syntax in PLAIN.items():
        write_raw_dicom(seeds / name, FILM.T, syntax=syntax, RescaleSlope="2", RescaleIntercept="-3")
    write_raw_dicom(seeds / "no_meta", FILM.T, file_meta=False)
    write_raw_dicom(seeds / "colour", np.repeat(GREY[..., None], 3, axis=2))
    write_raw_dicom(seeds / "grey", GREY)
    for tool, option, source in DCMTK if shutil.which("dcmcjpeg") else ():
        run_dcmtk(tool, option, seeds / source, seeds / f"{source}_{option}")
    picture = Image.fromarray(GREY)
    for name, options in (
        ("a.png", {}),
        ("a.jpg", {}),
        ("a.bmp", {}),
        ("a.tif", {}),
        ("b.tif", {"compression": "tiff_lzw"}),
    ):
        picture.save(seeds / name, **options)
    Image.fromarray(FILM.T).save(seeds / "deep.png")
    Image.fromarray(FILM.T.astype(np.float32)).save(seeds / "float.tif")
    deep = np.repeat(FILM.T[..., None], 3, axis=2)
    import SimpleITK as sitk

    for name in ("deep_colour.png", "deep_colour.tif"):
        sitk.WriteImage(sitk.GetImageFromArray(deep, isVector=True), str(seeds / name))
    for name in ("a.nii", "a.nii.gz"):
        nibabel.save(nibabel.Nifti1Image(FILM.astype(np.int16), np.eye(4)), seeds / name)
    return folder


PLAIN = {"implicit": ImplicitVRLittleEndian, "deflated": DeflatedExplicitVRLittleEndian, "big": ExplicitVRBigEndian}
DCMTK = (
    ("dcmcjpeg", "+e1", "none.dcm"),
    ("dcmcjpeg", "+el", "none.dcm"),
    ("dcmcjpeg", "+ee", "none.dcm"),
    ("dcmcjpeg", "+ee", "grey"),
    ("dcmcjpeg", "+eb", "grey"),
    ("dcmcjpeg", "+eb", "colour"),
    ("dcmcjpls", "+en", "none.dcm"),
)


def run_dcmtk(tool: str, option: str, source: Path, target: Path) -> None:
    subprocess.run([tool, option, source, target], check=True, capture_output=True)


def run(folder: Path, seed: int, count: int, step: int, seconds: float) -> str:
    command = [sys.executable, fuzz_reader.__file__, *map(str, (folder, seed, count, step))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, errors="replace")
    assert done.returncode == 0, f"code {done.returncode}\n{done.stderr[-3000:]}"
    return done.stdout


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits its own memory by Linux's means")


@linux
def test_damaged_files_are_read_or_refused(folder: Path) -> None:
    assert " read, " in run(folder, 0, CASES, 0, 300)


@linux
def test_no_depth_and_no_number_of_samples_ends_the_process(folder: Path) -> None:
    assert " read, " in run(folder, 17, 0, STEP, 300)


@linux
@pytest.mark.slow
def test_very_many_damaged_files_are_read_or_refused(folder: Path, shared_data: Path) -> None:
    for film in sorted((shared_data / "dicom_cr").iterdir()):
        if is_dicom(film):
            cut_out(film, folder / "seeds" / film.name)
    print(run(folder, 1, MANY_CASES, 1, 7200))


def cut_out(film: Path, target: Path) -> None:
    """A small piece of a real film with all of its header, in its own transfer syntax."""
    syntax, plain = dcmread(film).file_meta.TransferSyntaxUID, target.with_name("plain")
    if syntax in OPTION_OF:
        run_dcmtk("dcmdjpeg", "+cn", film, plain)
    dataset = dcmread(plain if syntax in OPTION_OF else film)
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress(as_rgb=False, generate_instance_uid=False)
    dataset.set_pixel_data(
        dataset.pixel_array[-96:, -80:],
        dataset.PhotometricInterpretation,
        dataset.BitsStored,
        generate_instance_uid=False,
    )
    if syntax in OPTION_OF:
        dataset.save_as(plain, enforce_file_format=True)
        run_dcmtk("dcmcjpeg", OPTION_OF[syntax], plain, target)
        plain.unlink()
        return
    if syntax.is_compressed:
        options = {"j2k_cr": [4]} if syntax == JPEG2000 else {}
        plugin = "pyjpegls" if syntax == JPEGLSLossless else "pylibjpeg"
        dataset.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False, **options)
    dataset.save_as(target, enforce_file_format=True)


OPTION_OF = {JPEGLosslessSV1: "+e1", JPEGLossless: "+el", JPEGExtended12Bit: "+ee"}


NUMBERS = st.one_of(st.integers(0, 50), st.sampled_from([255, 4096, 32767, 65535]))
TEXTS = st.text(st.characters(codec="ascii", exclude_characters="\\\0"), max_size=16)
DECIMALS = st.one_of(TEXTS, st.floats().map(lambda v: f"{v:.8g}"), st.integers(-(10**9), 10**9).map(str))
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel"), NUMBERS),
        "PixelRepresentation": st.integers(0, 2),
        "PlanarConfiguration": st.integers(0, 2),
        "NumberOfFrames": DECIMALS,
        "PhotometricInterpretation": st.one_of(
            TEXTS, st.sampled_from(["MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL_422", "PALETTE COLOR"])
        ),
        "PresentationLUTShape": st.one_of(TEXTS, st.sampled_from(["INVERSE", "IDENTITY"])),
        "RescaleSlope": DECIMALS,
        "RescaleIntercept": DECIMALS,
        "PixelSpacing": st.lists(DECIMALS, max_size=3),
        "ImagerPixelSpacing": st.lists(DECIMALS, max_size=3),
        "PixelAspectRatio": st.lists(DECIMALS, max_size=3),
        "PixelPaddingValue": NUMBERS,
        "PixelPaddingRangeLimit": NUMBERS,
        "ShutterShape": st.one_of(TEXTS, st.sampled_from(["RECTANGULAR", "CIRCULAR", "POLYGONAL"])),
        "ShutterLeftVerticalEdge": DECIMALS,
        "ShutterRightVerticalEdge": DECIMALS,
        "ShutterUpperHorizontalEdge": DECIMALS,
        "ShutterLowerHorizontalEdge": DECIMALS,
        "CenterOfCircularShutter": st.lists(DECIMALS, max_size=3),
        "RadiusOfCircularShutter": DECIMALS,
        "VerticesOfThePolygonalShutter": st.lists(DECIMALS, max_size=9),
        "SpecificCharacterSet": TEXTS,
        "PatientOrientation": st.lists(TEXTS, max_size=3),
        "PixelSpacingCalibrationDescription": TEXTS,
    },
)


def assert_film_or_reason(folder: Path, header: dict) -> None:
    """What a header says must give a film with a valid area and a usable spacing, or one clear error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            path = write_raw_dicom(folder / "film.dcm", FILM.T, **header)
        except (ValueError, TypeError, OverflowError):
            return  # pydicom itself would not write it
        except OSError as error:
            assert "got exception" in str(error)  # how it says that a number does not fit
            return
        try:
            film = read_film(path)
        except FilmError as error:
            assert error.reason and error.remedy and "\n" not in error.reason and "damaged" not in error.reason
            return
    assert film.pixels.shape == film.valid_area.shape == (header.get("Columns", 34), header.get("Rows", 43))
    assert film.valid_area.any() and np.isfinite(film.pixels).all()
    known = np.isfinite(film.spacing_xy_mm)
    assert known.all() == (film.provenance != "none") and (np.asarray(film.spacing_xy_mm)[known] > 0).all()


quick = settings(
    max_examples=CASES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quick
@given(header=HEADERS)
def test_any_header_gives_a_film_or_a_reason(header: dict, tmp_path: Path) -> None:
    assert_film_or_reason(tmp_path, header)


@pytest.mark.slow
@settings(quick, max_examples=MANY_CASES // 4, derandomize=False)
@given(header=HEADERS)
def test_very_many_headers_give_a_film_or_a_reason(header: dict, tmp_path: Path) -> None:
    assert_film_or_reason(tmp_path, header)
