from __future__ import annotations

import numpy as np
import pytest

STORED = np.zeros((5, 7), np.uint16)
# DICOM writes (row spacing, column spacing), that is (y, x).
CASES = {
    "nothing": ({}, None, "none"),
    "pixel spacing alone": ({"PixelSpacing": [0.3, 0.2]}, (0.2, 0.3), "unspecified"),
    "detector alone": ({"ImagerPixelSpacing": [0.15, 0.14]}, (0.14, 0.15), "detector"),
    "digitised film": ({"NominalScannedPixelSpacing": [0.175, 0.17]}, (0.17, 0.175), "detector"),
    "both equal": ({"PixelSpacing": ["0.150", "0.14"], "ImagerPixelSpacing": [0.15, 0.14]}, (0.14, 0.15), "detector"),
    "both differ": ({"PixelSpacing": [0.13, 0.12], "ImagerPixelSpacing": [0.15, 0.14]}, (0.12, 0.13), "calibrated"),
    "one axis differs": (
        {"PixelSpacing": [0.15, 0.12], "ImagerPixelSpacing": [0.15, 0.14]},
        (0.12, 0.15),
        "calibrated",
    ),
    "equal to the scanner's": (
        {"PixelSpacing": [0.175, 0.17], "NominalScannedPixelSpacing": [0.175, 0.17]},
        (0.17, 0.175),
        "detector",
    ),
    "calibration type": (
        {"PixelSpacing": [0.3, 0.2], "PixelSpacingCalibrationType": "FIDUCIAL"},
        (0.2, 0.3),
        "calibrated",
    ),
    "calibration type, equal": (
        {"PixelSpacing": [0.3, 0.2], "ImagerPixelSpacing": [0.3, 0.2], "PixelSpacingCalibrationType": "GEOMETRY"},
        (0.2, 0.3),
        "calibrated",
    ),
    "calibration described": (
        {"PixelSpacing": [0.3, 0.2], "PixelSpacingCalibrationDescription": "25 mm ball"},
        (0.2, 0.3),
        "calibrated",
    ),
    "zero": ({"PixelSpacing": [0, 0]}, None, "none"),
    "half zero": ({"PixelSpacing": [0.2, 0]}, None, "none"),
    "negative": ({"PixelSpacing": [-0.2, 0.2]}, None, "none"),
    "one number": ({"PixelSpacing": 0.2}, None, "none"),
    "three numbers": ({"PixelSpacing": [0.2, 0.2, 0.2]}, None, "none"),
    "empty": ({"PixelSpacing": ""}, None, "none"),
    "zero beside a detector": ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.15, 0.14]}, (0.14, 0.15), "detector"),
    "calibration of nothing": ({"PixelSpacingCalibrationType": "GEOMETRY"}, None, "none"),
}


@pytest.mark.parametrize("case", CASES)
def test_spacing_and_provenance(case, make_dicom, read_film):
    attributes, spacing, provenance = CASES[case]
    _, meta = read_film(make_dicom(STORED, **attributes))
    np.testing.assert_allclose(meta["spacing_xy_mm"], spacing or (np.nan, np.nan), rtol=1e-6)
    assert meta["spacing_provenance"] == provenance
    sx, sy = spacing or (1.0, 1.0)
    np.testing.assert_allclose(meta["affine"], [[-sx, 0, 0], [0, -sy, 0], [0, 0, 1]])
    assert meta["affine"].dtype == np.float64


def test_the_users_spacing_wins(make_dicom, read_film):
    path = make_dicom(STORED, PixelSpacing=[0.3, 0.2], PixelSpacingCalibrationType="FIDUCIAL")
    _, meta = read_film(path, spacing_xy_mm=(0.11, 0.12))
    assert meta["spacing_xy_mm"].tolist() == [0.11, 0.12]
    assert meta["spacing_provenance"] == "user"
    np.testing.assert_allclose(meta["affine"], np.diag([-0.11, -0.12, 1]))


def test_pixels_that_are_not_square_warn_when_there_is_no_spacing(make_dicom, read_film):
    with pytest.warns(UserWarning, match="not square"):
        read_film(make_dicom(STORED, PixelAspectRatio=[4, 3]))
