"""Which films there are: a datalist file, or every film below a folder."""

from __future__ import annotations

import glob
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cmnet_monai.io import output_names, printable
from cmnet_monai.io.files.results import MANIFEST_NAME, OUTPUT_SUFFIXES
from cmnet_monai.io.films.dicom_header import other_object

DATALIST_NAME = "datalist.json"
PATH_KEYS = ("image", "label", "ct", "centroids")
OTHER_SUFFIXES = frozenset(
    {".json", ".csv", ".tsv", ".txt", ".md", ".xml", ".html", ".pdf", ".zip", ".gz", ".zst", ".tar", ".py", ".pt"}
    | {".ts", ".onnx", ".log", ".ctbl", ".yml", ".yaml", ".ini", ".cfg", ".db", ".exe", ".dll"}
)
"""Files of these kinds in a folder are not films, except ``.nii.gz``. Any other file is tried."""

LABEL_FOLDERS = frozenset({"label", "labels", "labelstr", "labelsts", "mask", "masks", "outlines", "truth"})
"""Folders of these names below the one that is searched hold label maps by convention, not films."""


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def read_datalist(dataset_dir: str | Path, section: str | Sequence[str]) -> list[dict[str, Any]]:
    """Items of a datalist, with absolute paths.

    Args:
        dataset_dir: a folder with ``datalist.json``, or a datalist file; its paths are relative to its folder. Or a
            folder of ``images`` and ``labels`` whose files have the same stems: all of them are the section ``test``.
        section: name of the section (``training``, ``validation``, ``test``); of several, the first that has items.
    Returns:
        The items, each with ``image``, ``label`` and what else they carry.
    Raises:
        FileNotFoundError: there is no datalist.
        ValueError: it is not JSON, or has no items in the section.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_datalist(Path(folder, "datalist.json"), {"training": [{"image": "films/a.dcm", "patient": "p1"}]})
    ...     (item,) = read_datalist(folder, "training")
    ...     Path(item["image"]).relative_to(Path(folder).resolve()).as_posix(), item["patient"]
    ('films/a.dcm', 'p1')
    """
    file = Path(dataset_dir)
    sections = [section] if isinstance(section, str) else list(section)
    if "test" in sections and file.is_dir() and not (file / DATALIST_NAME).is_file() and (pairs := _pairs(file)):
        return pairs
    file = file / DATALIST_NAME if file.is_dir() else file
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no datalist; make one, or try `cmnet-monai synthesize {Path(dataset_dir)}`")
    content = _load(file)
    for name in sections:
        if content.get(name):
            return [_absolute(item, file.parent) for item in content[name]]
    raise ValueError(f"{file}: no films in {' or '.join(sections)}; it has {', '.join(content) or 'no sections'}")


def _pairs(folder: Path) -> list[dict[str, Any]]:
    """Films in ``images`` with the label maps of the same stem in ``labels``."""
    labels = {file.name.split(".")[0]: file for file in (folder / "labels").glob("*") if file.is_file()}
    films = sorted(file for file in (folder / "images").glob("*") if file.name.split(".")[0] in labels)
    return [{"image": str(f.resolve()), "label": str(labels[f.name.split(".")[0]].resolve())} for f in films]


def _load(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: not a JSON datalist ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file}: a datalist is an object of sections, not a {type(content).__name__}")
    return content


def _absolute(item: Mapping[str, Any] | str, root: Path) -> dict[str, Any]:
    record = {"image": item} if isinstance(item, str) else dict(item)
    for key in PATH_KEYS:
        if key in record:
            record[key] = str(real_path(root / record[key]))
    return record


def real_path(file: Path) -> Path:
    """The absolute path of what links lead to; of the link itself where they lead nowhere or in circles."""
    return Path(os.path.realpath(file) if file.exists() else os.path.abspath(file))  # noqa: PTH100


def write_datalist(path: str | Path, sections: Mapping[str, Iterable[Mapping[str, Any]]], **extra: Any) -> None:
    """Write a datalist with paths as given (relative to its folder), whole or not at all.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "datalist.json")
    ...     write_datalist(file, {"test": [{"image": "films/a.dcm", "label": "labels/a.png"}]}, description="one film")
    ...     json.loads(file.read_text())
    {'description': 'one film', 'test': [{'image': 'films/a.dcm', 'label': 'labels/a.png'}]}
    """
    from cmnet_monai.io.files.json import write_json

    write_json(path, {**extra, **{name: list(items) for name, items in sections.items()}})


def find_films(source: str | Path, say: Callable[[str], None] = _to_stderr) -> list[Path]:
    """Films below a folder, recursively and in a stable order, or those of all sections of a datalist file, each once.

    Hidden files, files that are plainly no films (`OTHER_SUFFIXES`, unless they are DICOM inside) and those in
    `LABEL_FOLDERS` are left out, and so are DICOM objects that are no images (segmentations, reports, PDF documents),
    of which `say` gets a line; whatever else is there counts, since DICOM files often have no extension. Links to
    folders are followed, each folder once; a link that leads nowhere and a folder that cannot be listed
    count as films, so that someone hears of them.

    Raises:
        FileNotFoundError: the source does not exist, or holds no film.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b/IM0001", "a.png", "notes.txt", "labels/a.png", ".hidden.png"):
    ...         Path(folder, name).parent.mkdir(exist_ok=True)
    ...         Path(folder, name).touch()
    ...     [film.relative_to(folder).as_posix() for film in find_films(folder)]
    ['a.png', 'b/IM0001']
    """
    source = Path(source)
    if source.is_file() and source.suffix.lower() == ".json":
        items = [item for section in _load(source).values() if isinstance(section, list) for item in section]
        records = [_absolute(item, source.parent) for item in items]
        films = list(dict.fromkeys(Path(record["image"]) for record in records if "image" in record))
    elif source.is_file():
        films = [source]
    elif source.is_dir():
        films = _without_other_objects(source, say, (f for f in _files_below(source) if _may_be_film(f, source)))
    else:
        raise FileNotFoundError(f"{source}: no such file or folder")
    if not films:
        raise FileNotFoundError(f"{source}: no films in it")
    return films


def _files_below(root: Path) -> Iterator[Path]:
    """Files, dead links and folders that cannot be listed; a folder that links lead to twice is walked once."""
    closed: list[Path] = []
    seen = set()
    for folder, subfolders, files in os.walk(root, onerror=lambda e: closed.append(Path(e.filename)), followlinks=True):
        subfolders.sort()
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        for file in map(Path(folder).joinpath, files):
            if file.is_file() or (file.is_symlink() and not file.exists()):
                yield file
    yield from closed


def _without_other_objects(folder: Path, say: Callable[[str], None], files: Iterable[Path]) -> list[Path]:
    """Files in order, without what a study holds beside its images; one line says how much that was."""
    others = {file: other_object(file) for file in files}
    left_out = Counter(name for name in others.values() if name)
    if left_out:
        kinds = ", ".join(f"{count} {name}" for name, count in sorted(left_out.items()))
        say(printable(f"{folder}: DICOM objects that are no films are left out: {kinds}"))
    return sorted(file for file, name in others.items() if not name)


def _may_be_film(file: Path, root: Path) -> bool:
    parts = file.relative_to(root).parts
    if any(part.startswith(".") for part in parts) or file.name.upper() == "DICOMDIR":
        return False
    if any(part.lower() in LABEL_FOLDERS for part in parts[:-1]):
        return False
    if file.suffix.lower() not in OTHER_SUFFIXES or file.name.lower().endswith(".nii.gz"):
        return True
    return _is_dicom(file)


def _is_dicom(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def without_outputs(films: Iterable[Path], output_dir: str | Path) -> list[Path]:
    """The films that are not masks, pictures or DICOM objects which a run wrote, into `output_dir` or elsewhere."""
    folder = Path(output_dir).resolve()

    def written(film: Path) -> bool:
        if not film.name.endswith(OUTPUT_SUFFIXES):
            return False
        return film.parent.resolve() == folder or (film.parent / MANIFEST_NAME).is_file()

    return [film for film in films if not written(film)]


def collect_films(
    sources: Iterable[str | Path], say: Callable[[str], None] = _to_stderr
) -> tuple[list[Path], dict[str, str]]:
    """Films of files, folders (searched recursively), datalists and patterns such as ``"films/*.dcm"``.

    A folder with a ``datalist.json`` is read by its datalist, so that label maps beside the films are not taken for
    films.

    Args:
        sources: as they stand on a command line; a pattern that the shell did not expand is expanded here.
        say: gets a line about what folders hold beside films.
    Returns:
        The films, each once, in the order given, and why a source holds none, by source.
    """
    films: dict[Path, None] = {}
    missing: dict[str, str] = {}
    for source in map(str, sources):
        try:
            found = _expanded(source)
        except OSError as error:  # a name that the file system cannot hold
            missing[source] = error.strerror or type(error).__name__
            continue
        if not found:
            missing[source] = "no file fits this pattern"
        for one in found:
            listed = one / DATALIST_NAME
            try:
                place = listed if one.is_dir() and listed.is_file() else one
                films.update((real_path(film), None) for film in find_films(place, say))
            except FileNotFoundError as error:
                missing[source] = str(error).removeprefix(f"{one}: ")
            except (OSError, ValueError) as error:  # a datalist that is none, a name that the file system cannot hold
                missing[source] = getattr(error, "strerror", None) or str(error).removeprefix(f"{one}: ")
    return list(films), missing


def _expanded(source: str) -> list[Path]:
    path = Path(source)
    if not glob.has_magic(source) or path.exists():
        return [path]
    root = Path(path.anchor)
    return sorted(root.glob(str(path.relative_to(root))))


def film_items(
    dataset_dir: str | Path | Sequence[str | Path], anonymous_names: bool = False, output_dir: str | Path | None = None
) -> list[dict[str, Any]]:
    """Items for inference: ``image`` and ``path``, the film's file, ``name``, the stem of its outputs, and ``shown``,
    what tables call it.

    Args:
        dataset_dir: a folder, film, datalist or pattern, or a list of them (`collect_films`). One of several that
            holds no film becomes an item of its own, whose reading will say what is wrong.
        anonymous_names: name outputs by a hash.
        output_dir: what an earlier run wrote there is left out, where it lies inside the folder or is the folder.
    Raises:
        FileNotFoundError: there is no film at all.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("p1/a.dcm", "b.png", "b_mask.png"):  # the last is what an earlier run wrote
    ...         Path(folder, name).parent.mkdir(exist_ok=True)
    ...         Path(folder, name).touch()
    ...     [(item["name"], Path(item["image"]).name) for item in film_items(folder, output_dir=folder)]
    [('b', 'b.png'), ('a', 'a.dcm')]
    """
    sources = [dataset_dir] if isinstance(dataset_dir, (str, Path)) else list(dataset_dir)
    films, missing = collect_films(sources)
    if output_dir is not None:
        films = without_outputs(films, output_dir)
    if not films:
        raise FileNotFoundError("; ".join(f"{source}: {why}" for source, why in missing.items()) or "no films given")
    every = [*map(str, films), *missing]
    items = []
    for film, name in zip(every, output_names(every, anonymous=anonymous_names)):
        shown = name if anonymous_names else printable(film if film in missing else Path(film).name)
        items.append({"image": film, "path": film, "name": name, "shown": shown})
        if film in missing:
            items[-1]["missing"] = missing[film]
    return items
