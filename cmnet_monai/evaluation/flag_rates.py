"""How often flags are raised: on films that show no lateral lumbar spine or one that lies wrongly, and on implants."""

from __future__ import annotations

import csv
import itertools
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from cmnet_monai.io import atomic_write
from cmnet_monai.io.files.atomic import write_text
from cmnet_monai.io.files.json import write_json
from cmnet_monai.io.files.tables import markdown_table
from cmnet_monai.morphometry import find_flags
from cmnet_monai.morphometry.flags import IMPLANT_OR_CEMENT, NOT_LATERAL_LUMBAR
from cmnet_monai.synthetic import generate_film
from cmnet_monai.synthetic.anatomy import KINDS as PATIENTS
from cmnet_monai.synthetic.anatomy import random_patient
from cmnet_monai.synthetic.film import finish_film, place_patient, render_depth, render_labels
from cmnet_monai.synthetic.projection import Geometry

Pixels = NDArray[Any]
RIGHT = "lateral lumbar"
"""The kind of film that is none of them: its flags are false alarms."""

_NAMES = "kinds.json"


def _film(region: str) -> Callable[[int, int], Pixels]:
    return lambda seed, height: generate_film(seed, height_px=height, region=region).pixels


def _turned(quarters: int) -> Callable[[int, int], Pixels]:
    return lambda seed, height: np.rot90(_film("lumbar")(seed, height), quarters)


def _whole_spine(seed: int, height: int) -> Pixels:
    """A long film from T1 to the pelvis of a standing patient, neck and head aside: there are no cervical bodies."""
    rng = np.random.default_rng(seed)
    patient = random_patient(seed, "healthy", "thoracic")
    long_mm = float(rng.uniform(640, 820)) * patient.size
    wide_mm, source_mm, depth_mm = 0.45 * long_mm, 1800.0, 0.5 * patient.width_mm + 60.0
    middle = next(body for body in patient.vertebrae if body.level == "T12").centre_mm
    central = wide_mm / 2, long_mm / 2
    shrunk = (source_mm - depth_mm) / source_mm
    goal = central[0], central[1] + (float(rng.uniform(0.5, 0.56)) * long_mm - central[1]) * shrunk
    placed = place_patient(patient, (goal[0] - middle[0], goal[1] - middle[1]), depth_mm)
    geometry = Geometry((round(0.45 * height), height), long_mm / height, source_mm, central)
    film = finish_film(
        render_depth(placed, geometry, rng, region="thoracic"),
        lambda valid: render_labels(placed, geometry, valid),
        geometry,
        rng,
        faces="left",
        region="thoracic",
        findings=patient.findings,
        seed=seed,
        kind="healthy",
    )
    return film.pixels


def _noise(smoothing: float) -> Callable[[int, int], Pixels]:
    def make(seed: int, height: int) -> Pixels:
        noise = np.random.default_rng(seed).normal(size=(int(0.7 * height), height))
        return ndimage.gaussian_filter(noise, smoothing * height) if smoothing else noise

    return make


KINDS: Mapping[str, Callable[[int, int], Pixels]] = MappingProxyType(
    {
        RIGHT: _film("lumbar"),
        "lateral thoracic": _film("thoracic"),
        "lateral whole spine": _whole_spine,
        "turned by 90 degrees": _turned(1),
        "turned by 270 degrees": _turned(3),
        "upside down": _turned(2),
        "noise": _noise(0.0),
        "clouds": _noise(0.02),
    }
)
"""Makers of films, (x, y), bone bright, from a seed and a height in px."""


def write_wrong_films(folder: str | Path, films: int = 10, seed: int = 9500, height_px: int = 640) -> Path:
    """Write films of each of `KINDS` as 8-bit PNG; returns their folder, to be given to ``cmnet-monai predict``.

    Args:
        folder: gets ``films`` and ``kinds.json``, the kind of each film.
        films: number of films of each kind.
        seed: seed of the first.
        height_px: height of the films before they are turned.
    """
    target = Path(folder) / "films"
    target.mkdir(parents=True, exist_ok=True)
    kinds = {}
    for kind, make in KINDS.items():
        for number in range(films):
            pixels = np.asarray(make(seed + number, height_px), dtype=np.float64)
            low, high = np.percentile(pixels, (0.5, 99.5))
            grey = np.rint(255 * np.clip((pixels - low) / (high - low), 0, 1)).astype(np.uint8)
            name = f"{kind.replace(' ', '_')}_{number:02d}.png"
            kinds[name] = kind
            with atomic_write(target / name) as temporary:
                Image.fromarray(np.ascontiguousarray(grey.T)).save(temporary, format="PNG")
    write_json(Path(folder) / _NAMES, kinds)
    return target


def run_wrong_film_rates(folder: str | Path, results: str | Path) -> Path:
    """Count the films of each kind that a run over them flagged; returns the table's file.

    Args:
        folder: as `write_wrong_films` made it; gets ``wrong_films.json`` and ``wrong_films.md``.
        results: output folder of ``cmnet-monai predict``.
    Raises:
        OSError: one of the two is not there.
        ValueError: the run lacks a film.
    """
    kinds = json.loads((Path(folder) / _NAMES).read_text(encoding="utf-8"))
    bodies = {row["film"]: int(row["bodies"]) for row in _rows(Path(results) / "films.csv")}
    missing = sorted(set(kinds) - set(bodies))
    if missing:
        raise ValueError(f"{results}: no result of {', '.join(missing[:5])}")
    flagged = {row["film"] for row in _rows(Path(results) / "flags.csv") if row["code"] == NOT_LATERAL_LUMBAR}
    counts = {kind: {"flagged": 0, "of": 0, "empty": 0, "bodies": 0} for kind in kinds.values()}
    for name, kind in kinds.items():
        found = {"flagged": name in flagged, "of": 1, "empty": bodies[name] == 0, "bodies": bodies[name]}
        counts[kind] = {key: counts[kind][key] + int(value) for key, value in found.items()}
    write_json(Path(folder) / "wrong_films.json", counts)
    head = ["films", "flagged", "of", "without any body", "bodies a film"]
    rows = [[k, c["flagged"], c["of"], c["empty"], f"{c['bodies'] / c['of']:.1f}"] for k, c in counts.items()]
    return write_text(Path(folder) / "wrong_films.md", markdown_table(head, rows) + "\n")


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def run_flag_rates(folder: str | Path, films: int = 20, seed: int = 9000, height_px: int = 640) -> Path:
    """Raise the flag for implants and cement on films of each kind of patient and count it; returns the table's file.

    Args:
        folder: gets ``flags.json`` and ``flags.md``.
        films: number of films of each kind.
        seed: seed of the first.
        height_px: height of the films.
    """
    flagged: Counter[str] = Counter()
    shown: Counter[str] = Counter()

    def count(group: str, raised: bool) -> None:
        shown[group] += 1
        flagged[group] += raised

    for kind, number in itertools.product(PATIENTS, range(seed, seed + films)):
        film = generate_film(number, kind=kind, height_px=height_px)
        flags = find_flags(film.label_map, pixels=film.pixels, valid_area=film.valid_area)
        levels = {flag.level for flag in flags if flag.code == IMPLANT_OR_CEMENT}
        count(f"films: {kind}", bool(levels))
        for body in (b for b in film.bodies if b.level != "S1"):
            held = {"screws", "cement"} & set(body.findings)
            if held or kind not in ("implant", "cement"):
                group = " and ".join(sorted(held)) or "neither, patients without"
                count(f"bodies: {group}", body.level in levels)
    counts = {group: {"flagged": flagged[group], "of": shown[group]} for group in shown}
    content = {"films": films, "seed": seed, "height_px": height_px, "counts": counts}
    write_json(Path(folder) / "flags.json", content)
    rows = [[g, flagged[g], n, f"{100 * flagged[g] / n:.0f} %"] for g, n in sorted(shown.items())]
    return write_text(Path(folder) / "flags.md", markdown_table(["", "flagged", "of", "share"], rows) + "\n")
