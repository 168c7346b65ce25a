from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, CopyItemsd, EnsureChannelFirstd, Invertd, LoadImaged

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.engines import SaveMask, SegmentedFilm
from cmnet_monai.film_result import FilmResult
from cmnet_monai.io import write_dx
from cmnet_monai.transforms import CropBorderd, FilmResultd, ResizeWithPadd

LEVELS = ("T12", "L1", "L2", "L3", "L4", "L5", "S1")
BORDER_PX = 150
SIZE = (200, BORDER_PX + 6 * 60 + 160)


@pytest.fixture
def labels() -> np.ndarray:
    """Bodies of 40 rows every 60, below a border of `BORDER_PX` rows."""
    labels = np.zeros(SIZE, np.uint8)
    for number, level in enumerate(LEVELS):
        x, y = 60 + round(1.5 * (number - 3) ** 2), BORDER_PX + 20 + 60 * number
        labels[x : x + 60, y : y + 40] = LABEL_OF_LEVEL[level]
    return labels


def find(labels: np.ndarray, more: dict[str, Any] | None = None, **options: Any) -> FilmResult:
    """The result of a film whose collimator hides the first rows, which no header says."""
    pixels = np.random.default_rng(0).integers(40, 120, SIZE).astype(np.float32)
    pixels[labels > 0] = 200
    pixels[:, :BORDER_PX] = 3
    film = MetaTensor(torch.from_numpy(pixels)[None])
    item = CropBorderd("image", source_key="image")({"image": film.clone(), "film": film})
    item |= {"labels": labels[None], "shown": "film.png", **(more or {})}
    settings = {"anterior": "left", "expects_s1": True, **options}
    result = FilmResultd("labels", **settings)(item)["result"]
    assert isinstance(result, FilmResult)
    return result


def codes(result: FilmResult) -> set[tuple[str, str | None]]:
    return {(flag.code, flag.level) for flag in result.flags}


def test_border_that_shows_nothing_is_no_film_above_the_spine(labels: np.ndarray) -> None:
    assert codes(find(labels)) == set()


def test_body_that_reaches_such_a_border_is_cut(labels: np.ndarray) -> None:
    labels[80:120, BORDER_PX : BORDER_PX + 20] = LABEL_OF_LEVEL["T12"]
    result = find(labels)
    assert ("cut_off", "T12") in codes(result)
    assert {body.level: body.cut_off for body in result.vertebrae}["T12"] is True


def test_sacrum_is_missed_where_the_network_looks_for_it(labels: np.ndarray) -> None:
    labels[labels == LABEL_OF_LEVEL["S1"]] = 0
    assert codes(find(labels)) == {("not_a_lateral_lumbar_film", None)}
    assert codes(find(labels, expects_s1=False)) == set()


def test_bodies_carry_their_centres_measures_and_corners(labels: np.ndarray) -> None:
    centre = {"x_px": 89.5, "y_px": 369.5, "score": 0.75, "uncertainty": 0.25, "confidence": None, "evidence": "S1"}
    result = find(labels, {"centres": [{"level": "L3", **centre}], "fingerprint": "7-9"}, run_id="r", levels=["L3"])
    assert [body.level for body in result.vertebrae] == list(LEVELS[:-1])
    assert [(disc.upper, disc.lower) for disc in result.discs][-1] == ("L5", "S1")
    body = next(body for body in result.vertebrae if body.level == "L3")
    assert (body.centre_xy_px, body.score, body.evidence) == ((89.5, 369.5), 0.75, "S1")
    # L3 covers rows 350 to 389, 40 of them; pixel centres are whole numbers, so edges lie at halves.
    (height,) = (m.value for m in body.measures if (m.name, m.unit) == ("height_anterior", "px"))
    assert height == pytest.approx(40.0, abs=0.5)
    assert body.corners_xy_px is not None and body.corners_xy_px[0] == pytest.approx((61.5, 329.5), abs=20.5)
    assert (result.run, result.film.fingerprint, result.film.name) == ("r", "7-9", "film.png")
    np.testing.assert_array_equal(result.labels.array, labels)
    np.testing.assert_array_equal(result.mask, labels == 22)


@pytest.mark.parametrize("meta", [{}, {"spacing_xy_mm": np.array([np.nan, np.nan]), "spacing_provenance": "none"}])
def test_unknown_spacing_is_none(labels: np.ndarray, meta: dict[str, Any]) -> None:
    film = MetaTensor(torch.from_numpy(labels * 1.0)[None], meta=meta)
    result = find(labels, {"film": film})
    assert (result.film.spacing_xy_mm, result.film.spacing_provenance, result.film.in_mm) == (None, "none", False)


def test_known_spacing_gives_millimetres_where_it_may_or_where_they_are_asked_for(labels: np.ndarray) -> None:
    meta = {"spacing_xy_mm": np.array([0.2, 0.25]), "spacing_provenance": "detector"}
    film = MetaTensor(torch.from_numpy(labels * 1.0)[None], meta=meta)

    def height(**options: Any) -> float | None:
        result = find(labels, {"film": film}, **options)
        assert result.film.spacing_xy_mm == (0.2, 0.25) and result.film.spacing_provenance == "detector"
        body = next(body for body in result.vertebrae if body.level == "L3")
        return next(m.value for m in body.measures if (m.name, m.unit) == ("height_anterior", "mm"))

    assert height() is None  # a detector's spacing is magnified
    assert height(all_millimetres=True) == pytest.approx(40 * 0.25, abs=0.2)


def test_plain_array_of_a_host_program_is_measured_too(labels: np.ndarray) -> None:
    item = {"labels": labels[None], "film": 10.0 * labels[None]}
    result = FilmResultd("labels", anterior="left")(item)["result"]
    assert result.film.name == "film" and len(result.vertebrae) == 6


def test_film_without_a_body_has_a_result_that_says_so() -> None:
    result = find(np.zeros(SIZE, np.uint8))
    assert result.vertebrae == () == result.discs and result.labels.runs == ()
    assert ("not_measured", None) in codes(result) or ("fewer_than_five_lumbar", None) in codes(result)


def test_inverted_mask_lies_on_the_grid_that_simpleitk_sees_in_the_film(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 4095, (37, 90)).astype(np.uint16)
    path = write_dx(tmp_path / "film.dcm", pixels, imager_spacing_xy_mm=(0.25, 0.4))
    before = Compose(
        [
            LoadImaged("image", reader="cmnet_monai.io.RadiographReader"),
            EnsureChannelFirstd("image"),
            CopyItemsd("image", names="film"),
            ResizeWithPadd("image", spatial_size=(64, 96)),
        ]
    )
    data = before({"image": str(path), "path": str(path), "name": "film"})
    data["labels"] = data["image"].clone()
    data = Invertd("labels", before, orig_keys="image", nearest_interp=False, to_tensor=True)(data)
    data["labels"] = 22 * (data["labels"] > 2000)
    result = FilmResultd("labels", anterior="left")(data)["result"]
    SaveMask(tmp_path).run(SegmentedFilm("out", str(path), result, pixels))
    film, mask = sitk.ReadImage(str(path)), sitk.ReadImage(str(tmp_path / "out_mask.nii.gz"))
    assert mask.GetSize() == film.GetSize() == (37, 90, 1)
    np.testing.assert_allclose(mask.GetSpacing()[:2], (0.25, 0.4), rtol=1e-6)  # NIfTI keeps float32
    np.testing.assert_allclose(mask.GetOrigin(), 0, atol=1e-6)
    np.testing.assert_allclose(mask.GetDirection(), film.GetDirection(), atol=1e-6)
    assert nibabel.load(tmp_path / "out_mask.nii.gz").header.get_xyzt_units()[0] == "mm"


def test_missing_key_is_an_error_unless_allowed() -> None:
    with pytest.raises(KeyError):
        FilmResultd("labels")({"name": "a"})
    assert FilmResultd("labels", allow_missing_keys=True)({"name": "a"}) == {"name": "a"}


def test_side_of_the_front_is_one_of_three_words() -> None:
    with pytest.raises(ValueError, match='anterior is "left", "right" or "auto"; got \'up\''):
        FilmResultd("labels", anterior="up")
