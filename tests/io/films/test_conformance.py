"""Depth, sign, polarity, modality, transfer syntax, spacing and hidden areas in every pair, against DCMTK's rendering.

The default suite reads a covering array of all pairs of values; ``-m slow`` reads a random part of the full product.
"""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pairwise import every_case, pairwise
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from raw_dicom import write_raw_dicom

ROWS, COLUMNS = 71, 53
PLAIN = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}
PACKED = {  # syntax: tool of DCMTK or None (pydicom's encoder), its options, transfer syntax
    "rle": ("dcmcrle", (), "1.2.840.10008.1.2.5"),
    "jpeg-ls": ("dcmcjpls", ("+el",), "1.2.840.10008.1.2.4.80"),
    "jpeg-ls-near": ("dcmcjpls", ("+en", "+md", "2"), "1.2.840.10008.1.2.4.81"),
    "jpeg-lossless": ("dcmcjpeg", ("+el",), "1.2.840.10008.1.2.4.57"),
    "jpeg-lossless-sv1": ("dcmcjpeg", ("+e1",), "1.2.840.10008.1.2.4.70"),
    "jpeg-baseline": ("dcmcjpeg", ("+eb", "+q", "95"), "1.2.840.10008.1.2.4.50"),
    "jpeg-extended": ("dcmcjpeg", ("+ee", "+q", "95"), "1.2.840.10008.1.2.4.51"),
    "jpeg-2000": (None, (), "1.2.840.10008.1.2.4.90"),
}
LOSSY = {"jpeg-ls-near", "jpeg-baseline", "jpeg-extended"}
POLARITIES = {  # photometric interpretation, presentation LUT shape: inverted here, contradictory
    ("MONOCHROME2", None): (False, False),
    ("MONOCHROME2", "IDENTITY"): (False, False),
    ("MONOCHROME2", "INVERSE"): (True, True),
    ("MONOCHROME1", None): (True, False),
    ("MONOCHROME1", "INVERSE"): (True, False),
    ("MONOCHROME1", "IDENTITY"): (True, True),
}
SPACINGS: dict[str, tuple[dict[str, Any], tuple[float, float] | None, str]] = {
    "none": ({}, None, "none"),
    "pixel": ({"PixelSpacing": [0.3, 0.2]}, (0.2, 0.3), "unspecified"),
    "imager": ({"ImagerPixelSpacing": [0.3, 0.2]}, (0.2, 0.3), "detector"),
    "same": ({"PixelSpacing": [0.3, 0.2], "ImagerPixelSpacing": [0.3, 0.2]}, (0.2, 0.3), "detector"),
    "both": ({"PixelSpacing": [0.3, 0.2], "ImagerPixelSpacing": [0.36, 0.24]}, (0.2, 0.3), "calibrated"),
    "calibrated": ({"PixelSpacing": [0.3, 0.2], "PixelSpacingCalibrationType": "FIDUCIAL"}, (0.2, 0.3), "calibrated"),
}
FACTORS = {
    "bits": (8, 10, 12, 14, 15, 16),
    "signed": (False, True),
    "polarity": tuple(POLARITIES),
    "modality": ("none", "rescale", "fraction", "negative", "table"),
    "syntax": (*PLAIN, *PACKED),
    "spacing": tuple(SPACINGS),
    "hidden": ("nothing", "padding", "padding range", "rectangle", "circle", "polygon"),
}


def allowed(case: dict[str, Any]) -> bool:
    """Baseline has 8 bits, extended up to 12, and DCMTK packs neither with a sign."""
    if case["syntax"] == "jpeg-baseline":
        return case["bits"] == 8 and not case["signed"]
    if case["syntax"] == "jpeg-extended":
        return case["bits"] in (8, 12) and not case["signed"]
    return not (case["syntax"] == "jpeg-ls-near" and case["signed"])


def stored_values(case: dict[str, Any]) -> np.ndarray:
    """(row, column): smooth, asymmetric, and from the lowest to the highest value that the bits can hold."""
    row, column = np.mgrid[:ROWS, :COLUMNS]
    smooth = (row / (ROWS - 1)) ** 2 * 0.6 + column / (COLUMNS - 1) * 0.4
    highest = 2 ** case["bits"] - 1
    values = np.rint(smooth * highest).astype(np.int64)
    low = -(2 ** (case["bits"] - 1)) if case["signed"] else 0
    kind = np.uint8 if case["bits"] == 8 else np.uint16
    return (values + low).astype(np.dtype(kind.__name__.lstrip("u")) if case["signed"] else kind)


def attributes(case: dict[str, Any], stored: np.ndarray) -> dict[str, Any]:
    photometric, shape = case["polarity"]
    made: dict[str, Any] = {"PhotometricInterpretation": photometric, **SPACINGS[case["spacing"]][0]}
    made |= {"BitsStored": case["bits"], "HighBit": case["bits"] - 1}
    made |= {} if shape is None else {"PresentationLUTShape": shape}
    slopes = {"rescale": ("2", "-10"), "fraction": ("0.684", "200"), "negative": ("-1", "5")}
    if case["modality"] in slopes:
        made["RescaleSlope"], made["RescaleIntercept"] = slopes[case["modality"]]
    elif case["modality"] == "table":
        item = Dataset()
        item.LUTDescriptor = [256, int(stored.min()) + 2 ** (case["bits"] - 2), 16]
        item["LUTDescriptor"].VR = "SS" if case["signed"] else "US"
        item.LUTDescriptor = [256, int(stored.min()) + 2 ** (case["bits"] - 2), 16]
        item.ModalityLUTType = "US"
        item.LUTData = (np.arange(256) ** 2 + 300).tolist()
        item["LUTData"].VR = "US"
        made["ModalityLUTSequence"] = [item]
    return made | hidden_area(case, stored)[0]


def hidden_area(case: dict[str, Any], stored: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
    """Attributes, and the valid area that they leave, (row, column)."""
    row, column = np.mgrid[1 : ROWS + 1, 1 : COLUMNS + 1]  # DICOM counts from 1
    lowest, highest = int(stored.min()), int(stored.max())
    if case["hidden"] == "padding":
        return {"PixelPaddingValue": highest}, stored != highest
    if case["hidden"] == "padding range":
        limit = lowest + 2 ** (case["bits"] - 3)
        return {"PixelPaddingValue": lowest, "PixelPaddingRangeLimit": limit}, stored > limit
    if case["hidden"] == "rectangle":
        edges = {"ShutterLeftVerticalEdge": 5, "ShutterRightVerticalEdge": 40}
        edges |= {"ShutterUpperHorizontalEdge": 7, "ShutterLowerHorizontalEdge": 60}
        return {"ShutterShape": "RECTANGULAR", **edges}, (column >= 5) & (column <= 40) & (row >= 7) & (row <= 60)
    if case["hidden"] == "circle":
        made = {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [30, 22], "RadiusOfCircularShutter": 19}
        stretch = 1.0 if case["spacing"] == "none" else 1.5  # pixels that are not square make it an ellipse of pixels
        return made, (stretch * (row - 30)) ** 2 + (column - 22) ** 2 <= 19**2
    if case["hidden"] == "polygon":
        vertices = [10, 5, 10, 45, 50, 45, 50, 5]
        inside = (row >= 10) & (row <= 50) & (column >= 5) & (column <= 45)
        return {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": vertices}, inside
    return {}, np.ones(stored.shape, bool)


def write(case: dict[str, Any], stored: np.ndarray, folder: Path) -> tuple[Path, Path]:
    """The film, and a file of the same film that DCMTK can render."""
    made = attributes(case, stored)
    syntax = case["syntax"]
    if syntax in PLAIN:
        path = write_raw_dicom(folder / "film.dcm", stored, syntax=PLAIN[syntax], **made)
        return path, path
    plain = write_raw_dicom(folder / "plain.dcm", stored, **made)
    tool, options, uid = PACKED[syntax]
    if tool is None:
        dataset = dcmread(plain)
        dataset.compress(UID(uid), encoding_plugin="pylibjpeg", generate_instance_uid=False)
        dataset.save_as(folder / "film.dcm", enforce_file_format=True)
        return folder / "film.dcm", plain
    subprocess.run([tool, *options, plain, folder / "film.dcm"], check=True, capture_output=True)
    return folder / "film.dcm", folder / "film.dcm"


def rendered_by_dcmtk(path: Path, syntax: str) -> np.ndarray:
    """(row, column): modality and polarity applied, the extremes stretched to 0 and 65535."""
    tool = "dcml2pnm" if syntax.startswith("jpeg-ls") else "dcmj2pnm" if syntax.startswith("jpeg-") else "dcm2pnm"
    picture = path.with_suffix(".png")
    subprocess.run([tool, "+Wm", "+on2", path, picture], check=True, capture_output=True)
    return np.asarray(Image.open(picture)).astype(float)


def assert_as_dcmtk_renders(case: dict[str, Any], read_film, folder: Path) -> None:
    stored = stored_values(case)
    film, twin = write(case, stored, folder)
    inverted, contradictory = POLARITIES[case["polarity"]]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pixels, meta = read_film(film)
    assert any("contradicts" in str(w.message) for w in caught) is contradictory
    assert ("contradicts" in meta["reader_notes"]) is contradictory
    assert meta["polarity_inverted"] is inverted
    assert meta["bits_stored"] == case["bits"]
    assert meta["transfer_syntax"] == str(dcmread(film, stop_before_pixels=True).file_meta.TransferSyntaxUID)

    expected = rendered_by_dcmtk(twin, case["syntax"])
    if case["polarity"] == ("MONOCHROME1", "IDENTITY"):  # DCMTK lets the shape win, this reader the interpretation
        expected = 65535 - expected
    values = pixels.T.astype(float)
    stretched = (values - values.min()) / np.ptp(values) * 65535
    # DCMTK truncates grey values, and rounds modality values to whole ones, the extremes too. A lossy value may be one
    # step off, as inverse cosine transforms round differently; a table's steepest step is 511 of a range of 65025.
    step = 65535 * 511 / 65025 if case["modality"] == "table" else 65535 / (2 ** case["bits"] - 1)
    tolerance = (
        1
        + (1.5 * 65535 / np.ptp(values) if case["modality"] == "fraction" else 0)
        + (2 * step if case["syntax"] in LOSSY else 0)
    )
    assert np.abs(stretched - expected).max() <= tolerance

    _, spacing, provenance = SPACINGS[case["spacing"]]
    np.testing.assert_allclose(meta["spacing_xy_mm"], spacing or (np.nan, np.nan))
    assert meta["spacing_provenance"] == provenance
    if case["syntax"] not in LOSSY or "padding" not in case["hidden"]:
        np.testing.assert_array_equal(meta["valid_area"].T, hidden_area(case, stored)[1])


def name_of(case: dict[str, Any]) -> str:
    return "-".join(str(value) for value in case.values())


needs_dcmtk = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("dcm2pnm", "dcmj2pnm", "dcml2pnm", "dcmcrle", "dcmcjpeg", "dcmcjpls")),
    reason="needs DCMTK as an independent witness",
)
CASES = pairwise(FACTORS, allowed)


def test_the_cases_hold_every_pair_that_can_be() -> None:
    held = {pair for case in CASES for pair in itertools.combinations(case.items(), 2)}
    possible = {p for case in every_case(FACTORS, allowed) for p in itertools.combinations(case.items(), 2)}
    assert held == possible
    assert all(map(allowed, CASES)) and len(CASES) < 150


@needs_dcmtk
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_film_is_what_dcmtk_renders(case, read_film, tmp_path):
    assert_as_dcmtk_renders(case, read_film, tmp_path)


@needs_dcmtk
@pytest.mark.slow
def test_a_film_of_any_combination_is_what_dcmtk_renders(read_film, tmp_path):
    cases = list(every_case(FACTORS, allowed))
    for case in random.Random(0).sample(cases, 2000):
        try:
            assert_as_dcmtk_renders(case, read_film, tmp_path)
        except AssertionError as error:
            raise AssertionError(name_of(case)) from error
