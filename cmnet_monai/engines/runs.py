"""Where a training run lives on disk: a fresh folder, or one to be resumed. Nothing is overwritten."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.distributed as dist
from monai.bundle import ConfigParser

from cmnet_monai.engines.state_dicts import read_checkpoint
from cmnet_monai.io.files.json import write_json

logger = logging.getLogger(__name__)

LAST_CHECKPOINT = "last.pt"
BEST_WEIGHTS = "best.pt"
SETTINGS_FILE = "settings.json"

FREE_SETTINGS = frozenset({"max_epochs", "val_interval", "num_workers", "cache_rate", "device", "output_dir", "resume"})
"""Settings that may change between the parts of one run."""


def as_switch(value: bool | str, name: str = "a switch") -> bool:
    """A setting that is on or off; MONAI's command line hands ``true`` and ``false`` on as words.

    Raises:
        ValueError: the value is neither.

    >>> as_switch("false"), as_switch(True)
    (False, True)
    """
    switch = {"true": True, "false": False}.get(str(value).lower())
    if switch is None:
        raise ValueError(f"{name} is true or false; got {value!r}")
    return switch


def config_settings() -> dict[str, Any]:
    """The settings of the config whose expression calls this: its plain values at the top, overrides included.

    Components, expressions and lists of them are none; a reference such as ``"@dataset_dir"`` is followed. MONAI gives
    an expression no other access to the config that it stands in than the call stack.

    Raises:
        RuntimeError: it was not called by an expression of a MONAI config.

    >>> config = {"seed": 3, "again": "@seed", "two": "$@seed - 1", "imports": ["$import cmnet_monai.engines as own"]}
    >>> ConfigParser({**config, "settings": "$own.config_settings()"}).get_parsed_content("settings")
    {'seed': 3, 'again': 3}
    """
    frame = inspect.currentframe()
    while frame is not None and not isinstance(frame.f_locals.get("self"), ConfigParser):
        frame = frame.f_back
    if frame is None:
        raise RuntimeError("config_settings is for expressions of a MONAI config")
    parser: ConfigParser = frame.f_locals["self"]
    settings = {}
    for name, value in parser.get().items():
        while isinstance(value, str) and value.startswith("@"):
            value = parser.get(value[1:])
        items = value if isinstance(value, (list, tuple)) else [value]
        if name != "bundle_root" and not any(isinstance(v, dict) or str(v).startswith("$") for v in items):
            settings[name] = value
    return settings


def prepare_run(output_dir: str | Path, settings: Mapping[str, Any], resume: str | bool = "auto") -> Path:
    """Make the folder of a training run ready and save its settings there.

    Args:
        output_dir: the run's folder: ``settings.json``, ``last.pt``, ``best.pt`` and logs.
        settings: resolved settings of the run, by name; those not in `FREE_SETTINGS` must stay the same to resume.
        resume: True continues the run found there; False starts afresh; "auto" continues a run of the same settings
            that has not finished, else starts afresh. A run that is not continued is moved aside to ``<name>.1``,
            ``<name>.2``, ... and kept.
    Returns:
        The folder.
    Raises:
        ValueError: `resume` is True and there is nothing to resume or its settings differ, or `resume` is no choice.
    """
    if resume != "auto":
        resume = as_switch(resume, 'resume (true, false or "auto")')
    folder = Path(output_dir)
    if not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0:
        _prepare(folder, json.loads(json.dumps(dict(settings), default=str)), resume)
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
    return folder


def _prepare(folder: Path, settings: dict[str, Any], resume: str | bool) -> None:
    found = _read_settings(folder)
    different = _differences(found, settings) if found is not None else []
    if resume is True:
        if found is None or not (folder / LAST_CHECKPOINT).is_file():
            raise ValueError(f"{folder}: no run to resume; leave --resume out to start one")
        if different:
            raise ValueError(f"{folder}: the run there has other settings ({', '.join(different)}); use the same ones")
    elif found is not None and (resume is False or different or _finished(folder, settings)):
        _move_aside(folder)
    elif found is not None:
        logger.info("%s: resuming the run found there", folder)
    write_json(folder / SETTINGS_FILE, settings, indent=2)


def _read_settings(folder: Path) -> dict[str, Any] | None:
    file = folder / SETTINGS_FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _differences(found: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    names = (set(found) | set(settings)) - FREE_SETTINGS
    return sorted(name for name in names if found.get(name) != settings.get(name))


def _finished(folder: Path, settings: Mapping[str, Any]) -> bool:
    last = folder / LAST_CHECKPOINT
    return last.is_file() and int(read_checkpoint(last)["epoch"]) >= int(settings.get("max_epochs", 0))


def _move_aside(folder: Path) -> None:
    number = 1
    while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    folder.rename(aside)
    logger.warning("%s: an earlier run is kept as %s", folder, aside)
