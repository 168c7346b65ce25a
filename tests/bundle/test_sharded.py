"""Films shared out over two processes: the results and the one manifest are those of a single process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FILMS = 7
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
    small = ("--spatial_size", "[64,128]", "--base_channels", 8, "--bundle_root", "bundle")
    monai_bundle("run", "--config_file", CONFIGS, *options, *small, launcher=TWO)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    two = json.loads((tmp_path / "two" / "manifest.json").read_text(encoding="utf-8"))
    assert two["finished"] and list(two["films"]) == list(one["films"])
    assert two["films"]["film_1"].pop("status") == "kept from an earlier run"
    kept = one["films"]["film_1"]
    assert kept.pop("status") == "done" and kept.pop("outputs") and two["counts"]["done"] == FILMS - 2
    two["counts"] = one["counts"]
    assert stripped(two) == stripped(one)
