from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from cmnet_monai.engines import WeightAverage, with_precision


def one_weight(value: float = -7.0) -> nn.Linear:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, value)
    return network


def follow(average: WeightAverage, network: nn.Linear, weights: list[float]) -> list[float]:
    """The average after each training step, whose weights are listed."""
    seen: list[float] = []

    def step(engine: Engine, weight: float) -> None:
        nn.init.constant_(network.weight, weight)

    engine = Engine(step)
    average.attach(engine)
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: seen.append(average.network.weight.item()))
    engine.run(weights, max_epochs=1)
    return seen


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        # The first is the weight itself; then d is the smaller of the decay and 2/11, 3/12, 4/13.
        (0.99, [10.0, 200 / 11, 0.25 * 200 / 11 + 30, 4 / 13 * (0.25 * 200 / 11 + 30) + 9 / 13 * 80]),
        (0.2, [10.0, 200 / 11, 0.2 * 200 / 11 + 32, 0.2 * (0.2 * 200 / 11 + 32) + 64]),
        (0.1, [10.0, 19.0, 0.1 * 19 + 36, 0.1 * 37.9 + 72]),
    ],
)
def test_average_of_one_weight_is_that_of_the_formula(decay: float, expected: list[float]) -> None:
    network = one_weight()
    average = WeightAverage(network, decay)
    assert follow(average, network, [10.0, 20.0, 40.0, 80.0]) == pytest.approx(expected, rel=1e-6)
    assert network.weight.item() == 80.0  # the network in training is left alone


def test_decay_is_reached_after_many_steps() -> None:
    # (1 + k) / (10 + k) passes 0.9 at k = 80. From then on a constant weight is approached by a tenth a step less.
    network = one_weight()
    average = WeightAverage(network, 0.9)
    seen = follow(average, network, [0.0] * 100 + [1.0] * 3)
    assert seen[-3:] == pytest.approx([0.1, 0.19, 0.271], rel=1e-5)


def test_state_goes_on_where_it_was() -> None:
    network = one_weight()
    whole = follow(WeightAverage(network, 0.9), network, [1.0, 2.0, 3.0, 4.0])
    first = WeightAverage(network, 0.9)
    follow(first, network, [1.0, 2.0])
    other = one_weight(99.0)
    second = WeightAverage(other, 0.9)
    second.load_state_dict(first.state_dict())
    assert follow(second, other, [3.0, 4.0]) == whole[2:]


def test_empty_state_starts_at_the_present_weights() -> None:
    network = one_weight()
    average = WeightAverage(network, 0.9)
    follow(average, network, [1.0, 2.0])
    nn.init.constant_(network.weight, 5.0)
    average.load_state_dict({})
    assert average.network.weight.item() == 5.0
    assert follow(average, network, [6.0, 7.0]) == pytest.approx([6.0, 2 / 11 * 6 + 9 / 11 * 7], rel=1e-6)


def test_running_statistics_are_those_of_the_network() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    average = WeightAverage(network, 0.5)

    def step(engine: Engine, seed: int) -> None:
        network(torch.randn(2, 1, 5, 7, generator=torch.Generator().manual_seed(seed)))
        for weight in network.parameters():
            weight.data.add_(1.0)

    engine = Engine(step)
    average.attach(engine)
    engine.run([1, 2, 3], max_epochs=1)
    assert torch.equal(average.network[1].running_mean, network[1].running_mean)
    assert average.network[1].num_batches_tracked == 3
    assert not torch.allclose(average.network[0].weight, network[0].weight)


def test_decay_of_zero_leaves_the_network_as_given() -> None:
    network = with_precision(nn.Conv2d(1, 2, 3), "bf16")
    average = WeightAverage(network, 0.0)
    engine = Engine(lambda engine, batch: None)
    average.attach(engine)
    engine.run([0, 1], max_epochs=1)
    assert average.network is network
    assert average.state_dict() == {}
    average.load_state_dict({"n_averaged": torch.tensor(3)})
    assert average.network is network


def test_average_of_a_wrapped_network_is_bare_and_of_its_own() -> None:
    inner = nn.Conv2d(1, 2, 3)
    average = WeightAverage(with_precision(inner, "bf16"), 0.9)
    assert type(average.network) is nn.Conv2d and average.network is not inner
    assert average.network.state_dict().keys() == inner.state_dict().keys()
    assert average.network.weight.data_ptr() != inner.weight.data_ptr()


@pytest.mark.parametrize("decay", [-0.1, 1.0, 1.5, float("nan")])
def test_decay_out_of_range_is_an_error(decay: float) -> None:
    with pytest.raises(ValueError, match=rf"\[0, 1\), got {decay}"):
        WeightAverage(one_weight(), decay)
