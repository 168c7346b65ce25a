"""The demonstration: films with known truth, through the bundle's inference workflow, compared and shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmnet_monai.conventions import LEVEL_OF_LABEL, LUMBAR_LABELS
from cmnet_monai.io.files.results import ResultFiles, centres_record
from cmnet_monai.metrics.pixels import mask_dice

DEMO_SEED = 20_260_001
"""Far from the seeds that training sets are made with; a training set of this seed would hold other films anyway."""
DEMO_FILMS = {"healthy": "healthy", "fracture": "compression_fracture", "implant": "implant"}


@dataclass(frozen=True)
class DemoRow:
    """How one film came out.

    Args:
        film: name of the film.
        dice: overlap of the exported mask with the true L1-L5, on the film's own grid.
        found: true L1-L5 bodies that hold the predicted centre of their level.
        bodies: true L1-L5 bodies on the film.
        centre_error_px: mean distance of predicted from true centres of the same level, pixels of the film.
        seconds: from the file to the written mask.
    """

    film: str
    dice: float
    found: int
    bodies: int
    centre_error_px: float
    seconds: float


def run_demo(
    output_dir: str | Path,
    bundle: str | Path,
    seed: int = DEMO_SEED,
    say: Callable[[str], None] = print,
    **settings: Any,
) -> list[DemoRow]:
    """Make the demo films, run the bundle on them, write masks and overlays, and compare with the truth.

    Args:
        output_dir: gets ``films``, ``labels``, ``truth``, ``results``, ``overlays`` and ``demo.json``.
        bundle: the bundle's folder.
        seed: another seed makes other films.
        say: called with a line before each step.
        settings: overrides of the inference config, such as ``device``.
    Returns:
        One row a film.
    """
    from cmnet_monai.datasets.synthesize import plan_films
    from cmnet_monai.engines.inference import run_inference
    from cmnet_monai.io.files.json import write_json

    folder = Path(output_dir)
    say(f"Making {len(DEMO_FILMS)} radiographs with known truth in {folder / 'films'} ...")
    for name, kind in DEMO_FILMS.items():
        _make(folder, name, plan_films(1, seed, kind=kind)[0])
        ResultFiles(folder / "results", name).remove()
    say(f"Running the inference workflow of {bundle} ...")
    run_inference(bundle, dataset_dir=str(folder / "films"), output_dir=str(folder / "results"), **settings)
    manifest = json.loads((folder / "results" / "manifest.json").read_text(encoding="utf-8"))
    say("Comparing with the truth and drawing overlays ...")
    rows = [_compare(folder, name, manifest["films"][name]) for name in DEMO_FILMS]
    films = [asdict(row) for row in rows]
    write_json(folder / "demo.json", {"seed": seed, "weights": manifest["weights"], "films": films})
    return rows


def _make(folder: Path, name: str, plan: Any) -> None:
    from dataclasses import replace

    from cmnet_monai.datasets.synthesize import make_film

    (folder / "truth" / f"{name}.json").unlink(missing_ok=True)  # a film of another seed may be there
    make_film(replace(plan, name=name), folder)


def _compare(folder: Path, name: str, record: Mapping[str, Any]) -> DemoRow:
    from cmnet_monai.io import read_film, read_label_map
    from cmnet_monai.visualize import save_overlay

    if record["status"] != "done":
        raise RuntimeError(f"{record['film']}: {record.get('reason', record['status'])}. {record.get('remedy', '')}")
    result = ResultFiles(folder / "results", name).read_result()
    labels = read_label_map(folder / "labels" / f"{name}.png")
    mask = result.mask > 0
    centres = centres_record(result)["centres"]
    truth = json.loads((folder / "truth" / f"{name}.json").read_text(encoding="utf-8"))["bodies"]
    lumbar = np.isin(labels, LUMBAR_LABELS)
    dice = mask_dice(mask, lumbar)
    errors, found = _centre_errors(centres, truth, labels)
    film = read_film(folder / "films" / f"{name}.dcm").pixels
    save_overlay(folder / "overlays" / f"{name}.png", film, mask, centres, lumbar, title=f"{name}: Dice {dice:.3f}")
    bodies = sum(body["label"] in LUMBAR_LABELS for body in truth)
    error = float(np.mean(errors)) if errors else float("nan")
    return DemoRow(name, dice, found, bodies, error, float(record["seconds"]))


def _centre_errors(
    centres: Sequence[Mapping[str, Any]], truth: Sequence[Mapping[str, Any]], labels: np.ndarray
) -> tuple[list[float], int]:
    """Distances of centres to the true ones of their level, px, and how many lie in the body of their level."""
    true_xy = {LEVEL_OF_LABEL[b["label"]]: b["centre_xy_px"] for b in truth if b["label"] in LUMBAR_LABELS}
    errors, found = [], 0
    for centre in centres:
        if centre["level"] not in true_xy:
            continue
        x, y = true_xy[centre["level"]]
        errors.append(float(np.hypot(centre["x_px"] - x, centre["y_px"] - y)))
        i = (round(centre["x_px"]), round(centre["y_px"]))
        inside = all(0 <= n < size for n, size in zip(i, labels.shape))
        found += bool(inside and LEVEL_OF_LABEL.get(int(labels[i])) == centre["level"])
    return errors, found


def table(rows: Sequence[DemoRow]) -> str:
    """The rows as a table of plain text."""
    head = f"{'film':<10} {'Dice':>6} {'found':>7} {'centre error':>13} {'seconds':>8}"
    lines = [
        f"{r.film:<10} {r.dice:>6.3f} {f'{r.found}/{r.bodies}':>7} "
        f"{f'{r.centre_error_px:.1f} px':>13} {r.seconds:>8.1f}"
        for r in rows
    ]
    return "\n".join([head, "-" * len(head), *lines])
