from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import polygon2mask

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.morphometry import BodyPoints, FilmScale, measure_film, measure_points

SHAPE = (170, 420)
SCALE = FilmScale((0.5, 0.5), "user")


def box(left: float, right: float, top: float, low: float, drop: float = 0.0) -> np.ndarray:
    """Corners of a body of a patient who faces left; its front lies lower by `drop`."""
    return np.array([[left, top + drop], [right, top], [right, low], [left, low + drop]])


# L3 to S1: L4 has slipped 12 px forwards on L5, L5 is wedged, S1 leans by 30 px over its 100 px.
BODIES = {
    "L3": box(40, 140, 20, 90),
    "L4": box(40, 140, 105, 175),
    "L5": np.array([[52.0, 195.0], [152.0, 195.0], [152.0, 265.0], [52.0, 251.0]]),
    "S1": np.array([[52.0, 310.0], [152.0, 280.0], [162.0, 350.0], [72.0, 380.0]]),
}


def points_of(corners: np.ndarray) -> BodyPoints:
    sa, sp, ip, ia = corners
    return BodyPoints(corners, np.array([sa + sp, ia + ip]) / 2, np.array([sa + ia, sp + ip]) / 2, 0.0)


def exact(bodies: dict[str, np.ndarray]) -> dict[int, BodyPoints]:
    return {LABEL_OF_LEVEL[level]: points_of(corners) for level, corners in bodies.items()}


def painted(bodies: dict[str, np.ndarray], shape: tuple[int, int] = SHAPE) -> np.ndarray:
    label_map = np.zeros(shape, np.uint8)
    for level, corners in bodies.items():
        label_map[polygon2mask(shape, corners)] = LABEL_OF_LEVEL[level]
    return label_map


def test_heights_depths_and_ratios_by_hand() -> None:
    l5 = measure_points(exact(BODIES), "left", SCALE).bodies[-1]
    assert (l5.level, l5.anterior.px, l5.posterior.px) == ("L5", 56.0, 70.0)
    assert l5.middle.px == pytest.approx(63.0)
    assert (l5.anterior.mm, l5.posterior.mm) == (28.0, 35.0)
    assert l5.ha_hp_ratio == pytest.approx(0.8)
    assert l5.hm_hp_ratio == pytest.approx(0.9)
    assert l5.depth_upper.px == 100.0
    assert l5.depth_lower.px == pytest.approx(np.hypot(100, 14))
    assert l5.hp_above_ratio == pytest.approx(1.0)
    assert l5.hp_below_ratio is None  # S1 is no neighbour to compare with
    assert (l5.deformity.kind, l5.deformity.grade) == ("wedge", 1)
    assert l5.tilt_lower_deg == pytest.approx(-np.degrees(np.arctan2(14, 100)))  # its back lies lower


def test_discs_and_slip_by_hand() -> None:
    first, second, third = measure_points(exact(BODIES), "left", SCALE).discs
    assert [(d.upper, d.lower) for d in (first, second, third)] == [("L3", "L4"), ("L4", "L5"), ("L5", "S1")]
    assert (first.anterior.px, first.middle.px, first.posterior.px, first.angle_deg) == (15.0, 15.0, 15.0, 0.0)
    assert (second.slip.px, second.slip.mm, second.slip_percent, second.meyerding) == (12.0, 6.0, 12.0, 1)
    assert third.angle_deg == pytest.approx(np.degrees(np.arctan2(30, 100) + np.arctan2(14, 100)))
    assert third.anterior.px > third.posterior.px


def test_retrolisthesis_is_negative() -> None:
    moved = dict(BODIES, L4=BODIES["L4"] + (30, 0))
    disc = measure_points(exact(moved), "left", SCALE).discs[1]
    assert disc.slip_percent == pytest.approx(-18.0)
    assert disc.record()["slip_candidate"] == "retrolisthesis"


def test_lordosis_by_hand() -> None:
    bodies = dict(BODIES, L1=box(40, 140, -130, -60, drop=-10), L2=box(40, 140, -55, 15))
    ordered = {level: bodies[level] for level in ("L1", "L2", "L3", "L4", "L5", "S1")}
    film = measure_points(exact(ordered), "left", SCALE)
    upper, l5, s1 = (np.degrees(np.arctan2(v, 100)) for v in (-10, -14, 30))
    assert film.lordosis_l1_s1_deg == pytest.approx(s1 - upper)
    assert film.lordosis_l1_l5_deg == pytest.approx(l5 - upper)


def test_measured_from_a_label_map() -> None:
    exact_film, film = measure_points(exact(BODIES), "left", SCALE), measure_film(painted(BODIES), "left", SCALE)
    for found, true in zip(film.bodies, exact_film.bodies):
        for name in ("anterior", "middle", "posterior", "depth_upper", "depth_middle", "depth_lower"):
            assert getattr(found, name).px == pytest.approx(
                getattr(true, name).px, abs=1.5
            )  # borders lie on whole pixels
    for found, true in zip(film.discs, exact_film.discs):
        assert found.slip_percent == pytest.approx(true.slip_percent, abs=1.5)
        assert found.angle_deg == pytest.approx(true.angle_deg, abs=1.0)


def test_mirrored_film_gives_the_same_records() -> None:
    label_map = painted(BODIES)
    left, right = measure_film(label_map, "left", SCALE), measure_film(label_map[::-1], "right", SCALE)
    for table in ("bodies", "discs"):
        for a, b in zip(left.to_records()[table], right.to_records()[table]):
            assert a == {k: pytest.approx(v, abs=1e-6) if isinstance(v, float) else v for k, v in b.items()}


def test_side_is_found_from_the_spine() -> None:
    label_map = painted(BODIES)
    assert measure_film(label_map).anterior == "left"
    assert measure_film(label_map[::-1]).anterior == "right"
    with pytest.raises(ValueError, match="on neither side"):
        measure_film(painted({"L3": BODIES["L3"], "L4": BODIES["L4"]}))


def test_pixels_that_are_not_square_change_no_millimetre_and_no_angle() -> None:
    flat = {level: corners * (1.0, 0.5) for level, corners in BODIES.items()}  # pixels twice as high as wide
    square = measure_points(exact(BODIES), "left", SCALE).to_records()
    other = measure_points(exact(flat), "left", FilmScale((0.5, 1.0), "user")).to_records()
    for table in ("bodies", "discs"):
        for a, b in zip(square[table], other[table]):
            for key, value in a.items():
                if key.endswith(("_mm", "_deg", "_percent", "_ratio")) and not key.startswith("spacing"):
                    assert b[key] == (value if value is None else pytest.approx(value)), key
    assert other["bodies"][0]["height_posterior_px"] == pytest.approx(35.0)  # 70 rows are 35 here


def test_aspect_counts_even_where_no_millimetres_are_given() -> None:
    flat = {level: corners * (1.0, 0.5) for level, corners in BODIES.items()}
    film = measure_points(exact(flat), "left", FilmScale((0.5, 1.0), "detector"))
    assert film.bodies[-1].depth_lower.mm is None
    assert film.discs[2].angle_deg == pytest.approx(np.degrees(np.arctan2(30, 100) + np.arctan2(14, 100)))


@pytest.mark.parametrize(
    ("provenance", "asked", "given"),
    [
        ("user", None, True),
        ("calibrated", None, True),
        ("detector", None, False),
        ("detector", True, True),
        ("unspecified", None, False),
        ("user", False, False),
    ],
)
def test_millimetres_only_where_the_spacing_allows(provenance: str, asked: bool | None, given: bool) -> None:
    records = measure_points(exact(BODIES), "left", FilmScale((0.5, 0.5), provenance, asked)).to_records()
    for row in records["bodies"]:
        assert (row["height_posterior_mm"] == 35.0) is given
        assert row["height_posterior_px"] == 70.0
        assert (row["spacing_x_mm"], row["spacing_provenance"]) == (0.5, provenance)


def test_unknown_spacing_says_what_it_assumes() -> None:
    film = measure_points(exact(BODIES), "left", FilmScale((float("nan"), float("nan")))).to_records()["film"][0]
    assert film["assumption"] == "spacing unknown, pixels taken to be square"
    assert (film["spacing_x_mm"], film["spacing_provenance"]) == (None, "none")


def test_no_disc_and_no_neighbour_across_a_gap() -> None:
    film = measure_points(exact({"L3": BODIES["L3"], "L5": BODIES["L5"], "S1": BODIES["S1"]}), "left", SCALE)
    assert [(d.upper, d.lower) for d in film.discs] == [("L5", "S1")]
    assert film.bodies[1].hp_above_ratio is None
    assert film.lordosis_l1_s1_deg is None


def test_cut_body_is_marked_and_is_no_neighbour() -> None:
    label_map = painted({"L3": BODIES["L3"] - (0, 30), "L4": BODIES["L4"]})
    top, below = measure_film(label_map, "left", SCALE).bodies
    assert (top.cut_off, below.cut_off) == (True, False)
    assert (top.deformity, top.record()["genant_candidate"]) == (None, None)
    assert below.deformity is not None
    assert below.hp_above_ratio is None


def test_region_without_four_sides_is_named() -> None:
    label_map = painted({"L3": BODIES["L3"], "L4": BODIES["L4"]})
    label_map[80:85, 300:305] = LABEL_OF_LEVEL["L5"]
    film = measure_film(label_map, "left")
    assert [body.level for body in film.bodies] == ["L3", "L4"]
    assert film.unmeasured[0][0] == "L5"
    assert "25 pixels" in film.to_records()["film"][0]["unmeasured"]


def test_bad_scale_is_named() -> None:
    for spacing, provenance, asked, message in (
        ((0.5, -1.0), "user", None, "positive"),
        ((0.5, 0.5), "none", None, "needs its provenance"),
        ((0.5, 0.5), "guess", None, "provenance is one of"),
        (None, "none", True, "need a pixel spacing"),
    ):
        with pytest.raises(ValueError, match=message):
            FilmScale(spacing, provenance, asked)
    with pytest.raises(ValueError, match=r"shape \(x, y\)"):
        measure_film(np.zeros((2, 9, 9), np.uint8), "left")
    with pytest.raises(ValueError, match='"left" or "right"'):
        measure_film(painted(BODIES), "unknown")
