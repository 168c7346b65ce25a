from __future__ import annotations

import json

import numpy as np
import pytest

from cmnet_monai.decode import GivenCentres, heed_levels, read_maps
from cmnet_monai.decode.given_centres import MOST_GIVEN, region_at

STEP, HIGH = 36, 26


def spine_maps(bodies: int = 6, lumbar_from: int = 1) -> np.ndarray:
    """Maps (4, x, y): bodies of 34 x 26 px every 36 px, centres, S1 below, and what looks lumbar."""
    maps = np.zeros((4, 60, STEP * (bodies + 1) + 20))
    for i in range(bodies):
        maps[0, 28:33, STEP * i + 20 : STEP * i + 25] = 0.9
        maps[1, 13:47, STEP * i + 9 : STEP * i + 9 + HIGH] = 0.9
    maps[2, 13:47, STEP * bodies + 9 : STEP * bodies + 9 + HIGH] = 0.9
    maps[3] = np.where(np.arange(maps.shape[2]) >= STEP * lumbar_from, maps[1], 0)
    return maps


def click(i: int, level: str = "", adds: bool = True) -> GivenCentres:
    return GivenCentres(((30.0, STEP * i + 22.0),), (level,), adds)


def levels(maps: np.ndarray, given: GivenCentres | None = None) -> list[str]:
    return [body.level for body in read_maps(maps, given=given).bodies]


def test_level_said_of_one_body_names_all_and_is_their_evidence() -> None:
    reading = read_maps(spine_maps(), given=click(5, "L4"))
    # What looks like S1 below the body that is said to be L4 may be L5 then.
    assert [body.level for body in reading.bodies[:6]] == ["T11", "T12", "L1", "L2", "L3", "L4"]
    assert {body.evidence for body in reading.bodies} == {"user"}
    assert levels(spine_maps()) == levels(spine_maps(), click(5)) == ["T12", "L1", "L2", "L3", "L4", "L5"]


def test_what_was_taken_for_s1_is_a_vertebra_where_a_reader_says_so() -> None:
    maps = spine_maps(5, 0)
    reading = read_maps(maps, given=click(5, "L5"))
    assert [body.level for body in reading.bodies] == ["T12", "L1", "L2", "L3", "L4", "L5"]
    assert (reading.label_map == 24).sum() == 34 * HIGH and not reading.s1.any()
    assert (read_maps(maps, given=click(5)).s1).sum() == 34 * HIGH  # a click without a level leaves it S1


def test_s1_below_the_bodies_that_a_reader_names_stays() -> None:
    assert read_maps(spine_maps(), given=click(4, "L4")).s1.sum() == 34 * HIGH
    maps = spine_maps(5)
    np.testing.assert_array_equal(heed_levels(maps, click(4, "L5")), maps)
    assert heed_levels(maps, click(4)) is maps and heed_levels(maps[:2], click(4, "L5")).shape[0] == 2


def test_level_said_where_no_body_was_found_names_the_others_still() -> None:
    maps = spine_maps()
    maps[:2, :, STEP * 5 : STEP * 6 + 4] = 0
    assert levels(maps, click(5, "L4")) == ["T11", "T12", "L1", "L2", "L3"]


def test_given_centres_part_bodies_that_the_centre_map_takes_for_one() -> None:
    maps = spine_maps(6)
    maps[0, :, STEP * 2 : STEP * 4] = 0
    maps[1, 13:47, STEP * 2 + 9 : STEP * 3 + 9 + HIGH] = 0.9  # L2 and L3 in one piece
    given = GivenCentres(click(2).xy_px + click(3).xy_px, ("", ""), True)
    reading = read_maps(maps, given=given)
    assert [body.level for body in reading.bodies] == ["T12", "L1", "L2", "L3", "L4", "L5"]
    areas = [(reading.label_map == code).sum() for code in (21, 22)]
    # The piece is 62 px high; the seeds lie symmetric to its middle.
    assert areas == pytest.approx([31 * 34, 31 * 34], abs=34)
    # Without them the piece is halved too: it is twice as long as the others.
    assert levels(maps) == ["T12", "L1", "L2", "L3", "L4", "L5"]


def test_body_that_had_to_be_clicked_has_no_vote_on_levels() -> None:
    maps = spine_maps()
    maps[3, :, STEP : 2 * STEP] = 0  # L1 does not look lumbar
    alone, clicked = read_maps(maps), read_maps(maps, given=click(1))
    assert alone.levels_uncertain and alone.runner_up != ("T12", "L1", "L2", "L3", "L4", "L5")
    assert levels(maps, click(1)) == ["T12", "L1", "L2", "L3", "L4", "L5"]
    assert clicked.probability > alone.probability + 0.1
    # Of all centres given none is singled out.
    assert read_maps(maps, given=click(1, adds=False)).probability == pytest.approx(alone.probability, abs=1e-3)


def test_rows_collate_and_come_back() -> None:
    given = GivenCentres(((1.25, -3.0), (4.0, 50.5)), ("", "L2"), True)
    assert given.rows().shape == (MOST_GIVEN, 4) and given.rows()[1].tolist() == [4.0, 50.5, 21.0, 1.0]
    assert GivenCentres.from_rows(given.rows()) == given
    assert json.loads(json.dumps(given.records()))[1] == {"x_px": 4.0, "y_px": 50.5, "level": "L2", "adds": True}


def test_another_grid_moves_points_alone() -> None:
    affine = np.array([[2.0, 0.0, 5.0], [0.0, 3.0, -1.0], [0.0, 0.0, 1.0]])
    assert GivenCentres(((1.0, 2.0),), ("L1",)).moved(affine) == GivenCentres(((7.0, 5.0),), ("L1",))
    assert GivenCentres((), ()).moved(affine) == GivenCentres((), ())


@pytest.mark.parametrize(
    ("points", "names", "message"),
    [
        (((1, 2),), ("S1",), "T1-T12 and L1-L5; got 'S1'"),
        (((1, 2),), (), "1 centres and 0 levels"),
        (((1, 2), (1, 9)), ("L4", "L3"), "L4 cannot lie above L3: rows 2 and 9"),
        (((1, 9), (1, 2)), ("L3", "L3"), "L3 cannot lie above L3"),
        (((1, float("inf")),), ("",), "finite"),
        (((0, 0),) * 33, ("",) * 33, "at most 32"),
    ],
)
def test_contradictions_are_refused(points: tuple, names: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GivenCentres(points, names)


def test_region_at_a_point_or_beside_it() -> None:
    regions = np.zeros((20, 40), int)
    regions[5:10, 5:10], regions[5:10, 14:20] = 1, 2
    assert region_at(regions, (7, 7), 0) == 1 and region_at(regions, (7.4, 11), 0) == 0
    assert region_at(regions, (7, 11), 3) == 1 and region_at(regions, (7, 12.2), 3) == 2
    assert region_at(regions, (15, 30), 5) == 0 and region_at(regions, (-3, 7), 8) == 1
    assert region_at(regions, (-50, 7), 8) == 0
