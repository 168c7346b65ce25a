"""A stand-in for the decoder, for tests of what lies around it: every region of the vertebra map is a body."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from cmnet_monai.conventions import LABEL_OF_LEVEL, LUMBAR, THORACIC, VERTEBRA_CHANNEL
from cmnet_monai.decode import NamedBody, VertebraReading

UPWARDS = (*reversed(LUMBAR), *reversed(THORACIC))


def read_regions(maps: np.ndarray, threshold: float = 0.5, *rest: Any, **more: Any) -> VertebraReading:
    """Bodies of 60 pixels and more, the lowest of which is L5."""
    regions, count = ndimage.label(maps[VERTEBRA_CHANNEL] >= threshold)
    areas = np.bincount(regions.ravel(), minlength=count + 1)
    centres = {n: ndimage.center_of_mass(regions == n) for n in range(1, count + 1) if areas[n] >= 60}
    upwards = sorted(centres, key=lambda n: -centres[n][1])
    labels = np.zeros(regions.shape, dtype=np.uint8)
    bodies = []
    for level, region in zip(UPWARDS, upwards):
        labels[regions == region] = LABEL_OF_LEVEL[level]
        x, y = centres[region]
        bodies.append(NamedBody(region, level, (float(x), float(y)), 0.5, "lowest body taken for L5", 0.1, 1.0))
    return VertebraReading(tuple(reversed(bodies)), labels, np.zeros(regions.shape, dtype=bool))


@pytest.fixture(scope="module", autouse=True)
def plain_decoding() -> Any:
    """Import this into a module of tests: each of its runs in this process decodes so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cmnet_monai.transforms.post_vertebrae.read_maps", read_regions)
        yield
