"""Read mutated files in a process of its own, with a limit on memory, and say what became of each.

``python fuzz_reader.py FOLDER SEED COUNT`` writes each file before it is read, so that a crash leaves the culprit.
"""

from __future__ import annotations

import random
import resource
import sys
import time
import warnings
from pathlib import Path

MEMORY_MIB = 1024
"""Address space beyond what libraries take at the start; no seed needs a hundredth of it."""
SLOW_SECONDS = 5.0


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A copy with some damage: bits, bytes, runs of zeros, blocks moved, doubled or cut, mostly in its first part."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if not out:
            break
        size = len(out) if rng.random() < 0.5 else min(len(out), 700)  # headers deserve more than their share
        at, length = rng.randrange(size), rng.choice((1, 1, 2, 4, 16, 200))
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


def main(folder: Path, seed: int, count: int) -> None:
    """Read `count` mutations of the files in ``folder / "seeds"``."""
    from cmnet_monai.io import FilmError, read_film

    warnings.simplefilter("ignore")
    seeds = sorted((folder / "seeds").iterdir())
    for file in seeds:  # every library is loaded before memory is limited
        read_film(file)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_MIB * 2**20,) * 2)
    rng, target = random.Random(seed), folder / f"case_{seed}"
    read = refused = 0
    for _ in range(count):
        file = rng.choice(seeds)
        target.write_bytes(mutated(file.read_bytes(), rng))
        start = time.process_time()
        try:
            film = read_film(target)
            assert film.pixels.ndim == 2 and film.valid_area.shape == film.pixels.shape and film.pixels.size
            read += 1
        except FilmError as error:
            assert error.reason and error.remedy and "\n" not in str(error) and len(error.reason) < 300, repr(error)
            assert "Synthetic" not in error.reason, repr(error)
            refused += 1
        seconds = time.process_time() - start
        assert seconds < SLOW_SECONDS, f"{seconds:.1f} s"
    print(f"{count} cases: {read} read, {refused} refused")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
