from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import polygon2mask

from cmnet_monai.morphometry import find_body_points, fit_body_points, polygon_outline, region_outline

# A wedged body seen from the right of its film: superior-anterior, superior-posterior, inferior-posterior,
# inferior-anterior; its patient faces left.
CORNERS = np.array([[60.0, 52.0], [171.0, 40.0], [176.0, 128.0], [57.0, 122.0]])
SHAPE = (240, 190)


def filled(corners: np.ndarray, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return polygon2mask(shape, corners)


def rotated(points: np.ndarray, degrees: float, about: tuple[float, float] = (115.0, 90.0)) -> np.ndarray:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points - about) @ turn.T + about


def test_corners_and_middles_of_a_quadrilateral() -> None:
    points = find_body_points(filled(CORNERS), "left")
    np.testing.assert_allclose(points.corners_xy_px, CORNERS, atol=0.8)  # under a pixel
    np.testing.assert_allclose(points.plates_xy_px[0], (CORNERS[0] + CORNERS[1]) / 2, atol=0.5)
    np.testing.assert_allclose(points.plates_xy_px[1], (CORNERS[2] + CORNERS[3]) / 2, atol=0.5)
    np.testing.assert_allclose(points.walls_xy_px[0], (CORNERS[0] + CORNERS[3]) / 2, atol=0.5)
    np.testing.assert_allclose(points.walls_xy_px[1], (CORNERS[1] + CORNERS[2]) / 2, atol=0.5)


@pytest.mark.parametrize("degrees", [-60, -25, 10, 35])
def test_corners_turn_with_the_body(degrees: float) -> None:
    turned = rotated(CORNERS, degrees)
    down = rotated(np.array([[0.0, 1.0]]), degrees, (0.0, 0.0))[0]
    points = find_body_points(filled(turned), "left", down)
    np.testing.assert_allclose(points.corners_xy_px, turned, atol=0.9)


@pytest.mark.parametrize("off", [-25, 25])
def test_direction_of_the_spine_need_not_be_exact(off: float) -> None:
    down = rotated(np.array([[0.0, 1.0]]), off, (0.0, 0.0))[0]
    np.testing.assert_allclose(find_body_points(filled(CORNERS), "left", down).corners_xy_px, CORNERS, atol=0.8)


def test_mirrored_region_gives_mirrored_points() -> None:
    region = filled(CORNERS)
    left, right = find_body_points(region, "left"), find_body_points(region[::-1], "right")
    for a, b in (
        (left.corners_xy_px, right.corners_xy_px),
        (left.plates_xy_px, right.plates_xy_px),
        (left.walls_xy_px, right.walls_xy_px),
    ):
        np.testing.assert_allclose(b * (-1, 1) + (SHAPE[0] - 1, 0), a, atol=1e-6)


def test_rounded_corners_are_undone() -> None:
    x, y = np.meshgrid(np.arange(160.0), np.arange(120.0), indexing="ij")
    away = np.hypot(np.maximum(np.abs(x - 80) - 45, 0), np.maximum(np.abs(y - 60) - 30, 0))
    points = find_body_points(away <= 6, "left")  # a box 102 x 72 px with corners of radius 6
    np.testing.assert_allclose(points.corners_xy_px, [[29, 24], [131, 24], [131, 96], [29, 96]], atol=0.8)


@pytest.mark.parametrize("corner", range(4))
def test_a_spur_moves_its_corner_by_little(corner: int) -> None:
    out = np.sign(CORNERS[corner] - CORNERS.mean(axis=0))
    at = CORNERS[corner]
    # 10 px beyond the corner, 6 px wide at its base, as an osteophyte of 3 mm.
    spur = np.array([at - out * (8, 0), at + out * (10, 2), at - out * (0, 8)])
    points = find_body_points(filled(CORNERS) | filled(spur), "left")
    np.testing.assert_allclose(points.corners_xy_px, CORNERS, atol=2.0)


def test_middles_follow_a_biconcave_body() -> None:
    t = np.linspace(-1, 1, 60)
    dish = 15 * (1 - t**2)
    top, low = np.stack([100 + 55 * t, 50 + dish], 1), np.stack([100 - 55 * t, 130 - dish], 1)
    points = find_body_points(filled(np.concatenate([top, low])), "left")
    np.testing.assert_allclose(points.plates_xy_px, [[100, 65], [100, 115]], atol=0.7)
    np.testing.assert_allclose(points.corners_xy_px, [[45, 50], [155, 50], [155, 130], [45, 130]], atol=1.5)


def test_outline_of_a_disc_has_its_radius_and_runs_clockwise() -> None:
    x, y = np.meshgrid(np.arange(90.0), np.arange(70.0), indexing="ij")
    line = region_outline(np.hypot(x - 40.25, y - 33.5) <= 22.0)
    np.testing.assert_allclose(np.hypot(*(line - (40.25, 33.5)).T), 22.0, atol=0.6)
    a, b = line.T
    assert np.sum(a * np.roll(b, -1) - np.roll(a, -1) * b) > 0  # y runs down


def test_holes_and_specks_do_not_matter() -> None:
    region = filled(CORNERS)
    spoilt = region.copy()
    spoilt[100:110, 80:85] = False
    spoilt[5:9, 170:180] = True
    np.testing.assert_allclose(region_outline(spoilt), region_outline(region), atol=1e-9)


def test_polygon_and_its_filled_region_agree() -> None:
    drawn = fit_body_points(polygon_outline(CORNERS[::-1]), "left")
    np.testing.assert_allclose(drawn.corners_xy_px, CORNERS, atol=1e-3)  # no pixels in between
    np.testing.assert_allclose(find_body_points(filled(CORNERS), "left").corners_xy_px, drawn.corners_xy_px, atol=0.8)


def test_pixels_that_are_not_square() -> None:
    flat = CORNERS * (1.0, 0.5)  # pixels twice as high as wide
    points = find_body_points(filled(flat), "left", aspect_yx=2.0)
    np.testing.assert_allclose(points.corners_xy_px, flat, atol=0.8)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="at least 40"):
        find_body_points(np.pad(np.ones((5, 5)), 3), "left")
    with pytest.raises(ValueError, match=r'"left" or "right"; got \'front\''):
        find_body_points(filled(CORNERS), "front")
    with pytest.raises(ValueError, match=r"shape \(x, y\)"):
        region_outline(np.ones((3, 9, 9)))
    with pytest.raises(ValueError, match="at least 3 vertices"):
        polygon_outline(np.array([[0.0, 0.0], [1.0, 1.0]]))
