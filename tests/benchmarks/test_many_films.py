"""Many films through inference in one run: films per second, processor seconds and memory as it goes on, and a restart.

    pytest -m benchmark -s tests/benchmarks/test_many_films.py

CMNET_BENCHMARK_FILMS (2000) says how many, CMNET_BENCHMARK_PROCESSES (1) how many processes torchrun starts,
CMNET_BENCHMARK_HEIGHT (1223) how many rows a film has, CMNET_BENCHMARK_JSON names a file for the numbers. A few
synthetic films are made, and from each of them many, with other noise and UIDs. Seconds and processor seconds are told
quarter by quarter: on a busy machine the latter tell whether the work stays the same.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pydicom
import pytest
from pydicom.uid import generate_uid

from cmnet_monai.datasets import synthesize

FILMS = int(os.environ.get("CMNET_BENCHMARK_FILMS", "2000"))
PROCESSES = int(os.environ.get("CMNET_BENCHMARK_PROCESSES", "1"))
HEIGHT_PX = int(os.environ.get("CMNET_BENCHMARK_HEIGHT", "1223"))
DISTINCT = 6
WHOLE_DATA_SET = 21_915
QUARTERS = 4


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made, folder = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("films")
    synthesize(made, DISTINCT, seed=77, height_px=HEIGHT_PX, workers=1, progress=False)
    originals = [pydicom.dcmread(file) for file in sorted((made / "films").glob("*.dcm"))]
    rng = np.random.default_rng(5)
    for n in range(FILMS):
        film = originals[n % DISTINCT]
        pixels = film.pixel_array
        top = (1 << film.BitsStored) - 1
        noisy = np.clip(pixels.astype(np.int32) + rng.integers(-4, 5, pixels.shape), 0, top).astype(pixels.dtype)
        copy = pydicom.dcmread(made / "films" / f"film_{n % DISTINCT:05d}.dcm")
        copy.PixelData = noisy.tobytes()
        copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        copy.save_as(folder / f"film_{n:05d}.dcm")
    shutil.rmtree(made)
    return folder


class Watch:
    """Memory, processor seconds and finished films of a command, second by second."""

    def __init__(self, command: list[str], output: Path, repository: Path) -> None:
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        self.samples: list[tuple[float, float, float, int]] = []
        start = time.monotonic()
        with psutil.Popen(
            command, cwd=repository, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            while process.poll() is None:
                self._look(process, time.monotonic() - start, output)
                time.sleep(1.0)
            assert process.returncode == 0, process.stderr.read()[-3000:]
        self.seconds = time.monotonic() - start

    def _look(self, process: psutil.Popen, seconds: float, output: Path) -> None:
        try:
            family = [process, *process.children(recursive=True)]
            memory = sum(one.memory_info().rss for one in family) / 1e6
            processor = sum(sum(one.cpu_times()[:2]) for one in family)
        except psutil.Error:  # it has just ended
            return
        done = sum(1 for _ in output.glob("*_centres.json")) if output.is_dir() else 0
        self.samples.append((seconds, processor, memory, done))

    def quarters(self) -> list[dict[str, float]]:
        """Between the moments when 0, 1, 2, 3 and 4 quarters of the films were done."""
        samples = [sample for sample in self.samples if sample[3] > 0]
        marks = [next(s for s in samples if s[3] >= q * FILMS / QUARTERS - 1) for q in range(QUARTERS + 1)]
        result = []
        for (t0, c0, _, n0), (t1, c1, _, n1) in pairwise(marks):
            inside = [s[2] for s in samples if t0 <= s[0] <= t1]
            films = max(n1 - n0, 1)
            result.append(
                {
                    "films": films,
                    "films_per_s": films / (t1 - t0),
                    "processor_s_per_film": (c1 - c0) / films,
                    "mean_rss_mb": float(np.mean(inside)),
                    "max_rss_mb": max(inside),
                }
            )
        return result


@pytest.mark.benchmark
def test_many_films_in_one_run(films: Path, tmp_path: Path, repository: Path) -> None:
    configs = ["bundle/configs/inference.json", "bundle/configs/multi_gpu_inference.json"][: 1 + (PROCESSES > 1)]
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={PROCESSES}"]
    launcher = torchrun if PROCESSES > 1 else []
    output = tmp_path / "out"
    command = [sys.executable, *launcher, "-m", "monai.bundle", "run", "--config_file", str(configs)]
    command += ["--bundle_root", "bundle", "--dataset_dir", str(films), "--output_dir", str(output)]
    first = Watch(command, output, repository)
    again = Watch(command, output, repository)
    counts: dict[str, Any] = json.loads((output / "manifest.json").read_text(encoding="utf-8"))["counts"]
    quarters = first.quarters()
    rate = sum(q["films"] for q in quarters) / sum(q["films"] / q["films_per_s"] for q in quarters)
    record = {
        "films": FILMS,
        "processes": PROCESSES,
        "height_px": HEIGHT_PX,
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "seconds": first.seconds,
        "films_per_s": rate,
        "restart_s": again.seconds,
        "quarters": quarters,
        "whole_data_set_h": WHOLE_DATA_SET / rate / 3600,
    }
    print(f"\n{'':10s}{'films/s':>9s}{'CPU s a film':>14s}{'mean MB':>9s}{'max MB':>9s}")
    for number, quarter in enumerate(quarters, start=1):
        values = (quarter[key] for key in ("films_per_s", "processor_s_per_film", "mean_rss_mb", "max_rss_mb"))
        print("quarter {} {:9.3f}{:14.3f}{:9.0f}{:9.0f}".format(number, *values))
    print(f"{FILMS} films in {first.seconds:.0f} s, {rate:.3f} films/s; a second run, all kept: {again.seconds:.1f} s")
    print(f"{WHOLE_DATA_SET} films at that rate: {record['whole_data_set_h']:.1f} h")
    if path := os.environ.get("CMNET_BENCHMARK_JSON"):
        with Path(path).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")
    assert counts == {"done": 0, "kept from an earlier run": FILMS, "failed": 0, "pending": 0}
    # Flat: what the last quarter holds is what the second one held, but for a film's worth and the list of films.
    assert quarters[-1]["mean_rss_mb"] < 1.05 * quarters[1]["mean_rss_mb"] + 20
    assert quarters[-1]["processor_s_per_film"] < 1.25 * quarters[1]["processor_s_per_film"]
