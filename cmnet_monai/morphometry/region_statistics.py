"""Grey values and texture inside each body, raw material for work on bone density."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import graycomatrix, graycoprops

from cmnet_monai.conventions import LEVEL_OF_LABEL
from cmnet_monai.morphometry.spine import find_regions

Array = NDArray[np.floating]

_GREYS = 32
_ANGLES = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
_WINDOW_PX = 5


@dataclass(frozen=True)
class RegionStatistics:
    """Grey values of one body, in the film's own units, and their texture.

    A film's grey values hang on exposure and processing: compare bodies of one film, not films.

    Args:
        level: the body.
        pixels: how many were used.
        rim_px: width of the rim that was left out.
        mean: mean grey value.
        sd: standard deviation.
        median: median.
        q05: 5 % quantile; likewise 25 %, 75 % and 95 %.
        local_sd: mean standard deviation within 5 x 5 pixels that lie in the region altogether; None if there are none.
        glcm_contrast: contrast of the grey-level co-occurrence matrix (Haralick et al., 1973) of neighbouring pixels,
            mean of four directions, 32 levels between the 1 % and 99 % quantiles of all bodies of the film.
        glcm_homogeneity: its homogeneity, 0 to 1.
    """

    level: str
    pixels: int
    rim_px: float
    mean: float
    sd: float
    median: float
    q05: float
    q25: float
    q75: float
    q95: float
    local_sd: float | None
    glcm_contrast: float
    glcm_homogeneity: float

    def record(self) -> dict[str, Any]:
        """The statistics as a row of a table; grey values in the film's own units."""
        grey = ("mean", "sd", "median", "q05", "q25", "q75", "q95", "local_sd")
        return {(f"grey_{name}" if name in grey else name): value for name, value in asdict(self).items()}


def region_statistics(
    pixels: NDArray, label_map: NDArray[np.integer], rim_share: float = 0.0
) -> tuple[RegionStatistics, ...]:
    """Grey-value statistics of every body of a film, S1 among them.

    Args:
        pixels: linear pixel values of the film, (x, y), bone bright, never equalised ones.
        label_map: (x, y), VerSe codes.
        rim_share: width of a rim to leave out (the cortex), as a share of the region's inscribed radius; 0.2 is about
            3 mm of a lumbar body.
    Returns:
        Statistics from head to feet; a region with fewer than 9 pixels left is left out.
    Raises:
        ValueError: the shapes differ, or `rim_share` is not from 0 to below 1.

    >>> labels = np.zeros((30, 50), dtype=np.uint8)
    >>> labels[5:15, 10:22], labels[5:15, 30:42] = 23, 24  # L4, L5
    >>> film = np.tile(np.arange(50.0), (30, 1))  # each pixel holds its row
    >>> [(body.level, body.pixels, body.mean) for body in region_statistics(film, labels)]
    [('L4', 120, 15.5), ('L5', 120, 35.5)]
    """
    if pixels.shape != label_map.shape or pixels.ndim != 2:
        raise ValueError(f"film and label map have one shape (x, y); got {pixels.shape} and {label_map.shape}")
    if not 0 <= rim_share < 1:
        raise ValueError(f"rim_share is from 0 to below 1; got {rim_share}")
    regions = []
    for label, region in find_regions(label_map).items():
        inside, rim_px = _without_rim(region.inside, rim_share)
        if inside.sum() >= 9:
            regions.append((LEVEL_OF_LABEL[label], pixels[region.box].astype(np.float64), inside, rim_px))
    if not regions:
        return ()
    low, high = np.quantile(np.concatenate([grey[inside] for _, grey, inside, _ in regions]), (0.01, 0.99))
    return tuple(_describe(level, grey, inside, rim, (float(low), float(high))) for level, grey, inside, rim in regions)


def _without_rim(inside: NDArray[np.bool_], rim_share: float) -> tuple[NDArray[np.bool_], float]:
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    rim_px = rim_share * float(depth.max())
    return inside & (depth > rim_px), rim_px


def _describe(
    level: str, grey: Array, inside: NDArray[np.bool_], rim_px: float, grey_range: tuple[float, float]
) -> RegionStatistics:
    values = grey[inside]
    q05, q25, median, q75, q95 = (float(v) for v in np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95)))
    contrast, homogeneity = _texture(grey, inside, grey_range)
    return RegionStatistics(
        level=level,
        pixels=len(values),
        rim_px=rim_px,
        mean=float(values.mean()),
        sd=float(values.std()),
        median=median,
        q05=q05,
        q25=q25,
        q75=q75,
        q95=q95,
        local_sd=_local_sd(grey, inside),
        glcm_contrast=contrast,
        glcm_homogeneity=homogeneity,
    )


def _local_sd(grey: Array, inside: NDArray[np.bool_]) -> float | None:
    whole = ndimage.binary_erosion(inside, np.ones((_WINDOW_PX, _WINDOW_PX)))
    if not whole.any():
        return None
    centred = grey - float(grey[inside].mean())
    mean = ndimage.uniform_filter(centred, _WINDOW_PX)
    square = ndimage.uniform_filter(centred**2, _WINDOW_PX)
    return float(np.sqrt(np.clip(square - mean**2, 0, None))[whole].mean())


def _texture(grey: Array, inside: NDArray[np.bool_], grey_range: tuple[float, float]) -> tuple[float, float]:
    low, high = grey_range
    steps = np.floor((grey - low) / max(high - low, 1e-12) * _GREYS)
    levels = np.where(inside, np.clip(steps, 0, _GREYS - 1) + 1, 0).astype(np.uint8)
    pairs = graycomatrix(levels, [1], _ANGLES, levels=_GREYS + 1, symmetric=True).astype(np.float64)
    within = pairs[1:, 1:]  # level 0 is what lies outside
    within /= np.maximum(within.sum(axis=(0, 1), keepdims=True), 1)
    return (float(graycoprops(within, "contrast").mean()), float(graycoprops(within, "homogeneity").mean()))
