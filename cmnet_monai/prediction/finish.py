"""One segmented film: measure it, flag it, and write what is wanted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import MetaTensor

from cmnet_monai.conventions import LABEL_OF_LEVEL, META_VALID_AREA, S1_LABEL
from cmnet_monai.io import (
    Algorithm,
    Film,
    FilmError,
    OutputError,
    atomic_write,
    read_film,
    read_label_map,
    write_dicom_seg,
    write_dicom_sr,
    write_seg_nrrd,
)
from cmnet_monai.io.errors import error_text
from cmnet_monai.io.files.results import GIVEN_ENTRY, FilmResult, film_fingerprint
from cmnet_monai.io.films.identifiers import read_identifiers
from cmnet_monai.morphometry import FilmMorphometry, FilmScale, find_flags, measure_film, region_statistics
from cmnet_monai.prediction.dicom_rows import report_sites
from cmnet_monai.transforms import CropBorder
from cmnet_monai.visualize import save_reading

AUTO = "auto"
RIM_SHARE = 0.2
"""Rim left out of grey-value statistics, as a share of a body's inscribed radius: the cortex."""

CENTRE_COLUMNS = ("x_px", "y_px", "score", "uncertainty", "confidence", "evidence")
CALIBRATED, UNCALIBRATED = "calibrated", "uncalibrated"


@dataclass(frozen=True)
class Wanted:
    """What to write for each film beside mask, label map, centres and tables.

    Args:
        overlay: a PNG with outlines, end plates, names and flags.
        dicom_seg: a DICOM Segmentation; DICOM films only.
        dicom_sr: a DICOM structured report with the measurements; DICOM films only.
        anterior: where the patient's front is: "left", "right", or "auto" to find it film by film.
        all_millimetres: give millimetres for detector and unspecified spacings too, their provenance beside them.
        identifiers: the patient's and the study's identifiers in the tables (`IDENTIFIERS`); DICOM films only.
        tables: the batch's tables, ``failures.csv`` apart.
        seg_nrrd: the label map once more as a segmentation for 3D Slicer, names and colours inside.
    """

    overlay: bool = False
    dicom_seg: bool = False
    dicom_sr: bool = False
    anterior: str = AUTO
    all_millimetres: bool = False
    identifiers: bool = False
    tables: bool = field(default=True, repr=False)  # changes no film's own files
    seg_nrrd: bool = False


@dataclass(frozen=True)
class Finished:
    """Tables of one film, as lists of records, and what could not be written, as texts.

    Args:
        film: one record.
        bodies: from head to feet, S1 left out.
        discs: between neighbours.
        flags: what a reader should look at.
        problems: what is missing and why.
        picture: file of the overlay, if there is one.
    """

    film: dict[str, Any]
    bodies: list[dict[str, Any]]
    discs: list[dict[str, Any]]
    flags: list[dict[str, Any]]
    problems: list[str] = field(default_factory=list)
    picture: str | None = None


def finish_film(
    film_file: Path, output: Path, name: str, wanted: Wanted, run_id: str, shown: str, expects_s1: bool = True
) -> Finished:
    """Measure a film whose result the inference workflow wrote, and write what is wanted.

    ``<name>_measurements.json`` holds the tables; it is written last. Pictures and DICOM objects are named
    ``<name>_overlay.png``, ``<name>_labels.seg.nrrd``, ``<name>_seg.dcm`` and ``<name>_sr.dcm``.

    Args:
        film_file: the film.
        output: the folder of the results.
        name: stem of its files.
        wanted: what to write.
        run_id: identity of the inference run.
        shown: what tables call the film.
        expects_s1: the network looks for S1, so that a film without it is suspicious.
    Raises:
        FilmError: the film cannot be read any more.
    """
    result = FilmResult(output, name)
    record = json.loads(result.centres.read_text(encoding="utf-8"))
    identity = {"run": run_id, "wanted": repr(wanted), "film_fingerprint": film_fingerprint(film_file)}
    identity |= {GIVEN_ENTRY: record.get(GIVEN_ENTRY, [])}
    target = output / f"{name}_measurements.json"
    kept = _kept(target, identity, _expected(output, name, wanted))
    if kept is not None:
        return _with_picture(kept, output, name)
    outdated = () if _same_result(target, identity) else result.derived  # of another run or version of the film
    for file in (*outdated, target, *_expected(output, name, wanted)):
        file.unlink(missing_ok=True)
    labels, film = read_label_map(result.labels_png), read_film(film_file)
    measures, finished = _measure(film, labels, record, wanted, shown, expects_s1)
    if wanted.identifiers:
        finished.film.update(read_identifiers(film_file))
    steps: dict[str, tuple[bool, Callable[[], object]]] = {
        "overlay": (
            wanted.overlay,
            lambda: save_reading(output / f"{name}_overlay.png", film, labels, measures, finished.flags, shown),
        )
    }
    steps |= _objects(film_file, result, labels, finished, measures, _scale(film, wanted), wanted, run_id)
    lacking = [_do(what, write) for what, (is_wanted, write) in steps.items() if is_wanted]
    finished.problems.extend(filter(None, lacking))
    _write(target, {**identity, **_as_record(finished)})
    return _with_picture(finished, output, name)


def _objects(
    film_file: Path,
    result: FilmResult,
    labels: np.ndarray,
    finished: Finished,
    measures: FilmMorphometry | None,
    scale: FilmScale,
    wanted: Wanted,
    run_id: str,
) -> dict[str, tuple[bool, Callable[[], object]]]:
    """What other programs read: whether it is wanted, and what writes it."""
    start = result.output_dir / result.name
    seg, algorithm = Path(f"{start}_seg.dcm"), _algorithm(run_id)
    return {
        "segmentation for 3D Slicer": (
            wanted.seg_nrrd,
            lambda: write_seg_nrrd(f"{start}_labels.seg.nrrd", result.labels_nifti),
        ),
        "DICOM SEG": (
            wanted.dicom_seg,
            lambda: write_dicom_seg(seg, film_file, labels, algorithm=algorithm, run_id=run_id),
        ),
        "DICOM SR": (
            wanted.dicom_sr,
            lambda: write_dicom_sr(
                f"{start}_sr.dcm",
                film_file,
                report_sites(finished.bodies, finished.discs, finished.film, measures),
                spacing_provenance=scale.provenance if scale.in_mm else "none",
                seg_path=seg if wanted.dicom_seg else None,
                algorithm=algorithm,
                run_id=run_id,
            ),
        ),
    }


def _do(what: str, write: Callable[[], object]) -> str:
    """Write one thing; why it could not be written, "" where it was: a part that fails never costs the others.

    Raises:
        OutputError: the folder takes no more files.
    """
    try:
        write()
    except OutputError:
        raise
    except Exception as error:
        return f"no {what}: {error.reason if isinstance(error, FilmError) else _said(error)}"
    return ""


def read_finished(output: Path, name: str) -> Finished:
    """What `finish_film` wrote of a film.

    Raises:
        OSError: it wrote nothing.
    """
    record = json.loads((output / f"{name}_measurements.json").read_text(encoding="utf-8"))
    return _with_picture(_from_record(record), output, name)


def _from_record(record: Mapping[str, Any]) -> Finished:
    return Finished(**{key: record[key] for key in ("film", "bodies", "discs", "flags", "problems")})


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else error_text(error)


def _measure(
    film: Film, labels: np.ndarray, record: Mapping[str, Any], wanted: Wanted, shown: str, expects_s1: bool
) -> tuple[FilmMorphometry | None, Finished]:
    scale = _scale(film, wanted)
    centres = record["centres"]
    by_level = {str(centre["level"]): centre for centre in centres}
    scores = {level: float(centre["score"]) for level, centre in by_level.items()}
    sure = {
        level: float(centre["confidence"]) for level, centre in by_level.items() if centre["confidence"] is not None
    }
    given = [(centre["x_px"], centre["y_px"]) for centre in record.get(GIVEN_ENTRY, [])]
    area = _shown_area(film)
    flags = find_flags(
        labels,
        scores,
        film.pixels,
        area,
        aspect_yx=scale.aspect_yx,
        notes=film.notes,
        given_xy=given,
        confidences=sure,
        expects_s1=expects_s1,
    )
    evidence = sorted({str(centre["evidence"]) for centre in centres})
    head = {"film": shown, "bodies": len(set(np.unique(labels)) - {0, S1_LABEL})}
    measures, problems = None, []
    try:
        side = None if wanted.anterior == AUTO else wanted.anterior
        measures = measure_film(labels, side, scale, area)
    except ValueError as error:
        problems.append(f"not measured: {error}")
    nothing: dict[str, list[dict[str, Any]]] = {"film": [dict(scale.records())], "bodies": [], "discs": []}
    records = nothing if measures is None else measures.to_records()
    grey = {found.level: found.record() for found in region_statistics(film.pixels, labels, RIM_SHARE)}
    rows = {row["level"]: row for row in records["bodies"]}
    places = {level: (by_level.get(level), rows.get(level)) for level in grey if level != "S1"}
    bodies = [
        {
            "film": shown,
            "level": level,
            "label": LABEL_OF_LEVEL[level],
            **{key: (centre or {}).get(key) for key in CENTRE_COLUMNS},
            "calibration": None if centre is None else UNCALIBRATED if centre["confidence"] is None else CALIBRATED,
            **(row or {}),
            **{key: value for key, value in grey[level].items() if key not in ("level", "rim_px")},
        }
        for level, (centre, row) in places.items()
    ]
    discs = [{"film": shown, **row} for row in records["discs"]]
    film_row = {**head, **records["film"][0], **_worst(records["bodies"], discs)}
    film_row |= {"level_evidence": "; ".join(evidence), "flags": len(flags)}
    flag_rows = [{"film": shown, **flag.record()} for flag in flags]
    return measures, Finished(film_row, bodies, discs, flag_rows, problems)


def _shown_area(film: Film) -> np.ndarray:
    """The film's valid area without the border that the network was not shown either, (x, y)."""
    image = MetaTensor(film.pixels[None].astype(np.float32), meta={META_VALID_AREA: film.valid_area})
    (x0, y0), (x1, y1) = CropBorder().compute_bounding_box(image)
    area = np.zeros_like(film.valid_area)
    area[x0:x1, y0:y1] = film.valid_area[x0:x1, y0:y1]
    return area


def _worst(bodies: list[dict[str, Any]], discs: list[dict[str, Any]]) -> dict[str, Any]:
    """The body that has lost most height, and the disc with the greatest slip."""
    graded = [row for row in bodies if row["loss_percent"] is not None]  # bodies that the film cuts are not
    slipped = [row for row in discs if row["slip_percent"] is not None]
    body = max(graded, key=lambda row: row["loss_percent"], default={})
    disc = max(slipped, key=lambda row: abs(row["slip_percent"]), default={})
    return {
        "worst_loss_percent": body.get("loss_percent"),
        "worst_level": body.get("level"),
        "worst_slip_percent": disc.get("slip_percent"),
    }


def _scale(film: Film, wanted: Wanted) -> FilmScale:
    sx, sy = (float(v) for v in film.spacing_xy_mm)
    known = bool(np.isfinite([sx, sy]).all())
    millimetres = True if wanted.all_millimetres and known else None
    return FilmScale((sx, sy) if known else None, film.provenance if known else "none", millimetres)


def _algorithm(run_id: str) -> Algorithm:
    return Algorithm(parameters={"run": run_id})


def _expected(output: Path, name: str, wanted: Wanted) -> list[Path]:
    endings = [(wanted.overlay, "_overlay.png"), (wanted.seg_nrrd, "_labels.seg.nrrd")]
    endings += [(wanted.dicom_seg, "_seg.dcm"), (wanted.dicom_sr, "_sr.dcm")]
    return [output / f"{name}{ending}" for is_wanted, ending in endings if is_wanted]


def _same_result(target: Path, identity: Mapping[str, Any]) -> bool:
    """Whether what is there was made from the same result, be other things wanted of it or not."""
    try:
        record = json.loads(target.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and all(record.get(k) == v for k, v in identity.items() if k != "wanted")


def _kept(target: Path, identity: Mapping[str, Any], expected: list[Path]) -> Finished | None:
    """What an earlier run made of the same film in the same way, if all of it is there."""
    try:
        record = json.loads(target.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or any(record.get(key) != value for key, value in identity.items()):
        return None
    if record["problems"] or not all(file.is_file() for file in expected):
        return None
    return _from_record(record)


def _with_picture(finished: Finished, output: Path, name: str) -> Finished:
    picture = output / f"{name}_overlay.png"
    return replace(finished, picture=str(picture) if picture.is_file() else None)


def _as_record(finished: Finished) -> dict[str, Any]:
    return {key: getattr(finished, key) for key in ("film", "bodies", "discs", "flags", "problems")}


def _write(path: Path, record: Mapping[str, Any]) -> None:
    with atomic_write(path) as temporary:
        Path(temporary).write_text(json.dumps(record, indent=1, allow_nan=False, default=float) + "\n", "utf-8")
