"""Films in, everything that is wanted of them out; one bad film never stops the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cmnet_monai.conventions import LUMBAR_PROTOCOL, channel_names
from cmnet_monai.datasets import write_datalist
from cmnet_monai.datasets.datalist import without_outputs
from cmnet_monai.demo import run_inference
from cmnet_monai.engines.evaluator import sigterm_exits
from cmnet_monai.engines.manifest import DONE, KEPT
from cmnet_monai.io import FilmError, OutputError, printable, write_itksnap_labels, write_slicer_colours
from cmnet_monai.io.errors import error_text
from cmnet_monai.io.files.results import MANIFEST_NAME
from cmnet_monai.prediction.batch_tables import BatchTables
from cmnet_monai.prediction.collect import collect_films
from cmnet_monai.prediction.finish import Wanted, finish_film

FILMS_NAME = ".cmnet-films.json"
"""The films of a run, for the inference workflow; deleted when it ends."""

ENGINES = {"torch": "", "torchscript": "inference_ts", "onnx": "inference_onnx"}
"""What runs the network, and the config that is laid over the bundle's ``inference.json`` for it."""

PROGRAMS = {"torchscript": "model.ts", "onnx": "model.onnx"}
"""Exported networks: where in ``models`` an engine looks for its own."""


@dataclass(frozen=True)
class Prediction:
    """What became of a batch.

    Args:
        output: the folder of the results.
        done: films with a result of this run.
        kept: films whose result was there already.
        flagged: films with at least one flag.
        failures: film (or source), reason and remedy of each that has no result, or lacks a part of it.

    >>> failure = {"film": "b.dcm", "reason": "the file is damaged", "remedy": "Export it again"}
    >>> Prediction(Path("out"), done=4, kept=0).exit_code, Prediction(Path("out"), 4, 0, failures=(failure,)).exit_code
    (0, 3)
    """

    output: Path
    done: int
    kept: int
    flagged: int = 0
    failures: tuple[dict[str, str], ...] = field(default=())

    @property
    def exit_code(self) -> int:
        """0 if every film worked, 1 if none did, 3 if some did not or lack a part."""
        if not self.failures:
            return 0
        return 3 if self.done + self.kept else 1


def predict(
    sources: Iterable[str],
    output_dir: str | Path,
    bundle: str | Path,
    wanted: Wanted | None = None,
    say: Callable[[str], None] = print,
    engine: str = "torch",
    **settings: Any,
) -> Prediction:
    """Run the bundle's inference on films and finish each of them.

    Args:
        sources: files, folders, datalists and patterns.
        output_dir: gets the inference workflow's files, what ``wanted`` asks for, and what `BatchTables` writes.
        bundle: the bundle's folder.
        wanted: what else to write for each film; a table and nothing else by default.
        say: called with a line before each step.
        engine: what runs the network, one of `ENGINES`.
        settings: overrides of the inference config, such as ``device`` or ``batch_size``.
    Raises:
        FileNotFoundError: no source holds a film, or the engine's exported network is not there.
        OutputError: the folder of the results takes no more files.
        ValueError: there is no such engine.
    """
    overlay = _overlay(engine, Path(bundle), settings)
    wanted = wanted or Wanted()
    output = Path(output_dir)
    films, missing = collect_films(sources, say)
    films = without_outputs(films, output)
    if not films:
        raise FileNotFoundError("; ".join(f"{source}: {why}" for source, why in missing.items()) or "no films given")
    listed = output / FILMS_NAME
    write_datalist(listed, {"test": [{"image": str(film)} for film in films]})
    say(f"Segmenting {len(films)} films ...")
    try:
        run_inference(bundle, overlay, dataset_dir=str(listed), output_dir=str(output), **settings)
    finally:
        listed.unlink(missing_ok=True)
    manifest = json.loads((output / MANIFEST_NAME).read_text(encoding="utf-8"))
    failures = [{"film": source, "reason": why, "remedy": "check the path"} for source, why in missing.items()]
    say("Measuring and writing ...")
    anonymous = str(settings.get("anonymous_names", False)).lower() == "true"
    batch = BatchTables(output, wanted.tables)
    with sigterm_exits():
        failures += _finish_all(manifest, batch, wanted, anonymous)
        batch.write(failures)
        write_slicer_colours(output / "levels.ctbl")
        write_itksnap_labels(output / "levels_itksnap.txt")
    counts = manifest["counts"]
    return Prediction(output, counts[DONE], counts[KEPT], batch.flagged, tuple(failures))


def _overlay(engine: str, bundle: Path, settings: Mapping[str, Any]) -> str:
    if engine not in ENGINES:
        raise ValueError(f"the engine is {' or '.join(ENGINES)}; got {engine!r}")
    if engine in PROGRAMS:
        network = Path(settings.get("ckpt_path", bundle / "models" / PROGRAMS[engine]))
        if not network.is_file():
            raise FileNotFoundError(f"{network}: no exported network there; make it with: cmnet-monai export {network}")
    return ENGINES[engine]


def _finish_all(
    manifest: Mapping[str, Any], batch: BatchTables, wanted: Wanted, anonymous: bool
) -> list[dict[str, str]]:
    """Finish every film that has a result; what is lacking, film by film."""
    failures: list[dict[str, str]] = []
    protocol = manifest["settings"].get("label_protocol", LUMBAR_PROTOCOL)
    expects_s1 = "s1" in channel_names(protocol)
    for name, record in tqdm(manifest["films"].items(), desc="finishing", unit="film"):
        shown = name if anonymous else printable(Path(record["film"]).name)
        if record["status"] not in (DONE, KEPT):
            remedy = record.get("remedy", "run it again")
            failures.append({"film": shown, "reason": record.get("reason", record["status"]), "remedy": remedy})
            continue
        remedy = "mask and centres are there; look at the film"
        try:
            film_file, run_id = Path(record["film"]), manifest["run"]
            finished = finish_film(film_file, batch.output, name, wanted, run_id, shown, expects_s1)
        except OutputError:
            raise
        except FilmError as error:
            failures.append({"film": shown, "reason": error.reason, "remedy": error.remedy})
        except Exception as error:  # whatever one film brings up, the others go on
            failures.append({"film": shown, "reason": error_text(error), "remedy": remedy})
        else:
            batch.add(name, finished)
            failures += [{"film": shown, "reason": why, "remedy": remedy} for why in finished.problems]
    return failures
