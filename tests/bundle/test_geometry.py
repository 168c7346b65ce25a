"""A mask drawn at known places comes back at those places, through the whole inference workflow and in other programs.

Films of any size, shape, spacing and format carry bright boxes; a stand-in for the network calls what is bright a
vertebra. Whatever lies between the film and its outputs must leave the boxes where they are.
"""

from __future__ import annotations

import math
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom
import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from plain_decoding import plain_decoding  # noqa: F401
from scipy import ndimage
from torch import Tensor, nn

from cmnet_monai.io import write_dicom_seg, write_dx

LEVEL = 0.88
LEAST_AREA = 90
"""Of a box on the network's grid, px: the reading drops regions below 60."""


class BrightIsVertebra(nn.Module):
    """Calls the brightest pixels of a film vertebra, and nothing a centre or S1."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(LEVEL))

    def forward(self, x: Tensor) -> Tensor:
        low = torch.full_like(x[:, :1], -20.0)
        return torch.cat((low, (x[:, :1] - self.level) * 200.0, low), dim=1)


@dataclass(frozen=True)
class Film:
    """A film with boxes in a column: sizes in pixels, spacing in mm, places as shares of the film."""

    size_xy: tuple[int, int]
    boxes: int
    left: float
    lean: float
    spacing_xy: tuple[float, float]
    turn_deg: int
    flips: tuple[bool, bool]
    monochrome1: bool
    seed: int

    def truth(self) -> np.ndarray:
        """Number of the box that each pixel lies in, (x, y), from the top; 0 outside."""
        w, h = self.size_xy
        mask = np.zeros(self.size_xy, np.uint8)
        for n in range(self.boxes):
            x0 = round(w * (self.left + self.lean * n / self.boxes))
            y0, y1 = (round(h * (n + part) / self.boxes) for part in (0.15, 0.7))
            mask[x0 : x0 + max(round(0.35 * w), 1), y0:y1] = n + 1
        return mask

    def pixels(self) -> np.ndarray:
        grey = np.random.default_rng(self.seed).integers(100, 900, self.size_xy).astype(np.uint16)
        return np.where(self.truth() > 0, np.uint16(4000), grey)

    def affine(self) -> np.ndarray:
        """Pixel to RAS of the NIfTI film: turned, mirrored, and somewhere."""
        angle = math.radians(self.turn_deg)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        affine = np.diag([1.0, 1.0, 1.0, 1.0])
        affine[:2, :2] = turn @ np.diag(np.where(self.flips, 1.0, -1.0) * self.spacing_xy)
        affine[:2, 3] = (12.5, -40.0)
        return affine

    def write(self, folder: Path) -> dict[str, Path]:
        """The film in three formats."""
        folder.mkdir()
        pixels = self.pixels()
        files = {
            name: folder / f"{name}.{end}" for name, end in (("dicom", "dcm"), ("png", "png"), ("nifti", "nii.gz"))
        }
        options: dict[str, Any] = {"monochrome1": self.monochrome1, "imager_spacing_xy_mm": self.spacing_xy}
        write_dx(files["dicom"], pixels, bits_stored=12, **options)
        Image.fromarray(np.ascontiguousarray((pixels // 16).astype(np.uint8).T)).save(files["png"])
        image = nibabel.Nifti1Image(pixels[:, :, None].astype(np.int16), self.affine())
        image.header.set_xyzt_units("mm")
        nibabel.save(image, files["nifti"])
        return files


sizes = st.integers(20, 420)
spacings = st.floats(0.05, 2.5).map(lambda s: round(s, 3))
films = st.builds(
    Film,
    size_xy=st.tuples(sizes, sizes),
    boxes=st.integers(1, 5),
    left=st.floats(0.02, 0.35),
    lean=st.floats(0.0, 0.25),
    spacing_xy=st.tuples(spacings, spacings),
    turn_deg=st.integers(-180, 180),
    flips=st.tuples(st.booleans(), st.booleans()),
    monochrome1=st.booleans(),
    seed=st.integers(0, 9),
)
grids = st.tuples(st.integers(60, 300), st.integers(60, 300))

TINY = Film((17, 23), 1, 0.3, 0.0, (2.5, 0.4), 90, (True, False), True, 1)
WIDE = Film((401, 97), 2, 0.05, 0.2, (0.11, 0.37), -35, (False, True), False, 2)
TALL = Film((83, 419), 5, 0.3, 0.25, (0.143, 0.143), 180, (True, True), True, 3)
HUGE = Film((3001, 4003), 5, 0.2, 0.2, (0.1, 0.1), 0, (False, False), False, 4)


@pytest.fixture(scope="module")
def run(
    infer: Callable[..., dict], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Film, tuple[int, int]], Path]:
    """The folder of a film's three results, beside it ``films`` with the film."""
    weights = tmp_path_factory.mktemp("bright") / "model.pt"
    torch.save(BrightIsVertebra().state_dict(), weights)

    def go(film: Film, grid: tuple[int, int]) -> Path:
        root = tmp_path_factory.mktemp("film")
        film.write(root / "films")
        options = {"spatial_size": list(grid), "mirror": False, "passes": 1, "batch_size": 3}
        manifest = infer(root / "films", root, ckpt_path=str(weights), network_def=BrightIsVertebra(), **options)
        assert manifest["counts"]["done"] == 3, manifest["films"]
        return root

    return go


def assert_in_place(found: np.ndarray, film: Film, grid: tuple[int, int], what: str) -> None:
    """Equal but for pixels within a pixel of the grid from a border: sampling and the threshold move it so far."""
    truth = film.truth() > 0
    assert found.shape == truth.shape, what
    distance = np.where(truth, ndimage.distance_transform_edt(truth), ndimage.distance_transform_edt(~truth))
    slack = math.ceil(max(1.0, 1.0 / scale_of(film, grid)))
    wrong = (found > 0) != truth
    assert not wrong[distance > slack].any(), f"{what}: {int(wrong.sum())} pixels"


def scale_of(film: Film, grid: tuple[int, int]) -> float:
    return min(g / n for g, n in zip(grid, film.size_xy))


def assert_results_in_place(root: Path, film: Film, grid: tuple[int, int]) -> None:
    labels = {}
    for name in ("dicom", "png", "nifti"):
        with Image.open(root / f"{name}_labels.png") as png:
            labels[name] = np.asarray(png).T
        assert_in_place(labels[name], film, grid, f"{name}, PNG")
        assert len(np.unique(labels[name])) == film.boxes + 1
        nifti = nibabel.load(root / f"{name}_labels.nii.gz")
        np.testing.assert_array_equal(np.asarray(nifti.dataobj)[..., 0], labels[name])
    # nibabel: the label map of a NIfTI film lies where the film lies. NIfTI keeps float32.
    found = nibabel.load(root / "nifti_labels.nii.gz").affine
    np.testing.assert_allclose(found[:2, [0, 1, 3]], film.affine()[:2, [0, 1, 3]], atol=1e-4)
    # SimpleITK: it sees the same points in film and label map.
    for name, end in (("dicom", "dcm"), ("nifti", "nii.gz")):
        image, mask = (
            sitk.ReadImage(str(root / "films" / f"{name}.{end}")),
            sitk.ReadImage(str(root / f"{name}_labels.nii.gz")),
        )
        assert mask.GetSize() == image.GetSize() == (*film.size_xy, 1)
        for corner in ((0, 0, 0), (film.size_xy[0] - 1, 0, 0), (0, film.size_xy[1] - 1, 0)):
            points = [one.TransformIndexToPhysicalPoint(corner) for one in (image, mask)]
            np.testing.assert_allclose(points[1][:2], points[0][:2], rtol=1e-5, atol=1e-3)
    assert_segmentation(root, labels["dicom"])


def assert_segmentation(root: Path, labels: np.ndarray) -> None:
    """highdicom, and DCMTK's picture where DCMTK is there, show the label map's bodies where they are."""
    seg = write_dicom_seg(root / "seg.dcm", root / "films" / "dicom.dcm", labels, run_id="run")
    opened = highdicom.seg.segread(str(seg))
    frames = opened.pixel_array.reshape(-1, opened.Rows, opened.Columns)
    codes = sorted(int(code) for code in np.unique(labels) if code)  # from head to foot
    assert len(frames) == len(codes)
    for number, (frame, code) in enumerate(zip(frames, codes), start=1):
        np.testing.assert_array_equal(frame.T > 0, labels == code)
        if number == 1 and shutil.which("dcm2pnm"):
            picture = root / "frame.pgm"
            subprocess.run(["dcm2pnm", "+F", "1", "+op", seg, picture], check=True, capture_output=True)
            with Image.open(picture) as image:
                np.testing.assert_array_equal(np.asarray(image).T > 0, labels == code)


def assert_comes_back(run: Callable[[Film, tuple[int, int]], Path], film: Film, grid: tuple[int, int]) -> None:
    root = run(film, grid)
    try:
        assert_results_in_place(root, film, grid)
    finally:
        shutil.rmtree(root)


def fits(film: Film, grid: tuple[int, int]) -> bool:
    """Every box large enough on the grid for the reading, apart from the next, and inside the film."""
    truth, scale = film.truth(), scale_of(film, grid)
    areas = [int((truth == n).sum()) * scale**2 for n in range(1, film.boxes + 1)]
    sides = 0.35 * film.size_xy[0] * scale, 0.55 * film.size_xy[1] / film.boxes * scale
    gap = 0.45 * film.size_xy[1] / film.boxes * min(scale, 1.0)
    return min(areas) >= LEAST_AREA and min(sides) >= 6 and gap >= 4


@example(film=TINY, grid=(60, 90))
@example(film=WIDE, grid=(300, 131))
@example(film=TALL, grid=(128, 300))
@example(film=TALL, grid=(83, 419))
@given(film=films, grid=grids)
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_mask_comes_back_where_it_was_drawn(run: Callable, film: Film, grid: tuple[int, int]) -> None:
    assume(fits(film, grid))
    assert_comes_back(run, film, grid)


@pytest.mark.slow
@given(film=films, grid=grids)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_mask_comes_back_where_it_was_drawn_on_many_films(run: Callable, film: Film, grid: tuple[int, int]) -> None:
    assume(fits(film, grid))
    assert_comes_back(run, film, grid)


@pytest.mark.slow
def test_mask_of_a_huge_film_comes_back_where_it_was_drawn(run: Callable) -> None:
    assert_comes_back(run, HUGE, (288, 384))


@pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="needs DCMTK's dcm2pnm")
def test_dcmtk_shows_the_segmentation_where_the_mask_is(run: Callable) -> None:
    root = run(TALL, (128, 300))
    with Image.open(root / "dicom_labels.png") as png:
        labels = np.asarray(png).T
    assert_segmentation(root, labels)
    with Image.open(root / "frame.pgm") as picture:
        assert picture.size == TALL.size_xy and np.asarray(picture).any()
