"""Films that show the same picture, found by content: copies resized, recompressed, mirrored, inverted or renamed.

A film's fingerprint is its picture averaged to 32 x 32 cells whatever its shape, less the same blurred (sigma 3 cells),
brought to mean 0 and length 1. The blurred part goes because all lateral films share it. Two films are the same where
the correlation of their fingerprints, or of one with the mirrored other, is 0.9 or more in size; a negative one is an
inverted copy. Copies that were cut to another field are not found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CELLS = 32
BLUR_CELLS = 3.0
THRESHOLD = 0.9
CHUNK = 1024

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class SamePicture:
    """Films `first` and `second` (indices, first < second) show the same picture."""

    first: int
    second: int
    correlation: float
    mirrored: bool


def fingerprint(pixels_xy: NDArray) -> Vector:
    """Fingerprint of a film.

    Args:
        pixels_xy: the film, (x, y), any range.
    Returns:
        (1024,) of length 1; zeros for a film without any detail, which is like no other.
    """
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    pixels = np.ascontiguousarray(np.asarray(pixels_xy, dtype=np.float32).T)
    if not np.isfinite(pixels).all():
        pixels = np.nan_to_num(pixels, nan=0.0, posinf=0.0, neginf=0.0)
    small = np.asarray(Image.fromarray(pixels).resize((CELLS, CELLS), Image.Resampling.BOX), dtype=np.float64)
    detail = small - gaussian_filter(small, BLUR_CELLS)
    detail -= detail.mean()
    length = float(np.linalg.norm(detail))
    flat = length <= 1e-6 * max(1.0, float(np.abs(small).max()))
    return np.zeros(CELLS**2, np.float32) if flat else (detail / length).astype(np.float32).ravel()


def same_pictures(prints: Sequence[Vector], threshold: float = THRESHOLD) -> Iterator[SamePicture]:
    """Pairs of films that show the same picture; memory grows with the number of films, not with its square.

    Args:
        prints: fingerprints.
        threshold: least correlation, in size.
    """
    for first, second, value, mirrored in _matches(prints, prints, threshold):
        if first < second:
            yield SamePicture(first, second, value, mirrored)


def found_in(prints: Sequence[Vector], others: Sequence[Vector], threshold: float = THRESHOLD) -> dict[int, int]:
    """For each film that is also among `others`, the index of one there."""
    return {first: second for first, second, _, _ in _matches(prints, others, threshold)}


def _matches(
    prints: Sequence[Vector], others: Sequence[Vector], threshold: float
) -> Iterator[tuple[int, int, float, bool]]:
    if not len(prints) or not len(others):
        return
    right = np.stack(others)
    for start in range(0, len(prints), CHUNK):
        left = np.stack(prints[start : start + CHUNK])
        flipped = left.reshape(-1, CELLS, CELLS)[:, :, ::-1].reshape(len(left), -1)
        plain, mirror = left @ right.T, flipped @ right.T
        best = np.where(np.abs(mirror) > np.abs(plain), mirror, plain)
        for i, j in zip(*np.nonzero(np.abs(best) >= threshold)):
            yield start + int(i), int(j), float(best[i, j]), bool(abs(mirror[i, j]) > abs(plain[i, j]))


def volume_digest(file: Path) -> str:
    """SHA-256 of a NIfTI file's voxels as stored, whatever its name and compression."""
    import gzip

    import nibabel

    image: Any = nibabel.load(file)
    offset = int(image.dataobj.offset)
    digest = hashlib.sha256()
    with gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb") as stream:
        stream.read(offset)
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def joined_patients(patients: Sequence[str], pairs: Iterable[tuple[int, int]]) -> Mapping[str, str]:
    """Patients whose films are the same become one.

    Args:
        patients: the patient of each film.
        pairs: films (indices) that show the same picture.
    Returns:
        For each patient the one that stands for all it was joined with, the first by name; itself where alone.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names = sorted(set(patients))
    number = {name: i for i, name in enumerate(names)}
    joined = np.array([[number[patients[i]] for i in pair] for pair in pairs], dtype=int).reshape(-1, 2)
    same = coo_array((np.ones(len(joined)), joined.T), shape=(len(names), len(names)))
    groups = connected_components(same, directed=False)[1]
    first: dict[int, str] = {}
    return {name: first.setdefault(int(group), name) for name, group in zip(names, groups)}
