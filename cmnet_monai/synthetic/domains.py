"""How two manufacturers' systems make a film look, and the marks that equipment leaves on it.

Look "a" is that of a film-like system: a sigmoid tone curve over the whole range, little enhancement, so that the belly
drops to black and the pelvis burns out. Look "b" is that of a multi-scale system: the broad range compressed, local
contrast evened out, edges sharpened, soft tissue kept in view.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cmnet_monai.synthetic.detector import Exposure, random_exposure
from cmnet_monai.synthetic.fields import upsample
from cmnet_monai.synthetic.projection import FloatArray, Rng

LOOKS = ("a", "b")


def random_look(rng: Rng, look: str | None = None) -> tuple[str, Exposure]:
    """Draw an exposure with a manufacturer's processing; None mixes both, and one film in six is odd.

    Returns:
        The look, "a", "b" or "odd", and the exposure.
    Raises:
        ValueError: there is no such look.
    """
    if look is not None and look not in LOOKS:
        raise ValueError(f"unknown look {look!r}: choose one of {', '.join(LOOKS)}")
    plain = random_exposure(rng)
    odd = look is None and rng.random() < 0.16
    look = look or str(rng.choice(LOOKS))
    if odd:
        return "odd", replace(plain, local=float(rng.choice([0.0, rng.uniform(0, 1.2)])))
    if look == "a":
        return look, replace(
            plain,
            counts=float(10 ** rng.uniform(3.1, 4.6)),
            scatter=float(rng.uniform(0.1, 0.8)),
            centre=float(rng.uniform(-0.3, 0.7)),
            latitude=float(rng.uniform(0.5, 1.0)),
            linear=float(rng.uniform(0, 0.3)),
            edge=float(rng.choice([0.0, rng.uniform(0.1, 0.7)])),
            edge_mm=float(rng.uniform(1.5, 4.0)),
            flatten=float(rng.uniform(0.0, 0.3)),
            local=0.0,
            bits_stored=int(rng.choice([12, 14])),
        )
    return look, replace(
        plain,
        counts=float(10 ** rng.uniform(3.4, 4.6)),
        scatter=float(rng.uniform(0.1, 0.8)),
        centre=float(rng.uniform(-0.3, 0.6)),
        latitude=float(rng.uniform(0.55, 1.0)),
        linear=float(rng.uniform(0.5, 1.0)),
        edge=float(rng.uniform(0.3, 1.1)),
        edge_mm=float(rng.uniform(2.5, 8.0)),
        flatten=float(rng.uniform(0.35, 0.7)),
        local=float(rng.uniform(0.2, 0.7)),
        bits_stored=int(rng.choice([12, 15, 16])),
    )


def add_equipment(signal: FloatArray, rng: Rng) -> None:
    """Add grid lines, single streaks and the fall-off along the tube's axis to a log signal, (x, y), in place."""
    nx, ny = signal.shape
    x, y = np.arange(nx, dtype=np.float32)[:, None], np.arange(ny, dtype=np.float32)[None, :]
    if rng.random() < 0.5:
        signal += np.float32(rng.normal(0, 0.15)) * (x / nx - 0.5) + np.float32(rng.normal(0, 0.2)) * (y / ny - 0.5)
    if rng.random() < 0.14:
        period = float(rng.choice([rng.uniform(2.1, 5), rng.uniform(5, 40)]))
        wave = np.sin((x if rng.random() < 0.7 else y) * np.float32(2 * np.pi / period))
        signal += wave * np.float32(rng.uniform(0.004, 0.035))
    if rng.random() < 0.15:
        for _ in range(int(rng.integers(1, 4))):
            at, step = int(rng.integers(0, nx)), np.float32(rng.normal(0, 0.06))
            signal[at : at + int(rng.integers(1, 4))] += step


def lower_resolution(image: FloatArray, rng: Rng) -> FloatArray:
    """A film that once was kept as a small square picture and was stretched again: blurred more along one axis."""
    nx, ny = image.shape
    small = tuple(min(max(int(n * 0.3), int(rng.uniform(330, 760))), n) for n in (nx, ny))
    return upsample(_shrink(_shrink(image, small[0]).T, small[1]).T, (nx, ny))


def _shrink(image: FloatArray, count: int) -> FloatArray:
    """Mean of the pixels below each of ``count`` equal stretches of the first axis."""
    bounds = np.linspace(0, image.shape[0], count + 1)
    sums = np.concatenate([np.zeros((1, image.shape[1]), np.float64), np.cumsum(image, axis=0, dtype=np.float64)])
    low = bounds.astype(int)
    part = (bounds - low)[:, None]
    at = sums[low] * (1 - part) + sums[np.minimum(low + 1, image.shape[0])] * part
    return np.asarray(np.diff(at, axis=0) / np.diff(bounds)[:, None], dtype=np.float32)
