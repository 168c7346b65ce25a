"""Films in, everything that is wanted of them out; one bad film never stops the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cmnet_monai.datasets import write_datalist
from cmnet_monai.demo import run_inference
from cmnet_monai.engines.manifest import DONE, KEPT, MANIFEST_NAME
from cmnet_monai.io import FilmError, shown_name
from cmnet_monai.prediction.collect import collect_films
from cmnet_monai.prediction.finish import Finished, Wanted, finish_film
from cmnet_monai.prediction.tables import write_table

FILMS_NAME = "films.json"
FAILURE_COLUMNS = ("film", "reason", "remedy")
TABLES = {
    "films.csv": lambda finished: [finished.film],
    "vertebrae.csv": lambda finished: finished.bodies,
    "discs.csv": lambda finished: finished.discs,
    "flags.csv": lambda finished: finished.flags,
}
"""Tables of a batch and the records of a film that they hold."""

PAGE_COLUMNS = {
    "film": "film",
    "bodies": "bodies",
    "lordosis_l1_l5_deg": "lordosis L1-L5, degrees",
    "lordosis_l1_s1_deg": "lordosis L1-S1, degrees",
    "worst_loss_percent": "greatest loss of height, %",
    "worst_level": "at",
    "worst_slip_percent": "greatest slip, %",
    "level_evidence": "levels",
}
"""Columns of the batch's page."""


@dataclass(frozen=True)
class Prediction:
    """What became of a batch.

    Args:
        output: the folder of the results.
        done: films with a result of this run.
        kept: films whose result was there already.
        flagged: films with at least one flag.
        failures: film (or source), reason and remedy of each that has no result, or lacks a part of it.
    """

    output: Path
    done: int
    kept: int
    flagged: int = 0
    failures: tuple[dict[str, str], ...] = field(default=())

    @property
    def exit_code(self) -> int:
        """0: every film worked; 1: none did; 3: some did not, or lack a part."""
        if not self.failures:
            return 0
        return 3 if self.done + self.kept else 1


def predict(
    sources: Iterable[str],
    output_dir: str | Path,
    bundle: str | Path,
    wanted: Wanted | None = None,
    say: Callable[[str], None] = print,
    **settings: Any,
) -> Prediction:
    """Run the bundle's inference on films and finish each of them.

    Args:
        sources: files, folders, datalists and patterns.
        output_dir: gets the inference workflow's files, what ``wanted`` asks for, `TABLES` and ``failures.csv``.
        bundle: the bundle's folder.
        wanted: what else to write for each film; a table and nothing else by default.
        say: called with a line before each step.
        settings: overrides of the inference config, such as ``device`` or ``batch_size``.
    Raises:
        FileNotFoundError: no source holds a film.
    """
    wanted = wanted or Wanted()
    output = Path(output_dir)
    films, missing = collect_films(sources)
    if not films:
        raise FileNotFoundError("; ".join(f"{source}: {why}" for source, why in missing.items()) or "no films given")
    output.mkdir(parents=True, exist_ok=True)
    write_datalist(output / FILMS_NAME, {"test": [{"image": str(film)} for film in films]})
    say(f"Segmenting {len(films)} films ...")
    run_inference(bundle, dataset_dir=str(output / FILMS_NAME), output_dir=str(output), **settings)
    manifest = json.loads((output / MANIFEST_NAME).read_text(encoding="utf-8"))
    failures = [{"film": source, "reason": why, "remedy": "check the path"} for source, why in missing.items()]
    say("Measuring and writing ...")
    anonymous = str(settings.get("anonymous_names", False)).lower() == "true"
    finished, lacking = _finish_all(manifest, output, wanted, anonymous)
    failures += lacking
    for table, records_of in TABLES.items():
        write_table(output / table, [row for one in finished for row in records_of(one)])
    write_table(output / "failures.csv", failures, FAILURE_COLUMNS)
    _write_page(output, finished, failures)
    counts, flagged = manifest["counts"], sum(bool(one.flags) for one in finished)
    return Prediction(output, counts[DONE], counts[KEPT], flagged, tuple(failures))


def _write_page(output: Path, finished: list[Finished], failures: list[dict[str, str]]) -> None:
    from cmnet_monai.visualize import write_batch_page

    films = [{**one.film, "flags": [flag["text"] for flag in one.flags], "picture": one.picture} for one in finished]
    write_batch_page(output / "report.html", films, PAGE_COLUMNS, failures)


def _finish_all(
    manifest: Mapping[str, Any], output: Path, wanted: Wanted, anonymous: bool
) -> tuple[list[Finished], list[dict[str, str]]]:
    finished: list[Finished] = []
    failures: list[dict[str, str]] = []
    for name, record in tqdm(manifest["films"].items(), desc="finishing", unit="film"):
        shown = name if anonymous else shown_name(record["film"])
        if record["status"] not in (DONE, KEPT):
            remedy = record.get("remedy", "run it again")
            failures.append({"film": shown, "reason": record.get("reason", record["status"]), "remedy": remedy})
            continue
        remedy = "mask and centres are there; look at the film"
        try:
            finished.append(finish_film(Path(record["film"]), output, name, wanted, manifest["run"], shown))
            failures += [{"film": shown, "reason": why, "remedy": remedy} for why in finished[-1].problems]
        except FilmError as error:
            failures.append({"film": shown, "reason": error.reason, "remedy": error.remedy})
        except Exception as error:  # whatever it is, the other films are finished
            failures.append({"film": shown, "reason": f"{type(error).__name__}: {error}", "remedy": remedy})
    return finished, failures
