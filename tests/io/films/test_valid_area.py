from __future__ import annotations

import numpy as np
import pytest

STORED = np.arange(6 * 8, dtype=np.uint16).reshape(6, 8)


def valid(path, read_film) -> np.ndarray:
    """As (row, column)."""
    area = read_film(path)[1]["valid_area"]
    assert area.dtype == bool
    return area.T


def test_without_padding_and_shutter_all_is_valid(make_dicom, read_film):
    assert valid(make_dicom(STORED), read_film).all()


def test_padding_value_and_range_are_inclusive(make_dicom, read_film):
    np.testing.assert_array_equal(valid(make_dicom(STORED, PixelPaddingValue=9), read_film), STORED != 9)
    for first, limit in ((3, 17), (17, 3)):
        path = make_dicom(STORED, PixelPaddingValue=first, PixelPaddingRangeLimit=limit)
        np.testing.assert_array_equal(valid(path, read_film), (STORED < 3) | (STORED > 17))


@pytest.mark.parametrize(("written", "vr"), [(-2000, "SS"), (63536, "US")])
def test_padding_of_signed_films_in_either_signedness(written, vr, make_dicom, read_film):
    stored = np.full((3, 4), 5, np.int16)
    stored[1, 2] = -2000
    path = make_dicom(stored, PixelPaddingValue=0)
    from pydicom import dcmread

    dataset = dcmread(path)
    dataset.add_new("PixelPaddingValue", vr, written)
    dataset.save_as(path)
    np.testing.assert_array_equal(valid(path, read_film), stored == 5)


def test_padding_is_compared_before_rescale_and_inversion(make_dicom, read_film):
    path = make_dicom(
        STORED, PixelPaddingValue=9, RescaleSlope=2, RescaleIntercept=1, PhotometricInterpretation="MONOCHROME1"
    )
    np.testing.assert_array_equal(valid(path, read_film), STORED != 9)


def test_padding_that_covers_all_is_ignored_with_a_warning(make_dicom, read_film):
    with pytest.warns(UserWarning, match="leave no pixel"):
        assert valid(make_dicom(np.zeros((3, 4), np.uint16), PixelPaddingValue=0), read_film).all()


@pytest.mark.parametrize("name", ["Shutter", "Collimator"])
def test_rectangle_edges_belong_to_the_film(name, make_dicom, read_film):
    path = make_dicom(
        STORED,
        **{
            f"{name}Shape": "RECTANGULAR",
            f"{name}LeftVerticalEdge": 3,  # counted from 1
            f"{name}RightVerticalEdge": 7,
            f"{name}UpperHorizontalEdge": 2,
            f"{name}LowerHorizontalEdge": 4,
        },
    )
    expected = np.zeros((6, 8), bool)
    expected[1:4, 2:7] = True
    np.testing.assert_array_equal(valid(path, read_film), expected)


def test_circle(make_dicom, read_film):
    path = make_dicom(STORED, ShutterShape="CIRCULAR", CenterOfCircularShutter=[3, 4], RadiusOfCircularShutter=2)
    expected = np.array(
        [
            [0, 0, 0, 1, 0, 0, 0, 0],
            [0, 0, 1, 1, 1, 0, 0, 0],
            [0, 1, 1, 1, 1, 1, 0, 0],
            [0, 0, 1, 1, 1, 0, 0, 0],
            [0, 0, 0, 1, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0],
        ],
        bool,
    )
    np.testing.assert_array_equal(valid(path, read_film), expected)


def test_circle_on_pixels_that_are_not_square(make_dicom, read_film):
    path = make_dicom(
        np.zeros((40, 60), np.uint16),
        ShutterShape="CIRCULAR",
        CenterOfCircularShutter=[20, 30],
        RadiusOfCircularShutter=16,
        PixelSpacing=[0.4, 0.2],  # a row is twice as high as a column is wide
    )
    area = valid(path, read_film)
    assert area.any(axis=0).sum() == 33  # columns 14 to 46 of the circle
    assert area.any(axis=1).sum() == 17  # rows 12 to 28


def test_polygon_has_row_column_vertices(make_dicom, read_film):
    # A right triangle with corners (row 1, column 1), (row 1, column 8), (row 6, column 1).
    path = make_dicom(STORED, ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=[1, 1, 1, 8, 6, 1])
    area = valid(path, read_film)
    assert area[0].all()
    assert area[:, 0].all()
    assert area.sum(axis=1)[[0, 5]].tolist() == [8, 1]
    assert not area[5, 7] and not area[4, 4]
    assert area[2, 3]


def test_several_shapes_are_intersected(make_dicom, read_film):
    path = make_dicom(
        STORED,
        ShutterShape=["RECTANGULAR", "CIRCULAR"],
        ShutterLeftVerticalEdge=1,
        ShutterRightVerticalEdge=4,
        ShutterUpperHorizontalEdge=1,
        ShutterLowerHorizontalEdge=6,
        CenterOfCircularShutter=[3, 4],
        RadiusOfCircularShutter=2,
    )
    assert valid(path, read_film).sum() == 1 + 2 + 3 + 2 + 1


def test_an_incomplete_shutter_is_ignored_with_a_warning(make_dicom, read_film):
    with pytest.warns(UserWarning, match="incomplete"):
        assert valid(make_dicom(STORED, ShutterShape="RECTANGULAR"), read_film).all()
