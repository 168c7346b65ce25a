"""The federation of docs/examples/nvflare in FLARE's simulator; needs nvflare, in an environment of its own.

pytest -m slow tests/docs/test_nvflare_example.py
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cmnet_monai.datasets import synthesize

pytest.importorskip("nvflare", reason="needs NVIDIA FLARE")
pytestmark = pytest.mark.slow
FILMS = {"site-1": 4, "site-2": 2}


@pytest.fixture
def sites(tmp_path: Path) -> Path:
    for seed, (name, count) in enumerate(FILMS.items()):
        listed = synthesize(tmp_path / "sites" / name, count + 1, seed=seed, height_px=160, workers=1, progress=False)
        sections = json.loads(listed.read_text(encoding="utf-8"))
        items = [item for section in ("training", "validation", "test") for item in sections.get(section, [])]
        listed.write_text(json.dumps({"training": items[:count], "validation": items[count:]}), encoding="utf-8")
    return tmp_path / "sites"


def test_server_keeps_the_mean_of_what_the_sites_learnt(sites: Path, tmp_path: Path, repository: Path) -> None:
    """FLARE leaves out, with no more than a warning, what it does not take for weights: then nothing is shared."""
    job, out = repository / "docs" / "examples" / "nvflare" / "job.py", tmp_path / "out"
    command = [sys.executable, str(job), str(sites), str(out), "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-4000:]
    assert "Empty result" not in said
    assert "| federated in FLARE | 0." in done.stdout

    made = out / "cmnet" / "server" / "simulate_job" / "app_server" / "FL_global_model.pt"
    common = torch.load(made, weights_only=True)["model"]
    start = torch.load(out / "start.pt", weights_only=True)
    learnt = {
        name: torch.load(out / "runs" / name / "last.pt", weights_only=True, map_location="cpu")["network"]
        for name in FILMS
    }
    assert set(common) == set(start) == set(learnt["site-1"])
    differing = [key for key in common if not torch.equal(*(learnt[name][key] for name in FILMS))]
    assert len(differing) > len(common) / 2
    for key, value in common.items():
        one, other = (learnt[name][key].double() for name in FILMS)
        torch.testing.assert_close(value.double(), (4 * one + 2 * other) / 6, rtol=0, atol=1e-6)
