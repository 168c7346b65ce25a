"""Read mutated films in child processes with limits on time and memory, and say what became of each.

``python fuzz_reader.py FOLDER SEED COUNT [STEP]`` reads COUNT random mutations of the files in FOLDER/seeds, and every
STEPth value of the bytes that tell a code stream's depth and components and of the header's Samples per Pixel. Cases
that crash, hang, take too much memory or raise anything but one clear line stay in FOLDER.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

MEMORY_MIB = 1024
"""Address space, and resident memory, beyond what libraries take at the start."""
SECONDS = 10
"""Of the processor; ten times as long by the clock, since other programs may have the machine."""
MARKERS = (b"\xff\xc0", b"\xff\xc1", b"\xff\xc3", b"\xff\xf7")
J2K_SIZE = b"\xff\x4f\xff\x51"
SAMPLES_PER_PIXEL = (b"\x28\0\x02\0US\x02\0", b"\0\x28\0\x02US\0\x02", b"\x28\0\x02\0\x02\0\0\0")
READ, REFUSED = b"r", b"f"
BATCH = 100
"""Cases that one child reads, as long as it lives."""


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A copy with some damage: bits, bytes, runs of zeros, blocks moved, doubled or cut, mostly in its first part."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if not out:
            break
        start = rng.choice((0, 0, bytes(out).find(b"\xe0\x7f\x10\0") % len(out)))  # header, pixel data
        size = len(out) - start if rng.random() < 0.5 else min(len(out) - start, 700)  # headers deserve more
        at, length = start + rng.randrange(size), rng.choice((1, 1, 2, 4, 16, 200))
        kind = rng.randrange(8)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at : at + length] = rng.randbytes(min(length, len(out) - at))
        elif kind == 2:
            out[at : at + length] = bytes([rng.choice((0, 0x7F, 0x80, 0xFF))]) * min(length, len(out) - at)
        elif kind == 3:
            del out[at : at + length]
        elif kind == 4:
            out[at:at] = out[at : at + length]
        elif kind == 5:
            del out[at:]
        elif kind == 6:
            to = rng.randrange(len(out))
            out[to : to + length] = out[at : at + length]
        else:
            out[at : at + 2] = rng.choice((b"\xff\xff", b"\0\0", b"\xff\x7f", b"\x01\0", b"\0\x01"))
    return bytes(out)


def places(data: bytes) -> list[int]:
    """Where a DICOM film tells depth and components: in the frame header of its code stream, and in its own header."""
    found = []
    for marker in MARKERS:
        for length in (b"\0\x0b", b"\0\x11"):  # one component, three
            if (at := data.find(marker + length)) >= 0:
                found += [at + 4, at + 9]
    if (at := data.find(J2K_SIZE)) >= 0:
        found += [at + 41, at + 42]
    for tag in SAMPLES_PER_PIXEL:
        if (at := data.find(tag)) >= 0:
            found += [at + len(tag), at + len(tag) + 1]
    return found


def cases(seeds: list[Path], seed: int, count: int, step: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of every case."""
    if step:
        for file in seeds:
            data = file.read_bytes()
            for at in places(data):
                for value in range(seed % step, 256, step):
                    yield f"{file.name}, byte {at} = {value}", data[:at] + bytes([value]) + data[at + 1 :]
    rng = random.Random(seed)
    for number in range(count):
        file = rng.choice(seeds)
        yield f"{file.name}, mutation {number}", mutated(file.read_bytes(), rng)


def read_in_child(batch: list[tuple[str, bytes]], target: Path) -> tuple[list[bytes], str, int]:
    """Outcomes of the cases that a child reads before it ends, how it ended, and MiB that it took beyond the start."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        _read(batch, target, sender)
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        told = pipe.read()
    outcomes = [bytes([outcome]) for outcome in told.rstrip(b"0123456789")]
    _, status = os.waitpid(child, 0)
    end = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"code {os.WEXITSTATUS(status)}"
    return outcomes, end, int(told[len(outcomes) :] or 0)


def _read(batch: list[tuple[str, bytes]], target: Path, sender: int) -> None:
    used, resident = (int(n) * resource.getpagesize() for n in Path("/proc/self/statm").read_text().split()[:2])
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_MIB * 2**20,) * 2)
    for _, data in batch:
        target.write_bytes(data)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.alarm(10 * SECONDS)
        try:
            outcome = _read_one(target)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os.write(sender, outcome)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident
    os.write(sender, str(max(peak, 0) >> 20).encode())


def _read_one(target: Path) -> bytes:
    from cmnet_monai.io import FilmError, read_film

    try:
        film = read_film(target)
        assert film.pixels.ndim == 2 and film.valid_area.shape == film.pixels.shape and film.pixels.size
    except FilmError as error:
        assert error.path == str(target) and error.reason and error.remedy, repr(error)
        assert "\n" not in str(error) and len(error.reason) < 300 and "Synthetic" not in error.reason, repr(error)
        return REFUSED
    return READ


def main(folder: Path, seed: int, count: int, step: int = 0) -> int:
    """Read every case; the exit code is 1 if one of them went wrong."""
    from cmnet_monai.io import read_film

    warnings.simplefilter("ignore")
    seeds = sorted((folder / "seeds").iterdir())
    for file in seeds:  # every library is loaded before the children
        read_film(file)
    todo, target = list(cases(seeds, seed, count, step)), folder / f"case_{seed}"
    done, wrong, largest = {READ: 0, REFUSED: 0}, 0, 0
    while todo:
        batch, todo = todo[:BATCH], todo[BATCH:]
        outcomes, end, mib = read_in_child(batch, target)
        largest = max(largest, mib)
        for outcome in outcomes:
            done[outcome] += 1
        if len(outcomes) < len(batch):
            wrong += 1
            kept = target.rename(folder / f"wrong_{seed}_{wrong}")
            print(f"{batch[len(outcomes)][0]}: {end}; it is {kept}", file=sys.stderr)
            todo = batch[len(outcomes) + 1 :] + todo
    print(f"{sum(done.values())} cases: {done[READ]} read, {done[REFUSED]} refused; at most {largest} MiB more")
    return int(wrong > 0 or largest > MEMORY_MIB)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
