"""How often the flag for implants and cement is raised on synthetic films with and without them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from cmnet_monai.io import atomic_write
from cmnet_monai.morphometry import find_flags
from cmnet_monai.morphometry.flags import IMPLANT_OR_CEMENT
from cmnet_monai.synthetic import generate_film
from cmnet_monai.synthetic.anatomy import KINDS


def run_flag_rates(folder: str | Path, films: int = 20, seed: int = 9000, height_px: int = 640) -> Path:
    """Raise flags on films of each kind of patient and count them; returns the table's file.

    Args:
        folder: gets ``flags.json`` and ``flags.md``.
        films: number of films of each kind.
        seed: seed of the first.
        height_px: height of the films.
    """
    flagged: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    for kind in KINDS:
        for number in range(seed, seed + films):
            film = generate_film(number, kind=kind, height_px=height_px)
            flags = find_flags(film.label_map, pixels=film.pixels, valid_area=film.valid_area)
            levels = {flag.level for flag in flags if flag.code == IMPLANT_OR_CEMENT}
            shown[f"films: {kind}"] += 1
            flagged[f"films: {kind}"] += bool(levels)
            for body in (b for b in film.bodies if b.level != "S1"):
                held = {"screws", "cement"} & set(body.findings)
                if held or kind not in ("implant", "cement"):
                    group = f"bodies: {' and '.join(sorted(held)) or 'neither, patients without'}"
                    shown[group] += 1
                    flagged[group] += body.level in levels
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    counts = {group: {"flagged": flagged[group], "of": shown[group]} for group in shown}
    content = {"films": films, "seed": seed, "height_px": height_px, "counts": counts}
    with atomic_write(folder / "flags.json") as temporary:
        Path(temporary).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    lines = ["| | flagged | of | share |", "|---|---|---|---|"]
    for group in sorted(shown):
        share = 100 * flagged[group] / shown[group]
        lines.append(f"| {group} | {flagged[group]} | {shown[group]} | {share:.0f} % |")
    with atomic_write(folder / "flags.md") as temporary:
        Path(temporary).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "flags.md"
