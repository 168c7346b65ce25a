from __future__ import annotations

import itertools
import re
from pathlib import Path

from cmnet_monai.conventions import LABEL_OF_LEVEL
from cmnet_monai.io import level_colours, write_itksnap_labels, write_slicer_colours


def test_neighbours_and_all_others_differ_in_colour() -> None:
    colours = {label: colour for label, (_, colour) in level_colours().items()}
    assert {name: label for label, (name, _) in level_colours().items()} == dict(LABEL_OF_LEVEL)
    labels = sorted(colours)
    for one, other in itertools.pairwise(labels):
        assert sum(abs(a - b) for a, b in zip(colours[one], colours[other])) > 150
    assert len(set(colours.values())) == len(colours)


def test_slicer_table_has_slicers_format(tmp_path: Path) -> None:
    """Header, then index, name without blanks, red, green, blue, opacity from 0 to 255 (Slicer's developer guide)."""
    lines = write_slicer_colours(tmp_path / "levels.ctbl").read_text().splitlines()
    assert lines[0].startswith("# Color table file")
    rows = [line.split(" ") for line in lines if not line.startswith("#")]
    assert all(len(row) == 6 for row in rows)
    assert rows[0] == ["0", "background", "0", "0", "0", "0"]
    assert {row[1]: int(row[0]) for row in rows[1:]} == dict(LABEL_OF_LEVEL)
    assert all(0 <= int(value) <= 255 for row in rows for value in row[2:])
    assert all(row[5] == "255" for row in rows[1:])


def test_itksnap_descriptions_have_itksnaps_format(tmp_path: Path) -> None:
    """Index, red, green, blue, opacity from 0 to 1, label visible, mesh visible, name in quotation marks."""
    lines = [line for line in write_itksnap_labels(tmp_path / "l.txt").read_text().splitlines() if line[0] != "#"]
    found = [re.fullmatch(r'(\d+) (\d+) (\d+) (\d+) ([01]) ([01]) ([01]) "(.+)"', line) for line in lines]
    assert all(found)
    assert {match[8]: int(match[1]) for match in found[1:] if match} == dict(LABEL_OF_LEVEL)
