"""A public data set on disk becomes a datalist with label maps, split by patient."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cmnet_monai.datasets.adapters import ADAPTERS, Case, Options
from cmnet_monai.datasets.adapters.folder import check_label_map
from cmnet_monai.datasets.adapters.label_maps import draw_outlines
from cmnet_monai.datasets.adapters.records import UNKNOWN_LEVEL
from cmnet_monai.datasets.datalist import DATALIST_NAME, find_films, write_datalist
from cmnet_monai.datasets.duplicates import Vector, fingerprint, found_in, joined_patients, same_pictures, volume_digest
from cmnet_monai.datasets.splits import fold_patients, sections_of, split_patients
from cmnet_monai.io import FilmError, output_names, read_film, write_label_png, write_table

SKIPPED_NAME = "skipped.csv"
DUPLICATES_NAME = "duplicates.csv"
LABELS_FOLDER = "labels"


@dataclass(frozen=True)
class Entry:
    """A case that was read: its datalist item and what it is compared by, a film's fingerprint or a scan's digest."""

    case: Case
    item: dict[str, Any]
    picture: Vector | None = None
    digest: str = ""


@dataclass(frozen=True)
class Summary:
    """What `make_datalist` did.

    Attributes:
        datalist: the file.
        films: number of items in each section.
        patients: number of patients, those that share a film counting as one.
        skipped: number of lines in `skipped.csv`.
        duplicates: number of pairs in `duplicates.csv`.
    """

    datalist: Path
    films: Mapping[str, int]
    patients: int
    skipped: int
    duplicates: int


def make_datalist(
    data_format: str,
    source: str | Path,
    output: str | Path,
    seed: int = 0,
    folds: int = 0,
    validation: int | None = None,
    patient_pattern: str | None = None,
    exclude: str | Path | None = None,
    s1: str = "plate",
    levels: str = "none",
    workers: int | None = None,
    progress: bool = True,
) -> Summary:
    """Write a datalist for a public data set; films are referred to where they are, never copied.

    What cannot be used is left out and listed in ``skipped.csv``; pairs of the same film are listed in
    ``duplicates.csv``, and their patients count as one, so that they cannot part. The same source, seed and options
    give the same files, so a run that was broken off is simply run again.

    Args:
        data_format: one of `ADAPTERS`.
        source: the unpacked data set.
        output: folder for ``datalist.json`` and, where label maps are drawn, ``labels/*.png``.
        seed: seed of the split.
        folds: also write ``fold_0.json`` ... for a cross-validation of so many folds; 0 for none.
        validation: patients of each fold's validation part, see `fold_patients`.
        patient_pattern: regular expression whose first group is the patient, in the film's path below the source.
        exclude: another datalist; films that are also in it are left out.
        s1: "plate" or "none", see `Options`.
        levels: "none" or "from-below", see `Options`.
        workers: threads; None uses every core.
        progress: show a progress bar.
    Returns:
        What was done.
    Raises:
        FileNotFoundError: the source does not exist or is not of this format.
        ValueError: an option is wrong, or no film can be used.

    >>> import tempfile
    >>> import numpy as np
    >>> from cmnet_monai.io import write_label_png
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for number, film in enumerate(np.random.default_rng(0).integers(0, 255, (10, 60, 90))):
    ...         _ = write_label_png(f"{folder}/set/images/{number}.png", film)
    ...         _ = write_label_png(f"{folder}/set/labels/{number}.png", 24 * (film > 200))
    ...     made = make_datalist("folder", f"{folder}/set", f"{folder}/out", workers=1, progress=False)
    >>> made.films, made.patients, made.skipped
    ({'training': 8, 'validation': 1, 'test': 1}, 10, 0)
    """
    source, output = Path(source), Path(output)
    options = _options(patient_pattern, s1, levels, output / LABELS_FOLDER)
    cases, skipped = _cases(data_format, source, options)
    others = [] if exclude is None else _excluded(Path(exclude), workers, progress)
    names = output_names([_below(case.image, source) for case in cases])
    jobs = [partial(_entry, case, name, output) for case, name in zip(cases, names)]
    entries, failed = _run(jobs, workers, data_format, progress)
    entries, left_out = _without(entries, others, exclude)
    skipped = [*skipped, *_ignored(entries, source), *failed, *left_out]
    _write_table(output / SKIPPED_NAME, [{"file": s.path, "reason": s.reason, "remedy": s.remedy} for s in skipped])
    if not entries:
        first = (
            f"the first of {len(skipped)} reasons: {skipped[0].reason} ({skipped[0].path})" if skipped else "no film"
        )
        raise ValueError(f"{source}: no film can be used; {first}. See {output / SKIPPED_NAME}.")
    pairs = _same(entries)
    _write_table(output / DUPLICATES_NAME, [_pair(entries, *pair) for pair in pairs])
    patient = joined_patients([entry.case.patient for entry in entries], [pair[:2] for pair in pairs])
    items = [{**entry.item, "patient": patient[entry.case.patient]} for entry in entries]
    groups = sorted(set(patient.values()))
    plans = {DATALIST_NAME: split_patients(groups, seed)}
    if folds:
        plans |= {f"fold_{k}.json": plan for k, plan in enumerate(fold_patients(groups, folds, seed, validation))}
    for file in output.glob("fold_*.json"):  # folds of an earlier split would not fit this one
        file.unlink()
    for name, plan in plans.items():
        about = {"description": f"Made from {data_format} by cmnet-monai datalist", "seed": seed}
        write_datalist(output / name, sections_of(items, plan), **about)
    films = {name: len(found) for name, found in sections_of(items, plans[DATALIST_NAME]).items()}
    return Summary(output / DATALIST_NAME, films, len(groups), len(skipped), len(pairs))


def _options(patient_pattern: str | None, s1: str, levels: str, leave_out: Path) -> Options:
    if s1 not in ("plate", "none"):
        raise ValueError(f's1 is "plate" or "none", got "{s1}"')
    if levels not in ("none", "from-below"):
        raise ValueError(f'levels is "none" or "from-below", got "{levels}"')
    pattern = None
    if patient_pattern is not None:
        try:
            pattern = re.compile(patient_pattern)
        except re.error as error:
            raise ValueError(f'the patient pattern "{patient_pattern}" is no regular expression ({error})') from error
        if not pattern.groups:
            raise ValueError(f'the patient pattern "{patient_pattern}" has no group; put the patient into ( )')
    return Options(pattern, s1, levels, leave_out)


def _cases(data_format: str, source: Path, options: Options) -> tuple[list[Case], list[FilmError]]:
    """Every film's annotation, parsed; a film that is listed twice counts once."""
    if data_format not in ADAPTERS:
        raise ValueError(f'no format "{data_format}"; there are {", ".join(ADAPTERS)}')
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such folder")
    if source.is_file() and source.suffix.lower() == ".zip":
        raise ValueError(f"{source}: unpack it first (and any Dataset.zip inside) and give the folder")
    if source.is_file() and source.suffix.lower() != ".json":
        raise ValueError(f"{source}: give the folder of the data set")
    cases: dict[Path, Case] = {}
    skipped = []
    for pending in ADAPTERS[data_format](source, options):
        try:
            case = pending.load()
            if case.image.resolve() in cases:
                raise FilmError(pending.file, "the film is annotated in two places", "Keep one of them")
            cases[case.image.resolve()] = case
        except FilmError as error:
            skipped.append(error)
        except Exception as error:  # annotation files by many hands may be malformed in any way
            detail = str(error).split("\n")[0]
            reason = f"the annotation cannot be read ({type(error).__name__}: {detail})"
            skipped.append(FilmError(pending.file, reason, "Check the annotation file"))
    return list(cases.values()), skipped


def _below(path: Path, source: Path) -> Path:
    root = source if source.is_dir() else source.parent
    return path.relative_to(root) if path.is_relative_to(root) else path


def _run(
    jobs: Sequence[partial[Entry]], workers: int | None, what: str, progress: bool
) -> tuple[list[Entry], list[FilmError]]:
    """Run the jobs in threads (decoding and drawing release the interpreter's lock), in their order."""
    from tqdm import tqdm

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        try:
            done = tqdm(pool.map(_guarded, jobs), total=len(jobs), desc=what, unit="film", disable=not progress)
            results = list(done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    entries = [result for result in results if isinstance(result, Entry)]
    return entries, [result for result in results if isinstance(result, FilmError)]


def _guarded(job: partial[Entry]) -> Entry | FilmError:
    try:
        return job()
    except FilmError as error:
        return error


def _entry(case: Case, name: str, output: Path) -> Entry:
    """Read a film, draw its label map, and make its datalist item (all but the patient)."""
    item: dict[str, Any] = {"ct" if case.is_ct else "image": _relative(case.image, output)}
    further = {key: _relative(file, output) for key, file in case.files.items()}
    if case.is_ct:
        if case.label is None:
            raise FilmError(case.image, "the scan has no label map", "Copy it again")
        item.update({"label": _relative(case.label, output), **further, **case.notes})
        return Entry(case, item, digest=_volume_digest(case.label))
    film = read_film(case.image)
    size = (int(film.pixels.shape[0]), int(film.pixels.shape[1]))
    notes = dict(case.notes)
    label = case.label
    if label is not None:
        check_label_map(label, size)
    else:
        label_map, centres = draw_outlines(case.outlines, size, case.image)
        label = write_label_png(output / LABELS_FOLDER / f"{name}.png", label_map)
        if case.outlines[0].label == UNKNOWN_LEVEL:  # bodies that touch could not be told apart in the mask
            notes["centres"] = [{"x": round(x, 3), "y": round(y, 3)} for x, y in centres]
    return Entry(case, {**item, "label": _relative(label, output), **further, **notes}, fingerprint(film.pixels))


def _volume_digest(file: Path) -> str:
    try:
        return volume_digest(file)
    except Exception as error:
        raise FilmError(file, f"it cannot be read ({type(error).__name__})", "Download the file again") from error


def _relative(path: Path, output: Path) -> str:
    """Path from the datalist's folder; absolute where there is no way between the two (other drives)."""
    try:
        return Path(os.path.relpath(path.resolve(), output.resolve())).as_posix()
    except ValueError:
        return path.resolve().as_posix()


def _ignored(entries: Iterable[Entry], source: Path) -> Iterator[FilmError]:
    films = Counter(name for entry in entries for name in set(entry.case.ignored))
    remedy = "Nothing, if it is no vertebra; else name it L1, S1, T12, ..."
    for name, count in sorted(films.items()):
        yield FilmError(source, f'"{name}" names no level; left out on {count} films', remedy)


def _excluded(datalist: Path, workers: int | None, progress: bool) -> list[Entry]:
    """The films of another datalist, all of which must be readable."""
    file = datalist / DATALIST_NAME if datalist.is_dir() else datalist
    if file.suffix.lower() != ".json":
        raise ValueError(f"{datalist}: not a datalist to exclude; give a datalist.json or its folder")
    entries, failed = _run([partial(_plain_entry, film) for film in find_films(file)], workers, "exclude", progress)
    if failed:
        many = f"{len(failed)} films of {file} cannot be compared"
        raise ValueError(f"{failed[0].path}: {failed[0].reason}; {many}. Mend or remove them there")
    return entries


def _plain_entry(film: Path) -> Entry:
    return Entry(Case(film, ""), {}, fingerprint(read_film(film).pixels))


def _without(
    entries: Sequence[Entry], others: Sequence[Entry], exclude: str | Path | None
) -> tuple[list[Entry], list[FilmError]]:
    films = [entry for entry in entries if entry.picture is not None]
    where = found_in(_pictures(films), _pictures(others))
    twins = {id(films[i]): others[j].case.image for i, j in where.items()}
    reasons = [
        FilmError(entry.case.image, f"the same picture as {twins[id(entry)]}, which {exclude} has", "Nothing")
        for entry in entries
        if id(entry) in twins
    ]
    return [entry for entry in entries if id(entry) not in twins], reasons


def _pictures(entries: Iterable[Entry]) -> list[Vector]:
    return [entry.picture for entry in entries if entry.picture is not None]


def _same(entries: Sequence[Entry]) -> list[tuple[int, int, float, bool]]:
    """Pairs of the same content: indices, correlation, mirrored. A data set holds films or scans, never both."""
    if entries[0].digest:
        first: dict[str, int] = {}
        return [(first[e.digest], i, 1.0, False) for i, e in enumerate(entries) if first.setdefault(e.digest, i) != i]
    return [(pair.first, pair.second, pair.correlation, pair.mirrored) for pair in same_pictures(_pictures(entries))]


def _pair(entries: Sequence[Entry], i: int, j: int, correlation: float, mirrored: bool) -> dict[str, object]:
    a, b = entries[i].case, entries[j].case
    films = {"first": a.image, "first_patient": a.patient, "second": b.image, "second_patient": b.patient}
    return {**films, "correlation": f"{correlation:.3f}", "mirrored": "yes" if mirrored else "no"}


def _write_table(file: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """A CSV, whole or not at all; none, and no old one either, where there is nothing to list."""
    if rows:
        write_table(file, rows)
    else:
        file.unlink(missing_ok=True)
