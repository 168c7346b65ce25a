"""Segment films from Python: a path, an array or a DICOM data set in, a result out that can be drawn and saved."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor, decollate_batch
from monai.transforms import Compose
from monai.utils import convert_to_numpy
from numpy.typing import NDArray

from cmnet_monai.bundle_location import bundle_root
from cmnet_monai.conventions import USER
from cmnet_monai.datasets.film_dataset import collate_films
from cmnet_monai.engines import outputs, prepare_film_batch
from cmnet_monai.engines.evaluator import SegmentedFilm
from cmnet_monai.film_result import FilmResult
from cmnet_monai.io import FilmError, printable, safe_stem
from cmnet_monai.io.errors import first_cause
from cmnet_monai.io.files.results import film_fingerprint
from cmnet_monai.io.films.film import Film

if TYPE_CHECKING:
    from PIL import Image
    from pydicom import Dataset

OUTPUTS: Mapping[str, type[outputs.FilmOutput]] = MappingProxyType(
    {
        "mask": outputs.SaveMask,
        "label_map": outputs.SaveLabelMap,
        "centres": outputs.SaveCentres,
        "overlay": outputs.SaveOverlay,
        "seg_nrrd": outputs.SaveSegNrrd,
        "dicom_seg": outputs.SaveDicomSeg,
        "dicom_sr": outputs.SaveDicomSr,
    }
)
"""Files that a result can be saved as, by the names of the switches in ``inference.json``."""


@dataclass(frozen=True)
class SegmentedResult(FilmResult):
    """A `FilmResult` that still has its film, so that it can be drawn and saved.

    Args:
        pixels: the film, (x, y), linear values, bone bright.
        source: the film's file, or its DICOM data set; None for an array.
    """

    pixels: NDArray = field(default_factory=lambda: np.zeros((0, 0)), repr=False, compare=False)
    source: Any = field(default=None, repr=False, compare=False)

    def overlay(self) -> Image.Image:
        """The film with outlines, end plates, heights, names and flags, as a picture."""
        from cmnet_monai.visualize import draw_overlay

        return draw_overlay(self.pixels, self)

    def save(self, output_dir: str | os.PathLike, **switches: bool) -> Path:
        """Write the files that ``cmnet-monai predict`` writes of a film, each whole or not at all.

        Args:
            output_dir: where they go, named after the film.
            switches: which of `OUTPUTS`: all but ``seg_nrrd``, ``dicom_seg`` and ``dicom_sr`` unless told otherwise;
                ``dicom_flagged`` as in ``inference.json``.
        Returns:
            The folder.
        Raises:
            OutputError: the folder takes no more files.
            ValueError: there is no such switch, or a file cannot be written: why.
        """
        flagged = switches.pop("dicom_flagged", False)
        unknown = sorted(set(switches) - set(OUTPUTS))
        if unknown:
            raise ValueError(f"files are {', '.join(OUTPUTS)}; got {', '.join(unknown)}")
        wanted = dict.fromkeys(("mask", "label_map", "centres", "overlay"), True) | switches
        folder = Path(output_dir)
        film = SegmentedFilm(safe_stem(self.film.name), self.source, self, self.pixels)
        for name, output in OUTPUTS.items():
            if wanted.get(name):
                made = output(folder, flagged) if issubclass(output, outputs.DicomOutput) else output(folder)
                made.run(film)
        outputs.SaveResult(folder).run(film)
        missing = [*film.problems, *(why for end, why in film.left_out.items())]
        if missing:
            raise ValueError("; ".join(missing))
        return folder


class FilmSegmenter:
    """CM-Net on films, one by one, as the bundle's ``inference.json`` says.

    Args:
        bundle: another bundle folder than the one that came along.
        settings: values of ``inference.json`` by name, such as ``device`` or ``anterior``.

    Example::

        segment = cmnet_monai.FilmSegmenter()
        result = segment("film.dcm")
        result.save("out", dicom_seg=True)
    """

    def __init__(self, bundle: str | Path | None = None, **settings: Any) -> None:
        root = bundle_root(bundle)
        parser = ConfigParser()
        parser.read_config(str(root / "configs" / "inference.json"))
        parser.update({"bundle_root": str(root), **settings})
        self.device = torch.device(parser.get_parsed_content("device"))
        self.network = parser.get_parsed_content("network")
        self.inferer = parser.get_parsed_content("inferer")
        self.preprocessing = parser.get_parsed_content("preprocessing")
        self.postprocessing = parser.get_parsed_content("postprocessing")

    def __call__(
        self,
        film: str | os.PathLike | NDArray | Dataset,
        spacing_xy_mm: Sequence[float] | None = None,
        name: str = "film",
    ) -> SegmentedResult:
        """Segment, name and measure one film.

        Args:
            film: a file (DICOM, PNG, JPEG, TIFF, BMP, NIfTI), an array (x, y) whose bone is bright, or a DICOM data
                set.
            spacing_xy_mm: width and height of an array's pixel in the patient, where they are known.
            name: what outputs call an array or a data set.
        Raises:
            FilmError: the film cannot be read as one radiograph, or shows nothing.
        """
        with _as_item(film, spacing_xy_mm, name) as item:
            steps, source = self.preprocessing.transforms, item.pop("source", None)
            try:
                ready = collate_films([Compose(steps if "path" in item else steps[1:])(item)])
            except RuntimeError as error:  # as MONAI wraps what a transform raises
                raise first_cause(error, FilmError) or error from error
        (whole,) = ready.pop("film")
        with torch.inference_mode():
            inputs, _ = prepare_film_batch(ready, self.device)
            ready["pred"] = self.inferer(inputs, self.network)
        (done,) = decollate_batch(ready)
        found = self.postprocessing({**done, "film": whole})["result"]
        values = {one.name: getattr(found, one.name) for one in fields(FilmResult)}
        return SegmentedResult(**values, pixels=convert_to_numpy(whole)[0], source=source)


@contextmanager
def _as_item(film: Any, spacing_xy_mm: Sequence[float] | None, name: str) -> Iterator[dict[str, Any]]:
    """An item for the preprocessing; one with a path is read from there."""
    if isinstance(film, (str, os.PathLike)):
        path = os.fspath(film)
        shown = printable(Path(path).name)
        fingerprint = film_fingerprint(path) if Path(path).is_file() else ""
        yield {"image": path, "path": path, "source": path, "shown": shown, "fingerprint": fingerprint}
    elif isinstance(film, np.ndarray):
        if film.ndim != 2:
            raise FilmError(name, f"an array of shape {film.shape} is no film", "Give one of shape (x, y)")
        made = Film(film, np.ones(film.shape, dtype=bool), bits_stored=8 * film.dtype.itemsize)
        if spacing_xy_mm is not None:
            made = made.with_spacing((float(spacing_xy_mm[0]), float(spacing_xy_mm[1])), USER)
        yield {"image": MetaTensor(film.astype(np.float32), meta=made.metadata()), "shown": name}
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "film.dcm")
            film.save_as(path)
            yield {"image": path, "path": path, "shown": name, "source": film}
