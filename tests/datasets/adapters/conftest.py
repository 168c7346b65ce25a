"""Small films and data sets in the layouts in which they are published."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmnet_monai.datasets.adapters import ADAPTERS, Case, Options
from cmnet_monai.io import FilmError, read_label_map


def write_film(path: Path, size_xy: tuple[int, int] = (90, 140)) -> Path:
    """A film whose picture depends on its name alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(zlib.crc32(path.stem.encode())).integers(0, 255, (28, 18), dtype=np.uint8)
    Image.fromarray(coarse).resize(size_xy, Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def film() -> Callable[..., Path]:
    return write_film


@pytest.fixture
def load() -> Callable[..., tuple[dict[str, Case], dict[str, FilmError]]]:
    """Cases of a source by the stem of their film, and errors by the name of their file."""

    def load(name: str, source: Path, options: Options | None = None) -> tuple[dict, dict]:
        cases, errors = {}, {}
        for pending in ADAPTERS[name](source, options or Options()):
            try:
                case = pending.load()
            except FilmError as error:
                errors[Path(error.path).name] = error
            else:
                cases[case.image.stem] = case
        return cases, errors

    return load


@pytest.fixture
def sections() -> Callable[[Path], dict[str, Any]]:
    """Items of a datalist by the stem of their film, with their section and label map."""

    def read(datalist: Path) -> dict[str, Any]:
        content = json.loads(datalist.read_text())
        return {
            Path(item.get("image", item.get("ct"))).stem: {
                **item,
                "section": name,
                "map": read_label_map(datalist.parent / item["label"]) if "image" in item else None,
            }
            for name in ("training", "validation", "test")
            for item in content[name]
        }

    return read
