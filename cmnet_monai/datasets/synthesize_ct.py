"""A data set of radiographs projected from CTs with vertebra labels, laid out as that of `synthesize`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmnet_monai.datasets.synthesize import seed_of, stored_item, write_film, write_films

if TYPE_CHECKING:
    from cmnet_monai.synthetic.from_ct import LabelledCT

_CACHED_CTS = 4


@dataclass(frozen=True)
class CTFilmPlan:
    """What makes one film from a CT.

    Args:
        name: stem of its files.
        patient: stem of the CT's file, or of the labels' where there is no CT.
        film_seed: seed of deformation, pose, exposure and noise.
        monochrome1: store it as MONOCHROME1.
        ct: file of the CT; None to simulate it from the labels.
        labels: file of its vertebra labels.
        codes: what the values of the labels mean, see `film_from_ct`.
        height_px: height of the film.
        look: "a" or "b", whose processing; None mixes both.
        outline: "silhouette" or "middle", see `film_from_ct`.
    """

    name: str
    patient: str
    film_seed: int
    monochrome1: bool
    ct: Path | None
    labels: Path
    codes: str
    height_px: int
    look: str | None = None
    outline: str = "silhouette"


def make_ct_film(plan: CTFilmPlan, folder: Path) -> dict[str, Any]:
    """Make one film with its label map and truth below `folder`, unless it is there; returns its datalist item."""
    if (item := stored_item(plan, folder)) is not None:
        return item
    from cmnet_monai.synthetic.from_ct import film_of

    ct = _read(plan.ct, plan.labels, plan.codes)
    film = film_of(ct, plan.film_seed, height_px=plan.height_px, look=plan.look, outline=plan.outline)
    return write_film(film, plan, folder)


@lru_cache(maxsize=_CACHED_CTS)
def _read(ct_file: Path | None, label_file: Path, codes: str) -> LabelledCT:
    """Read, or simulate, and prepare a CT; the last ones are kept."""
    import nibabel as nib
    import torch

    from cmnet_monai.synthetic.ct_bodies import to_verse
    from cmnet_monai.synthetic.ct_from_labels import simulate_ct
    from cmnet_monai.synthetic.from_ct import prepare_ct

    torch.set_num_threads(1)  # a process for each core already
    labels = nib.nifti1.load(label_file)
    ct = nib.nifti1.load(ct_file) if ct_file else labels
    if ct.shape != labels.shape or not np.allclose(ct.affine, labels.affine, atol=0.05):
        raise ValueError(
            f"{label_file}: does not lie on the grid of {ct_file} ({labels.shape}, {ct.shape}); resample it first"
        )
    codes_of_voxels = np.rint(np.asanyarray(labels.dataobj)).astype(np.int32)
    try:
        if ct_file:
            hu = np.asarray(ct.dataobj, dtype=np.float32)
        else:
            hu = simulate_ct(to_verse(codes_of_voxels, codes), labels.affine)
        return prepare_ct(hu, codes_of_voxels, ct.affine, codes)
    except ValueError as error:
        raise ValueError(f"{label_file}: {error}") from error


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
    """Write radiographs projected from CTs in turn; films that are there already are kept.

    All films of a CT are of one patient, named as its file is, and lie in one section of the datalist; of one or two
    CTs everything is ``training``.

    Args:
        folder: gets ``films/*.dcm``, ``labels/*.png`` (VerSe codes), ``truth/*.json`` and ``datalist.json``.
        cts: NIfTI files of Hounsfield units.
        labels: NIfTI files of whole vertebrae on the same grids, in the same order.
        count: number of films.
        seed: the same seed gives the same films.
        shapes: NIfTI files of whole vertebrae without a CT, whose bone is simulated (see `simulate_ct`); they follow
            the CTs.
        codes: "verse" or "totalsegmentator".
        height_px: height of the films.
        look: "a" or "b", whose processing; None mixes both.
        outline: "silhouette" or "middle", see `film_from_ct`.
        workers: processes; None uses every core.
        progress: show a progress bar.
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
        ct, label = files[i % len(files)]
        film_seed = seed_of(seed, 4, i)
        name, patient = f"film_{i:05d}", stems[i % len(files)]
        inverse = film_seed % 3 == 0
        plans.append(CTFilmPlan(name, patient, film_seed, inverse, ct, label, codes, height_px, look, outline))
    settings = {"cts": stems, "codes": codes, "seed": seed, "height_px": height_px, "look": look, "outline": outline}
    return write_films(
        plans, make_ct_film, Path(folder), seed, "Lateral radiographs projected from CT", settings, workers, progress
    )
