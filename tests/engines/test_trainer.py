from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Events
from torch import Tensor, nn

from cmnet_monai.engines import FilmTrainer, prepare_film_batch


class Network(nn.Module):
    """Small, without dropout, each film alone; memory suffices for `most` films at once."""

    def __init__(self, most: int, error: Exception) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.layers = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 2, 1))
        self.most, self.error, self.asked = most, error, []

    def forward(self, x: Tensor) -> Tensor:
        self.asked.append(len(x))
        if len(x) > self.most:
            raise self.error
        return self.layers(x)


def train(most: int, error: Exception | None = None, films: int = 5) -> tuple[Network, list[float], Any]:
    """Two batches of `films` films, twice; the network, the losses of the batches, the trainer."""
    network = Network(most, error or torch.cuda.OutOfMemoryError("CUDA out of memory"))
    generator = torch.Generator().manual_seed(4)
    shape = (films, 1, 12, 7)
    batches = [
        {
            "image": torch.randn(shape, generator=generator),
            "target": torch.randn((films, 2, 12, 7), generator=generator),
        }
        for _ in range(2)
    ]
    losses: list[float] = []
    trainer = FilmTrainer(
        device=torch.device("cpu"),
        max_epochs=2,
        train_data_loader=batches,
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), lr=0.01),
        loss_function=nn.MSELoss(),
        prepare_batch=prepare_film_batch,
        decollate=False,
    )

    @trainer.on(Events.ITERATION_COMPLETED)
    def note(engine: Any) -> None:
        losses.append(float(engine.state.output["loss"]))
        assert engine.state.output["pred"].shape == (films, 2, 12, 7)

    trainer.run()
    return network, losses, trainer


@pytest.mark.parametrize(("most", "asked"), [(3, [5, 2, 2, 1] + [2, 2, 1] * 3), (1, [5, 2, 1, 1, 1, 1, 1] + [1] * 15)])
def test_batch_too_large_for_the_memory_is_added_up_from_parts(most: int, asked: list[int]) -> None:
    whole, losses, _ = train(5)
    parted, parted_losses, trainer = train(most)
    assert parted.asked == asked and trainer.films_at_once == (2 if most == 3 else 1)
    # Sums of float32 in another order, through four steps of Adam, which divides by small numbers.
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parted.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    assert parted_losses == pytest.approx(losses, rel=1e-4)
    assert losses[0] > losses[-1]


def test_film_that_does_not_fit_alone_stops_the_run() -> None:
    with pytest.raises(MemoryError):
        train(0, MemoryError())


def test_other_errors_stop_the_run_at_once() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        train(0, RuntimeError("shapes do not match"))


def test_processes_that_train_together_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmnet_monai.engines.trainer.dist", SimpleNamespace(is_initialized=lambda: True))
    with pytest.raises(torch.cuda.OutOfMemoryError):
        train(3)
