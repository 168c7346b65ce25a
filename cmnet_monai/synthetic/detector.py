"""From optical depths to stored pixel values: exposure, scatter, blur, noise, tone curve, collimation and marker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cmnet_monai.synthetic.fields import smooth_noise, upsample
from cmnet_monai.synthetic.projection import Array, FloatArray, Mask, Rng

# 5 x 7 letters, rows from top to bottom.
_FONT = {
    "L": "10000 10000 10000 10000 10000 10000 11111",
    "R": "11110 10001 10001 11110 10100 10010 10001",
    "T": "11111 00100 00100 00100 00100 00100 00100",
    ".": "00000 00000 00000 00000 00000 01100 01100",
    "S": "01111 10000 10000 01110 00001 00001 11110",
    "A": "00100 01010 10001 10001 11111 10001 10001",
    "N": "10001 11001 10101 10101 10011 10001 10001",
    "D": "11110 10001 10001 10001 10001 10001 11110",
    "I": "01110 00100 00100 00100 00100 00100 01110",
    "G": "01110 10001 10000 10111 10001 10001 01111",
    "U": "10001 10001 10001 10001 10001 10001 01110",
    "P": "11110 10001 10001 11110 10000 10000 10000",
}


@dataclass(frozen=True)
class Exposure:
    """How a film is taken and processed.

    Args:
        counts: photons per pixel behind the spine; sets the noise.
        scatter: scattered over primary radiation behind the spine.
        blur_px: standard deviation of the blur, in pixels.
        centre: optical depth, relative to the spine's, that becomes mid grey.
        latitude: optical depths from mid grey to about 73 % of full scale.
        linear: share of a straight curve mixed into the sigmoid.
        edge: strength of edge enhancement.
        edge_mm: its size.
        flatten: share of broad differences that dynamic range compression removes.
        bits_stored: bits of a stored value.
        local: how far local contrast is evened out, 0 (not) to 1 (the same everywhere).
    """

    counts: float
    scatter: float
    blur_px: float
    centre: float
    latitude: float
    linear: float
    edge: float
    edge_mm: float
    flatten: float
    bits_stored: int
    local: float = 0.0


def random_exposure(rng: Rng) -> Exposure:
    """Draw an exposure; about one in six is odd: under-exposed, noisy, or with unusual contrast."""
    odd = rng.random() < 0.16
    return Exposure(
        counts=float(10 ** rng.uniform(2.3 if odd else 3.2, 4.6)),
        scatter=float(rng.uniform(0.1, 1.6 if odd else 0.9)),
        blur_px=float(rng.uniform(0.5, 1.5)),
        centre=float(rng.uniform(-1.0, 1.6) if odd else rng.uniform(-0.4, 1.2)),
        latitude=float(rng.uniform(0.3, 1.6) if odd else rng.uniform(0.5, 1.1)),
        linear=float(rng.choice([0.0, rng.uniform(0, 1)], p=[0.5, 0.5])),
        edge=float(rng.choice([0.0, rng.uniform(0.1, 1.0)], p=[0.3, 0.7])),
        edge_mm=float(rng.uniform(1.5, 7.0)),
        flatten=float(rng.choice([0.0, rng.uniform(0.1, 0.65)], p=[0.45, 0.55])),
        bits_stored=int(rng.choice([12, 12, 14, 15, 16])),
    )


def transmission(depth: FloatArray) -> FloatArray:
    """Beer-Lambert's law: the share of photons that pass an optical depth."""
    return np.asarray(np.exp(-depth), dtype=np.float32)


def _coarse_blur(image: FloatArray, sigma_px: float) -> FloatArray:
    """Gaussian blur by a wide kernel, computed on a coarse copy."""
    step = max(int(sigma_px / 3), 1)
    if step == 1:
        return np.asarray(ndimage.gaussian_filter(image, sigma_px, mode="nearest", truncate=3.0), dtype=np.float32)
    nx, ny = image.shape[0] // step * step, image.shape[1] // step * step
    small = image[:nx, :ny].reshape(nx // step, step, ny // step, step).mean(axis=(1, 3))
    small = ndimage.gaussian_filter(small, sigma_px / step, mode="nearest", truncate=3.0)
    return upsample(small, (image.shape[0], image.shape[1]))


def expose(depth: FloatArray, reference: float, exposure: Exposure, spacing_mm: float, rng: Rng) -> FloatArray:
    """Log signal of a detector: blurred primary and scattered photons with quantum noise.

    Args:
        reference: optical depth behind the spine, which ``exposure`` refers to.
        exposure: how the film is taken.
        spacing_mm: pixel size.
    Returns:
        Optical depth as measured, relative to ``reference``; larger is brighter on the film.
    """
    primary = transmission(depth - np.float32(reference))
    broad = _coarse_blur(np.minimum(primary, 4.0), 28.0 / spacing_mm)
    signal = ndimage.gaussian_filter(primary, exposure.blur_px, truncate=3.0) + np.float32(exposure.scatter) * broad
    signal *= np.float32(1 / (1 + exposure.scatter))
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, 0.6, truncate=2.0) * np.float32(2.1)
    signal += noise * np.sqrt(signal * np.float32(1 / exposure.counts) + np.float32(2e-6))
    return np.asarray(-np.log(np.maximum(signal, 1e-3)), dtype=np.float32)


def develop(log_signal: FloatArray, exposure: Exposure, spacing_mm: float) -> FloatArray:
    """Processing of a CR system: range compression, edge enhancement and tone curve; values 0 to 1, bone bright."""
    image = np.clip(log_signal, -5.0, 5.0)
    if exposure.flatten > 0:
        image = image - np.float32(exposure.flatten) * _coarse_blur(np.clip(image, -2.5, 4), 22.0 / spacing_mm)
    if exposure.local > 0:
        image = _even_out(image, exposure.local, spacing_mm)
    if exposure.edge > 0:
        image = image + np.float32(exposure.edge) * (image - _coarse_blur(image, exposure.edge_mm / spacing_mm))
    scaled = (image - np.float32(exposure.centre * (1 - exposure.flatten))) / np.float32(exposure.latitude)
    curve = 1 / (1 + np.exp(-scaled))
    straight = np.clip(0.5 + scaled * 0.17, 0, 1)
    return np.asarray(curve * (1 - exposure.linear) + straight * exposure.linear, dtype=np.float32)


def _even_out(image: FloatArray, share: float, spacing_mm: float) -> FloatArray:
    """Bring the local contrast nearer to its mean: weak detail up to 2.5 times as strong, strong detail weaker."""
    broad = _coarse_blur(image, 9.0 / spacing_mm)
    detail = image - broad
    spread = np.sqrt(np.maximum(_coarse_blur(detail * detail, 18.0 / spacing_mm), 1e-6))
    usual = float(np.median(spread))
    gain = np.clip(usual / np.maximum(spread, 0.1 * usual), 0.4, 2.5) ** np.float32(share)
    return np.asarray(broad + detail * gain, dtype=np.float32)


def collimate(image: FloatArray, keep_px: Array, rng: Rng) -> tuple[FloatArray, Mask]:
    """Shut the film's borders, some of the time.

    Args:
        image: values 0 to 1, (x, y).
        keep_px: points that stay inside, (N, 2).
    Returns:
        The film and its valid area, True inside the collimator.
    """
    nx, ny = image.shape
    valid = np.ones((nx, ny), bool)
    if rng.random() < 0.6:
        return image, valid
    low, high = keep_px.min(axis=0) - 12, keep_px.max(axis=0) + 12
    x, y = np.arange(nx, dtype=np.float32)[:, None], np.arange(ny, dtype=np.float32)[None, :]
    angle = float(rng.choice([0.0, rng.normal(0, 0.02)]))
    xr, yr = x + (y - ny / 2) * np.float32(angle), y - (x - nx / 2) * np.float32(angle)
    sides = rng.random(4) < 0.55
    left = min(rng.uniform(0, 0.2) * nx, max(low[0], 0)) if sides[0] else -nx
    right = max(rng.uniform(0.8, 1) * nx, min(high[0], nx)) if sides[1] else 2 * nx
    top = min(rng.uniform(0, 0.08) * ny, max(low[1], 0)) if sides[2] else -ny
    bottom = max(rng.uniform(0.85, 1) * ny, min(high[1], ny)) if sides[3] else 2 * ny
    valid = (xr >= left) & (xr <= right) & (yr >= top) & (yr <= bottom)
    grey = float(rng.choice([0.0, rng.uniform(0, 0.3), 1.0], p=[0.8, 0.14, 0.06]))
    return np.where(valid, image, np.float32(grey)), valid


def add_marker(image: FloatArray, patient_px: Array, side: str, rng: Rng) -> None:
    """Write a side marker ("L", "RT.", "STANDING"...) into a film, in place, away from the vertebrae.

    Args:
        image: values 0 to 1, (x, y).
        patient_px: points to keep away from, (N, 2).
        side: "L" or "R".
    """
    text = str(rng.choice([side, side + "T", side + "T."]))
    lines = [text, "STANDING"] if rng.random() < 0.1 else [text]
    scale = int(rng.integers(2, 6)) * max(image.shape[1] / 1280, 0.4)
    rows = []
    for line in lines:
        glyphs = [np.array([[int(c) for c in row] for row in _FONT[letter].split()]) for letter in line]
        word = np.concatenate([np.pad(g, ((1, 1), (0, 1))) for g in glyphs], axis=1)
        rows.append(word)
    wide = max(r.shape[1] for r in rows) + 1
    art = np.vstack([np.pad(r, ((0, 0), (1, wide - r.shape[1]))) for r in rows]).T.astype(np.float32)
    art = np.clip(ndimage.zoom(art, scale, order=1) * 1.6 - 0.3, 0, 1).astype(np.float32)
    if rng.random() < 0.15:
        art = art[::-1]
    w, h = art.shape
    if w >= image.shape[0] or h >= image.shape[1]:
        return
    for _ in range(12):
        x, y = int(rng.integers(0, image.shape[0] - w)), int(rng.integers(0, image.shape[1] - h))
        near = np.abs(patient_px - (x + w / 2, y + h / 2)) < (w / 2 + 25, h / 2 + 25)
        if not near.all(axis=1).any():
            break
    else:
        return
    spot = image[x : x + w, y : y + h]
    style = rng.choice(["plain", "lead", "black on white", "white on black"])
    if style == "black on white":
        spot[:] = 1 - art
    elif style == "white on black":
        spot[:] = art
    else:
        level = 1.0 if style == "plain" else float(rng.uniform(0.7, 1.0))
        spot[:] = np.maximum(spot, art * level)


def quantise(image: FloatArray, bits_stored: int, rng: Rng) -> npt.NDArray[np.uint16]:
    """Store values 0 to 1 in ``bits_stored`` bits; some systems leave part of the range unused."""
    top = float(2**bits_stored - 1)
    low, high = (0.0, top) if rng.random() < 0.6 else (rng.uniform(0, 0.06) * top, rng.uniform(0.6, 1.0) * top)
    return np.asarray(np.clip(np.rint(low + image * (high - low)), 0, top), dtype=np.uint16)


__all__ = [
    "Exposure",
    "add_marker",
    "collimate",
    "develop",
    "expose",
    "quantise",
    "random_exposure",
    "smooth_noise",
    "transmission",
]
