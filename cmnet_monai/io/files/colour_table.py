"""Names and colours of the levels, for viewers that show a label map: 3D Slicer and ITK-SNAP."""

from __future__ import annotations

import colorsys
from pathlib import Path

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.io.files.atomic import atomic_write

_GOLDEN_TURN = 0.381966
"""Share of the colour circle between two labels: neighbours differ much, and no two of some dozens are alike."""


def level_colours() -> dict[int, tuple[str, tuple[int, int, int]]]:
    """Name and colour of each label value in rising order, from T1 (8) to T13 (28); red, green, blue from 0 to 255.

    >>> level_colours()[20][0], len(set(colour for _, colour in level_colours().values()))
    ('L1', 20)
    """
    table = {}
    for level, label in sorted(LABEL_OF_LEVEL.items(), key=lambda item: item[1]):
        place = 19.5 if level == "T13" else label  # between T12 and L1
        rgb = colorsys.hsv_to_rgb((place * _GOLDEN_TURN) % 1.0, 0.75 if label % 2 else 0.55, 1.0)
        red, green, blue = (round(255 * part) for part in rgb)
        table[label] = (level, (red, green, blue))
    return table


def write_slicer_colours(path: str | Path) -> Path:
    """Write a colour table of 3D Slicer (``.ctbl``): one line ``value name red green blue opacity`` a label.

    Load it in Slicer before the label map, and choose it there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lines = write_slicer_colours(f"{folder}/levels.ctbl").read_text().splitlines()
    >>> lines[1], [" ".join(line.split()[:2]) for line in lines[-3:]], lines[-1].split()[-1]
    ('0 background 0 0 0 0', ['25 L6', '26 S1', '28 T13'], '255')
    """
    lines = ["# Color table file of cmnet-monai: VerSe label values", "0 background 0 0 0 0"]
    lines += [f"{label} {name} {r} {g} {b} 255" for label, (name, (r, g, b)) in level_colours().items()]
    return _write(path, lines)


def write_itksnap_labels(path: str | Path) -> Path:
    """Write a label description of ITK-SNAP: ``value red green blue opacity visible mesh "name"`` a label.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lines = write_itksnap_labels(f"{folder}/levels.txt").read_text().splitlines()
    >>> [(line.split()[0], line.split()[-1]) for line in lines if '"L' in line][:3]
    [('20', '"L1"'), ('21', '"L2"'), ('22', '"L3"')]
    """
    lines = ["# ITK-SNAP label description of cmnet-monai: VerSe label values", '0 0 0 0 0 0 0 "background"']
    lines += [f'{label} {r} {g} {b} 1 1 1 "{name}"' for label, (name, (r, g, b)) in level_colours().items()]
    return _write(path, lines)


def _write(path: str | Path, lines: list[str]) -> Path:
    path = Path(path)
    with atomic_write(path) as temporary:
        Path(temporary).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
