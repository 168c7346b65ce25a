"""VerSe 2019 and 2020 (Sekuboyina et al., 2021): CT scans with vertebra masks, listed for projection.

``rawdata/sub-<name>/sub-<name>[_...]_ct.nii.gz`` and ``derivatives/sub-<name>/sub-<name>[_...]_seg-vert_msk.nii.gz``,
with ``..._seg-subreg_ctd.json`` for the centroids, in one tree or several (the published training, validation and test
parts may lie side by side; their split is not kept). The masks hold the codes that this package uses.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

from cmnet_monai.datasets.adapters.records import Case, Options, Pending, files_below
from cmnet_monai.io import FilmError

CT = re.compile(r"(.+)_ct\.nii(\.gz)?")
MASK = re.compile(r"(.+)_seg-vert_msk\.nii(\.gz)?")
CENTROIDS = re.compile(r"(.+)_seg-(?:subreg|vb)_ctd\.json")


def find_verse(source: Path, options: Options) -> list[Pending]:
    """Scans of VerSe below a folder.

    Raises:
        FileNotFoundError: there is none.
    """
    found: dict[str, dict[str, Path]] = {}
    for file in files_below(source, (".nii", ".nii.gz", ".json"), options.leave_out):
        for kind, pattern in (("ct", CT), ("mask", MASK), ("centroids", CENTROIDS)):
            if match := pattern.fullmatch(file.name):
                found.setdefault(match.group(1), {}).setdefault(kind, file)
    scans = {name: files for name, files in found.items() if "ct" in files}
    if not scans:
        raise FileNotFoundError(f"{source}: no scans of VerSe; expected rawdata/sub-<name>/sub-<name>_ct.nii.gz")
    return [Pending(files["ct"], partial(_load, name, files, source, options)) for name, files in sorted(scans.items())]


def _load(name: str, files: dict[str, Path], source: Path, options: Options) -> Case:
    ct = files["ct"]
    if "mask" not in files:
        raise FilmError(ct, f"there is no {name}_seg-vert_msk.nii.gz", "Copy derivatives beside rawdata")
    shapes = {_shape(ct), _shape(files["mask"])}
    if len(shapes) > 1:
        sizes = " and ".join("x".join(str(n) for n in shape) for shape in sorted(shapes))
        raise FilmError(ct, f"scan and mask differ in size, {sizes} voxels", "Download both again")
    patient = options.patient_of(ct, source, name.split("_")[0])
    further = {"centroids": files["centroids"]} if "centroids" in files else {}
    return Case(ct, patient, label=files["mask"], files=further, is_ct=True)


def _shape(file: Path) -> tuple[int, ...]:
    import nibabel

    try:
        image: Any = nibabel.load(file)
        return tuple(int(n) for n in image.shape)
    except Exception as error:
        raise FilmError(
            file, f"the header cannot be read ({type(error).__name__})", "Download the file again"
        ) from error
