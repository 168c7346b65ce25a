"""Bone simulated in vertebra labels: walls, inside, orientation, and volumes that cut a vertebra."""

from __future__ import annotations

import numpy as np
import pytest

from cmnet_monai.synthetic.ct_bodies import CORTEX_HU, SPONGIOSA_HU, TISSUE_HU, simulate_ct
from cmnet_monai.synthetic.from_ct import prepare_ct


def two_blocks() -> np.ndarray:
    """L2 and L3 as blocks of 20 x 30 x 24 voxels, 6 apart."""
    labels = np.zeros((30, 44, 70), np.uint8)
    labels[5:25, 7:37, 38:62], labels[5:25, 7:37, 8:32] = 21, 22
    return labels


def test_a_wall_of_one_voxel_around_spongiosa_in_soft_tissue() -> None:
    labels = two_blocks()
    hu = simulate_ct(labels, np.eye(4))
    assert hu.dtype == np.float32 and hu.shape == labels.shape
    assert (hu[labels == 0] == TISSUE_HU).all()
    inside = np.zeros(labels.shape, bool)
    inside[6:24, 8:36, 39:61] = inside[6:24, 8:36, 9:31] = True
    assert (hu[(labels > 0) & ~inside] == CORTEX_HU).all()
    assert hu[inside].mean() == pytest.approx(SPONGIOSA_HU, abs=15) and 30 < hu[inside].std() < 90
    np.testing.assert_array_equal(hu, simulate_ct(labels, np.eye(4)))
    assert (hu != simulate_ct(labels, np.eye(4), seed=1))[inside].mean() > 0.99


def test_trabeculae_run_along_the_patient_whatever_axis_that_is() -> None:
    labels = np.full((60, 60, 60), 22, np.uint8)
    # Voxel axes: superior, right, anterior, of 1, 1 and 2 mm.
    affine = np.array([[0.0, 1, 0, 0], [0, 0, 2, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    inside = simulate_ct(labels, affine)[5:-5, 5:-5, 5:-5]
    steps = [float(np.abs(np.diff(inside, axis=axis)).mean()) for axis in range(3)]
    assert steps[0] < steps[1] < steps[2]  # least along the patient, most from front to back


def test_where_the_volume_ends_a_vertebra_has_no_wall() -> None:
    labels = two_blocks()[:, :, 20:]
    hu = simulate_ct(labels, np.eye(4))
    assert (hu[8:22, 10:34, 0] < CORTEX_HU).all() and (hu[5, 10:34, 0] == CORTEX_HU).all()


def test_a_coarse_volume_has_walls_too() -> None:
    labels = np.zeros((10, 12, 12), np.uint8)
    labels[2:8, 2:10, 2:10] = 22
    hu = simulate_ct(labels, np.diag([3.0, 3.0, 3.0, 1.0]))
    assert (hu[2, 2:10, 2:10] == CORTEX_HU).all() and hu[5, 6, 6] < 500


def test_it_is_a_ct_to_make_films_of() -> None:
    labels = two_blocks()
    ct = prepare_ct(simulate_ct(labels, np.eye(4)), labels, np.eye(4))
    assert ct.tissue_hu == pytest.approx(TISSUE_HU) and not ct.wide


@pytest.mark.parametrize("labels", [np.zeros((4, 5, 6), np.uint8), np.ones((4, 5), np.uint8)])
def test_no_vertebra_and_no_volume_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="volume that holds a vertebra"):
        simulate_ct(labels, np.eye(4))
