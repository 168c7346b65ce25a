"""Seconds a film by stage of the inference workflow, and the process's peak memory.

    pytest -m benchmark -s tests/benchmarks/test_pipeline_speed.py

CMNET_BENCHMARK_JSON names a file for the numbers, CMNET_BENCHMARK_THREADS (2) and CMNET_BENCHMARK_ROUNDS (7) set the
measurement. Random weights do: the time does not depend on them, except for finding bodies, for which the network's
answer is replaced by the maps of a true spine.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import monai
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor, decollate_batch, list_data_collate
from monai.transforms import Compose

from cmnet_monai.bundle_location import bundle_root
from cmnet_monai.io import write_dx
from cmnet_monai.synthetic import generate_film
from cmnet_monai.transforms import CarryCentresd, CentreHeatmapd, CentresFromLabeld, ResizeWithPadd, TargetFromLabeld

THREADS = int(os.environ.get("CMNET_BENCHMARK_THREADS", "2"))
ROUNDS = int(os.environ.get("CMNET_BENCHMARK_ROUNDS", "7"))
WARM_UP = 1
HEIGHT_PX = 2446
STAGES = ("decode", "preprocess", "network", "postprocess", "write")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A film of a size that hospitals have, and its truth."""
    truth = generate_film(5, kind="healthy", height_px=HEIGHT_PX)
    path = write_dx(
        tmp_path_factory.mktemp("film") / "film.dcm",
        truth.pixels,
        bits_stored=truth.bits_stored,
        imager_spacing_xy_mm=truth.spacing_xy_mm,
    )
    return path, truth


def true_maps(truth: Any, spatial_size: list[int]) -> torch.Tensor:
    label = MetaTensor(torch.as_tensor(truth.label_map, dtype=torch.float32)[None])
    label.meta["original_affine"] = label.affine
    chain = Compose(
        [
            CentresFromLabeld("label", protocol="levels"),
            ResizeWithPadd("label", spatial_size=spatial_size, mode="nearest"),
            CarryCentresd("points", refer_key="label"),
            CentreHeatmapd("points", refer_key="label", names="heatmap"),
            TargetFromLabeld("label", protocol="levels"),
        ]
    )
    return chain({"label": label})["target"]


def run_once(parser: ConfigParser, path: Path, maps: torch.Tensor) -> dict[str, float]:
    """Seconds of each stage for one film."""
    read = parser.get_parsed_content("preprocessing").transforms
    load, prepare = Compose(read[:2]), Compose(read[2:])
    steps = parser.get_parsed_content("postprocessing").transforms
    post, save = Compose(steps[1:-1]), steps[-1]
    network, inferer = parser.get_parsed_content("network"), parser.get_parsed_content("inferer")
    clock = [time.perf_counter()]
    item = load({"image": str(path), "path": str(path), "name": "film"})
    clock.append(time.perf_counter())
    item = prepare(item)
    clock.append(time.perf_counter())
    batch = list_data_collate([item])
    with torch.inference_mode():
        logits = inferer(batch["image"], network)
    clock.append(time.perf_counter())
    pred = MetaTensor(maps, meta=item["image"].meta, applied_operations=item["image"].applied_operations)
    assert logits.shape[1:] == pred.shape
    result = post({**decollate_batch(batch)[0], "pred": pred})
    clock.append(time.perf_counter())
    save(result)
    clock.append(time.perf_counter())
    assert len(result["centres"]) == 5
    return {stage: after - before for stage, before, after in zip(STAGES, clock, clock[1:])}


@pytest.mark.benchmark
def test_pipeline_speed(film: tuple[Path, Any], tmp_path: Path) -> None:
    path, truth = film
    torch.set_num_threads(THREADS)
    root = bundle_root()
    parser = ConfigParser()
    parser.read_config(root / "configs" / "inference.json")
    parser.update({"bundle_root": str(root), "output_dir": str(tmp_path), "run_id": "benchmark", "device": "cpu"})
    parser.get_parsed_content("initialize")
    maps = true_maps(truth, parser.get_parsed_content("spatial_size"))
    runs = [run_once(parser, path, maps) for _ in range(WARM_UP + ROUNDS)][WARM_UP:]
    report(truth.pixels.shape, runs)
    assert (tmp_path / "film_mask.nii.gz").is_file()


def report(shape: tuple[int, ...], runs: list[dict[str, float]]) -> None:
    totals = [sum(run.values()) for run in runs]
    rest = [sum(run.values()) - run["network"] for run in runs]
    rows = {stage: [run[stage] for run in runs] for stage in STAGES}
    rows |= {"all but the network": rest, "total": totals}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
    record: dict[str, Any] = {
        "film_xy_px": shape,
        "threads": THREADS,
        "rounds": ROUNDS,
        "warm_up": WARM_UP,
        "peak_rss_mb": peak,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "monai": monai.__version__},
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "commit": commit.stdout.strip(),
    }
    print(f"\nfilm {shape[0]} x {shape[1]}, {THREADS} threads, peak memory {peak:.0f} MB (with the film's generator)")
    print(f"{'':22s}{'median s':>10s}{'IQR s':>8s}")
    for name, seconds in rows.items():
        low, median, high = statistics.quantiles(seconds, n=4)
        record[name] = {"median_s": median, "iqr_s": high - low}
        print(f"{name:22s}{median:10.3f}{high - low:8.3f}")
    if path := os.environ.get("CMNET_BENCHMARK_JSON"):
        with Path(path).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")
