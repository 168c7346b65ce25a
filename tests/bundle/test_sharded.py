"""Films shared out over two processes: the results and the one manifest are those of one, also after a kill."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from cmnet_monai.io.files.atomic import TEMPORARY_PREFIX

FILMS = 7
MANY = 48
CONFIGS = "['bundle/configs/inference.json','bundle/configs/multi_gpu_inference.json']"
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


@pytest.fixture(scope="module")
def films(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven films, the fourth of them cut short."""
    folder = tmp_path_factory.mktemp("films")
    for n in range(FILMS):
        shutil.copy(dataset / "films" / f"film_0000{n % 5}.dcm", folder / f"film_{n}.dcm")
    (folder / "film_3.dcm").write_bytes((folder / "film_3.dcm").read_bytes()[:9000])
    return folder


def stripped(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest without times."""
    films = {name: {k: v for k, v in film.items() if k != "seconds"} for name, film in manifest["films"].items()}
    return {**{k: v for k, v in manifest.items() if k not in ("started", "finished")}, "films": films}


def contents(output: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in output.iterdir() if file.name != "manifest.json"}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.slow
def test_two_processes_give_what_one_gives(
    infer: Callable[..., dict], monai_bundle: Callable[..., str], films: Path, weights: Path, tmp_path: Path
) -> None:
    settings = {"ckpt_path": str(weights), "spatial_size": [64, 128], "base_channels": 8}
    one = infer(films, tmp_path / "one", **settings)
    assert one["counts"] == {"done": FILMS - 1, "kept from an earlier run": 0, "failed": 1, "pending": 0}
    # One film is there already, of the share of the second process.
    (tmp_path / "two").mkdir()
    for file in (tmp_path / "one").glob("film_1_*"):
        shutil.copy(file, tmp_path / "two")
    (tmp_path / "two" / ".cmnet-manifest-1.json").write_text("of a killed run", encoding="utf-8")
    options = ("--dataset_dir", films, "--output_dir", tmp_path / "two", "--ckpt_path", weights)
    small = (
        "--spatial_size",
        "[64,128]",
        "--base_channels",
        8,
        "--label_protocol",
        "levels",
        "--heatmap_sigma",
        4,
        "--bundle_root",
        "bundle",
    )
    monai_bundle("run", "--config_file", CONFIGS, *options, *small, launcher=TWO)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    two = json.loads((tmp_path / "two" / "manifest.json").read_text(encoding="utf-8"))
    assert two["finished"] and list(two["films"]) == list(one["films"])
    assert two["films"]["film_1"].pop("status") == "kept from an earlier run"
    kept = one["films"]["film_1"]
    assert (
        kept.pop("status") == "done"
        and kept.pop("outputs")
        and kept.pop("flags") is not None
        and two["counts"]["done"] == FILMS - 2
    )
    two["counts"] = one["counts"]
    assert stripped(two) == stripped(one)


@pytest.fixture(scope="module")
def many_films(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many films that there is time to kill a process before they are done."""
    folder = tmp_path_factory.mktemp("many")
    for n in range(MANY):
        shutil.copy(dataset / "films" / f"film_0000{n % 5}.dcm", folder / f"film_{n:02d}.dcm")
    return folder


def complete(output: Path) -> set[str]:
    return {file.name.removesuffix("_result.json") for file in output.glob("*_result.json")}


def kill_process(launcher: psutil.Popen, rank: int, output: Path) -> None:
    """SIGKILL the process of a rank as soon as it has finished a film of its share, every second one."""
    own = {f"film_{n:02d}" for n in range(rank, MANY, 2)}
    while not complete(output) & own:
        assert launcher.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    (victim,) = (child for child in launcher.children() if child.environ().get("RANK") == str(rank))
    victim.kill()


@pytest.mark.usefixtures("one_thread")
@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_killed_process_leaves_nothing_half_and_the_same_command_completes_the_run(
    infer: Callable[..., dict],
    monai_bundle: Callable[..., str],
    environment: dict[str, str],
    repository: Path,
    many_films: Path,
    weights: Path,
    tmp_path: Path,
    rank: int,
) -> None:
    infer(many_films, tmp_path / "one", ckpt_path=str(weights), spatial_size=[64, 128], base_channels=8)
    whole, output = contents(tmp_path / "one"), tmp_path / "two"
    options = [
        "--config_file",
        CONFIGS,
        "--bundle_root",
        "bundle",
        "--spatial_size",
        "[64,128]",
        "--base_channels",
        "8",
        "--label_protocol",
        "levels",
        "--heatmap_sigma",
        "4",
    ]
    options += ["--dataset_dir", str(many_films), "--output_dir", str(output), "--ckpt_path", str(weights)]
    command = [sys.executable, *TWO, "-m", "monai.bundle", "run", *options]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with psutil.Popen(command, cwd=repository, env=environment, **quiet) as launcher:
        kill_process(launcher, rank, output)
        assert launcher.wait(120) != 0
    done = complete(output)
    assert 1 <= len(done) < MANY
    left = {name: data for name, data in contents(output).items() if not name.startswith(".cmnet-")}
    assert left.items() <= whole.items()
    manifest = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["finished"] == "" and list(manifest["films"]) == [f"film_{n:02d}" for n in range(MANY)]
    said = {name for name, film in manifest["films"].items() if film["status"] == "done"}
    assert said <= done
    assert {film["status"] for film in manifest["films"].values()} <= {"done", "pending"}

    monai_bundle("run", *options, launcher=TWO)
    assert {name: data for name, data in contents(output).items() if not name.startswith(TEMPORARY_PREFIX)} == whole
    manifest = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    kept = {name for name, film in manifest["films"].items() if film["status"] == "kept from an earlier run"}
    assert kept == done and manifest["finished"]
    counts = {"done": MANY - len(kept), "kept from an earlier run": len(kept), "failed": 0, "pending": 0}
    assert manifest["counts"] == counts
