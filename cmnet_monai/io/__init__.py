"""Bytes to arrays and back: the only room that knows file formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmnet_monai.io.errors import FilmError, OutputError

if TYPE_CHECKING:
    from cmnet_monai.io.dicom.derived import Algorithm
    from cmnet_monai.io.dicom.dx import write_dx
    from cmnet_monai.io.dicom.measured_sites import MeasuredSite, measured_sites
    from cmnet_monai.io.dicom.seg import write_dicom_seg
    from cmnet_monai.io.dicom.sr import write_dicom_sr
    from cmnet_monai.io.files.atomic import TEMPORARY_PREFIX, atomic_write, remove_leftovers
    from cmnet_monai.io.files.colour_table import level_colours, write_itksnap_labels, write_slicer_colours
    from cmnet_monai.io.files.masks import read_label_map, write_label_png, write_mask_png, write_nifti
    from cmnet_monai.io.files.names import output_names, printable, safe_stem
    from cmnet_monai.io.files.seg_nrrd import write_seg_nrrd
    from cmnet_monai.io.files.tables import write_table
    from cmnet_monai.io.films.film import Film, film_affine
    from cmnet_monai.io.films.radiograph_reader import RadiographReader, read_film

_HOME = {
    "Algorithm": "dicom.derived",
    "Film": "films.film",
    "MeasuredSite": "dicom.measured_sites",
    "RadiographReader": "films.radiograph_reader",
    "TEMPORARY_PREFIX": "files.atomic",
    "atomic_write": "files.atomic",
    "film_affine": "films.film",
    "level_colours": "files.colour_table",
    "measured_sites": "dicom.measured_sites",
    "output_names": "files.names",
    "printable": "files.names",
    "read_film": "films.radiograph_reader",
    "read_label_map": "files.masks",
    "remove_leftovers": "files.atomic",
    "safe_stem": "files.names",
    "write_dicom_seg": "dicom.seg",
    "write_dicom_sr": "dicom.sr",
    "write_dx": "dicom.dx",
    "write_itksnap_labels": "files.colour_table",
    "write_label_png": "files.masks",
    "write_mask_png": "files.masks",
    "write_nifti": "files.masks",
    "write_seg_nrrd": "files.seg_nrrd",
    "write_slicer_colours": "files.colour_table",
    "write_table": "files.tables",
}
__all__ = ["FilmError", "OutputError", *_HOME]


def __getattr__(name: str) -> Any:
    """Import on first use: MONAI takes seconds, a command's help must not."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
