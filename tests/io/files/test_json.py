from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cmnet_monai.io.files.json import read_json, write_json


def test_json_has_null_for_what_is_not_finite_and_plain_values_for_numpys(tmp_path: Path) -> None:
    content = {"x": [float("nan"), 1.5, {"y": float("inf")}], "n": np.int64(3), "v": np.array([0.5, np.nan])}
    write_json(tmp_path / "new" / "a.json", content)
    assert read_json(tmp_path / "new" / "a.json") == {"x": [None, 1.5, {"y": None}], "n": 3, "v": [0.5, None]}
    assert read_json(tmp_path / "b.json") is None


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(TypeError, match="keys must be"):
        write_json(tmp_path / "a.json", {("a", "tuple"): 1})
    assert json.loads((tmp_path / "a.json").read_text()) == {"old": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
