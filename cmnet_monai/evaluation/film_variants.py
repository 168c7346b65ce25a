"""The same films as other machines would have stored them: what a result must not depend on."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.transform import resize, rotate
from tqdm import tqdm

from cmnet_monai.datasets import write_datalist
from cmnet_monai.io import atomic_write, read_film, read_label_map, safe_stem, write_dx, write_label_png
from cmnet_monai.transforms import without_slivers

Pixels = NDArray[np.floating]
Labels = NDArray[np.uint8]

BORDER = 0.12
"""Width of a collimator's border, as a share of the film's width."""


def _resized(factor: float) -> Callable[[Pixels, Labels], tuple[Pixels, Labels]]:
    def change(pixels: Pixels, labels: Labels) -> tuple[Pixels, Labels]:
        size = tuple(max(round(n * factor), 1) for n in pixels.shape)
        # Nearest neighbours for the labels, with pixel middles kept in place as skimage does for the film.
        nearest = resize(labels, size, order=0, anti_aliasing=False, preserve_range=True)
        return resize(pixels, size, order=1, anti_aliasing=factor < 1, preserve_range=True), nearest.astype(np.uint8)

    return change


def _bordered(value: float) -> Callable[[Pixels, Labels], tuple[Pixels, Labels]]:
    def change(pixels: Pixels, labels: Labels) -> tuple[Pixels, Labels]:
        widths = [(round(BORDER * pixels.shape[0]),) * 2, (0, round(BORDER * pixels.shape[0]))]
        return np.pad(pixels, widths, constant_values=value), np.pad(labels, widths)

    return change


def _noisily_bordered(pixels: Pixels, labels: Labels) -> tuple[Pixels, Labels]:
    """A dark border as a detector shows it behind a collimator: with noise, of 1 % of the film's range."""
    framed, outlined = _bordered(0.0)(pixels, labels)
    inside = _bordered(0.0)(np.ones_like(pixels), labels)[0] > 0
    noise = np.random.default_rng(0).normal(0.02, 0.01, framed.shape)
    return np.where(inside, framed, np.clip(noise, 0, 1)), outlined


def _coned(pixels: Pixels, labels: Labels) -> tuple[Pixels, Labels]:
    """Cut to the spine, with a tenth of the film's width on either side."""
    columns = np.flatnonzero((labels > 0).any(axis=1))
    margin = round(0.1 * pixels.shape[0])
    kept = slice(max(columns[0] - margin, 0), columns[-1] + margin + 1) if len(columns) else slice(None)
    return pixels[kept], labels[kept]


def _part(top: float, bottom: float) -> Callable[[Pixels, Labels], tuple[Pixels, Labels]]:
    def change(pixels: Pixels, labels: Labels) -> tuple[Pixels, Labels]:
        kept = slice(round(top * pixels.shape[1]), round(bottom * pixels.shape[1]))
        return pixels[:, kept], without_slivers(labels[:, kept], labels)

    return change


def _tilted(degrees: float) -> Callable[[Pixels, Labels], tuple[Pixels, Labels]]:
    def change(pixels: Pixels, labels: Labels) -> tuple[Pixels, Labels]:
        nearest = rotate(labels, degrees, resize=True, order=0, preserve_range=True)
        return rotate(pixels, degrees, resize=True, order=1), nearest.astype(np.uint8)

    return change


def _compressed(pixels: Pixels, labels: Labels) -> tuple[Pixels, Labels]:
    """As a JPEG of quality 20 shows it."""
    stored = io.BytesIO()
    Image.fromarray(np.rint(255 * pixels.T).astype(np.uint8)).save(stored, format="JPEG", quality=20)
    return np.asarray(Image.open(stored)).T / 255.0, labels


def _noisy(pixels: Pixels, labels: Labels) -> tuple[Pixels, Labels]:
    """With noise of 5 % of the film's range."""
    noise = np.random.default_rng(0).normal(0, 0.05, pixels.shape)
    return np.clip(pixels + noise, 0, 1), labels


def _written_on(pixels: Pixels, labels: Labels) -> tuple[Pixels, Labels]:
    """With four white lines in the upper corner that is farther from the spine, as high as 1/40 of the film."""
    size = max(pixels.shape[1] // 40, 8)
    page = Image.new("L", pixels.shape)
    text = "\n".join(["HOSPITAL", "2021-05-03 10:42", "L SPINE LAT", "80 kV 63 mAs"])
    draw = ImageDraw.Draw(page)
    columns = np.flatnonzero((labels > 0).any(axis=1))
    right = len(columns) > 0 and columns.mean() < pixels.shape[0] / 2
    edge = pixels.shape[0] - size if right else size
    draw.multiline_text((edge, size), text, fill=255, font_size=size, anchor="ra" if right else "la")
    return np.maximum(pixels, np.asarray(page).T / 255.0), labels


VARIANTS: Mapping[str, Callable[[Pixels, Labels], tuple[Pixels, Labels]]] = MappingProxyType(
    {
        "8 bit PNG": lambda pixels, labels: (pixels, labels),
        "16 bit PNG": lambda pixels, labels: (pixels, labels),
        "12 bit DICOM, MONOCHROME1": lambda pixels, labels: (pixels, labels),
        "mirrored": lambda pixels, labels: (pixels[::-1], labels[::-1]),
        "half the size": _resized(0.5),
        "twice the size": _resized(2.0),
        "black border": _bordered(0.0),
        "white border": _bordered(1.0),
        "noisy dark border": _noisily_bordered,
        "coned to the spine": _coned,
        "darker (gamma 2)": lambda pixels, labels: (pixels**2.0, labels),
        "brighter (gamma 0.5)": lambda pixels, labels: (pixels**0.5, labels),
        "lower two thirds": _part(1 / 3, 1),
        "upper two thirds": _part(0, 2 / 3),
        "tilted 15 degrees": _tilted(15),
        "tilted 15 degrees the other way": _tilted(-15),
        "writing in a corner": _written_on,
        "JPEG of quality 20": _compressed,
        "noise of 5 %": _noisy,
    }
)
"""What is done to a film (x, y), scaled to 0..1, and its label map; the first leaves it as it is."""


def write_variants(items: Sequence[Mapping[str, Any]], folder: str | Path) -> dict[str, Path]:
    """Write every variant of films with label maps.

    Args:
        items: films with ``image`` and ``label``, absolute paths.
        folder: one folder a variant is made here, with ``films``, ``labels`` and ``datalist.json`` (section test).
    Returns:
        The datalist of each variant.
    """
    datalists = {}
    for name, change in tqdm(VARIANTS.items(), desc="variants", unit="variant"):
        target = Path(folder).resolve() / safe_stem(name)
        made = []
        for item in items:
            pixels = read_film(item["image"]).pixels.astype(np.float64)
            low, high = pixels.min(), pixels.max()
            film, labels = change((pixels - low) / max(high - low, 1e-9), read_label_map(item["label"]))
            stem = safe_stem(Path(str(item["image"])).stem)
            image, label = target / "films" / stem, target / "labels" / f"{stem}.png"
            label.parent.mkdir(parents=True, exist_ok=True)
            write_label_png(label, labels)
            rest = {key: value for key, value in item.items() if key != "centres"}  # places on another grid
            made.append({**rest, "image": str(_write_film(image, film, name)), "label": str(label)})
        datalists[name] = target / "datalist.json"
        write_datalist(datalists[name], {"test": made})
    return datalists


def _write_film(stem: Path, film: Pixels, name: str) -> Path:
    stem.parent.mkdir(parents=True, exist_ok=True)
    if "DICOM" in name:
        stored = np.rint(film * 4095).astype(np.uint16)
        return write_dx(stem.with_suffix(".dcm"), stored, bits_stored=12, monochrome1=True, seed=stem.name)
    deep = name.startswith("16 bit")
    values = np.rint(film * (65535 if deep else 255)).astype(np.uint16 if deep else np.uint8)
    path = stem.with_suffix(".png")
    with atomic_write(path) as temporary:
        Image.fromarray(np.ascontiguousarray(values.T)).save(temporary, format="PNG")
    return path
