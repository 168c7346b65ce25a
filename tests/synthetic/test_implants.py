from __future__ import annotations

import numpy as np

from cmnet_monai.synthetic import generate_film
from cmnet_monai.synthetic.anatomy import random_patient
from cmnet_monai.synthetic.film import place_patient
from cmnet_monai.synthetic.hardware import add_rare_implants
from cmnet_monai.synthetic.projection import Geometry, Material


def test_rare_implants_add_metal_to_some_patients() -> None:
    geometry = Geometry((300, 640), 0.8, 1200.0, (120.0, 250.0))
    peaks = []
    for seed in range(40):
        patient = place_patient(random_patient(seed, "implant"), (110.0, 330.0), 200.0)
        depth = np.zeros(geometry.shape, np.float32)
        add_rare_implants(depth, geometry, patient, Material(0.16), np.random.default_rng(seed))
        assert (depth >= 0).all()
        peaks.append(float(depth.max()))
    # Chances of 3 to 12 % each: about every third patient with screws has one.
    assert 6 <= sum(peak > 0.2 for peak in peaks) <= 26


def test_screws_may_reach_the_sacrum_and_say_so() -> None:
    seen = set()
    for seed in range(30):
        patient = random_patient(seed, "implant")
        s1 = "screws" in patient.sacrum[0].findings
        seen.add(s1)
        assert not s1 or "screws" in patient.vertebrae[-1].findings
    assert seen == {True, False}
    seed = next(s for s in range(30) if random_patient(s, "implant").sacrum[0].findings)
    bodies = {b.level: b for b in generate_film(seed, kind="implant", height_px=320).bodies}
    assert "S1" not in bodies or bodies["S1"].findings == ("screws",)
