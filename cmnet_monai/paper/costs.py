"""What a network costs on this machine: seconds of a training step and of a film, and memory."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmnet_monai.evaluation.records import identity_of, provenance, read_json, write_json
from cmnet_monai.paper.definitions import Training

if TYPE_CHECKING:
    from cmnet_monai.paper.workspace import Bench


def costs_file(bench: Bench, training: Training) -> Path:
    """Where the costs of a training's network are noted."""
    key = identity_of(training.network, sorted(bench.settings_of("pretrain").items()), sorted(training.settings))
    return bench.work / "costs" / f"{training.network}_{key}.json"


def network_costs(bench: Bench, training: Training) -> dict[str, Any]:
    """Costs of a network, measured once: in a process of its own, so that its memory is its own too; quick runs use
    this process, and give no memory.

    Returns:
        ``train_seconds``: of a step, forward and backward, of one batch; ``film_seconds``: of one film, forward alone;
        ``train_peak_mb`` and ``film_peak_mb``: peak memory, of the process on a CPU, of the tensors on a GPU;
        ``parameters``; and where it was measured.
    """
    file = costs_file(bench, training)
    found = read_json(file)
    if found is None:
        if bench.scale.name == "quick":
            found = measure_costs(bench, training, steps=1)
        else:
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                found = pool.submit(measure_costs, bench, training).result()
        write_json(file, found)
    return dict(found)


def measure_costs(bench: Bench, training: Training, steps: int = 4) -> dict[str, Any]:
    """Time steps on random films, after one that does not count; see `network_costs`."""
    import torch

    from cmnet_monai.engines import with_precision
    from cmnet_monai.networks import keep_freed_memory
    from cmnet_monai.paper.training import TrainingRun

    run = TrainingRun(bench, replace(training, same_time=False), seed=0)
    keep_freed_memory()
    device = torch.device(bench.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    network, loss = with_precision(run.resolved("network_def").to(device)), run.resolved("loss")
    size, batch = run.resolved("spatial_size"), int(run.resolved("batch_size"))
    film = torch.rand(1, 1, *size, device=device)
    films = film.expand(batch, -1, -1, -1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-5)

    def look() -> None:
        with torch.inference_mode():
            network(film)

    def learn() -> None:
        optimizer.zero_grad()
        logits = network(films)
        loss(logits, torch.zeros_like(logits)).backward()
        optimizer.step()

    network.eval()
    film_seconds = _seconds(look, device, steps)
    film_peak = _peak_mb(device, bench)
    network.train()
    train_seconds = _seconds(learn, device, steps)
    parameters = sum(p.numel() for p in network.parameters())
    train_peak = _peak_mb(device, bench)
    return {
        "network": training.network,
        "spatial_size": list(size),
        "batch_size": batch,
        "parameters": parameters,
        "train_seconds": train_seconds,
        "film_seconds": film_seconds,
        "train_peak_mb": train_peak,
        "film_peak_mb": film_peak,
        **provenance(),
    }


def _seconds(work: Any, device: Any, steps: int) -> float:
    """Median seconds of a call, after one that does not count."""
    import statistics

    import torch

    times = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def _peak_mb(device: Any, bench: Bench) -> float | None:
    """Peak memory so far, in MB of 10^6 bytes; None where other work of the process would be counted too."""
    import torch

    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6, 1)
    return None if bench.scale.name == "quick" else process_peak_mb()


def process_peak_mb() -> float | None:
    """Peak resident memory of this process in MB of 10^6 bytes; None where the system does not tell it.

    From Linux's own count of the program that runs now: getrusage would hand down the peak of the parent process.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    lines = (line.split() for line in status.read_text(encoding="utf-8").splitlines())
    return next((round(int(parts[1]) * 1024 / 1e6, 1) for parts in lines if parts[:1] == ["VmHWM:"]), None)


def epochs_in_time_of_cmnet(bench: Bench, training: Training) -> int:
    """Epochs of a network that take as long as CM-Net's training: in the ratio of the seconds of their steps."""
    from cmnet_monai.paper.training import TrainingRun

    cmnet = Training(films=training.films)
    own, reference = network_costs(bench, training), network_costs(bench, cmnet)
    epochs = int(TrainingRun(bench, cmnet, seed=0).resolved("max_epochs"))
    return max(1, round(epochs * reference["train_seconds"] / own["train_seconds"]))
