"""The whole pipeline on tiny settings: films, trainings, measurements, results, report; then the same again."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from cmnet_monai.datasets import synthesize
from cmnet_monai.datasets.datalist import read_datalist, write_datalist
from cmnet_monai.datasets.splits import fold_patients
from cmnet_monai.paper.catalogue import find_experiments
from cmnet_monai.paper.definitions import OWN_CENTRES, QUICK, REAL, Experiment, Inference, Training, Variant
from cmnet_monai.paper.measuring import MeasureRun
from cmnet_monai.paper.report import report
from cmnet_monai.paper.run import run_experiments
from cmnet_monai.paper.workspace import Workspace


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Workspace:
    """A bench on which every experiment was run."""
    made = Workspace(tmp_path_factory.mktemp("bench"), repository / "bundle", scale=QUICK, workers=1, device="cpu")
    run_experiments(find_experiments(), made, say=lambda line: None)
    return made


def rows(bench: Workspace, experiment: str) -> list[dict]:
    file = bench.work / "results" / bench.test_set / f"{experiment}.json"
    return json.loads(file.read_text(encoding="utf-8"))["rows"]


def test_every_row_is_done_or_says_why_not(bench: Workspace) -> None:
    for experiment in find_experiments():
        found = rows(bench, experiment.name)
        assert [row["variant"] for row in found] == [v.name for v in experiment.rows(bench.test_set, quick=True)]
        for row in found:
            assert row["status"] == "done" or (row["status"] == "not run" and row["reason"])
            if row["status"] == "done":
                assert row["films"] == 4 and 0 <= row["dice"] <= 1 and 0 <= row["average_precision"] <= 1
    assert {row["variant"] for row in rows(bench, "rivals") if row["status"] != "done"} == {"nnunet", "nnunet_full"}


def test_a_row_says_where_it_comes_from(bench: Workspace) -> None:
    with (bench.work / "results" / "synthetic" / "table1.csv").open(encoding="utf-8") as stream:
        found = list(csv.DictReader(stream))
    for row in found:
        assert row["seed"] == "0" and row["commit"] and row["torch"] and row["cpu"]
        assert len(row["test_hash"]) == 16 and float(row["training_seconds"]) > 0
    assert len({row["test_hash"] for row in found}) == 1  # all on the same films


def test_a_second_run_does_nothing(bench: Workspace) -> None:
    lines: list[str] = []
    before = {file: file.stat().st_mtime_ns for file in bench.work.glob("*/*/trained.json")}
    run_experiments(find_experiments(), bench, say=lines.append)
    assert before and all("(done before)" in line for line in lines)
    assert before == {file: file.stat().st_mtime_ns for file in bench.work.glob("*/*/trained.json")}


def test_a_lost_measurement_is_made_again_alike(bench: Workspace) -> None:
    run = MeasureRun(bench, Training(), Inference(prompt=OWN_CENTRES, jitter_px=8.0), seed=0)
    before = run.record()
    assert before is not None
    run.file.unlink()
    lines: list[str] = []
    run_experiments(find_experiments(["centre_noise"]), bench, say=lines.append)
    after = run.record()
    assert after is not None and sum("(done before)" not in line for line in lines) == 1
    assert [film["dice"] for film in after["films"]] == [film["dice"] for film in before["films"]]


def test_named_measurement_agrees_with_the_bundles_evaluation(
    bench: Workspace, tmp_path: Path, repository: Path
) -> None:
    """`evaluate.json` goes its own way from the same weights to the Dice of the same films."""
    from monai.bundle import ConfigWorkflow

    asking = Inference(prompt=OWN_CENTRES, by_name=True)
    run = MeasureRun(bench, Training(protocol="visible"), asking, seed=0)
    record = run.record()
    assert record is not None
    weights = run.trainings[0]
    write_datalist(tmp_path / "test.json", {"training": [], "test": bench.set_items("test_lumbar")})
    configs = [repository / "bundle" / "configs" / f"{name}.json" for name in ("train", "evaluate")]
    workflow = ConfigWorkflow(
        config_file=[str(path) for path in configs],
        workflow_type="inference",
        logging_file=False,
        bundle_root=str(repository / "bundle"),
        dataset_dir=str(tmp_path / "test.json"),
        output_dir=str(tmp_path / "eval"),
        ckpt_path=str(weights.weights),
        label_protocol="visible",
        spatial_size=[64, 96],
        base_channels=8,
        heatmap_sigma=2.0,
        mirror=False,
        passes=2,
        num_workers=0,
        device="cpu",
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    with (tmp_path / "eval" / "test_dice_raw.csv").open(encoding="utf-8") as stream:
        by_film = {Path(line[0]).stem: float(line[1]) for line in csv.reader(stream) if line[0].endswith(".dcm")}
    assert max(by_film.values()) > 0
    assert {film["film"]: film["dice"] for film in record["films"]} == pytest.approx(by_film, abs=1e-4)


def test_the_report_needs_the_results_alone(bench: Workspace, tmp_path: Path) -> None:
    html, markdown = report(bench.work, tmp_path)
    page, text = html.read_text(encoding="utf-8"), markdown.read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == text.count("](figures/") > 8
    assert "<img" in page and 'src="http' not in page
    for name in (line.split("](figures/")[1].split(")")[0] for line in text.splitlines() if "](figures/" in line):
        assert (tmp_path / "figures" / name).read_bytes().startswith(b"\x89PNG")
    for experiment in find_experiments():
        assert f"## {experiment.name}: {experiment.title}" in text
    assert "numbers of the quick run" in text and "not run: " in text
    (row,) = (row for row in rows(bench, "table1") if row["variant"] == "modified_unet")
    line = next(line for line in text.splitlines() if line.startswith("| Modified U-Net | 1 |"))
    assert line.split("|")[3].split("(")[0].strip() == f"{row['dice']:.3f}"


def test_an_empty_folder_has_a_report_that_claims_nothing(tmp_path: Path) -> None:
    _, markdown = report(tmp_path / "nothing", tmp_path)
    text = markdown.read_text(encoding="utf-8")
    assert "| CM-Net | DSC | 0.974 | not run yet | - |" in text  # the paper's number, and none of ours
    assert "](figures/" not in text and "numbers of the quick run" not in text


@pytest.fixture(scope="module")
def real_folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds of four films, which stand in for real ones."""
    folder = tmp_path_factory.mktemp("real")
    synthesize(folder, 4, seed=5, height_px=128, workers=1, progress=False)
    items = [item for s in ("training", "validation", "test") for item in read_datalist(folder, s)]
    for number, sections in enumerate(fold_patients([item["patient"] for item in items], 2, validation=0)):
        chosen = {s: [i for i in items if sections[i["patient"]] == s] for s in ("training", "validation", "test")}
        write_datalist(folder / f"fold_{number}.json", chosen)
    return folder


FINE_TUNED = Experiment(
    "fine_tuned",
    "",
    "",
    "",
    (
        Variant("all", "all films"),
        Variant("one", "one film", Training(real_films=1, real_share=1.0)),
        Variant("none", "none", Training(real_films=0)),
    ),
    ("dice",),
    test_sets=(REAL,),
)


def test_real_films_are_measured_out_of_fold(bench: Workspace, real_folds: Path) -> None:
    real = Workspace(bench.work, bench.bundle, REAL, QUICK, real_folds, workers=1, device="cpu")
    lines: list[str] = []
    run_experiments([FINE_TUNED], real, say=lines.append)
    assert [line.split("] ")[1].split()[0] for line in lines if "done before" not in line] == [
        "train", "train", "measure", "train", "train", "measure", "measure",
    ]  # fmt: skip
    assert [row["status"] for row in rows(real, "fine_tuned")] == ["done"] * 3
    run = MeasureRun(real, Training(), Inference(), 0)
    for training, tested in run.parts:
        trained = read_datalist(training.folder / "real.json", "training")
        assert len(trained) == len(tested) == 2
        assert not {item["image"] for item in trained} & {item["image"] for item in tested}
    record = run.record()
    assert record is not None and len({film["film"] for film in record["films"]}) == 4
    assert not any("film_" in film["film"] for film in record["films"])  # no file name in a table


def test_without_a_folder_of_real_films_they_are_skipped(bench: Workspace) -> None:
    lines: list[str] = []
    run_experiments(find_experiments(["table1"]), Workspace(bench.work, bench.bundle, REAL, QUICK), say=lines.append)
    assert len(lines) == 1 and "skipped; give a folder with fold_0.json" in lines[0]


def test_a_dry_run_does_nothing(bench: Workspace, tmp_path: Path) -> None:
    fresh = Workspace(tmp_path / "new", bench.bundle)
    lines: list[str] = []
    run_experiments(find_experiments(["table2"]), fresh, seeds=(0, 1), say=lines.append, dry_run=True)
    assert not fresh.work.exists()
    assert lines[0] == "[1/18] make 1224 films: train_lumbar"
    assert sum("train " in line for line in lines) == 6 and sum("measure " in line for line in lines) == 10


def test_baseline_weights_are_evaluated_by_the_bundle_too(bench: Workspace, tmp_path: Path, repository: Path) -> None:
    """`baseline.json` stands before `evaluate.json`; without centres every region of the mask still gets a name."""
    from monai.bundle import ConfigWorkflow

    run = MeasureRun(bench, Training("modified_unet"), Inference(), seed=0)
    write_datalist(tmp_path / "test.json", {"training": [], "test": bench.set_items("test_lumbar")})
    names = ("train", "pretrain", "baseline", "evaluate")
    workflow = ConfigWorkflow(
        config_file=[str(repository / "bundle" / "configs" / f"{name}.json") for name in names],
        workflow_type="inference",
        logging_file=False,
        bundle_root=str(repository / "bundle"),
        dataset_dir=str(tmp_path / "test.json"),
        output_dir=str(tmp_path / "eval"),
        ckpt_path=str(run.trainings[0].weights),
        network_name="modified_unet",
        spatial_size=[64, 96],
        base_channels=8,
        mirror=False,
        num_workers=0,
        device="cpu",
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    with (tmp_path / "eval" / "metrics.csv").open(encoding="utf-8") as stream:
        found = {line[0]: float(line[1]) for line in csv.reader(stream) if len(line) > 1}
    record = run.record()
    assert record is not None
    # L1-L5 by name are a part of what the threshold alone gives.
    assert 0 <= found["test_recall"] <= max(film["recall"] for film in record["films"]) + 1e-6


def test_a_note_beside_the_results_comes_into_the_introduction(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    text = "One seed, two cores.\n\nAs said.\n\n```bash\nrun a \\\n    --set b=1\n```\n\nNo more.\n"
    (tmp_path / "results" / "note.txt").write_text(text, encoding="utf-8")
    html, markdown = (page.read_text(encoding="utf-8") for page in report(tmp_path, tmp_path))
    before = markdown.split("## Experiments")[0]
    assert before.endswith(text + "\n")
    assert "<p>One seed, two cores.</p>" in html


def test_rows_are_run_alone(bench: Workspace) -> None:
    said: list[str] = []
    run_experiments(find_experiments(["ablations"]), bench, say=said.append, dry_run=True, rows=["loss_dice"])
    assert [line.split("] ")[1].split(" ")[0] for line in said] == ["make", "make", "train", "measure"]
    with pytest.raises(ValueError, match="no row 'sigma'; there are default, sigma_50"):
        run_experiments(find_experiments(["ablations"]), bench, dry_run=True, rows=["sigma"])
