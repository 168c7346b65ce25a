"""Exported programs against the eager network on real films, through the whole way of asking (`FilmInferer`).

pytest -m slow tests/networks/test_export_on_films.py
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from torch import Tensor

from cmnet_monai.deploy import export_network
from cmnet_monai.engines import FilmInferer
from cmnet_monai.networks import CMNet, OnnxNetwork
from cmnet_monai.networks.programs import with_prompt

pytestmark = pytest.mark.slow
LARGEST = {"ts": (1e-4, 1e-5), "pt2": (1e-4, 1e-5), "onnx": (2e-2, 2e-3)}
"""Largest difference of logits (of order 20) in one pass, and of probabilities after two passes with mirrored films."""


@pytest.fixture(scope="module")
def programs(
    repository: Path, shipped_onnx: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Callable[[Tensor], Tensor]]:
    folder = tmp_path_factory.mktemp("programs")
    for ending in ("ts", "pt2"):
        export_network(repository / "bundle", folder / f"model.{ending}")
    program = torch.export.load(folder / "model.pt2").module()
    return {
        "ts": torch.jit.load(folder / "model.ts").eval(),
        "pt2": lambda x: program(with_prompt(x)),
        "onnx": OnnxNetwork(shipped_onnx),
    }


def test_programs_equal_the_network_on_every_real_film(
    programs: dict[str, Callable[[Tensor], Tensor]], repository: Path, shared_data: Path
) -> None:
    parser = ConfigParser()
    parser.read_config(str(repository / "bundle" / "configs" / "inference.json"))
    parser["bundle_root"] = str(repository / "bundle")
    read, network = parser.get_parsed_content("preprocessing"), CMNet(s1_channel=True, lumbar_channel=True).eval()
    network.load_state_dict(torch.load(repository / "bundle" / "models" / "model.pt", weights_only=True))
    ask = FilmInferer(mirror=True, passes=2, sigma_px=parser["heatmap_sigma"])
    films = sorted((shared_data / "real_films" / "images").glob("*.png"))
    assert films
    worst = {name: [0.0, 0.0] for name in programs}
    with torch.inference_mode():
        for path in films:
            film = read({"image": str(path)})["image"].as_tensor()[None]
            logits, probabilities = network(film), torch.sigmoid(ask(film, network))
            for name, program in programs.items():
                once, twice = program(film), torch.sigmoid(ask(film, program))
                found = [(once - logits).abs().max().item(), (twice - probabilities).abs().max().item()]
                worst[name] = [max(pair) for pair in zip(worst[name], found)]
    print(f"\n{len(films)} films, largest differences of logits and of probabilities: {worst}")
    for name, limits in LARGEST.items():
        assert all(found < limit for found, limit in zip(worst[name], limits)), (name, worst[name])
