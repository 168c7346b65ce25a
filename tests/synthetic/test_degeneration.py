from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from cmnet_monai.synthetic.anatomy import DISC_MM, random_patient
from cmnet_monai.synthetic.bodies import Patient
from cmnet_monai.synthetic.degeneration import add_degeneration, disc_gap_mm
from cmnet_monai.synthetic.film import place_patient
from cmnet_monai.synthetic.projection import FloatArray, Geometry
from cmnet_monai.synthetic.vertebra import outline_mask


@pytest.fixture
def geometry() -> Geometry:
    return Geometry((300, 640), 0.8, 1200.0, (120.0, 250.0))


def drawn(patient: Patient, geometry: Geometry) -> FloatArray:
    depth = np.zeros(geometry.shape, np.float32)
    add_degeneration(depth, geometry, place_patient(patient, (110.0, 330.0), 200.0))
    return depth


def test_gap_is_the_distance_of_two_end_plates() -> None:
    upper, lower = random_patient(3).vertebrae[-2:]
    flat = {"tilt_rad": 0.0, "corners_mm": ((-16.0, -12.0), (16.0, -12.0), (16.0, 12.0), (-16.0, 12.0))}
    upper = replace(upper, centre_mm=(0.0, 0.0, 0.0), **flat)
    lower = replace(lower, centre_mm=(3.0, 28.0, 0.0), **flat)
    # 28 mm between the centres less two half heights of 12 mm: 4 mm down and 3 mm across.
    assert disc_gap_mm(upper, lower) == pytest.approx(5.0)


def test_wear_follows_from_the_patient_alone(geometry: Geometry) -> None:
    patient = random_patient(5, "compression_fracture")
    np.testing.assert_array_equal(drawn(patient, geometry), drawn(patient, geometry))
    assert (drawn(patient, geometry) != drawn(replace(patient, seed=6), geometry)).any()


def test_spines_with_worn_discs_show_more() -> None:
    def worn(patient: Patient) -> int:
        pairs = pairwise([*patient.vertebrae, patient.sacrum[0]])
        return sum(disc_gap_mm(u, v) < 0.68 * DISC_MM[u.level] * patient.size for u, v in pairs)

    geometry = Geometry((150, 320), 1.6, 1200.0, (120.0, 250.0))
    patients = [random_patient(seed) for seed in range(80)]
    area = {
        many: np.mean([(np.abs(drawn(p, geometry)) > 0.02).mean() for p in patients if (worn(p) > 4) == many])
        for many in (True, False)
    }
    assert area[True] > 1.5 * area[False]


def test_wear_stays_near_the_spine(geometry: Geometry) -> None:
    for seed in range(10):
        patient = place_patient(random_patient(seed, "compression_fracture"), (110.0, 330.0), 200.0)
        near = np.zeros(geometry.shape, bool)
        for body in (*patient.vertebrae, patient.sacrum[0]):
            found = outline_mask(body, geometry)
            if found is not None:
                x, y = found[0]
                near[max(x.start - 20, 0) : x.stop + 20, max(y.start - 20, 0) : y.stop + 20] = True
        depth = np.zeros(geometry.shape, np.float32)
        add_degeneration(depth, geometry, patient)
        assert not depth[~near].any()
