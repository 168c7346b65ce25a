from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from cmnet_monai.engines import WeightsRecord, read_weights_record, write_weights_record

SETTINGS = {"spatial_size": [96, 160], "label_protocol": "visible", "base_channels": 8, "heatmap_sigma": 2.5}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    return path


def write(weights: Path, **changes: Any) -> WeightsRecord:
    return write_weights_record(weights, WeightsRecord(**{**SETTINGS, **changes}))


def test_record_is_one_plain_json_file_beside_the_weights(weights: Path) -> None:
    write(weights, equalisation=False)
    assert json.loads((weights.parent / "model.json").read_text(encoding="utf-8")) == {
        "sha256": {"model.pt": hashlib.sha256(b"weights").hexdigest()},
        **SETTINGS,
        "network_name": "cmnet",
        "corner_channel": False,
        "equalisation": False,
        "crop_border": True,
    }


def test_settings_that_are_not_given_come_from_the_record(weights: Path) -> None:
    written = write(weights, corner_channel=True)
    found = read_weights_record(weights, spatial_size=None, heatmap_sigma="2.5")
    assert found == written and found.spatial_size == (96, 160)
    assert found.channel_names == ("centre", "vertebra", "s1", "corner")
    assert found.sha256 == found.recorded_sha256 == hashlib.sha256(b"weights").hexdigest()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("spatial_size", [288, 384], r"model\.pt: spatial_size is 96 x 160 by model\.json .* 288 x 384 was given"),
        ("label_protocol", "lumbar", "label_protocol is visible by .* lumbar was given"),
        ("equalisation", "false", "equalisation is True by .* false was given"),
    ],
)
def test_contradiction_names_both_values_and_the_file(weights: Path, name: str, value: Any, message: str) -> None:
    write(weights)
    with pytest.raises(ValueError, match=message):
        read_weights_record(weights, **{name: value})


def test_weights_without_a_record_say_what_to_do(weights: Path) -> None:
    with pytest.raises(
        ValueError, match=r"no model\.json beside .* Give label_protocol, base_channels; .*pack-weights"
    ):
        read_weights_record(weights, spatial_size="[96, 160]", heatmap_sigma=2.5)
    found = read_weights_record(weights, **SETTINGS)
    assert (found.settings["spatial_size"], found.recorded_sha256) == ([96, 160], "")


def test_earlier_run_is_known_by_its_settings(weights: Path) -> None:
    (weights.parent / "settings.json").write_text(json.dumps({**SETTINGS, "max_epochs": 3}), encoding="utf-8")
    assert read_weights_record(weights).spatial_size == (96, 160)
    with pytest.raises(ValueError, match=r"base_channels is 8 by settings\.json"):
        read_weights_record(weights, base_channels=16)


def test_exchanged_or_damaged_weights_are_refused(weights: Path) -> None:
    write(weights)
    weights.write_bytes(b"others")
    with pytest.raises(ValueError, match=r"model\.pt: its SHA-256 begins with .*damaged or was exchanged"):
        read_weights_record(weights)


def test_formats_of_one_network_share_a_record(weights: Path) -> None:
    write(weights)
    script = weights.with_suffix(".ts")
    script.write_bytes(b"script")
    write_weights_record(script, read_weights_record(weights))
    digests = {path.name: read_weights_record(path).recorded_sha256 for path in (weights, script)}
    assert digests == {
        "model.pt": hashlib.sha256(b"weights").hexdigest(),
        "model.ts": hashlib.sha256(b"script").hexdigest(),
    }
    write(script, base_channels=16)  # another network: what was said of its namesake goes
    assert read_weights_record(weights).recorded_sha256 == ""


@pytest.mark.parametrize("content", ["{", "[]", "{}", json.dumps({**SETTINGS, "sha256": {}, "label_protocol": "x"})])
def test_record_that_is_none_is_named(weights: Path, content: str) -> None:
    (weights.parent / "model.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"model\.json: no record of weights"):
        read_weights_record(weights)


def test_missing_weights_and_unknown_settings_are_named(weights: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pt: no weights there"):
        read_weights_record(weights.with_name("none.pt"))
    with pytest.raises(ValueError, match="colour: no setting of weights"):
        read_weights_record(weights, colour=1)
