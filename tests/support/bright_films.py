"""Films of bright boxes, and a network that calls the brightest pixels vertebra: a prediction in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cmnet_monai.engines import Prediction, predict

SIZE = (201, 343)


class BrightIsVertebra(nn.Module):
    """Calls the brightest pixels of a film vertebra."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.9))

    def forward(self, x: Tensor) -> Tensor:
        low = torch.full_like(x[:, :1], -20.0)
        return torch.cat((low, (x[:, :1] - self.level) * 200.0, low), dim=1)


def boxes(seed: int) -> np.ndarray:
    """A film of `SIZE`, five bodies on a noisy ground; another one for each seed."""
    pixels = np.random.default_rng(seed).integers(100, 900, SIZE).astype(np.uint16)
    for n in range(5):
        pixels[60 + 8 * n : 110 + 8 * n + 3 * seed, 25 + 60 * n : 62 + 60 * n] = 4000
    return pixels


def predict_bright(films: Path | list[str], output: Path, bundle: Path, weights: Path, **settings: Any) -> Prediction:
    """Run the bundle with that network; its weights are written where they are not there."""
    if not weights.is_file():
        torch.save(BrightIsVertebra().state_dict(), weights)
    network = {
        "ckpt_path": str(weights),
        "network_def": BrightIsVertebra(),
        "spatial_size": list(SIZE),
        "base_channels": 16,
        "label_protocol": "levels",
        "heatmap_sigma": 4.0,
    }
    plain = {"mirror": False, "passes": 1, "device": "cpu", "anterior": "right"}
    sources = films if isinstance(films, list) else [films]
    return predict(sources, output, bundle, **{**network, **plain, **settings})
