"""Data sets of synthetic radiographs on disk: DICOM films, label maps, truth, and a datalist split by patient."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmnet_monai.datasets.datalist import DATALIST_NAME, write_datalist
from cmnet_monai.datasets.splits import sections_of, split_patients

if TYPE_CHECKING:
    from cmnet_monai.synthetic import SyntheticFilm
    from cmnet_monai.synthetic.from_ct import LabelledCT


@dataclass(frozen=True)
class Plan:
    """What makes one film: everything in it follows from these values.

    Args:
        name: stem of its files.
        patient: pseudonym of the patient.
        film_seed: seed of pose, exposure and noise.
        height_px: height of the film.
        look: "a" or "b", whose processing; None mixes both.
    """

    name: str
    patient: str
    film_seed: int
    height_px: int
    look: str | None

    @property
    def monochrome1(self) -> bool:
        """Whether the film is stored as MONOCHROME1."""
        return self.film_seed % 3 == 0

    def generate(self) -> SyntheticFilm:
        """Make the film."""
        raise NotImplementedError


@dataclass(frozen=True)
class FilmPlan(Plan):
    """A film of a random patient: ``patient_seed`` is that of the anatomy, the rest as in `generate_film`."""

    patient_seed: int
    kind: str | None
    region: str

    def generate(self) -> SyntheticFilm:
        """Make the film."""
        from cmnet_monai.synthetic import generate_film

        about: dict[str, Any] = {"kind": self.kind, "region": self.region, "look": self.look}
        return generate_film(self.film_seed, patient_seed=self.patient_seed, height_px=self.height_px, **about)


@dataclass(frozen=True)
class CTFilmPlan(Plan):
    """A film projected from a CT, or from labels alone where there is no CT; the rest as in `film_from_ct`."""

    ct: Path | None
    labels: Path
    codes: str
    outline: str

    def generate(self) -> SyntheticFilm:
        """Make the film."""
        from cmnet_monai.synthetic.from_ct import film_of

        ct = _read_ct(self.ct, self.labels, self.codes)
        return film_of(ct, self.film_seed, height_px=self.height_px, look=self.look, outline=self.outline)


@lru_cache(maxsize=4)
def _read_ct(ct_file: Path | None, label_file: Path, codes: str) -> LabelledCT:
    """Read, or simulate, and prepare a CT; the last ones are kept."""
    import nibabel as nib
    import torch

    from cmnet_monai.synthetic.ct_bodies import simulate_ct, to_verse
    from cmnet_monai.synthetic.from_ct import prepare_ct

    torch.set_num_threads(1)  # a process for each core already
    labels = nib.nifti1.load(label_file)
    ct = nib.nifti1.load(ct_file) if ct_file else labels
    if ct.shape != labels.shape or not np.allclose(ct.affine, labels.affine, atol=0.05):
        shapes = f"({labels.shape}, {ct.shape})"
        raise ValueError(f"{label_file}: does not lie on the grid of {ct_file} {shapes}; resample it first")
    values = np.rint(np.asanyarray(labels.dataobj)).astype(np.int32)
    try:
        simulated = None if ct_file else simulate_ct(to_verse(values, codes), labels.affine)
        hu = np.asarray(ct.dataobj, dtype=np.float32) if simulated is None else simulated
        return prepare_ct(hu, values, ct.affine, codes)
    except ValueError as error:
        raise ValueError(f"{label_file}: {error}") from error


def seed_of(*numbers: int) -> int:
    """A seed that follows from numbers, 32 bits."""
    return int(np.random.SeedSequence(list(numbers)).generate_state(1)[0])


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

    Raises:
        ValueError: a number is out of range.
    """
    if count < 1 or films_per_patient < 1 or seed < 0:
        raise ValueError(f"count and films_per_patient start at 1, seed at 0; got {count}, {films_per_patient}, {seed}")
    plans = []
    for i in range(count):
        patient = i // films_per_patient
        common = (f"film_{i:05d}", f"SYN-{seed}-{patient:05d}", seed_of(seed, 2, i), height_px, look)
        plans.append(FilmPlan(*common, seed_of(seed, 1, patient), kind, region))
    return plans


def make_film(plan: Plan, folder: str | Path) -> dict[str, Any]:
    """Make one film with its label map and truth below `folder`, unless it is there; returns its datalist item."""
    file = Path(folder) / "truth" / f"{plan.name}.json"
    if not file.is_file():
        write_film(plan.generate(), plan, Path(folder))
    truth = json.loads(file.read_text(encoding="utf-8"))
    centres = [(body["label"], *body["centre_xy_px"]) for body in truth["bodies"]]
    return {
        "image": f"films/{plan.name}.dcm",
        "label": f"labels/{plan.name}.png",
        "patient": plan.patient,
        "kind": truth["kind"],
        "centres": [{"label": label, "x": x, "y": y} for label, x, y in centres],
    }


def write_film(film: SyntheticFilm, plan: Plan, folder: Path) -> None:
    """Write a film, its label map and last its truth below `folder`."""
    from cmnet_monai.io import write_dx, write_label_png
    from cmnet_monai.io.files.json import write_json

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
    truth: dict[str, Any] = {"patient": plan.patient, "kind": film.kind, "faces": film.faces, "region": film.region}
    truth |= {"look": film.look, "findings": film.findings, "bodies": []}
    for body in film.bodies:
        points = {name: getattr(body, name) for name in ("centre_xy_px", "corners_xy_px", "plates_xy_px")}
        truth["bodies"].append(
            {"level": body.level, "label": body.label}
            | {name: None if xy is None else _rounded(xy) for name, xy in points.items()}
            | {"deformity": body.deformity, "grade": body.grade, "findings": body.findings}
            | {"slip_mm": round(body.slip_mm, 2)}
        )
    write_json(folder / "truth" / f"{plan.name}.json", truth)


def _rounded(points: Any) -> Any:
    return [_rounded(v) for v in points] if np.ndim(points) else round(float(points), 3)


def read_synthetic(folder: Path, name: str) -> SyntheticFilm:
    """A film with its truth as `write_film` left it.

    Seed and bits are not kept: -1 and 16. The valid area is what the reader finds, which a noisy collimator border can
    escape.
    """
    from cmnet_monai.io import read_film, read_label_map
    from cmnet_monai.synthetic import BodyTruth, SyntheticFilm

    film = read_film(folder / "films" / f"{name}.dcm")
    truth = json.loads((folder / "truth" / f"{name}.json").read_text(encoding="utf-8"))
    sx, sy = (float(v) for v in film.spacing_xy_mm)
    for body in truth["bodies"]:
        body["centre_xy_px"], body["findings"] = tuple(body["centre_xy_px"]), tuple(body["findings"])
        body["corners_xy_px"] = np.array(body["corners_xy_px"])
        body["plates_xy_px"] = None if body["plates_xy_px"] is None else np.array(body["plates_xy_px"])
    return SyntheticFilm(
        pixels=film.pixels.astype(np.uint16),
        bits_stored=16,
        spacing_xy_mm=(sx, sy),
        label_map=read_label_map(folder / "labels" / f"{name}.png"),
        bodies=tuple(BodyTruth(**body) for body in truth["bodies"]),
        findings=tuple(truth["findings"]),
        valid_area=np.asarray(film.valid_area, dtype=bool),
        seed=-1,
        **{key: truth[key] for key in ("kind", "faces", "region", "look")},
    )


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
        region: see `generate_film`.
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
    about: dict[str, Any] = {"height_px": height_px, "region": region, "look": look}
    plans = plan_films(count, seed, films_per_patient, kind, **about)
    settings = {"seed": seed, "films_per_patient": films_per_patient, "kind": kind, **about}
    return _write_set(plans, folder, seed, f"Synthetic lateral {region} radiographs", settings, workers, progress)


def synthesize_ct(
    folder: str | Path,
    cts: Sequence[str | Path],
    labels: Sequence[str | Path],
    count: int = 100,
    seed: int = 0,
    *,
    shapes: Sequence[str | Path] = (),
    codes: str = "verse",
    height_px: int = 640,
    look: str | None = None,
    outline: str = "silhouette",
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Write radiographs projected from CTs in turn, as `synthesize` does.

    All films of a CT are of one patient, named as its file is, and lie in one section of the datalist; of one or two
    CTs everything is ``training``.

    Args:
        folder: see `synthesize`; so are `seed`, `height_px`, `workers` and `progress`.
        cts: NIfTI files of Hounsfield units.
        labels: NIfTI files of whole vertebrae on the same grids, in the same order.
        count: number of films.
        seed: the same seed gives the same films.
        shapes: NIfTI files of whole vertebrae without a CT, whose bone is simulated (see `simulate_ct`); they follow
            the CTs.
        codes: "verse" or "totalsegmentator"; this, `look` and `outline` as in `film_from_ct`.
    Returns:
        The datalist.
    Raises:
        ValueError: files do not pair up, are not of one grid, have no vertebra, or the folder holds other films.
        FileNotFoundError: a file is missing.
        ImportError: nanodrr is not installed.
    """
    if not (cts or shapes):
        raise ValueError("no CT and no labels: give --ct with --labels, or --shapes")
    if len(cts) != len(labels):
        raise ValueError(f"each CT needs its label file, in the same order; got {len(cts)} and {len(labels)} files")
    if count < 1 or seed < 0:
        raise ValueError(f"count starts at 1, seed at 0; got {count}, {seed}")
    files: list[tuple[Path | None, Path]] = [(Path(ct).resolve(), Path(seg).resolve()) for ct, seg in zip(cts, labels)]
    files += [(None, Path(shape).resolve()) for shape in shapes]
    for file in (file for pair in files for file in pair):
        if file and not file.is_file():
            raise FileNotFoundError(f"{file}: no such file")
    stems = [(ct or label).name.removesuffix(".gz").removesuffix(".nii") for ct, label in files]
    if len(set(stems)) < len(stems):
        raise ValueError(f"CTs need different file names, which name the patients; got {', '.join(stems)}")
    plans = []
    for i in range(count):
        common = (f"film_{i:05d}", stems[i % len(files)], seed_of(seed, 4, i), height_px, look)
        plans.append(CTFilmPlan(*common, *files[i % len(files)], codes, outline))
    settings = {"cts": stems, "codes": codes, "seed": seed, "height_px": height_px, "look": look, "outline": outline}
    return _write_set(plans, folder, seed, "Lateral radiographs projected from CT", settings, workers, progress)


def _write_set(
    plans: Sequence[Plan],
    folder: str | Path,
    seed: int,
    description: str,
    settings: dict[str, Any],
    workers: int | None,
    progress: bool,
) -> Path:
    """Make the films of plans in processes, unless the folder's `settings` differ; write their datalist."""
    from tqdm import tqdm

    from cmnet_monai.io.files.json import read_json, write_json

    folder = Path(folder)
    found = read_json(folder / "settings.json")
    if found is None:
        write_json(folder / "settings.json", settings)
    elif found != settings:
        raise ValueError(f"{folder}: holds films made with {found}; choose another folder or the same settings")
    made = _make_all(plans, folder, min(workers or os.cpu_count() or 1, len(plans)))
    items = dict(tqdm(made, total=len(plans), unit="film", desc="synthesize", disable=not progress))
    sections = sections_of([items[plan.name] for plan in plans], split_patients([plan.patient for plan in plans], seed))
    write_datalist(folder / DATALIST_NAME, sections, description=description, settings=settings)
    return folder / DATALIST_NAME


def _make_all(plans: Sequence[Plan], folder: Path, workers: int) -> Iterator[tuple[str, dict[str, Any]]]:
    if workers == 1:
        yield from ((plan.name, make_film(plan, folder)) for plan in plans)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(make_film, plan, folder): plan.name for plan in plans}
        yield from ((futures[future], future.result()) for future in as_completed(futures))
