from __future__ import annotations

import json
from pathlib import Path

import pytest

from cmnet_monai.io.files.calibration import read_calibration

CONTENT = {
    "weights_sha256": "ab12",
    "settings": {"mirror": True, "spatial_size": [288, 384], "threshold": 0.5},
    "calibration": {"intercept": 1.5, "score_weight": 1, "uncertainty_weight": -2.0},
}
SETTINGS = {"mirror": True, "spatial_size": [288, 384], "threshold": 0.5, "levels": ["L1"]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(CONTENT), encoding="utf-8")
    return path


def test_constants_count_for_their_weights_and_settings(file: Path) -> None:
    constants = {"intercept": 1.5, "score_weight": 1.0, "uncertainty_weight": -2.0}
    assert read_calibration(file, "ab12", SETTINGS) == constants
    assert read_calibration(file, "ab12", {**SETTINGS, "mirror": "true"}) == constants  # as a command line says it


@pytest.mark.parametrize("other", [{"mirror": False}, {"spatial_size": [384, 288]}, {"threshold": 0.4}])
def test_other_weights_settings_or_no_file_have_none(file: Path, other: dict) -> None:
    assert read_calibration(file, "ab12", {**SETTINGS, **other}) == {}
    assert read_calibration(file, "cd34", SETTINGS) == {}
    assert read_calibration(file, "b1", SETTINGS) == {}
    assert read_calibration(file.parent / "none.json", "ab12", SETTINGS) == {}


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"weights_sha256": "a", "settings": {}, "calibration": {"a": "b"}}']
)
def test_broken_file_is_named(file: Path, content: str) -> None:
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"calibration\.json: not a calibration"):
        read_calibration(file, "ab12", SETTINGS)
