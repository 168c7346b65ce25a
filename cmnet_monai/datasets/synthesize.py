"""A data set of synthetic radiographs on disk: DICOM films, label maps, truth, and a datalist split by patient."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.datasets.datalist import DATALIST_NAME, write_datalist
from cmnet_monai.datasets.splits import SECTIONS, split_patients

if TYPE_CHECKING:
    from cmnet_monai.synthetic import BodyTruth, SyntheticFilm


class Plan(Protocol):
    """What writing a film takes from its plan, see `FilmPlan`."""

    @property
    def name(self) -> str:
        """Stem of its files."""

    @property
    def patient(self) -> str:
        """Pseudonym of the patient."""

    @property
    def film_seed(self) -> int:
        """Seed of pose, exposure and noise."""

    @property
    def monochrome1(self) -> bool:
        """Store it as MONOCHROME1."""


AnyPlan = TypeVar("AnyPlan", bound=Plan)


@dataclass(frozen=True)
class FilmPlan:
    """What makes one film: everything in it follows from these values.

    Args:
        name: stem of its files.
        patient: pseudonym of the patient.
        patient_seed: seed of the anatomy.
        film_seed: seed of pose, exposure and noise.
        kind: kind of patient, see `generate_film`; None draws one.
        height_px: height of the film.
        monochrome1: store it as MONOCHROME1.
        region: "lumbar", "thoracic" or "whole".
        look: "a" or "b", whose processing; None mixes both.
    """

    name: str
    patient: str
    patient_seed: int
    film_seed: int
    kind: str | None
    height_px: int
    monochrome1: bool
    region: str = "lumbar"
    look: str | None = None


def plan_films(
    count: int,
    seed: int = 0,
    films_per_patient: int = 1,
    kind: str | None = None,
    height_px: int = 1280,
    *,
    region: str = "lumbar",
    look: str | None = None,
) -> list[FilmPlan]:
    """Plan `count` films; the plan of film i is the same for any count above i.

    `region` and `look` go to every film unchanged, see `generate_film`.

    Raises:
        ValueError: a number is out of range.
    """
    if count < 1 or films_per_patient < 1 or seed < 0:
        raise ValueError(f"count and films_per_patient start at 1, seed at 0; got {count}, {films_per_patient}, {seed}")
    plans = []
    for i in range(count):
        patient = i // films_per_patient
        patient_seed = seed_of(seed, 1, patient)
        film_seed = seed_of(seed, 2, i)
        name = f"film_{i:05d}"
        inverse = film_seed % 3 == 0
        pseudonym = f"SYN-{seed}-{patient:05d}"
        plans.append(FilmPlan(name, pseudonym, patient_seed, film_seed, kind, height_px, inverse, region, look))
    return plans


def seed_of(*numbers: int) -> int:
    """A seed that follows from numbers, 32 bits."""
    return int(np.random.SeedSequence(list(numbers)).generate_state(1)[0])


def make_film(plan: FilmPlan, folder: str | Path) -> dict[str, Any]:
    """Make one film with its label map and truth below `folder`, unless it is there; returns its datalist item."""
    folder = Path(folder)
    if (item := stored_item(plan, folder)) is not None:
        return item
    from cmnet_monai.synthetic import generate_film

    film = generate_film(
        plan.film_seed,
        kind=plan.kind,
        height_px=plan.height_px,
        patient_seed=plan.patient_seed,
        film_seed=plan.film_seed,
        region=plan.region,
        look=plan.look,
    )
    return write_film(film, plan, folder)


def stored_item(plan: Plan, folder: Path) -> dict[str, Any] | None:
    """Datalist item of a film that is there already, else None."""
    truth = folder / "truth" / f"{plan.name}.json"
    return _datalist_item(plan, json.loads(truth.read_text(encoding="utf-8"))) if truth.is_file() else None


def write_film(film: SyntheticFilm, plan: Plan, folder: Path) -> dict[str, Any]:
    """Write a film, its label map and last its truth below `folder`; returns its datalist item."""
    from cmnet_monai.io import atomic_write, write_dx, write_label_png

    for name in ("films", "labels", "truth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_dx(
        folder / "films" / f"{plan.name}.dcm",
        film.pixels,
        bits_stored=film.bits_stored,
        monochrome1=plan.monochrome1,
        imager_spacing_xy_mm=film.spacing_xy_mm,
        faces=film.faces,
        patient_id=plan.patient,
        seed=plan.film_seed,
    )
    write_label_png(folder / "labels" / f"{plan.name}.png", film.label_map)
    truth = {
        "patient": plan.patient,
        "kind": film.kind,
        "faces": film.faces,
        "region": film.region,
        "look": film.look,
        "findings": list(film.findings),
        "bodies": [
            {
                "level": body.level,
                "label": body.label,
                "centre_xy_px": [round(float(v), 3) for v in body.centre_xy_px],
                "corners_xy_px": _rounded(body.corners_xy_px),
                "plates_xy_px": None if body.plates_xy_px is None else _rounded(body.plates_xy_px),
                "deformity": body.deformity,
                "grade": body.grade,
                "findings": list(body.findings),
                "slip_mm": round(body.slip_mm, 2),
            }
            for body in film.bodies
        ],
    }
    with atomic_write(folder / "truth" / f"{plan.name}.json") as temporary:
        Path(temporary).write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    return _datalist_item(plan, truth)


def read_synthetic(folder: Path, name: str) -> SyntheticFilm:
    """A film with its truth as `write_film` left it.

    Seed and bits are not kept: -1 and 16. The valid area is what the reader finds, which a noisy collimator border can
    escape.
    """
    from cmnet_monai.io import read_film, read_label_map
    from cmnet_monai.synthetic import SyntheticFilm

    film = read_film(folder / "films" / f"{name}.dcm")
    truth = json.loads((folder / "truth" / f"{name}.json").read_text(encoding="utf-8"))
    sx, sy = (float(v) for v in film.spacing_xy_mm)
    return SyntheticFilm(
        pixels=film.pixels.astype(np.uint16),
        bits_stored=16,
        spacing_xy_mm=(sx, sy),
        label_map=read_label_map(folder / "labels" / f"{name}.png"),
        bodies=tuple(_body(body) for body in truth["bodies"]),
        faces=truth["faces"],
        findings=tuple(truth["findings"]),
        valid_area=np.asarray(film.valid_area, dtype=bool),
        seed=-1,
        kind=truth["kind"],
        region=truth["region"],
        look=truth["look"],
    )


def _body(truth: dict[str, Any]) -> BodyTruth:
    from cmnet_monai.synthetic import BodyTruth

    x, y = truth["centre_xy_px"]
    plates = truth["plates_xy_px"]
    return BodyTruth(
        level=truth["level"],
        label=truth["label"],
        centre_xy_px=(x, y),
        corners_xy_px=np.array(truth["corners_xy_px"]),
        deformity=truth["deformity"],
        grade=truth["grade"],
        findings=tuple(truth["findings"]),
        slip_mm=truth["slip_mm"],
        plates_xy_px=None if plates is None else np.array(plates),
    )


def _rounded(points: NDArray[np.float64]) -> list[list[float]]:
    return [[round(float(v), 3) for v in point] for point in points]


def _datalist_item(plan: Plan, truth: dict[str, Any]) -> dict[str, Any]:
    return {
        "image": f"films/{plan.name}.dcm",
        "label": f"labels/{plan.name}.png",
        "patient": plan.patient,
        "kind": truth["kind"],
        "centres": [
            {"label": b["label"], "x": b["centre_xy_px"][0], "y": b["centre_xy_px"][1]} for b in truth["bodies"]
        ],
    }


def synthesize(
    folder: str | Path,
    count: int = 100,
    seed: int = 0,
    films_per_patient: int = 1,
    kind: str | None = None,
    height_px: int = 1280,
    workers: int | None = None,
    progress: bool = True,
    *,
    region: str = "lumbar",
    look: str | None = None,
) -> Path:
    """Write a data set of synthetic films; films that are there already are kept, so a broken run can go on.

    Args:
        folder: gets ``films/*.dcm``, ``labels/*.png`` (VerSe codes), ``truth/*.json`` and ``datalist.json``.
        count: number of films.
        seed: the same seed gives the same films, byte for byte.
        films_per_patient: films of one patient in a row, with another pose and exposure.
        kind: kind of patients; None mixes them.
        height_px: height of the films.
        workers: processes; None uses every core.
        progress: show a progress bar.
        region: "lumbar", "thoracic" or "whole".
        look: "a" or "b", whose processing, so that one can train on one and test on the other; None mixes both.
    Returns:
        The datalist.
    Raises:
        ValueError: a number is out of range, or the folder holds films of other settings.

    >>> import tempfile
    >>> from cmnet_monai.datasets import read_datalist
    >>> from cmnet_monai.io import read_film, read_label_map
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     datalist = synthesize(folder, count=1, seed=1, height_px=128, workers=1, progress=False)
    ...     (item,) = read_datalist(datalist, ("training", "validation", "test"))
    ...     film, labels = read_film(item["image"]), read_label_map(item["label"])
    >>> film.pixels.shape[1], labels.shape == film.pixels.shape, len(np.unique(labels)) - len(item["centres"])
    (128, True, 1)
    """
    folder = Path(folder)
    plans = plan_films(count, seed, films_per_patient, kind, height_px, region=region, look=look)
    settings = {
        "seed": seed,
        "films_per_patient": films_per_patient,
        "kind": kind,
        "height_px": height_px,
        "region": region,
        "look": look,
    }
    return write_films(
        plans, make_film, folder, seed, f"Synthetic lateral {region} radiographs", settings, workers, progress
    )


def write_films(
    plans: Sequence[AnyPlan],
    make: Callable[[AnyPlan, Path], dict[str, Any]],
    folder: Path,
    seed: int,
    description: str,
    settings: dict[str, Any],
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Make the films of plans in processes and write their datalist, split 8 : 1 : 1 by patient.

    Args:
        plans: one for each film.
        make: makes and writes one film, unless it is there; returns its datalist item.
        folder: of the data set.
        seed: seed of the split.
        description: goes into the datalist.
        settings: what the films depend on; the folder takes no films of other settings.
        workers: processes; None uses every core.
        progress: show a progress bar.
    Returns:
        The datalist.
    Raises:
        ValueError: the folder holds films of other settings.
    """
    from tqdm import tqdm

    _claim(folder, settings)
    items: dict[str, dict[str, Any]] = {}
    with tqdm(total=len(plans), unit="film", desc="synthesize", disable=not progress) as bar:
        for name, item in _run(plans, make, folder, workers or os.cpu_count() or 1):
            items[name] = item
            bar.update()
    section = split_patients([plan.patient for plan in plans], seed)
    sections: dict[str, list[dict[str, Any]]] = {name: [] for name in SECTIONS}
    for plan in plans:
        sections[section[plan.patient]].append(items[plan.name])
    write_datalist(folder / DATALIST_NAME, sections, description=description, settings=settings)
    return folder / DATALIST_NAME


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Note the settings of a data set, so that a folder never mixes two."""
    from cmnet_monai.io import atomic_write

    file = folder / "settings.json"
    if file.is_file():
        found = json.loads(file.read_text(encoding="utf-8"))
        if found != settings:
            raise ValueError(f"{folder}: holds films made with {found}; choose another folder or the same settings")
        return
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as temporary:
        Path(temporary).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def _run(
    plans: Sequence[AnyPlan], make: Callable[[AnyPlan, Path], dict[str, Any]], folder: Path, workers: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    if workers == 1 or len(plans) == 1:
        for plan in plans:
            yield plan.name, make(plan, folder)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(plans)), mp_context=context) as pool:
        futures = {pool.submit(make, plan, folder): plan.name for plan in plans}
        for future in as_completed(futures):
            yield futures[future], future.result()
