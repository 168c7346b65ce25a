from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from cmnet_monai.synthetic.anatomy import GENANT_LOSS, KINDS, LEVELS, TRANSITIONAL, VARIANTS, random_patient
from cmnet_monai.synthetic.bodies import Vertebra
from cmnet_monai.synthetic.posterior import bears_ribs


def test_same_seed_gives_the_same_patient() -> None:
    assert random_patient(5, "implant") == random_patient(5, "implant")
    assert random_patient(5, "implant") != random_patient(6, "implant")


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown kind 'scoliosis': choose one of healthy"):
        random_patient(0, "scoliosis")


def test_wedge_lowers_the_anterior_height_by_its_grade() -> None:
    seen = set()
    for seed in range(60):
        for body in random_patient(seed, "compression_fracture").vertebrae:
            if body.deformity == "wedge":
                (_, s0), (_, s1), (_, s2), (_, s3) = body.corners_mm
                ratio = (s3 - s0) / (s2 - s1)
                low, high = GENANT_LOSS[body.grade]
                # The posterior wall may lose up to 0.3 * 0.25 of that loss; natural wedging shifts the ratio by 12 %.
                assert 1 - high - 0.12 <= ratio <= (1 - low) / (1 - 0.075 * high) + 0.01
                seen.add(body.grade)
    assert seen == {1, 2, 3}


def test_crush_lowers_both_ends_and_biconcave_the_middle_alone() -> None:
    seen = set()
    for seed in range(60):
        for body in random_patient(seed, "compression_fracture").vertebrae:
            (_, s0), (_, s1), (_, s2), (_, s3) = body.corners_mm
            if body.deformity == "crush" and body.grade == 3:
                assert max(s3 - s0, s2 - s1) < 0.62 * body.depth_mm
                seen.add("crush")
            if body.deformity == "biconcave":
                low, high = GENANT_LOSS[body.grade]
                assert low * 0.95 <= sum(body.fracture_bowl_mm) / body.height_mm <= high * 1.05
                seen.add("biconcave")
            else:
                assert body.fracture_bowl_mm == (0.0, 0.0)
    assert seen == {"crush", "biconcave"}


@pytest.mark.parametrize("kind", KINDS)
def test_findings_match_the_kind(kind: str) -> None:
    for seed in range(12):
        patient = random_patient(seed, kind)
        screws = sum("screws" in v.findings for v in patient.vertebrae)
        assert (screws >= 2) == (kind == "implant")
        if kind == "healthy":
            assert set(patient.findings) <= set(VARIANTS) and all(v.grade == 0 for v in patient.vertebrae)
        if kind == "cement":
            assert any("cement" in v.findings for v in patient.vertebrae)
        if kind == "compression_fracture":
            assert any(v.deformity != "none" and v.grade > 0 for v in patient.vertebrae)


def test_bodies_are_stacked_from_top_to_bottom_without_overlap() -> None:
    for seed in range(20):
        bodies = [*random_patient(seed).vertebrae, random_patient(seed).sacrum[0]]
        assert [b.level for b in bodies][-6:] == ["L1", "L2", "L3", "L4", "L5", "S1"]
        for upper, lower in pairwise(bodies):
            gap = np.hypot(*np.subtract(lower.centre_mm[:2], upper.centre_mm[:2]))
            assert 0.5 * (upper.height_mm + lower.height_mm) * 0.95 < gap < 45
            assert lower.centre_mm[1] > upper.centre_mm[1]


def test_lumbar_spine_is_lordotic() -> None:
    tilts = np.array([[v.tilt_rad for v in random_patient(seed).vertebrae[-5:]] for seed in range(40)])
    # Upper lumbar bodies lean back, L5 leans forward; about 12 degrees back and 21 forward on films.
    assert -20 < np.rad2deg(tilts[:, 0].mean()) < -4
    assert 12 < np.rad2deg(tilts[:, -1].mean()) < 30


def _middle(body: Vertebra, lower: bool) -> np.ndarray:
    first, second = body.corners_mm[2 if lower else 0], body.corners_mm[3 if lower else 1]
    return 0.5 * (np.array(body.to_world(*first)) + body.to_world(*second))[:2]


def test_slips_are_as_long_as_they_say() -> None:
    found = set()
    for seed in range(40):
        patient = random_patient(seed, "compression_fracture")
        bodies = [*patient.vertebrae, patient.sacrum[0]]
        for upper, lower in pairwise(bodies):
            # S1's end plate has the sacral slope, which its wall does not show: take it from the corners.
            a, b = (np.array(lower.to_world(*corner)) for corner in lower.corners_mm[:2])
            below = np.arctan2(a[1] - b[1], b[0] - a[0]) if lower.level == "S1" else lower.tilt_rad
            along = 0.5 * (upper.tilt_rad + below)
            offset = _middle(upper, lower=True) - _middle(lower, lower=False)
            forwards = -offset @ (np.cos(along), -np.sin(along))
            assert forwards == pytest.approx(upper.slip_mm, abs=1e-6)
            found |= {name for name in patient.findings if name.endswith("listhesis")}
        assert ("spondylolisthesis" in patient.findings) == any(v.slip_mm > 3 for v in patient.vertebrae)
    assert found == {"spondylolisthesis", "retrolisthesis"}


def test_end_plates_of_neighbours_do_not_cross() -> None:
    for seed in range(60):
        patient = random_patient(seed)
        for upper, lower in pairwise([*patient.vertebrae, patient.sacrum[0]]):
            tilt = lower.tilt_rad
            down = np.array([np.sin(tilt), np.cos(tilt)])
            for i, j in ((3, 0), (2, 1)):
                gap = (np.array(lower.to_world(*lower.corners_mm[j])) - upper.to_world(*upper.corners_mm[i]))[:2] @ down
                # A slip of up to 19 mm moves corners along a wedge of 20 degrees.
                assert gap > -0.1 - 0.4 * abs(upper.slip_mm)


def test_sacrum_hangs_below_l5_and_tapers() -> None:
    for seed in range(30):
        patient = random_patient(seed)
        s1, s2 = patient.sacrum[:2]
        assert _middle(s1, lower=False) == pytest.approx([0, 0], abs=1e-9)
        assert patient.vertebrae[-1].level == "L5" and patient.vertebrae[-1].centre_mm[1] < 0 < s1.centre_mm[1]
        # The promontory is the foremost point of S1, and S2 lies behind S1.
        front = [s1.to_world(*corner)[0] for corner in s1.corners_mm]
        assert min(front) == front[0] and s2.centre_mm[0] > s1.centre_mm[0]
        depths = [s.depth_mm for s in patient.sacrum]
        assert depths == sorted(depths, reverse=True)


def test_sacral_slopes_are_as_wide_as_in_patients() -> None:
    slopes = []
    for seed in range(80):
        a, b = (random_patient(seed).sacrum[0].to_world(*c) for c in random_patient(seed).sacrum[0].corners_mm[:2])
        slopes.append(np.rad2deg(np.arctan2(a[1] - b[1], b[0] - a[0])))
    # Standing adults: 41 +- 8 degrees (Legaye, 1998), wider here on purpose.
    assert 36 < np.mean(slopes) < 45 and min(slopes) < 22 and max(slopes) > 60


def test_transitional_vertebrae_are_rare_and_recorded() -> None:
    patients = [random_patient(seed) for seed in range(200)]
    kinds = [p.transitional for p in patients if p.transitional]
    assert set(kinds) == set(TRANSITIONAL) and 4 <= len(kinds) <= 24
    for patient in patients:
        assert {f for f in patient.findings if f in TRANSITIONAL} == ({patient.transitional} - {""})
        # The label rule: whatever the anatomy, five bodies lie above the lowest full disc.
        assert [v.level for v in patient.vertebrae] == list(LEVELS)
        if patient.transitional == "sacralised":
            assert patient.sacrum_look.remnants[0] > 0.65


def test_six_lumbar_bodies_lie_under_the_last_ribs() -> None:
    six, five = random_patient(3, "six_lumbar"), random_patient(3, "healthy")
    assert [v.level for v in six.vertebrae] == [*[f"T{i}" for i in range(2, 13)], *[f"L{i}" for i in range(1, 7)]]
    assert [v.label for v in six.vertebrae][-7:] == [19, 20, 21, 22, 23, 24, 25]
    assert len(six.vertebrae) == len(five.vertebrae)
    ribs = [v.level for v in six.vertebrae if bears_ribs(v, replace(six, transitional=""))]
    assert ribs[-1] == "T12"
