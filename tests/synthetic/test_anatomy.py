from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from cmnet_monai.synthetic.anatomy import GENANT_LOSS, KINDS, random_patient


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
            assert patient.findings == () and all(v.grade == 0 for v in patient.vertebrae)
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
