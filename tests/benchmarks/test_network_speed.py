"""Seconds and GFLOP/s of CM-Net on the CPU, beside a bare 3x3 convolution measured in the same run.

    pytest -m benchmark -s tests/benchmarks/test_network_speed.py

CMNET_BENCHMARK_JSON names a file for the numbers, CMNET_BENCHMARK_THREADS (2) and CMNET_BENCHMARK_ROUNDS (7) set the
measurement. The cases take turns, so that a busy machine slows all of them alike; the processor seconds per thread
(column CPU s; set OMP_WAIT_POLICY=passive, or waiting threads count as busy) tell what an idle machine would need.
"""

from __future__ import annotations

import copy
import json
import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import monai
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cmnet_monai.conventions import PAPER_SPATIAL_SIZE
from cmnet_monai.engines import with_precision
from cmnet_monai.losses import DualHeadDiceLoss
from cmnet_monai.networks import CMNet, keep_freed_memory, prepare_for_inference

THREADS = int(os.environ.get("CMNET_BENCHMARK_THREADS", "2"))
ROUNDS = int(os.environ.get("CMNET_BENCHMARK_ROUNDS", "7"))
WARM_UP = 2
CONVOLUTION = (32, 256, 512)  # channels and size that half of the network's second level has
TRAINING = (4, 1, 256, 512)

Case = tuple[Callable[[], Any], float]


def inference_cases() -> dict[str, Case]:
    network = CMNet(s1_channel=True).eval()
    prepared = prepare_for_inference(copy.deepcopy(network))
    film = torch.rand(1, 1, *PAPER_SPATIAL_SIZE)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(film)
    gflop = counter.get_total_flops() / 1e9

    def half() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return prepared(film)

    channels, *size = CONVOLUTION
    features = torch.rand(1, channels, *size)
    convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    last_convolution = copy.deepcopy(convolution).to(memory_format=torch.channels_last)
    last_features = features.contiguous(memory_format=torch.channels_last)
    convolution_gflop = 2 * 9 * channels**2 * size[0] * size[1] / 1e9
    return {
        "3x3 convolution": (lambda: convolution(features), convolution_gflop),
        "3x3 convolution, channels last": (lambda: last_convolution(last_features), convolution_gflop),
        "network": (lambda: network(film), gflop),
        "network, prepared": (lambda: prepared(film), gflop),
        "network, prepared, bfloat16": (half, gflop),
    }


def training_cases() -> dict[str, Case]:
    batch, _, *size = TRAINING
    films, target = torch.rand(TRAINING), (torch.rand(batch, 3, *size) > 0.8).float()
    loss = DualHeadDiceLoss()

    def step(network: nn.Module, half: bool) -> Callable[[], Any]:
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-6, fused=True)

        def run() -> None:
            optimiser.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                logits = network(films)
            loss(logits.float(), target).backward()
            optimiser.step()

        return run

    cases = {}
    for name, memory_format in (("", torch.contiguous_format), (", channels last", torch.channels_last)):
        for half in (False, True):
            network = CMNet(s1_channel=True).train().to(memory_format=memory_format)
            cases[f"training step{name}{', bfloat16' if half else ''}"] = (step(network, half), float("nan"))
    wrapped = with_precision(CMNet(s1_channel=True).train(), "bf16")
    cases["training step, as the bundle's bf16"] = (step(wrapped, half=False), float("nan"))
    return cases


def measure(cases: dict[str, Case]) -> dict[str, dict[str, float]]:
    """Median, quartiles and minimum of the wall seconds, and the median of the processor seconds per thread."""
    wall: dict[str, list[float]] = {name: [] for name in cases}
    processor: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(-WARM_UP, ROUNDS):
        for name, (run, _) in cases.items():
            start, start_processor = time.perf_counter(), time.process_time()
            run()
            if turn >= 0:
                wall[name].append(time.perf_counter() - start)
                processor[name].append((time.process_time() - start_processor) / THREADS)
    result = {}
    for name, (_, gflop) in cases.items():
        low, median, high = statistics.quantiles(wall[name], n=4)
        best = min(wall[name])
        result[name] = {
            "median_s": median,
            "iqr_s": high - low,
            "min_s": best,
            "processor_median_s": statistics.median(processor[name]),
            "gflop": gflop,
            "gflop_per_s": gflop / median,
            "gflop_per_processor_s": gflop / statistics.median(processor[name]),
        }
    return result


def report(kind: str, kept: bool, cases: dict[str, dict[str, float]]) -> None:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
    record = {
        "kind": kind,
        "threads": THREADS,
        "rounds": ROUNDS,
        "warm_up": WARM_UP,
        "freed_memory_kept": kept,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "monai": monai.__version__},
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "commit": commit.stdout.strip(),
        "cases": cases,
    }
    print(f"\n{kind}, {THREADS} threads, freed memory kept: {kept}, peak {record['peak_rss_mb']:.0f} MB")
    print(f"{'':38s}{'median s':>10s}{'IQR s':>8s}{'min s':>8s}{'CPU s':>8s}{'GFLOP/s':>9s}{'/CPU s':>8s}")
    for name, case in cases.items():
        print(
            f"{name:38s}{case['median_s']:10.4f}{case['iqr_s']:8.4f}{case['min_s']:8.4f}"
            f"{case['processor_median_s']:8.4f}{case['gflop_per_s']:9.0f}{case['gflop_per_processor_s']:8.0f}"
        )
    if path := os.environ.get("CMNET_BENCHMARK_JSON"):
        with Path(path).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")


@pytest.mark.benchmark
@pytest.mark.parametrize("kind", ["inference", "training"])
@pytest.mark.parametrize("kept", [False, True], ids=["memory returned", "memory kept"])
def test_network_speed(kind: str, kept: bool) -> None:
    if kept and not keep_freed_memory():  # for the rest of the process: these cases come last
        pytest.skip("needs glibc")
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    with torch.inference_mode(kind == "inference"):
        cases = measure(inference_cases() if kind == "inference" else training_cases())
    report(kind, kept, cases)
    assert all(case["min_s"] > 0 for case in cases.values())
