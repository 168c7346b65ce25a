from __future__ import annotations

import json
from pathlib import Path

from cmnet_monai.evaluation.flag_rates import run_flag_rates


def test_every_kind_and_group_is_counted(tmp_path: Path) -> None:
    table = run_flag_rates(tmp_path, films=1, seed=9001, height_px=256).read_text()
    counts = json.loads((tmp_path / "flags.json").read_text())["counts"]
    films = {group: count for group, count in counts.items() if group.startswith("films")}
    assert set(films) == {f"films: {kind}" for kind in ("healthy", "compression_fracture", "implant", "cement")}
    assert all(count["of"] == 1 for count in films.values())
    assert films["films: implant"]["flagged"] == 1
    assert all(0 <= count["flagged"] <= count["of"] for count in counts.values())
    assert "| films: implant | 1 | 1 | 100 % |" in table
