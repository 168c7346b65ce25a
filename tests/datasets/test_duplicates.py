from __future__ import annotations

import gzip
import io
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from cmnet_monai.datasets.duplicates import (
    CELLS,
    THRESHOLD,
    SamePicture,
    fingerprint,
    found_in,
    joined_patients,
    same_pictures,
    volume_digest,
)
from cmnet_monai.synthetic import generate_film


def picture(seed: int, size_xy: tuple[int, int] = (150, 220)) -> np.ndarray:
    """Noise of many sizes over a gradient that all pictures share, (x, y), uint8."""
    rng = np.random.default_rng(seed)
    noise = sum(s * gaussian_filter(rng.normal(size=size_xy), s) for s in (2, 4, 8, 16))
    shared = np.linspace(0, 12, size_xy[1])[None, :]
    values = noise + shared
    return np.round(255 * (values - values.min()) / np.ptp(values)).astype(np.uint8)


def recompressed(pixels: np.ndarray, quality: int = 50) -> np.ndarray:
    image = Image.fromarray(pixels.T)
    stream = io.BytesIO()
    image.resize((image.width * 2 // 3, image.height * 2 // 5)).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream)).T


COPIES = {
    "same": lambda p: p,
    "smaller JPEG of another shape": recompressed,
    "sixteen bits": lambda p: p.astype(np.uint16) * 16 + 7,
    "brighter": lambda p: np.round(255 * (p / 255) ** 0.7).astype(np.uint8),
    "mirrored": lambda p: p[::-1],
    "inverted": lambda p: 255 - p,
    "mirrored inverted JPEG": lambda p: recompressed(255 - p[::-1]),
}


@pytest.mark.parametrize("name", COPIES)
def test_copy_is_found_among_others(name: str) -> None:
    prints = [fingerprint(picture(seed)) for seed in range(4)]
    prints.append(fingerprint(COPIES[name](picture(2))))
    (pair,) = same_pictures(prints)
    assert (pair.first, pair.second, pair.mirrored) == (2, 4, "mirrored" in name)
    assert (pair.correlation < 0) == ("inverted" in name) and abs(pair.correlation) >= THRESHOLD


def test_films_of_different_patients_are_far_from_the_same() -> None:
    prints = [fingerprint(generate_film(seed, height_px=256).pixels) for seed in range(6)]
    correlation = np.abs(np.stack(prints) @ np.stack(prints).T - np.eye(6))
    assert correlation.max() < 0.8
    assert not list(same_pictures(prints))


def test_fingerprint_is_mean_of_cells_less_blur_of_length_one() -> None:
    cells = np.random.default_rng(0).uniform(0, 99, (CELLS, CELLS))  # (row, column)
    pixels = np.kron(cells, np.ones((3, 2))).T  # each cell is 2 columns and 3 rows
    expected = cells - gaussian_filter(cells, 3.0)
    expected -= expected.mean()
    expected /= np.sqrt((expected**2).sum())
    np.testing.assert_allclose(fingerprint(pixels), expected.ravel(), atol=1e-5)  # float32 means


@pytest.mark.parametrize("value", [0, 1000, np.nan])
def test_film_without_detail_is_like_no_other(value: float) -> None:
    blank = fingerprint(np.full((40, 70), value))
    assert not blank.any() and not list(same_pictures([blank, blank]))


def test_chunks_find_the_same_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = [fingerprint(picture(seed % 3)) for seed in range(7)]
    whole = list(same_pictures(prints))
    monkeypatch.setattr("cmnet_monai.datasets.duplicates.CHUNK", 2)
    in_parts = list(same_pictures(prints))
    expected = [(0, 3), (0, 6), (1, 4), (2, 5), (3, 6)]
    assert sorted((p.first, p.second) for p in whole) == sorted((p.first, p.second) for p in in_parts) == expected
    assert all(isinstance(p, SamePicture) and p.correlation == pytest.approx(1) for p in in_parts)


def test_films_of_another_list_are_found_by_picture() -> None:
    ours = [fingerprint(picture(seed)) for seed in (1, 2, 3)]
    theirs = [fingerprint(picture(9)), fingerprint(recompressed(picture(3)))]
    assert found_in(ours, theirs) == {2: 1}
    assert found_in(ours, []) == {} == found_in([], theirs)


def test_patients_that_share_a_film_become_one_also_over_a_third() -> None:
    patients = ["c", "b", "a", "d", "a"]
    joined = joined_patients(patients, [(0, 1), (1, 4)])
    assert joined == {"a": "a", "b": "a", "c": "a", "d": "d"}


def test_volume_digest_sees_the_voxels_and_not_the_name_or_compression(tmp_path: Path) -> None:
    voxels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii")
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress((tmp_path / "a.nii").read_bytes(), 1))
    voxels[1, 2, 3] += 1
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "c.nii.gz")
    digests = [volume_digest(tmp_path / name) for name in ("a.nii", "b.nii.gz", "c.nii.gz")]
    assert digests[0] == digests[1] != digests[2]
