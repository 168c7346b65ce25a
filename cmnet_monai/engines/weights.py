"""What weights were trained with: one JSON file beside them, which every command reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from cmnet_monai.conventions import channel_names
from cmnet_monai.engines.runs import SETTINGS_FILE, as_switch
from cmnet_monai.io.files.json import write_json
from cmnet_monai.io.files.results import file_sha256

_SHA256 = "sha256"


@dataclass(frozen=True)
class WeightsRecord:
    """The settings that belong to weights, and which file they are for.

    ``model.json`` is the record of ``model.pt``, and of the same network as ``model.ts`` or ``model.onnx`` beside it;
    its entry ``sha256`` names the files that it is for.

    Args:
        spatial_size: (x, y) size of the network's grid.
        label_protocol: see `cmnet_monai.conventions.channel_names`.
        base_channels: channels of the network's finest level.
        heatmap_sigma: standard deviation of a centre's or a prompt's Gaussian, in pixels of the grid.
        network_name: see `cmnet_monai.networks.make_network`.
        corner_channel: whether the output's last channel is the corners of the bodies.
        equalisation: whether films were equalised, see `cmnet_monai.transforms.FilmPreprocessing`.
        crop_border: whether their empty borders were cut off.
        file: the weights; "" where there are none yet.
        sha256: of the file as it is.
        recorded_sha256: of the file as the record says; "" where it says nothing.
    Raises:
        ValueError: a setting has no such value.
    """

    spatial_size: tuple[int, int]
    label_protocol: str
    base_channels: int
    heatmap_sigma: float
    network_name: str = "cmnet"
    corner_channel: bool = False
    equalisation: bool = True
    crop_border: bool = True
    file: str = ""
    sha256: str = ""
    recorded_sha256: str = ""

    def __post_init__(self) -> None:
        for name in SETTINGS:
            object.__setattr__(self, name, _plain(name, getattr(self, name)))

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels of the network's output."""
        return channel_names(self.label_protocol) + (("corner",) if self.corner_channel else ())

    @property
    def settings(self) -> dict[str, Any]:
        """The settings by name, as JSON has them."""
        return {
            name: list(value) if name == "spatial_size" else value
            for name, value in asdict(self).items()
            if name in SETTINGS
        }


SETTINGS = tuple(
    field.name for field in fields(WeightsRecord) if field.name not in ("file", _SHA256, "recorded_sha256")
)
"""Names of the settings; the first four have no default."""
_REQUIRED = SETTINGS[:4]


def record_path(weights: str | Path) -> Path:
    """Where the record of weights is: ``best.json`` for ``best.pt``."""
    return Path(weights).with_suffix(".json")


def read_weights_record(path: str | Path, **given: Any) -> WeightsRecord:
    """The settings of weights: those of their record, or of ``settings.json`` of the run that they lie in.

    Args:
        path: the weights, in any format.
        given: settings that a user gave, by name; None: not given. They stand in for a record where there is none.
    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: a given setting contradicts the record, a setting is nowhere to be found, the file is not the one
            that was recorded, or the record is none.
    """
    weights = Path(path)
    if not weights.is_file():
        raise FileNotFoundError(f"{weights}: no weights there; a training run keeps its best as best.pt")
    unknown = sorted(set(given) - set(SETTINGS))
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no setting of weights; those are {', '.join(SETTINGS)}")
    source, recorded, digests = _read(weights)
    chosen = dict(recorded)
    for name, value in given.items():
        if value is None:
            continue
        chosen[name] = _plain(name, value)
        if name in recorded and chosen[name] != _plain(name, recorded[name]):
            raise ValueError(
                f"{weights}: {name} is {_text(recorded[name])} by {source.name} beside the weights, but "
                f"{_text(value)} was given; leave {name} out, or give weights that were trained with it"
            )
    missing = [name for name in _REQUIRED if name not in chosen]
    if missing:
        raise ValueError(
            f"{weights}: no {record_path(weights).name} beside the weights says what they were trained with. Give "
            f"{', '.join(missing)}; or write the record once, with these settings: python -m cmnet_monai.evaluation "
            f"pack-weights {weights.name} OUTPUT.pt --set {missing[0]}=..."
        )
    digest, wanted = file_sha256(weights), digests.get(weights.name, "")
    if wanted and digest != wanted:
        raise ValueError(
            f"{weights}: its SHA-256 begins with {digest[:12]}, {source.name} beside it says {wanted[:12]}: the file "
            "is damaged or was exchanged. Get it again; if the exchange is yours, renew or delete that record"
        )
    return WeightsRecord(**chosen, file=str(path), sha256=digest, recorded_sha256=wanted)


def write_weights_record(path: str | Path, record: WeightsRecord) -> WeightsRecord:
    """Write the record of weights beside them; a record of other formats of the same network keeps their entries.

    Args:
        path: the weights, as they are now.
        record: its settings count, not the file that it was for.
    Returns:
        The record of the file.
    """
    weights, digest = Path(path), file_sha256(path)
    others: dict[str, str] = {}
    if record_path(weights).is_file():
        _, settings, digests = _read(weights)
        others = digests if settings == record.settings else {}
    content = {_SHA256: {**others, weights.name: digest}, **record.settings}
    write_json(record_path(weights), content)
    return replace(record, file=str(path), sha256=digest, recorded_sha256=digest)


def _read(weights: Path) -> tuple[Path, dict[str, Any], dict[str, str]]:
    """The file that has the settings of weights, the settings, and SHA-256 by name of file."""
    source = record_path(weights)
    if not source.is_file():
        source = weights.with_name(SETTINGS_FILE)
    if not source.is_file():
        return source, {}, {}
    try:
        content: Mapping[str, Any] = json.loads(source.read_text(encoding="utf-8"))
        if source.name == SETTINGS_FILE:
            return source, {name: content[name] for name in SETTINGS if name in content}, {}
        digests = {str(name): str(value).lower() for name, value in dict(content[_SHA256]).items()}
        return source, WeightsRecord(**{name: content[name] for name in SETTINGS if name in content}).settings, digests
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{source}: no record of weights ({type(error).__name__}: {error}); delete it") from error


def _plain(name: str, value: Any) -> Any:
    """A setting in its type; a command line gives words."""
    try:
        if name == "spatial_size":
            width, height = value if not isinstance(value, str) else json.loads(value)
            return int(width), int(height)
        if name in ("corner_channel", "equalisation", "crop_border"):
            return as_switch(value, name)
        if name == "label_protocol":
            channel_names(str(value))
        return {"base_channels": int, "heatmap_sigma": float}.get(name, str)(value)
    except TypeError as error:
        raise ValueError(f"{name}: no such value: {value!r}") from error


def _text(value: Any) -> str:
    return " x ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
