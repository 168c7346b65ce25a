"""Faults in the midst of an inference run: no half result, no film lost or done twice, and the next run finishes.

Each fault strikes a run over the same films with a stand-in for the network; the run after it must leave what an
undisturbed one leaves, byte for byte.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from plain_decoding import plain_decoding  # noqa: F401
from torch import Tensor, nn

from cmnet_monai.io import OutputError, read_film, read_label_map
from cmnet_monai.io.files.atomic import TEMPORARY_PREFIX

FILMS = 6
SIZE_XY = (150, 231)
KEPT = "kept from an earlier run"


class BrightIsVertebra(nn.Module):
    """Calls the brightest pixels of a film vertebra; `before` is called with each batch before it is looked at."""

    def __init__(self, before: Callable[[Tensor], None] = lambda batch: None) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.9))
        self.before = before

    def forward(self, x: Tensor) -> Tensor:
        self.before(x)
        low = torch.full_like(x[:, :1], -20.0)
        return torch.cat((low, (x[:, :1] - self.level) * 200.0, low), dim=1)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films 0 to 5 with two bright boxes each at places of their own."""
    folder = tmp_path_factory.mktemp("films")
    for number in range(FILMS):
        pixels = np.random.default_rng(number).integers(10, 90, SIZE_XY).astype(np.uint8)
        for top in (40, 130):
            pixels[30 + 5 * number : 90 + 5 * number, top : top + 45 + number] = 250
        Image.fromarray(np.ascontiguousarray(pixels.T)).save(folder / f"film_{number}.png")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bright") / "model.pt"
    torch.save(BrightIsVertebra().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def run(infer: Callable[..., dict], weights: Path) -> Callable[..., dict[str, Any]]:
    """Run inference, the network calling `before`; returns the manifest."""

    def go(films: Path, output: Path, before: Callable[[Tensor], None] = lambda batch: None, **more: Any) -> dict:
        settings = {
            "ckpt_path": str(weights),
            "spatial_size": [96, 144],
            "mirror": False,
            "passes": 1,
            "report": False,
            **more,
        }
        return infer(films, output, network_def=BrightIsVertebra(before), **settings)

    return go


@pytest.fixture(scope="module")
def undisturbed(run: Callable[..., dict], films: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    assert run(films, output)["counts"]["done"] == FILMS
    result = contents(output)
    assert len(result) == 6 * FILMS and len({result[f"film_{n}_mask.png"] for n in range(FILMS)}) == FILMS
    return result


def contents(output: Path) -> dict[str, bytes]:
    """Every file of a film's result by its name."""
    return {file.name: file.read_bytes() for file in output.glob("film_*")}


def manifest_of(output: Path) -> dict[str, Any]:
    return json.loads((output / "manifest.json").read_text(encoding="utf-8"))


def complete(output: Path) -> set[str]:
    return {file.name.removesuffix("_result.json") for file in output.glob("*_result.json")}


def assert_nothing_half(output: Path, undisturbed: dict[str, bytes]) -> None:
    """What is there is what an undisturbed run would have left, and nothing temporary is."""
    assert contents(output).items() <= undisturbed.items()
    assert not list(output.glob(f"{TEMPORARY_PREFIX}*"))


def at_call(number: int, act: Callable[[], None]) -> Callable[[Tensor], None]:
    """Act when the network is asked for the given time, counted from 0."""
    calls = iter(range(10**6))
    return lambda batch: act() if next(calls) == number else None


@contextmanager
def failing_disk(monkeypatch: pytest.MonkeyPatch, number: int, after: int) -> Iterator[None]:
    """Every flush to the disk fails with an errno from the given one on."""
    flush, calls = os.fsync, iter(range(10**6))

    def failing(descriptor: int) -> None:
        if next(calls) >= after:
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr("cmnet_monai.io.files.atomic.os.fsync", failing)
        yield


def cause(caught: pytest.ExceptionInfo) -> BaseException:
    error: BaseException = caught.value
    while error.__cause__ is not None and not isinstance(error, OutputError):
        error = error.__cause__
    return error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_place_that_takes_no_more_files_stops_the_run(
    run: Callable, films: Path, undisturbed: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    output = tmp_path / "out"
    # Two flushes a file: one film is written whole (and the manifest before it), the second breaks off.
    with failing_disk(monkeypatch, number, 2 * (1 + 6 + 3)), pytest.raises(RuntimeError) as caught:
        run(films, output)
    error = cause(caught)
    assert isinstance(error, OutputError) and os.strerror(number) in str(error) and "goes on where it" in str(error)
    assert "\n" not in str(error)
    assert_nothing_half(output, undisturbed)
    assert complete(output) == {"film_0"}
    assert not list(output.glob("film_1*"))
    after = run(films, output)
    assert (after["counts"]["done"], after["counts"][KEPT], after["counts"]["failed"]) == (FILMS - 1, 1, 0)
    assert contents(output) == undisturbed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "none", str(folder)], capture_output=True
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("needs the right to mount a small disk; the patched disk stands in for it")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_stops_the_run_and_room_lets_it_finish(
    run: Callable, films: Path, undisturbed: dict, small_disk: Path
) -> None:
    output = small_disk / "out"
    with pytest.raises(RuntimeError) as caught:
        run(films, output)
    assert isinstance(cause(caught), OutputError) and "No space left" in str(cause(caught))
    assert_nothing_half(output, undisturbed)
    done = complete(output)
    assert 1 <= len(done) < FILMS
    manifest = manifest_of(output)
    assert manifest["finished"] == "" and manifest["stopped"] == "No space left on device"
    assert {name for name, film in manifest["films"].items() if film["status"] == "done"} == done
    assert {film["status"] for film in manifest["films"].values()} == {"done", "pending"}
    subprocess.run(["mount", "-o", "remount,size=10m", str(small_disk)], check=True)
    after = run(films, output)
    assert after["counts"] == {"done": FILMS - len(done), KEPT: len(done), "failed": 0, "pending": 0}
    assert after["stopped"] == "" and contents(output) == undisturbed


def test_output_that_cannot_be_made_is_named_before_any_film_is_read(
    run: Callable, films: Path, tmp_path: Path
) -> None:
    (tmp_path / "a file").write_text("in the way", encoding="utf-8")
    asked: list[int] = []
    with pytest.raises(RuntimeError) as caught:
        run(films, tmp_path / "a file" / "out", lambda batch: asked.append(1))
    assert isinstance(cause(caught), OutputError) and "a file" in str(cause(caught))
    assert asked == [] and (tmp_path / "a file").read_text(encoding="utf-8") == "in the way"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Interrupts arrive, even where whoever started the tests in the background had them ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [0, 1])
def test_signal_ends_the_run_in_order(
    run: Callable, films: Path, undisturbed: dict, tmp_path: Path, number: int, workers: int
) -> None:
    output = tmp_path / "out"
    before = signal.getsignal(signal.SIGTERM)
    end = SystemExit if number == signal.SIGTERM else KeyboardInterrupt
    with pytest.raises(end):
        run(films, output, at_call(2, lambda: os.kill(os.getpid(), number)), num_workers=workers)
    assert signal.getsignal(signal.SIGTERM) is before
    assert_nothing_half(output, undisturbed)
    manifest = manifest_of(output)
    assert complete(output) == {"film_0", "film_1"}
    assert manifest["stopped"].startswith("stopped") and manifest["finished"] == ""
    assert manifest["counts"] == {"done": 2, KEPT: 0, "failed": 0, "pending": FILMS - 2}
    assert run(films, output)["counts"] == {"done": FILMS - 2, KEPT: 2, "failed": 0, "pending": 0}
    assert contents(output) == undisturbed


def test_sigterm_while_a_film_is_written_leaves_none_of_it(
    run: Callable, films: Path, undisturbed: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    flush, calls = os.fsync, iter(range(10**6))

    def struck(descriptor: int) -> None:
        flush(descriptor)
        if next(calls) == 2 * (1 + 6 + 2):  # the third file of the second film
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr("cmnet_monai.io.files.atomic.os.fsync", struck)
        run(films, output)
    assert_nothing_half(output, undisturbed)
    assert complete(output) == {"film_0"} and not list(output.glob("film_1*"))
    run(films, output)
    assert contents(output) == undisturbed


def test_film_that_vanishes_is_named_and_done_when_it_is_back(
    run: Callable, films: Path, undisturbed: dict, tmp_path: Path
) -> None:
    folder, output = tmp_path / "films", tmp_path / "out"
    shutil.copytree(films, folder)
    listed = {"test": [{"image": str(folder / f"film_{n}.png")} for n in range(FILMS)]}
    (tmp_path / "list.json").write_text(json.dumps(listed), encoding="utf-8")
    manifest = run(tmp_path / "list.json", output, at_call(1, (folder / "film_4.png").unlink))
    assert manifest["films"]["film_4"]["status"] == "failed"
    assert "No such file" in manifest["films"]["film_4"]["reason"] and manifest["films"]["film_4"]["remedy"]
    assert manifest["counts"] == {"done": FILMS - 1, KEPT: 0, "failed": 1, "pending": 0}
    assert_nothing_half(output, undisturbed)
    shutil.copy2(films / "film_4.png", folder / "film_4.png")
    again = run(tmp_path / "list.json", output)
    assert again["counts"] == {"done": 1, KEPT: FILMS - 1, "failed": 0, "pending": 0}
    assert contents(output) == undisturbed


def test_film_that_changes_while_it_is_looked_at_is_done_again(
    run: Callable, films: Path, undisturbed: dict, tmp_path: Path
) -> None:
    folder, output = tmp_path / "films", tmp_path / "out"
    shutil.copytree(films, folder)

    def exchange() -> None:
        shutil.copy2(films / "film_5.png", folder / "film_1.png")

    assert run(folder, output, at_call(1, exchange))["counts"]["done"] == FILMS
    again = run(folder, output)
    assert again["films"]["film_1"]["status"] == "done" and again["counts"][KEPT] == FILMS - 1
    np.testing.assert_array_equal(
        read_label_map(output / "film_1_mask.png"), read_label_map(output / "film_5_mask.png")
    )


def test_film_that_is_damaged_later_keeps_no_result_of_the_film_it_was(
    run: Callable, films: Path, tmp_path: Path
) -> None:
    folder, output = tmp_path / "films", tmp_path / "out"
    shutil.copytree(films, folder)
    run(folder, output)
    (output / "film_2_overlay.png").write_bytes(b"made from the old result")
    (folder / "film_2.png").write_bytes((films / "film_2.png").read_bytes()[:900])
    manifest = run(folder, output)
    assert manifest["films"]["film_2"]["status"] == "failed" and manifest["counts"][KEPT] == FILMS - 1
    assert not list(output.glob("film_2*"))


def test_reader_that_a_film_ends_costs_that_film_alone(
    run: Callable, films: Path, undisturbed: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = os.getpid()

    def deadly(path: Path, *rest: Any) -> Any:
        if path.name == "film_2.png" and os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return read_film(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("cmnet_monai.io.films.radiograph_reader.read_film", deadly)
        manifest = run(films, tmp_path, num_workers=2)
    assert manifest["counts"] == {"done": FILMS - 1, KEPT: 0, "failed": 1, "pending": 0}
    assert "ended" in manifest["films"]["film_2"]["reason"]
    assert_nothing_half(tmp_path, undisturbed)
    assert run(films, tmp_path, num_workers=2)["counts"] == {"done": 1, KEPT: FILMS - 1, "failed": 0, "pending": 0}
    assert contents(tmp_path) == undisturbed


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_batch_for_which_memory_does_not_suffice_is_done_in_smaller_ones(
    run: Callable, films: Path, undisturbed: dict, tmp_path: Path, error: Exception
) -> None:
    sizes: list[int] = []

    def small_memory(batch: Tensor) -> None:
        sizes.append(len(batch))
        if len(batch) > 1:
            raise error

    manifest = run(films, tmp_path, small_memory, batch_size=4)
    assert manifest["counts"] == {"done": FILMS, KEPT: 0, "failed": 0, "pending": 0}
    assert sizes == [4, 2, 1, 1, 1, 1, 1, 1]  # the second batch does not try again
    assert contents(tmp_path) == undisturbed


def test_film_that_does_not_fit_alone_has_failed(run: Callable, films: Path, undisturbed: dict, tmp_path: Path) -> None:
    calls = iter(range(100))

    def small_memory(batch: Tensor) -> None:
        if len(batch) > 1 or next(calls) == 1:
            raise MemoryError

    manifest = run(films, tmp_path, small_memory, batch_size=2)
    assert manifest["films"]["film_1"]["status"] == "failed"
    assert manifest["films"]["film_1"]["reason"] == "there is not enough memory for this film"
    assert manifest["counts"] == {"done": FILMS - 1, KEPT: 0, "failed": 1, "pending": 0}
    assert run(films, tmp_path)["counts"] == {"done": 1, KEPT: FILMS - 1, "failed": 0, "pending": 0}
    assert contents(tmp_path) == undisturbed


def test_what_killed_runs_left_behind_is_cleared_away(run: Callable, films: Path, tmp_path: Path) -> None:
    old, young = (tmp_path / f"{TEMPORARY_PREFIX}{name}.png" for name in ("old", "young"))
    for file in (old, young):
        file.write_bytes(b"half")
    os.utime(old, (1, 1))
    run(films / "film_0.png", tmp_path)
    assert not old.exists() and young.exists()  # the young one may be another process's
