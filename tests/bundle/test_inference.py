"""A folder of films in, masks and centres in the films' own geometry out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from PIL import Image
from plain_decoding import plain_decoding  # noqa: F401
from torch import Tensor, nn

from cmnet_monai.decode import read_maps
from cmnet_monai.io import TEMPORARY_PREFIX, write_dx

BODIES_XY = ((50, 95, 30, 62), (56, 104, 80, 115), (66, 113, 133, 168), (80, 130, 187, 221), (97, 150, 240, 277))
"""Five boxes on an oblique line, (x from, x to, y from, y to) in pixels of the film: no symmetry, no two alike."""
SIZE_XY = (221, 403)
SPACING_XY = (0.2, 0.3)
SMALL = {"spatial_size": [64, 128], "base_channels": 8}


class BrightIsVertebra(nn.Module):
    """Calls the brightest pixels of a film vertebra, and nothing a centre or S1; looks at no prompt."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.93))

    def forward(self, x: Tensor) -> Tensor:
        film = x[:, :1]
        low = torch.full_like(film, -20.0)
        return torch.cat((low, (film - self.level) * 200.0, low), dim=1)


class PromptIsVertebra(nn.Module):
    """Calls what it is prompted with both centre and vertebra; without a prompt it finds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        prompt = x[:, 1:] if x.shape[1] > 1 else torch.zeros_like(x)
        seen = (prompt - self.level) * 20.0
        return torch.cat((seen, seen, torch.full_like(seen, -20.0)), dim=1)


def film_with_boxes() -> np.ndarray:
    pixels = np.random.default_rng(0).integers(100, 900, SIZE_XY).astype(np.uint16)
    for x0, x1, y0, y1 in BODIES_XY:
        pixels[x0:x1, y0:y1] = 4000
    return pixels


def true_mask() -> np.ndarray:
    return film_with_boxes() == 4000


@pytest.fixture(scope="module")
def mixed_folder(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    """Films in folders and formats, a DICOM cut short, a letter with a film's name, and notes."""
    folder = tmp_path_factory.mktemp("mixed")
    film = dataset / "films" / "film_00000.dcm"
    for place in ("a/b", "c"):
        (folder / place).mkdir(parents=True)
    shutil.copy(film, folder / "a" / "b" / "IM0001")
    write_dx(
        folder / "a" / "wide.dcm", film_with_boxes(), bits_stored=12, monochrome1=True, imager_spacing_xy_mm=SPACING_XY
    )
    Image.fromarray((film_with_boxes() // 16).astype(np.uint8).T).save(folder / "c" / "picture.png")
    (folder / "c" / "short.dcm").write_bytes(film.read_bytes()[:20_000])
    (folder / "c" / "letter.dcm").write_text("Dear colleague, the film follows.\n" * 50, encoding="utf-8")
    (folder / "notes.txt").write_text("not a film", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def results(
    mixed_folder: Path, weights: Path, monai_bundle: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What the command makes of the mixed folder, three films at a time."""
    output = tmp_path_factory.mktemp("results") / "out"
    config = ("--config_file", "bundle/configs/inference.json", "--bundle_root", "bundle", "--ckpt_path", weights)
    small = (
        "--spatial_size",
        "[64,128]",
        "--base_channels",
        8,
        "--label_protocol",
        "levels",
        "--heatmap_sigma",
        4,
        "--batch_size",
        3,
    )
    monai_bundle("run", *config, "--dataset_dir", mixed_folder, "--output_dir", output, *small)
    return output


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_film_has_its_files_and_bad_ones_a_reason(results: Path, mixed_folder: Path, weights: Path) -> None:
    manifest = read_json(results / "manifest.json")
    films = manifest["films"]
    assert {name: film["status"] for name, film in films.items()} == {
        "IM0001": "done",
        "wide": "done",
        "picture": "done",
        "short": "failed",
        "letter": "failed",
    }
    for name in ("short", "letter"):
        assert films[name]["film"] == str(mixed_folder / "c" / f"{name}.dcm")
        assert films[name]["reason"] and films[name]["remedy"]
        assert "FilmError" not in films[name]["reason"] and "RuntimeError" not in films[name]["reason"]
    endings = ("_mask.nii.gz", "_mask.png", "_labels.nii.gz", "_labels.png", "_centres.json", "_result.json")
    expected = {f"{name}{ending}" for name in ("IM0001", "wide", "picture") for ending in endings}
    tables = {f"{table}.csv" for table in ("films", "vertebrae", "discs", "flags", "failures")}
    pages = {"manifest.json", "report.html", "levels.ctbl", "levels_itksnap.txt"}
    assert {file.name for file in results.iterdir()} == expected | tables | pages
    assert manifest["counts"] == {"done": 3, "kept from an earlier run": 0, "failed": 2, "pending": 0}
    assert manifest["weights"]["file"] == str(weights) and len(manifest["weights"]["sha256"]) == 64
    assert manifest["settings"]["spatial_size"] == [64, 128]
    assert {"python", "monai", "torch", "cmnet-monai"} <= set(manifest["versions"])
    assert manifest["started"] and manifest["finished"]
    assert all(films[name]["seconds"] > 0 for name in ("IM0001", "wide", "picture"))


@pytest.mark.parametrize(("name", "path"), [("IM0001", "a/b/IM0001"), ("wide", "a/wide.dcm")])
def test_masks_have_the_grid_that_others_see_in_the_film(
    results: Path, mixed_folder: Path, name: str, path: str
) -> None:
    film = sitk.ReadImage(str(mixed_folder / path))
    mask = sitk.ReadImage(str(results / f"{name}_mask.nii.gz"))
    assert mask.GetSize() == film.GetSize()
    # NIfTI keeps float32.
    np.testing.assert_allclose(mask.GetSpacing(), film.GetSpacing(), rtol=1e-6)
    np.testing.assert_allclose(mask.GetDirection(), np.eye(3).ravel(), atol=1e-6)
    np.testing.assert_allclose(mask.GetOrigin(), 0, atol=1e-6)
    nifti = nibabel.load(results / f"{name}_mask.nii.gz")
    assert nifti.shape == film.GetSize()
    np.testing.assert_allclose(nifti.header.get_zooms()[:2], film.GetSpacing()[:2], rtol=1e-6)
    with Image.open(results / f"{name}_mask.png") as png:
        assert png.size == film.GetSize()[:2]
        np.testing.assert_array_equal(np.asarray(png).T > 0, nifti.get_fdata()[..., 0] > 0)


def test_spacing_is_written_as_known_or_unknown(results: Path) -> None:
    wide, picture = (read_json(results / f"{name}_centres.json") for name in ("wide", "picture"))
    assert wide["spacing_xy_mm"] == pytest.approx(SPACING_XY) and wide["spacing_provenance"] == "detector"
    assert picture["spacing_xy_mm"] is None and picture["spacing_provenance"] == "none"
    units = [nibabel.load(results / f"{n}_mask.nii.gz").header.get_xyzt_units()[0] for n in ("wide", "picture")]
    assert units == ["mm", "unknown"]


@pytest.fixture(scope="module")
def box_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("boxes") / "model.pt"
    torch.save(BrightIsVertebra().state_dict(), path)
    return path


@pytest.mark.parametrize("grid", [[221, 403], [128, 256], [150, 151]])
@pytest.mark.parametrize("film", ["a/wide.dcm", "c/picture.png"])
def test_mask_comes_back_where_it_was_drawn(
    infer: Callable[..., dict], mixed_folder: Path, box_weights: Path, tmp_path: Path, film: str, grid: list[int]
) -> None:
    settings = {"ckpt_path": str(box_weights), "spatial_size": grid}
    infer(mixed_folder / film, tmp_path, network_def=BrightIsVertebra(), **settings)
    name = Path(film).stem
    with Image.open(tmp_path / f"{name}_mask.png") as png:
        mask = np.asarray(png).T > 0
    nifti = np.asarray(nibabel.load(tmp_path / f"{name}_mask.nii.gz").dataobj)[..., 0] > 0
    np.testing.assert_array_equal(mask, nifti)
    scale = min(grid[0] / SIZE_XY[0], grid[1] / SIZE_XY[1])
    # A border may move by the grid's pixel: half one by sampling, half one by the threshold.
    slack = 0 if scale == 1 else int(np.ceil(1 / scale))
    wrong = mask ^ true_mask()
    assert not wrong[distance_to_borders() > slack].any()
    centres = read_json(tmp_path / f"{name}_centres.json")["centres"]
    assert [centre["level"] for centre in centres] == ["L1", "L2", "L3", "L4", "L5"]
    true_xy = [((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2) for x0, x1, y0, y1 in BODIES_XY]
    found_xy = [(centre["x_px"], centre["y_px"]) for centre in centres]
    # The centroid of a thresholded box errs by up to half a pixel of the grid along each axis.
    np.testing.assert_allclose(found_xy, true_xy, atol=1e-3 if scale == 1 else 0.5 / scale)


def distance_to_borders() -> np.ndarray:
    """Distance of each pixel to the nearest pixel on the other side of a body's border, px."""
    from scipy import ndimage

    mask = true_mask()
    return np.where(mask, ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask))


def test_second_run_makes_only_what_is_missing_or_outdated(
    infer: Callable[..., dict], mixed_folder: Path, box_weights: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("one", "two", "three"):
        shutil.copy(mixed_folder / "c" / "picture.png", folder / f"{name}.png")
    output = folder / "out"  # inside the folder of films: masks must not be taken for films

    def run(**more: Any) -> dict[str, str]:
        settings = {"ckpt_path": str(box_weights), "spatial_size": [64, 128], **more}
        manifest = infer(folder, output, network_def=BrightIsVertebra(), **settings)
        return {name: film["status"] for name, film in manifest["films"].items()}

    kept = "kept from an earlier run"
    assert run() == dict.fromkeys(("one", "two", "three"), "done")
    of_films = [file for name in ("one", "two", "three") for file in output.glob(f"{name}_*")]
    stamps = {file.name: file.stat().st_mtime_ns for file in of_films}
    assert len(stamps) == 18
    assert run() == dict.fromkeys(("one", "two", "three"), kept)
    assert {name: (output / name).stat().st_mtime_ns for name in stamps} == stamps
    (output / "one_mask.png").unlink()
    os.utime(folder / "two.png", ns=(1, 1))
    assert run() == {"one": "done", "two": "done", "three": kept}
    assert run(threshold=0.6) == dict.fromkeys(("one", "two", "three"), "done")


def test_anonymous_names_show_nothing_of_the_films_name(
    infer: Callable[..., dict], mixed_folder: Path, box_weights: Path, tmp_path: Path
) -> None:
    film = tmp_path / "Doe_Jane_1970.png"
    shutil.copy(mixed_folder / "c" / "picture.png", film)
    output = tmp_path / "out"
    settings = {"ckpt_path": str(box_weights), "spatial_size": [64, 128], "anonymous_names": "true"}
    infer(film, output, network_def=BrightIsVertebra(), **settings)
    files = [file for file in output.iterdir() if file.name != "manifest.json"]
    assert len(files) == 6 + 8  # the film's and the run's
    assert not any("Jane" in file.name or b"Jane" in file.read_bytes() for file in files)


@pytest.mark.parametrize("adds", [False, True])
def test_centres_that_a_reader_gives_guide_the_network_on_their_film_alone(
    infer: Callable[..., dict], mixed_folder: Path, tmp_path: Path, adds: bool
) -> None:
    given = tmp_path / "centres.json"
    points = [{"x_px": 60.0, "y_px": 90.0}, [140.0, 310.0]]
    given.write_text(json.dumps({"wide.dcm": {"add": points} if adds else points}), encoding="utf-8")
    torch.save(PromptIsVertebra().state_dict(), tmp_path / "prompt.pt")
    settings = {"ckpt_path": str(tmp_path / "prompt.pt"), "spatial_size": [64, 128], "batch_size": 3}
    manifest = infer(
        mixed_folder, tmp_path / "out", network_def=PromptIsVertebra(), given_centres=str(given), **settings
    )
    assert len(manifest["settings"]["given_centres"]) == 64
    assert read_json(tmp_path / "out" / "picture_centres.json")["centres"] == []
    record = read_json(tmp_path / "out" / "wide_centres.json")
    centres = record["centres"]
    assert [(one["x_px"], one["y_px"], one["level"], one["adds"]) for one in record["given_centres"]] == [
        (60.0, 90.0, None, adds),
        (140.0, 310.0, None, adds),
    ]
    # The grid has a third of the film's pixels; a body's centre is the middle of whole pixels of the grid.
    found = [(centre["x_px"], centre["y_px"]) for centre in centres]
    np.testing.assert_allclose(found, [(60.0, 90.0), (140.0, 310.0)], atol=0.75 * 403 / 128)


def test_new_centres_of_a_film_leave_the_results_of_the_others(
    infer: Callable[..., dict], mixed_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cmnet_monai.transforms.post_vertebrae.read_maps", read_maps)
    torch.save(PromptIsVertebra().state_dict(), tmp_path / "prompt.pt")
    given = tmp_path / "centres.json"

    def run(centres: dict) -> dict[str, str]:
        given.write_text(json.dumps(centres), encoding="utf-8")
        settings = {"ckpt_path": str(tmp_path / "prompt.pt"), "spatial_size": [64, 128], "given_centres": str(given)}
        films = infer(mixed_folder / "a", tmp_path / "out", network_def=PromptIsVertebra(), **settings)["films"]
        return {name: film["status"] for name, film in films.items()}

    kept, point = "kept from an earlier run", {"x_px": 60.0, "y_px": 90.0, "level": "L2"}
    assert run({}) == {"IM0001": "done", "wide": "done"}
    assert run({"wide.dcm": [point]}) == {"IM0001": kept, "wide": "done"}
    assert run({"wide.dcm": [point]}) == {"IM0001": kept, "wide": kept}
    (centre,) = read_json(tmp_path / "out" / "wide_centres.json")["centres"]
    assert (centre["level"], centre["evidence"]) == ("L2", "user")
    assert run({"wide.dcm": {"add": [point]}}) == {"IM0001": kept, "wide": "done"}


def test_word_false_is_false(infer: Callable[..., dict], mixed_folder: Path, box_weights: Path, tmp_path: Path) -> None:
    settings = {"ckpt_path": str(box_weights), "spatial_size": [64, 128], "anonymous_names": "false"}
    manifest = infer(mixed_folder / "c" / "picture.png", tmp_path, network_def=BrightIsVertebra(), **settings)
    assert list(manifest["films"]) == ["picture"]


def test_missing_weights_are_named(infer: Callable[..., dict], mixed_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        infer(mixed_folder, tmp_path, ckpt_path=str(tmp_path / "nowhere.pt"), **SMALL)
    assert isinstance(caught.value.__cause__, FileNotFoundError) and "nowhere.pt" in str(caught.value.__cause__)


def test_killed_inference_leaves_whole_files_and_the_next_run_finishes(
    infer: Callable[..., dict], dataset: Path, weights: Path, repository: Path, environment: dict, tmp_path: Path
) -> None:
    folder, output = tmp_path / "films", tmp_path / "out"
    folder.mkdir()
    for i in range(14):
        shutil.copy(dataset / "films" / f"film_0000{i % 5}.dcm", folder / f"film_{i:02d}.dcm")
    config = ("--config_file", "bundle/configs/inference.json", "--bundle_root", "bundle", "--ckpt_path", str(weights))
    small = (
        "--spatial_size",
        "[192,384]",
        "--base_channels",
        "8",
        "--label_protocol",
        "levels",
        "--heatmap_sigma",
        "4",
        "--device",
        "cpu",
    )
    folders = ("--dataset_dir", str(folder), "--output_dir", str(output))
    command = [sys.executable, "-m", "monai.bundle", "run", *config, *folders, *small]
    process = subprocess.Popen(
        command, cwd=repository, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: len(list(output.glob("*_result.json"))) >= 2, process)
    process.send_signal(signal.SIGKILL)
    process.wait()

    finished = {file.name.removesuffix("_result.json") for file in output.glob("*_result.json")}
    assert 2 <= len(finished) < 14
    for file in output.iterdir():
        if file.name.startswith(TEMPORARY_PREFIX):
            continue
        if file.suffix == ".json":
            read_json(file)
        elif file.suffix == ".png":
            with Image.open(file) as png:
                png.load()
        else:
            values = (0, 1) if "_mask" in file.name else (0, *range(8, 29))
            assert np.isin(np.asarray(nibabel.load(file).dataobj), values).all()
    stamps = {file: file.stat().st_mtime_ns for name in finished for file in output.glob(f"{name}_*") if file.is_file()}
    assert len(stamps) == 6 * len(finished)
    settings = {"ckpt_path": str(weights), "spatial_size": [192, 384], "base_channels": 8}
    manifest = infer(folder, output, **settings)
    assert manifest["counts"]["kept from an earlier run"] == len(finished)
    assert manifest["counts"]["done"] == 14 - len(finished)
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in stamps.items())
    assert len(list(output.glob("*_mask.nii.gz"))) == len(list(output.glob("*_mask.png"))) == 14


def wait_for(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait until something is there; fails if the process ends before."""
    while not condition():
        assert process.poll() is None, "the process ended before it could be killed"
        time.sleep(0.005)
