from __future__ import annotations

import warnings

import numpy as np
import pytest
from pydicom import Dataset

from cmnet_monai.io import FilmError

STORED = np.array([[0, 1, 100], [1000, 4094, 4095]], np.uint16)
TWELVE = {"BitsStored": 12, "HighBit": 11}


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted", "contradictory"),
    [
        ("MONOCHROME2", None, False, False),
        ("MONOCHROME2", "IDENTITY", False, False),
        ("MONOCHROME1", None, True, False),
        ("MONOCHROME1", "INVERSE", True, False),
        ("MONOCHROME2", "INVERSE", True, True),
        ("MONOCHROME1", "IDENTITY", True, True),
    ],
)
def test_polarity_is_turned_exactly_once(photometric, shape, inverted, contradictory, make_dicom, read_film):
    extra = {} if shape is None else {"PresentationLUTShape": shape}
    path = make_dicom(STORED, PhotometricInterpretation=photometric, **TWELVE, **extra)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pixels, meta = read_film(path)
    expected = 4095 - STORED.astype(int) if inverted else STORED
    np.testing.assert_array_equal(pixels, expected.T)
    assert meta["polarity_inverted"] is inverted
    assert meta["photometric_interpretation"] == photometric
    assert any("contradicts" in str(w.message) for w in caught) is contradictory


def test_inversion_does_not_depend_on_content(make_dicom, read_film):
    dark = make_dicom(np.full((2, 3), 7, np.uint16), PhotometricInterpretation="MONOCHROME1", **TWELVE)
    assert np.unique(read_film(dark)[0]).tolist() == [4088]


def test_signed_values_invert_within_their_range(make_dicom, read_film):
    stored = np.array([[-2048, -1, 0, 2047]], np.int16)
    pixels, _ = read_film(make_dicom(stored, PhotometricInterpretation="MONOCHROME1", **TWELVE))
    assert pixels.T.tolist() == [[2047, 0, -1, -2048]]


@pytest.mark.parametrize(
    ("slope", "intercept", "expected"),
    [
        (2, -10, [[-10, -8, 190], [1990, 8178, 8180]]),
        (-1, 4095, [[4095, 4094, 3995], [3095, 1, 0]]),  # a negative slope is part of the values, not of the polarity
        (0.5, 0, [[0, 0.5, 50], [500, 2047, 2047.5]]),
    ],
)
def test_rescale(slope, intercept, expected, make_dicom, read_film):
    path = make_dicom(STORED, RescaleSlope=slope, RescaleIntercept=intercept, **TWELVE)
    assert read_film(path)[0].T.tolist() == expected


def test_rescaled_monochrome1_inverts_within_the_rescaled_range(make_dicom, read_film):
    path = make_dicom(STORED, RescaleSlope=2, RescaleIntercept=-10, PhotometricInterpretation="MONOCHROME1", **TWELVE)
    # lowest + highest - value = -10 + 8180 - value
    assert read_film(path)[0].T.tolist() == [[8180, 8178, 7980], [6180, -8, -10]]


def test_sixteen_bits_and_more_survive_rescale_and_inversion(make_dicom, read_film):
    stored = np.array([[0, 1, 2**24 - 1]], np.uint32)
    path = make_dicom(stored, PhotometricInterpretation="MONOCHROME1", BitsStored=24, HighBit=23)
    assert read_film(path)[0].T.tolist() == [[2**24 - 1, 2**24 - 2, 0]]
    path = make_dicom(
        np.array([[0, 65535]], np.uint16),
        RescaleSlope=1,
        RescaleIntercept=-1024,
        PhotometricInterpretation="MONOCHROME1",
    )
    assert read_film(path)[0].T.tolist() == [[64511, -1024]]


@pytest.mark.parametrize(("slope", "intercept"), [("0", "0"), ("", "5")])
def test_a_useless_rescale_is_refused_or_ignored(slope, intercept, make_dicom, read_film):
    path = make_dicom(STORED, RescaleSlope=slope, RescaleIntercept=intercept, **TWELVE)
    if slope == "0":
        with pytest.raises(FilmError, match="Rescale Slope"):
            read_film(path)
    else:
        np.testing.assert_array_equal(read_film(path)[0], STORED.T)


def lookup(entries: list[int], first: int, bits: int = 16, as_bytes: bool = False) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.ModalityLUTType = "US"
    item.LUTData = np.asarray(entries, "<u2").tobytes() if as_bytes else entries
    item["LUTData"].VR = "OW" if as_bytes else "US"
    return item


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("bits", [12, 16])
def test_modality_table_clamps_at_both_ends(bits, as_bytes, make_dicom, read_film):
    table = lookup([500, 600, 50, 700], first=99, bits=bits, as_bytes=as_bytes)  # inputs 99 to 102
    path = make_dicom(STORED, ModalityLUTSequence=[table], **TWELVE)
    assert read_film(path)[0].T.tolist() == [[500, 500, 600], [700, 700, 700]]


def test_modality_table_wins_over_rescale_and_is_inverted_after(make_dicom, read_film):
    path = make_dicom(
        STORED,
        ModalityLUTSequence=[lookup([500, 600, 50, 700], first=99)],
        RescaleSlope=3,
        RescaleIntercept=1,
        PhotometricInterpretation="MONOCHROME1",
        **TWELVE,
    )
    # 50 + 700 - value
    assert read_film(path)[0].T.tolist() == [[250, 250, 150], [50, 50, 50]]


def test_modality_table_of_signed_values(make_dicom, read_film):
    stored = np.array([[-3, -2, -1, 5]], np.int16)
    table = lookup([10, 20, 30], first=-2)
    table["LUTDescriptor"].VR = "SS"
    assert read_film(make_dicom(stored, ModalityLUTSequence=[table]))[0].T.tolist() == [[10, 10, 20, 30]]


def test_an_empty_item_is_no_modality_table(make_dicom, read_film):
    path = make_dicom(STORED, ModalityLUTSequence=[Dataset()], RescaleSlope=2, RescaleIntercept=-3, **TWELVE)
    np.testing.assert_array_equal(read_film(path)[0], 2 * STORED.T.astype(int) - 3)


def test_a_short_modality_table_is_refused(make_dicom, read_film):
    table = lookup([1, 2, 3], first=0)
    table.LUTDescriptor = [5, 0, 16]
    with pytest.raises(FilmError, match="modality lookup table is damaged"):
        read_film(make_dicom(STORED, ModalityLUTSequence=[table], **TWELVE))
