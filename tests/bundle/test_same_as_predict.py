"""The MONAI command line and `cmnet-monai predict` leave the same files, byte for byte."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmnet_monai.io import read_film

COMMAND = "import sys; from cmnet_monai.cli.main import main; sys.exit(main())"


@pytest.fixture(scope="module")
def films(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic DICOM film and the same as PNG."""
    folder = tmp_path_factory.mktemp("films")
    shutil.copy(min((dataset / "films").glob("*.dcm")), folder / "film.dcm")
    pixels = read_film(folder / "film.dcm").pixels
    Image.fromarray(np.rint(255.0 * pixels / pixels.max()).astype(np.uint8).T.copy()).save(folder / "picture.png")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "manifest.json"}


def manifest_without_times(folder: Path) -> dict[str, Any]:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for record in [manifest, *manifest["films"].values()]:
        for key in ("started", "finished", "seconds"):
            record.pop(key, None)
    return manifest


def test_files_are_the_same(
    films: Path,
    repository: Path,
    environment: dict[str, str],
    monai_bundle: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setitem(environment, "SOURCE_DATE_EPOCH", "1700000000")
    switches = ("--dicom_seg", "true", "--dicom_sr", "true", "--overlay", "true", "--dicom_flagged", "true")
    config = ("--config_file", "bundle/configs/inference.json", "--bundle_root", "bundle")
    monai_bundle("run", *config, "--dataset_dir", films, "--output_dir", tmp_path / "monai", *switches)
    options = ("--dicom-seg", "--dicom-sr", "--dicom-flagged", "--bundle", "bundle")
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "predict", str(films), "-o", str(tmp_path / "predict"), *options],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in ("SEG", "SR"):  # a picture has none, which is no fault
        assert done.stdout.count(f"no DICOM {kind}: the film is not a DICOM file: 1 films") == 1
    found, expected = contents(tmp_path / "monai"), contents(tmp_path / "predict")
    assert {"film_seg.dcm", "film_sr.dcm", "film_overlay.png", "picture_overlay.png", "report.html"} <= set(found)
    assert "picture_seg.dcm" not in found
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []
    assert manifest_without_times(tmp_path / "monai") == manifest_without_times(tmp_path / "predict")
