"""The bundle's inference workflow from Python, and what became of the films."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmnet_monai.engines.manifest import DONE, KEPT
from cmnet_monai.engines.tables import failures
from cmnet_monai.io.errors import unwrapped
from cmnet_monai.io.files.results import MANIFEST_NAME, ResultFiles


@dataclass(frozen=True)
class Prediction:
    """What became of a batch.

    Args:
        output: the folder of the results.
        done: films with a result of this run.
        kept: films whose result was there already.
        flagged: films with at least one flag.
        failures: film (or source), reason and remedy of each that has no result, or lacks a part of it.
        left_out: files that films cannot have: the reason, and how many films it concerns.

    >>> failure = {"film": "b.dcm", "reason": "the file is damaged", "remedy": "Export it again"}
    >>> Prediction(Path("out"), done=4, kept=0).exit_code, Prediction(Path("out"), 4, 0, failures=(failure,)).exit_code
    (0, 3)
    """

    output: Path
    done: int
    kept: int
    flagged: int = 0
    failures: tuple[dict[str, str], ...] = field(default=())
    left_out: tuple[tuple[str, int], ...] = ()

    @property
    def exit_code(self) -> int:
        """0 if every film worked, 1 if none did, 3 if some did not or lack a part."""
        if not self.failures:
            return 0
        return 3 if self.done + self.kept else 1


def run_inference(bundle: str | Path, overlays: Iterable[str] = (), **overrides: Any) -> None:
    """Run the bundle's inference workflow in this process.

    Args:
        bundle: the bundle's folder.
        overlays: names of configs that are laid over ``inference.json``.
        overrides: values of the config by name: ``dataset_dir``, ``output_dir`` and what else it documents.
    Raises:
        Exception: whatever the config raises, as it is.
    """
    from monai.bundle import ConfigWorkflow

    workflow = ConfigWorkflow(
        config_file=[str(Path(bundle) / "configs" / f"{name}.json") for name in ("inference", *overlays)],
        workflow_type="inference",
        logging_file=False,
        bundle_root=str(bundle),
        **overrides,
    )
    try:
        workflow.initialize()
        workflow.run()
        workflow.finalize()
        return
    except RuntimeError as error:
        failed = unwrapped(error)
    raise failed


def predict(sources: Iterable[str | Path], output_dir: str | Path, bundle: str | Path, **settings: Any) -> Prediction:
    """Run the bundle's inference on films, folders, datalists and patterns.

    Args:
        sources: the films.
        output_dir: gets the results.
        bundle: the bundle's folder.
        settings: overrides of the inference config, such as ``dicom_seg`` or ``device``.
    Raises:
        FileNotFoundError: no source holds a film, or the engine's exported network is not there.
        OutputError: the folder of the results takes no more files.
        ValueError: a setting is none.
    """
    output = Path(output_dir)
    run_inference(bundle, dataset_dir=[str(source) for source in sources], output_dir=str(output), **settings)
    manifest = json.loads((output / MANIFEST_NAME).read_text(encoding="utf-8"))
    counts, films = manifest["counts"], manifest["films"]
    left_out = Counter(reason for record in films.values() for reason in record.get("left_out", ()))
    return Prediction(
        output,
        counts[DONE],
        counts[KEPT],
        sum(_is_flagged(output, name, record) for name, record in films.items()),
        tuple(failures(films)),
        tuple(left_out.items()),
    )


def _is_flagged(output: Path, name: str, record: Mapping[str, Any]) -> bool:
    if record["status"] == KEPT:
        return bool(ResultFiles(output, name).read_result().flags)
    return bool(record.get("flags"))
