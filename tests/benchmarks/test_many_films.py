"""Many films through inference: films per second and memory hundred by hundred, a restart, and shares of processes.

    pytest -m benchmark -s tests/benchmarks/test_many_films.py

CMNET_BENCHMARK_FILMS (2000) says how many, CMNET_BENCHMARK_PROCESSES (1) how many processes torchrun starts: where
they are several, one process does the same films first, and the results must be the same bytes. CMNET_BENCHMARK_HEIGHT
(1223) says how many rows a film has, CMNET_BENCHMARK_JSON names a file that gets the numbers as a line of JSON. A few
synthetic films are made, and from each of them many, with other noise and UIDs (2.5 MB a film of 1223 rows, deleted
at the end). On a busy machine the processor's seconds tell whether the work stays the same. Memory is that of all
processes: RSS counts pages that several share for each of them, PSS once.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

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
PART = 100 if FILMS >= 400 else max(FILMS // 4, 1)
"""Films of a row of the table."""
READER_ENDED = "a process that reads films has ended"
TORCHRUN = ("-m", "torch.distributed.run", "--standalone")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
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
    yield folder
    shutil.rmtree(folder)


class Sample(NamedTuple):
    """A moment of a run: seconds since its start, processor seconds, memory of all processes, films done."""

    seconds: float
    processor_s: float
    rss_mb: float
    pss_mb: float
    done: int


class Watch:
    """Memory, processor seconds and finished films of a command, second by second."""

    def __init__(self, command: list[str], output: Path, repository: Path) -> None:
        # torchrun gives each process one thread; the number of threads decides the order of sums.
        threads = {"OMP_NUM_THREADS": "1"} if PROCESSES > 1 else {}
        environment = {**threads, **os.environ, "PYTHONWARNINGS": "ignore"}
        self.samples: list[Sample] = []
        log = output.with_suffix(".log")
        start = time.monotonic()
        with (
            log.open("w", encoding="utf-8") as errors,
            psutil.Popen(command, cwd=repository, env=environment, stdout=subprocess.DEVNULL, stderr=errors) as process,
        ):
            while process.poll() is None:
                self._look(process, time.monotonic() - start, output)
                time.sleep(1.0)
        self.seconds = time.monotonic() - start
        said = log.read_text(encoding="utf-8")
        assert process.returncode == 0, said[-3000:]
        self.readers_ended = said.count(READER_ENDED)

    def _look(self, process: psutil.Popen, seconds: float, output: Path) -> None:
        try:
            family = [process, *process.children(recursive=True)]
            memory = [one.memory_full_info() for one in family]
            processor = sum(sum(one.cpu_times()[:2]) for one in family)
        except psutil.Error:  # it has just ended
            return
        rss, pss = (sum(getattr(one, kind, 0) for one in memory) / 1e6 for kind in ("rss", "pss"))
        done = sum(1 for _ in output.glob("*_centres.json")) if output.is_dir() else 0
        self.samples.append(Sample(seconds, processor, rss, pss, done))

    @property
    def films_per_s(self) -> float:
        """From the first film done to the last, start and end of the processes aside."""
        first, last = (next(s for s in self.samples if s.done >= goal) for goal in (1, self.samples[-1].done))
        return (last.done - first.done) / max(last.seconds - first.seconds, 1e-9)

    def parts(self) -> list[dict[str, float]]:
        """Between the moments when every further `PART` films were done."""
        samples = [sample for sample in self.samples if sample.done > 0]
        goals = [*range(0, FILMS - PART + 1, PART), FILMS - 1]
        marks = [next((s for s in samples if s.done >= goal), samples[-1]) for goal in goals]
        result = []
        for first, last in pairwise(marks):
            inside = [s for s in samples if first.seconds <= s.seconds <= last.seconds]
            films = max(last.done - first.done, 1)
            result.append(
                {
                    "films": last.done,
                    "films_per_s": films / max(last.seconds - first.seconds, 1e-9),
                    "processor_s_per_film": (last.processor_s - first.processor_s) / films,
                    "mean_rss_mb": float(np.mean([s.rss_mb for s in inside])),
                    "max_rss_mb": max(s.rss_mb for s in inside),
                    "max_pss_mb": max(s.pss_mb for s in inside),
                }
            )
        return result


def inference(films: Path, output: Path, processes: int) -> list[str]:
    configs = ["bundle/configs/inference.json", "bundle/configs/multi_gpu_inference.json"][: 1 + (processes > 1)]
    launcher = [*TORCHRUN, f"--nproc_per_node={processes}"] if processes > 1 else []
    command = [sys.executable, *launcher, "-m", "monai.bundle", "run", "--config_file", str(configs)]
    return [*command, "--bundle_root", "bundle", "--dataset_dir", str(films), "--output_dir", str(output)]


def digests(output: Path) -> dict[str, str]:
    """SHA-256 of every file of the results by its name, the manifest aside: it holds times."""
    files = sorted(file for file in output.iterdir() if file.name != "manifest.json")
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def show(record: dict[str, Any]) -> None:
    print(
        f"\n{'films':>8s}{'films/s':>9s}{'CPU s a film':>14s}{'mean RSS MB':>13s}{'max RSS MB':>12s}{'max PSS MB':>12s}"
    )
    for part in record["parts"]:
        print(
            f"{part['films']:8d}{part['films_per_s']:9.3f}{part['processor_s_per_film']:14.3f}"
            f"{part['mean_rss_mb']:13.0f}{part['max_rss_mb']:12.0f}{part['max_pss_mb']:12.0f}"
        )
    print(
        f"{FILMS} films, {PROCESSES} processes: {record['seconds']:.0f} s, {record['films_per_s']:.3f} films/s; "
        f"readers that ended: {record['readers_ended']}; a second run, all kept: {record['restart_s']:.1f} s"
    )
    if "one_process_s" in record:
        print(f"one process: {record['one_process_s']:.0f} s, the same bytes: {record['same_bytes']}")
    print(f"{WHOLE_DATA_SET} films at that rate: {record['whole_data_set_h']:.1f} h")


@pytest.mark.benchmark
def test_many_films_in_one_run(films: Path, tmp_path: Path, repository: Path) -> None:
    output = tmp_path / "out"
    shares: dict[str, Any] = {}
    if PROCESSES > 1:
        one = Watch(inference(films, tmp_path / "one", 1), tmp_path / "one", repository)
        shares["one_process_s"] = one.seconds
    command = inference(films, output, PROCESSES)
    first = Watch(command, output, repository)
    again = Watch(command, output, repository)
    if PROCESSES > 1:
        shares["same_bytes"] = digests(tmp_path / "one") == digests(output)
    parts = first.parts()
    rate = first.films_per_s
    record = {
        "films": FILMS,
        "processes": PROCESSES,
        "height_px": HEIGHT_PX,
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "seconds": first.seconds,
        "films_per_s": rate,
        "max_rss_mb": max(sample.rss_mb for sample in first.samples),
        "max_pss_mb": max(sample.pss_mb for sample in first.samples),
        "readers_ended": first.readers_ended,
        "restart_s": again.seconds,
        **shares,
        "parts": parts,
        "whole_data_set_h": WHOLE_DATA_SET / rate / 3600,
    }
    show(record)
    if path := os.environ.get("CMNET_BENCHMARK_JSON"):
        with Path(path).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")
    counts = json.loads((output / "manifest.json").read_text(encoding="utf-8"))["counts"]
    assert counts == {"done": 0, "kept from an earlier run": FILMS, "failed": 0, "pending": 0}
    assert shares.get("same_bytes", True)
    # Flat: what the last part holds is what the second one held, but for a film's worth and the list of films.
    assert parts[-1]["mean_rss_mb"] < 1.05 * parts[1]["mean_rss_mb"] + 20
    assert parts[-1]["processor_s_per_film"] < 1.25 * parts[1]["processor_s_per_film"]
    shutil.rmtree(tmp_path)
