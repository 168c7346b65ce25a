"""What is written and drawn on a film after it was taken: printed lines, a reader's measurements, retouched spots."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cmnet_monai.synthetic.projection import Array, FloatArray, Rng

# 5 x 7 digits, rows from top to bottom.
_DIGITS = (
    "01110 10001 10011 10101 11001 10001 01110",
    "00100 01100 00100 00100 00100 00100 01110",
    "01110 10001 00001 00110 01000 10000 11111",
    "11110 00001 00001 01110 00001 00001 11110",
    "00010 00110 01010 10010 11111 00010 00010",
    "11111 10000 11110 00001 00001 10001 01110",
    "00110 01000 10000 11110 10001 10001 01110",
    "11111 00001 00010 00100 01000 01000 01000",
    "01110 10001 10001 01110 10001 10001 01110",
    "01110 10001 10001 01111 00001 00010 01100",
)


def add_marks(image: FloatArray, avoid_px: Array, rng: Rng) -> None:
    """Add printed digits in a corner, measuring lines, or retouched spots, each to a few films, in place.

    Args:
        image: values 0 to 1, (x, y).
        avoid_px: points that print keeps away from, (N, 2); lines and spots may lie anywhere.
    """
    if rng.random() < 0.12:
        _print(image, avoid_px, rng)
    if rng.random() < 0.05:
        _measure(image, rng)
    if rng.random() < 0.1:
        _retouch(image, rng)


def _print(image: FloatArray, avoid_px: Array, rng: Rng) -> None:
    glyphs = [np.array([[int(c) for c in row] for row in digit.split()], np.float32) for digit in _DIGITS]
    lines = int(rng.integers(1, 5))
    count = int(rng.integers(4, 13))
    rows = []
    for _ in range(lines):
        word = [np.pad(glyphs[int(i)], ((1, 1), (0, 1))) for i in rng.integers(0, 10, count)]
        rows.append(np.concatenate(word, axis=1))
    scale = float(rng.uniform(1.0, 2.4)) * max(image.shape[1] / 1280, 0.4)
    art = np.clip(ndimage.zoom(np.vstack(rows).T, scale, order=1), 0, 1)
    w, h = art.shape
    if w + 8 >= image.shape[0] or h + 8 >= image.shape[1]:
        return
    x = 4 if rng.random() < 0.5 else image.shape[0] - w - 4
    y = 4 if rng.random() < 0.5 else image.shape[1] - h - 4
    near = np.abs(avoid_px - (x + w / 2, y + h / 2)) < (w / 2 + 10, h / 2 + 10)
    if not near.all(axis=1).any():
        spot = image[x : x + w, y : y + h]
        spot[:] = np.maximum(spot, art * np.float32(rng.uniform(0.6, 1.0)))


def _measure(image: FloatArray, rng: Rng) -> None:
    """Draw one to three thin lines with a small cross at each end."""
    nx, ny = image.shape
    grey = float(rng.choice([1.0, 0.0, rng.uniform(0.5, 1)]))
    for _ in range(int(rng.integers(1, 4))):
        start = rng.uniform(0.1, 0.9, 2) * (nx, ny)
        end = start + rng.normal(0, 0.12, 2) * ny
        steps = int(np.hypot(*(end - start))) + 2
        path = start + np.linspace(0, 1, steps)[:, None] * (end - start)
        for tip in (start, end):
            arm = np.arange(-4, 5)[:, None]
            path = np.vstack([path, tip + arm * (1, 0), tip + arm * (0, 1)])
        x, y = np.rint(path).astype(int).T
        inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
        image[x[inside], y[inside]] = grey


def _retouch(image: FloatArray, rng: Rng) -> None:
    """Smooth small discs, as removed annotations leave them."""
    nx, ny = image.shape
    for _ in range(int(rng.integers(4, 50))):
        r = max(int(rng.uniform(2, 9) * ny / 1280), 2)
        x, y = int(rng.integers(r + 1, nx - r - 1)), int(rng.integers(r + 1, ny - r - 1))
        spot = image[x - r : x + r + 1, y - r : y + r + 1]
        u = np.arange(-r, r + 1)
        share = np.clip(r + 0.5 - np.hypot(u[:, None], u[None, :]), 0, 1).astype(np.float32)
        rim = np.concatenate([spot[0], spot[-1], spot[:, 0], spot[:, -1]])
        spot += share * (np.float32(rim.mean()) - spot)
