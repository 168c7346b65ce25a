"""Films in, tables, pictures and DICOM objects out, with the shipped weights."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
import SimpleITK
from PIL import Image
from pydicom import dcmread
from typer.testing import CliRunner

from cmnet_monai.cli.main import app
from cmnet_monai.datasets import synthesize
from cmnet_monai.deploy import export_network
from cmnet_monai.engines import Prediction, predict
from cmnet_monai.io import read_film, read_label_map

EVERYTHING = dict.fromkeys(("overlay", "dicom_seg", "dicom_sr", "seg_nrrd", "dicom_flagged"), True)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two synthetic DICOM films, one of them as PNG too, and a DICOM cut short."""
    made, folder = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("films")
    synthesize(made, 2, seed=11, kind="healthy", height_px=512, workers=1, progress=False)
    for number in range(2):
        shutil.copy(made / "films" / f"film_0000{number}.dcm", folder / f"film_{number}.dcm")
    film = read_film(folder / "film_0.dcm")
    scaled = np.rint(255.0 * film.pixels / film.pixels.max()).astype(np.uint8)
    Image.fromarray(np.ascontiguousarray(scaled.T)).save(folder / "picture.png")
    (folder / "short.dcm").write_bytes((folder / "film_1.dcm").read_bytes()[:5000])
    return folder


@pytest.fixture(scope="module")
def done(films: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    output = tmp_path_factory.mktemp("predicted") / "out"
    return predict([str(films), "nowhere.dcm"], output, repository / "bundle", **EVERYTHING)


def rows(done: Prediction, table: str) -> list[dict[str, str]]:
    with (done.output / table).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_film_is_in_the_tables_and_every_fault_is_named(done: Prediction) -> None:
    assert (done.done, done.kept, done.exit_code) == (3, 0, 3)
    assert {row["film"] for row in rows(done, "films.csv")} == {"film_0.dcm", "film_1.dcm", "picture.png"}
    faults = {row["film"]: row["reason"] for row in rows(done, "failures.csv")}
    assert faults["nowhere.dcm"] == "no such file or folder" and faults["short.dcm"]
    assert set(faults) == {"nowhere.dcm", "short.dcm"}  # a picture has no DICOM objects, which is no fault
    assert dict(done.left_out) == {f"no DICOM {kind}: the film is not a DICOM file": 1 for kind in ("SEG", "SR")}
    bodies = [row for row in rows(done, "vertebrae.csv") if row["film"] == "film_0.dcm"]
    assert {"L1", "L2", "L3", "L4", "L5"} <= {row["level"] for row in bodies}
    for row in bodies:
        if row["level"].startswith("L"):
            assert float(row["height_anterior_px"]) > 10 and float(row["grey_mean"]) > 0 and row["x_px"]
            assert row["height_anterior_mm"] == ""  # the detector's spacing is magnified


def test_png_and_dicom_of_one_film_measure_alike(done: Prediction) -> None:
    heights = [
        {r["level"]: float(r["height_posterior_px"] or "nan") for r in rows(done, "vertebrae.csv") if r["film"] == film}
        for film in ("film_0.dcm", "picture.png")
    ]
    for level in ("L1", "L2", "L3", "L4", "L5"):
        # Eight bits in place of twelve or more change the probabilities a little.
        assert heights[0][level] == pytest.approx(heights[1][level], abs=1.5)


def test_segmentation_holds_the_label_map_and_the_report_its_heights(done: Prediction) -> None:
    labels = read_label_map(done.output / "film_0_labels.png")
    seg = highdicom.seg.segread(str(done.output / "film_0_seg.dcm"))
    names = [seg.get_segment_description(number).segment_label for number in seg.segment_numbers]
    assert "L3" in names
    frames = seg.pixel_array.reshape(len(names), *labels.T.shape)
    np.testing.assert_array_equal(frames[names.index("L3")] > 0, labels.T == 22)
    report = highdicom.sr.srread(str(done.output / "film_0_sr.dcm"))
    groups = report.content.get_planar_roi_measurement_groups()
    values = [
        float(item.value)
        for group in groups
        if group.tracking_identifier == "L3"
        for item in group.get_measurements()
        if item.name.meaning == "Anterior height of vertebral body"
    ]
    (row,) = (r for r in rows(done, "vertebrae.csv") if r["film"] == "film_0.dcm" and r["level"] == "L3")
    assert values == [pytest.approx(float(row["height_anterior_px"]), abs=0.01)]


def test_segmentation_for_slicer_names_the_bodies_of_every_kind_of_film(done: Prediction) -> None:
    for name in ("film_0", "picture"):
        image = SimpleITK.ReadImage(str(done.output / f"{name}_labels.seg.nrrd"))
        labels = read_label_map(done.output / f"{name}_labels.png")
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image)[0], labels.T)
        count = len(np.unique(labels)) - 1
        assert "L3" in {image.GetMetaData(f"Segment{number}_Name") for number in range(count)}


def test_pictures_and_page_are_there_without_the_films_folder_in_them(done: Prediction, films: Path) -> None:
    with Image.open(done.output / "film_0_overlay.png") as picture:
        assert picture.height == 1200
    page = (done.output / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 3 and str(films) not in page


def test_second_run_keeps_everything(done: Prediction, films: Path, repository: Path) -> None:
    stamps = {file: file.stat().st_mtime_ns for file in done.output.glob("film_*")}
    again = predict([str(films)], done.output, repository / "bundle", **EVERYTHING)
    assert (again.done, again.kept) == (0, 3)
    assert {file: file.stat().st_mtime_ns for file in done.output.glob("film_*")} == stamps
    assert {row["film"] for row in rows(again, "films.csv")} == {"film_0.dcm", "film_1.dcm", "picture.png"}


def test_command_says_what_happened_and_ends_with_its_code(films: Path, tmp_path: Path) -> None:
    film = str(films / "film_0.dcm")
    result = CliRunner().invoke(app, ["predict", film, "-o", str(tmp_path), "--no-overlay", "--all-mm"])
    assert result.exit_code == 0, result.output
    assert "1 films done, 0 kept" in result.output
    record: dict[str, Any] = json.loads((tmp_path / "film_0_result.json").read_text(encoding="utf-8"))
    (height,) = (m for m in record["vertebrae"][-1]["measures"] if (m["name"], m["unit"]) == ("height_anterior", "mm"))
    assert height["value"] > 5 and record["film"]["spacing_provenance"] == "detector"
    nothing = CliRunner().invoke(app, ["predict", str(tmp_path / "none"), "-o", str(tmp_path / "o")])
    assert nothing.exit_code == 1 and not (tmp_path / "o").exists()
    wrong = CliRunner().invoke(app, ["predict", str(films), "-o", str(tmp_path / "o"), "--levels", "L9"])
    assert wrong.exit_code == 1


def test_identifiers_stand_nowhere_unless_asked_for(films: Path, tmp_path: Path) -> None:
    film, out = films / "film_0.dcm", tmp_path / "out"
    header = dcmread(film, stop_before_pixels=True)
    words = [str(header[name].value) for name in ("PatientID", "PatientName", "StudyInstanceUID")]

    def run(*options: str) -> str:
        result = CliRunner().invoke(app, ["predict", str(film), "-o", str(out), "--no-overlay", *options])
        assert result.exit_code == 0, result.output
        return "".join(
            file.read_text(encoding="utf-8")
            for file in out.iterdir()
            if file.suffix != ".png" and "nii" not in file.name
        )

    asked = run("--with-identifiers")
    (row,) = csv.DictReader((out / "films.csv").open(encoding="utf-8"))
    assert [row[name] for name in ("patient_id", "patient_name", "study_uid")] == words
    assert row["study_date"] == header.StudyDate and row["patient_birth_date"] == str(header.PatientBirthDate)
    assert words[0] in (out / "report.html").read_text(encoding="utf-8") and all(word in asked for word in words)
    plain = run("--no-csv")
    assert not any(word in plain for word in words)
    assert not (out / "films.csv").exists() and (out / "failures.csv").exists()


def test_onnx_runtime_gives_the_same_masks_in_the_films_own_grid(
    done: Prediction, films: Path, repository: Path, shipped_onnx: Path, tmp_path: Path
) -> None:
    film = films / "film_0.dcm"
    again = predict([str(film)], tmp_path, repository / "bundle", engine="onnx", ckpt_path=str(shipped_onnx))
    assert (again.done, again.failures) == (1, ())
    for ending in ("mask", "labels"):
        found, expected = (read_label_map(folder / f"film_0_{ending}.png") for folder in (tmp_path, done.output))
        assert found.shape == read_film(film).pixels.shape and len(np.unique(found)) > 1
        # Logits differ by 1e-4 of their size: a pixel changes sides only where its probability is within that of 0.5.
        assert (found != expected).sum() <= 1e-4 * found.size
    weights = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))["weights"]
    assert weights["file"] == str(shipped_onnx)


def test_torchscript_gives_the_same_masks(
    done: Prediction, films: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    film, program = films / "film_0.dcm", tmp_path_factory.mktemp("program") / "model.ts"
    export_network(repository / "bundle", program)
    again = predict([str(film)], tmp_path, repository / "bundle", engine="torchscript", ckpt_path=str(program))
    assert (again.done, again.failures) == (1, ())
    for ending in ("mask", "labels"):
        found, expected = (read_label_map(folder / f"film_0_{ending}.png") for folder in (tmp_path, done.output))
        assert len(np.unique(found)) > 1
        assert (found != expected).sum() <= 1e-5 * found.size  # logits differ by less than 1e-4
    weights = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))["weights"]
    assert weights["file"] == str(program)


@pytest.mark.parametrize("engine", ["onnx", "torchscript"])
def test_exported_network_that_is_missing_says_how_to_make_one(engine: str, films: Path, tmp_path: Path) -> None:
    arguments = ["predict", str(films), "-o", str(tmp_path), "--engine"]
    missing = CliRunner().invoke(app, [*arguments, engine, "--weights", str(tmp_path / "no.file")])
    assert missing.exit_code == 1 and "cmnet-monai export" in missing.output
    unknown = CliRunner().invoke(app, [*arguments, "tensorflow"])
    assert unknown.exit_code == 1 and "torch or torchscript or onnx or tensorrt" in unknown.output
