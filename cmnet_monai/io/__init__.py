"""Bytes to arrays and back: the only room that knows file formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmnet_monai.io.errors import FilmError, OutputError

if TYPE_CHECKING:
    from cmnet_monai.io.atomic import TEMPORARY_PREFIX, atomic_write, remove_leftovers
    from cmnet_monai.io.colour_table import level_colours, write_itksnap_labels, write_slicer_colours
    from cmnet_monai.io.dicom_derived import Algorithm
    from cmnet_monai.io.dicom_seg import write_dicom_seg
    from cmnet_monai.io.dicom_sr import write_dicom_sr
    from cmnet_monai.io.dx_writer import write_dx
    from cmnet_monai.io.film import Film, film_affine
    from cmnet_monai.io.masks import read_label_map, write_label_png, write_mask_png, write_nifti
    from cmnet_monai.io.names import output_names, printable, safe_stem
    from cmnet_monai.io.radiograph_reader import RadiographReader, read_film
    from cmnet_monai.io.seg_nrrd import write_seg_nrrd
    from cmnet_monai.io.tables import write_table
    from cmnet_monai.io.vertebra_records import MeasuredSite, VertebraMeasurement, measured_site

_HOME = {
    "Algorithm": "dicom_derived",
    "Film": "film",
    "MeasuredSite": "vertebra_records",
    "RadiographReader": "radiograph_reader",
    "TEMPORARY_PREFIX": "atomic",
    "VertebraMeasurement": "vertebra_records",
    "atomic_write": "atomic",
    "film_affine": "film",
    "level_colours": "colour_table",
    "measured_site": "vertebra_records",
    "output_names": "names",
    "printable": "names",
    "read_film": "radiograph_reader",
    "read_label_map": "masks",
    "remove_leftovers": "atomic",
    "safe_stem": "names",
    "write_dicom_seg": "dicom_seg",
    "write_dicom_sr": "dicom_sr",
    "write_dx": "dx_writer",
    "write_itksnap_labels": "colour_table",
    "write_label_png": "masks",
    "write_mask_png": "masks",
    "write_nifti": "masks",
    "write_seg_nrrd": "seg_nrrd",
    "write_slicer_colours": "colour_table",
    "write_table": "tables",
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
