from __future__ import annotations

import pickle
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from cmnet_monai.conventions import LABEL_OF_LEVEL, LUMBAR, LUMBAR_LABELS, THORACIC
from cmnet_monai.synthetic import SyntheticFilm, generate_film
from cmnet_monai.synthetic.anatomy import VARIANTS

HEIGHT = 480


@cache
def film(seed: int, kind: str | None = None, faces: str | None = None) -> SyntheticFilm:
    return generate_film(seed, kind=kind, height_px=HEIGHT, faces=faces)


def test_same_seed_gives_the_same_bytes() -> None:
    first, second = film(3), generate_film(3, height_px=HEIGHT)
    assert first.pixels.tobytes() == second.pixels.tobytes()
    assert first.label_map.tobytes() == second.label_map.tobytes()
    assert first.pixels.tobytes() != film(4).pixels.tobytes()
    assert pickle.loads(pickle.dumps(first)).pixels.tobytes() == first.pixels.tobytes()


def test_arrays_are_x_y_and_higher_than_wide() -> None:
    made = film(3)
    width, height = made.pixels.shape
    assert height == HEIGHT and 0.49 * HEIGHT <= width <= 0.91 * HEIGHT
    assert made.label_map.shape == made.valid_area.shape == made.pixels.shape
    assert made.pixels.dtype == np.uint16 and made.label_map.dtype == np.uint8
    assert made.pixels.max() <= 2**made.bits_stored - 1


@pytest.mark.parametrize("seed", range(6))
def test_centres_are_the_centroids_of_the_label_map(seed: int) -> None:
    made = film(seed)
    assert {b.label for b in made.bodies} == set(np.unique(made.label_map)) - {0}
    for body in made.bodies:
        assert LABEL_OF_LEVEL[body.level] == body.label
        x, y = np.nonzero(made.label_map == body.label)
        assert body.centre_xy_px == pytest.approx((x.mean(), y.mean()))


@pytest.mark.parametrize("seed", range(8))
def test_every_lumbar_body_inside_the_film_is_labelled(seed: int) -> None:
    made = film(seed)
    assert set(LUMBAR_LABELS) <= set(np.unique(made.label_map))
    for body in made.bodies:
        if body.level in LUMBAR:
            low, high = body.corners_xy_px.min(axis=0), body.corners_xy_px.max(axis=0)
            assert (low < body.centre_xy_px).all() and (high > body.centre_xy_px).all()


@pytest.mark.parametrize("seed", range(4))
def test_levels_follow_each_other_downwards(seed: int) -> None:
    heights = [b.centre_xy_px[1] for b in film(seed).bodies]
    labels = [b.label for b in film(seed).bodies]
    assert heights == sorted(heights) and labels == sorted(labels)


def test_corners_lie_at_the_corners_of_the_labels() -> None:
    for seed in range(4):
        made = film(seed, "healthy", "left")
        for body in made.bodies:
            if body.level in ("L2", "L3", "L4"):
                (x0, y0), (x1, y1), (x2, y2), (x3, y3) = body.corners_xy_px
                assert x0 < x1 and x3 < x2 and y3 > y0 and y2 > y1
                quad = 0.5 * abs((x2 - x0) * (y3 - y1) - (x3 - x1) * (y2 - y0))
                # Waist, dished end plates and rounded corners take a tenth to a quarter of the quadrilateral.
                assert 0.7 < (made.label_map == body.label).sum() / quad < 1.0


def test_facing_right_is_the_mirror_of_facing_left() -> None:
    left, right = film(7, "healthy", "left"), film(7, "healthy", "right")
    width = left.pixels.shape[0]
    for a, b in zip(left.bodies, right.bodies):
        if a.level in LUMBAR:
            assert b.centre_xy_px[0] == pytest.approx(width - 1 - a.centre_xy_px[0], abs=1e-6)
            np.testing.assert_allclose(b.corners_xy_px[:, 0], width - 1 - a.corners_xy_px[:, 0])
            # Superior-anterior before superior-posterior in the direction of the face.
            assert a.corners_xy_px[0, 0] < a.corners_xy_px[1, 0]
            assert b.corners_xy_px[0, 0] > b.corners_xy_px[1, 0]
    both = {generate_film(seed, height_px=160).faces for seed in range(10)}
    assert both == {"left", "right"}


def test_one_patient_can_have_two_films() -> None:
    first = generate_film(1, kind="compression_fracture", height_px=240, patient_seed=9, film_seed=1)
    second = generate_film(1, kind="compression_fracture", height_px=240, patient_seed=9, film_seed=2)
    assert first.pixels.tobytes() != second.pixels.tobytes()
    grades = [{b.level: (b.deformity, b.grade) for b in made.bodies if b.level in LUMBAR} for made in (first, second)]
    assert grades[0] == grades[1] and first.findings == second.findings


def test_bodies_are_brighter_than_the_discs_between_them() -> None:
    better = 0
    films = [film(seed, "healthy") for seed in range(18)]
    for made in films:
        values = made.pixels.astype(float)
        names = {b.level: b for b in made.bodies}
        inside, between = [], []
        for upper, lower in pairwise(LUMBAR[1:]):
            gap = 0.25 * (names[upper].corners_xy_px[2:].sum(axis=0) + names[lower].corners_xy_px[:2].sum(axis=0))
            x, y = np.rint(gap).astype(int)
            between.append(values[x - 4 : x + 5, y - 1 : y + 2].mean())
            for level in (upper, lower):
                x, y = np.rint(names[level].centre_xy_px).astype(int)
                inside.append(values[x - 4 : x + 5, y - 4 : y + 5].mean())
        better += np.mean(inside) > np.mean(between)
    # Gas over a body can turn a film round; never most of them.
    assert better >= 15


def test_screws_and_cement_are_brighter_than_the_bodies() -> None:
    for seed in range(3):
        plain, metal = film(seed, "healthy", "left"), film(seed, "implant", "left")
        assert {"screws", "rods"} <= set(metal.findings) and set(plain.findings) <= set(VARIANTS)
        with_screws = [b for b in metal.bodies if "screws" in b.findings]
        without = [b for b in metal.bodies if not b.findings and b.level.startswith(("T", "L")) and b.grade == 0]
        peak = [np.percentile(metal.pixels[metal.label_map == b.label], 97) for b in with_screws]
        base = [np.median(metal.pixels[metal.label_map == b.label]) for b in with_screws + without]
        assert max(peak) > np.median(base)


def test_label_map_stays_inside_the_collimator() -> None:
    shut = 0
    for seed in range(8):
        made = film(seed)
        shut += not made.valid_area.all()
        assert not made.label_map[~made.valid_area].any()
    assert shut > 0


def test_kinds_are_mixed_by_seed() -> None:
    assert {generate_film(seed, height_px=128).kind for seed in range(24)} == {
        "healthy",
        "compression_fracture",
        "implant",
        "cement",
    }


def test_thoracic_films_label_thoracic_bodies() -> None:
    for seed in range(8):
        made = generate_film(seed, height_px=HEIGHT, region="thoracic")
        assert made.region == "thoracic"
        levels = [b.level for b in made.bodies]
        # T6-T11 lie on every film; S1 and the lower lumbar bodies on none.
        assert set(THORACIC[5:11]) <= set(levels) and not {"L4", "L5", "S1"} & set(levels)
        names = [*THORACIC, *LUMBAR]
        first = names.index(levels[0])
        assert levels == names[first : first + len(levels)]
        assert {b.label for b in made.bodies} == set(np.unique(made.label_map)) - {0}
        heights = [b.centre_xy_px[1] for b in made.bodies]
        assert heights == sorted(heights)


def test_thoracic_bodies_grow_downwards() -> None:
    for seed in range(4):
        made = generate_film(seed, kind="healthy", height_px=HEIGHT, region="thoracic")
        area = [(made.label_map == b.label).sum() for b in made.bodies if b.level in THORACIC[5:11]]
        assert area[-1] > 1.15 * area[0]


def test_lungs_are_darker_than_the_belly() -> None:
    darker = 0
    for seed in range(24):
        made = generate_film(seed, kind="healthy", height_px=256, region="thoracic", look="a", faces="left")
        named = {b.level: b for b in made.bodies}
        values = made.pixels.astype(float)

        def before(level: str, named=named, values=values) -> float:
            # From one to two body depths before a body.
            body = named[level].corners_xy_px
            depth = body[1, 0] - body[0, 0]
            x, y = body[:, 0].min() - 1.5 * depth, body[:, 1].mean()
            low, high = max(int(x - 0.5 * depth), 0), max(int(x + 0.5 * depth), 3)
            return float(np.median(values[low:high, int(y - 5) : int(y + 6)]))

        darker += before("T8") < before("T12")
    # Arms, breasts and the heart may lie over a lung, gas over the belly.
    assert darker >= 18


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="unknown kind 'x'"):
        generate_film(0, kind="x")
    with pytest.raises(ValueError, match="unknown side 'up'"):
        generate_film(0, faces="up")
    with pytest.raises(ValueError, match="unknown region 'neck'"):
        generate_film(0, height_px=128, region="neck")
    with pytest.raises(ValueError, match="unknown look 'c': choose one of a, b"):
        generate_film(0, height_px=128, look="c")
    with pytest.raises(ValueError, match="height_px is 60"):
        generate_film(0, height_px=60)
    with pytest.raises(ValueError, match="negative"):
        generate_film(-1)


def test_bodies_are_hardly_ever_burnt_out() -> None:
    for seed in range(200, 208):
        made = film(seed)
        values = made.pixels[made.label_map > 0]
        burnt = (values == values.max()).mean()
        # A marker, a screw or cement may saturate; the bodies themselves do not.
        assert burnt < 0.2
        assert np.unique(values).size > 100


def test_looks_differ_in_range() -> None:
    spread: dict[str, list[float]] = {"a": [], "b": []}
    for look in spread:
        for seed in range(12):
            made = generate_film(seed, kind="healthy", height_px=HEIGHT, look=look)
            assert made.look == look
            spread[look].append(float((made.pixels[made.valid_area] / made.pixels.max()).std()))
    # Multi-scale processing compresses the range; the same patients, so pairs can be compared.
    assert np.median(np.divide(spread["b"], spread["a"])) < 0.95


def test_look_leaves_patient_and_pose_alone() -> None:
    a, b = (generate_film(5, height_px=240, faces="left", look=look) for look in ("a", "b"))
    assert a.findings == b.findings and a.spacing_xy_mm == b.spacing_xy_mm
    for first, second in zip(a.bodies, b.bodies):
        np.testing.assert_array_equal(first.corners_xy_px, second.corners_xy_px)


def test_s1_lies_behind_and_below_l5_along_the_curve() -> None:
    for seed in range(8):
        named = {b.level: b for b in film(seed, "healthy", "left").bodies}
        if "S1" in named:
            l4, l5, s1 = (np.array(named[level].centre_xy_px) for level in ("L4", "L5", "S1"))
            pitch = np.hypot(*(l5 - l4))
            assert s1[1] > l5[1] and 0.5 * pitch < np.hypot(*(s1 - l5)) < 1.5 * pitch
            # The lumbosacral angle: the curve goes on backwards, never back on itself.
            assert (s1 - l5) @ (l5 - l4) > 0 and s1[0] > l5[0] - 0.3 * pitch


def test_film_of_the_whole_spine_has_small_bodies_from_the_chest_to_the_sacrum() -> None:
    for seed, kind in ((1, "healthy"), (2, "six_lumbar")):
        made = generate_film(seed, kind=kind, height_px=HEIGHT, region="whole")
        levels = {body.level for body in made.bodies}
        assert {*THORACIC[5:], *LUMBAR, "S1"} <= levels and ("L6" in levels) == (kind == "six_lumbar")
        depth = np.hypot(*np.subtract(*next(b for b in made.bodies if b.level == "L3").corners_xy_px[:2]))
        usual = next(b for b in film(1).bodies if b.level == "L3").corners_xy_px
        assert depth < 0.85 * np.hypot(*(usual[0] - usual[1]))
