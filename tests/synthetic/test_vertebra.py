from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cmnet_monai.synthetic.anatomy import Vertebra
from cmnet_monai.synthetic.projection import Geometry
from cmnet_monai.synthetic.vertebra import add_body, corners_px, outline_area_px, outline_mask


@pytest.fixture
def block() -> Vertebra:
    """A body 32 mm deep and 24 mm high with flat walls and end plates."""
    return Vertebra(
        level="L3",
        label=22,
        centre_mm=(40.0, 30.0, 100.0),
        tilt_rad=0.0,
        axial_rad=0.0,
        lateral_rad=0.0,
        corners_mm=((-16.0, -12.0), (16.0, -12.0), (16.0, 12.0), (-16.0, 12.0)),
        bowl_mm=(0.0, 0.0),
        fracture_bowl_mm=(0.0, 0.0),
        waist_mm=(0.0, 0.0),
        width_mm=44.0,
    )


def test_corners_of_a_straight_body_in_parallel_projection(block: Vertebra) -> None:
    geometry = Geometry((200, 150), 0.5, float("inf"), (0.0, 0.0))
    np.testing.assert_allclose(corners_px(block, geometry), [[48, 36], [112, 36], [112, 84], [48, 84]])


def test_corners_spread_from_the_central_ray_by_the_magnification(block: Vertebra) -> None:
    # 100 mm above the detector, source at 1100 mm: scale 1.1 about (40, 10) mm.
    geometry = Geometry((200, 150), 0.5, 1100.0, (40.0, 10.0))
    expected = [[44.8, 37.6], [115.2, 37.6], [115.2, 90.4], [44.8, 90.4]]
    np.testing.assert_allclose(corners_px(block, geometry), expected)


def test_positive_tilt_lowers_the_anterior_end(block: Vertebra) -> None:
    geometry = Geometry((200, 150), 0.5, float("inf"), (0.0, 0.0))
    corners = corners_px(replace(block, tilt_rad=np.pi / 6), geometry)
    # Superior-anterior corner: (-16, -12) mm turned by 30 degrees.
    x = 40 - 16 * np.cos(np.pi / 6) - 12 * np.sin(np.pi / 6)
    y = 30 + 16 * np.sin(np.pi / 6) - 12 * np.cos(np.pi / 6)
    np.testing.assert_allclose(corners[0], [x / 0.5, y / 0.5])
    assert corners[0, 1] > corners[1, 1]


def test_outline_fills_the_body_but_for_its_rounded_corners(block: Vertebra) -> None:
    geometry = Geometry((200, 150), 0.5, float("inf"), (0.0, 0.0))
    # Moved a little, so that no border lies on pixel centres.
    found = outline_mask(replace(block, centre_mm=(40.1, 30.1, 100.0)), geometry)
    assert found is not None
    # Four rounded corners of 2.5 mm lack (4 - pi) r^2.
    area = (32 * 24 - (4 - np.pi) * 2.5**2) / 0.5**2
    assert found[1].sum() == pytest.approx(area, rel=0.005)
    assert outline_area_px(block, geometry) == pytest.approx(area, rel=0.01)


def test_outline_follows_a_dished_end_plate(block: Vertebra) -> None:
    geometry = Geometry((200, 150), 0.5, float("inf"), (0.0, 0.0))
    found = outline_mask(replace(block, fracture_bowl_mm=(8.0, 0.0)), geometry)
    assert found is not None
    window, mask = found
    column = np.nonzero(mask[80 - window[0].start])[0] + window[1].start
    # The upper end plate at 36 px sinks by 0.85 * 8 mm = 13.6 px, the lower one at 84 px stays.
    assert column.min() == pytest.approx(36 + 13.6, abs=1)
    assert column.max() == pytest.approx(84, abs=1)


def test_outline_leaves_osteophytes_out(block: Vertebra) -> None:
    geometry = Geometry((200, 150), 0.5, float("inf"), (0.0, 0.0))
    plain, spurred = outline_mask(block, geometry), outline_mask(replace(block, osteophytes_mm=(6, 6, 6, 6)), geometry)
    assert plain is not None and spurred is not None
    np.testing.assert_array_equal(plain[1], spurred[1])


def test_body_beside_the_film_has_no_outline(block: Vertebra) -> None:
    assert outline_mask(block, Geometry((20, 15), 0.5, float("inf"), (0.0, 0.0))) is None


def test_end_plates_are_denser_than_the_middle(block: Vertebra) -> None:
    geometry = Geometry((200, 150), 0.5, float("inf"), (0.0, 0.0))
    depth = np.zeros(geometry.shape, np.float32)
    add_body(depth, geometry, block, 1.0, 1.0, 20, np.random.default_rng(0))
    across = depth[65:96].mean(axis=0)
    assert across[35:41].max() > 1.5 * across[55:66].mean() > 0
    assert across[:30].max() == 0


def test_end_plates_double_away_from_the_central_ray(block: Vertebra) -> None:
    """Only there do the near and the far side of an end plate fall on different rows."""
    spread = []
    for central_y in (18.0, -180.0):  # the upper end plate lies at 18 mm
        geometry = Geometry((200, 220), 0.5, 1100.0, (40.0, central_y))
        depth = np.zeros(geometry.shape, np.float32)
        add_body(depth, geometry, block, 0.01, 1.0, 24, np.random.default_rng(0))
        y = geometry.project_px((40.0, 18.0, 100.0))[1]
        near = depth[75:86, int(y) - 16 : int(y) + 17].mean(axis=0)
        spread.append(int((near > 0.25 * near.max()).sum()))
    assert spread[1] > 1.8 * spread[0]
