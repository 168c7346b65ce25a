"""What is dear is done once a film: its decoding, its border, its measures."""

from __future__ import annotations

import pkgutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bright_films import boxes, predict_bright

from cmnet_monai.io import write_dx

ONCE = (
    "cmnet_monai.io.films.radiograph_reader.read_film",
    "cmnet_monai.transforms.crop_border.CropBorder.compute_bounding_box",
    "cmnet_monai.transforms.film_result.measure_film",
    "cmnet_monai.transforms.film_result.find_flags",
)


def counting(calls: Counter, name: str, call: Callable) -> Callable:
    def counted(*args: Any, **kwargs: Any) -> Any:
        calls[name] += 1
        return call(*args, **kwargs)

    return counted


def test_a_film_is_decoded_cropped_and_measured_once_whatever_is_written(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films, calls = tmp_path / "films", Counter[str]()
    for seed, name in enumerate(("one", "two")):
        write_dx(films / f"{name}.dcm", boxes(seed), bits_stored=12, imager_spacing_xy_mm=(0.2, 0.3))
    for name in ONCE:
        monkeypatch.setattr(name, counting(calls, name, pkgutil.resolve_name(name)))
    everything = dict.fromkeys(("overlay", "dicom_seg", "dicom_sr", "dicom_flagged", "seg_nrrd"), True)

    def run() -> int:
        weights = tmp_path / "model.pt"
        done = predict_bright(films, tmp_path / "out", repository / "bundle", weights, num_workers=0, **everything)
        assert done.exit_code == 0 and (tmp_path / "out" / "one_sr.dcm").is_file()
        return done.done

    assert run() == 2 and calls == dict.fromkeys(ONCE, 2)
    calls.clear()
    assert run() == 0 and not calls
