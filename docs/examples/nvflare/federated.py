"""Federated training of the bundle's network: sites that keep their films, against each alone and all films pooled.

python federated.py SITE SITE ... OUT --rounds 10 --local-epochs 2

Each site is a `monai.fl.client.MonaiAlgo` on the bundle's ``train.json``; the server's part, the mean of the sites'
weights weighted by their films (FedAvg; McMahan et al., 2017), is done here, in one process.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cmnet_monai.bundle_location import bundle_root
from cmnet_monai.datasets import read_datalist
from cmnet_monai.engines import save_weights
from cmnet_monai.engines.checkpoints import LAST_CHECKPOINT
from cmnet_monai.io.files.json import read_json, write_json
from cmnet_monai.io.files.tables import markdown_table

Weights = Mapping[str, torch.Tensor]
Scores = dict[str, dict[str, float]]

TINY: Mapping[str, Any] = {"spatial_size": [96, 128], "base_channels": 8, "batch_size": 4, "learning_rate": 2e-3}
"""Settings of a small run that a laptop's CPU does in minutes."""


@dataclass(frozen=True)
class Site:
    """A hospital: its name and its folder with ``datalist.json``."""

    name: str
    dataset_dir: Path

    @property
    def films(self) -> int:
        """Number of its training films."""
        return len(read_datalist(self.dataset_dir, ["training"]))


def federated_average(weights: Sequence[Weights], films: Sequence[int]) -> dict[str, torch.Tensor]:
    """Mean of the sites' weights, each counted as often as it has films (FedAvg).

    Args:
        weights: state_dicts of one network.
        films: training films of each site, in the same order.
    Returns:
        A state_dict of the same types.
    Raises:
        ValueError: there is no site, the numbers do not match, no site has films, or the networks differ.

    >>> one, other = {"w": torch.tensor([1.0])}, {"w": torch.tensor([5.0])}
    >>> federated_average([one, other], [30, 10])["w"].tolist()
    [2.0]
    """
    if not weights or len(weights) != len(films) or min(films) < 0 or sum(films) == 0:
        raise ValueError(f"{len(weights)} sets of weights and films {list(films)}: give films of each, some above 0")
    if any(set(one) != set(weights[0]) for one in weights):
        raise ValueError("the sites' networks differ: not the same names of weights")
    mean = {}
    for name, first in weights[0].items():
        total = sum(one[name].double() * count for one, count in zip(weights, films))
        mean[name] = (torch.as_tensor(total) / sum(films)).to(first.dtype)
    return mean


def make_client(
    name: str, bundle: Path, output_dir: Path, dataset_dirs: Sequence[Path], local_epochs: int, **settings: Any
) -> Any:
    """A `MonaiAlgo` on the bundle's training config, initialised.

    Args:
        name: the client's name.
        bundle: the bundle's folder.
        output_dir: folder of the client's run.
        dataset_dirs: folders with ``datalist.json``: the first is validated on, all are trained on.
        local_epochs: epochs of each round.
        settings: further settings of ``train.json``.
    Raises:
        ValueError: the folder holds an earlier run, whose weights would be taken up instead of the server's.
    """
    from monai.fl.client import MonaiAlgo
    from monai.fl.utils.constants import ExtraItems

    if (output_dir / LAST_CHECKPOINT).exists():
        raise ValueError(f"{output_dir} holds an earlier run; give another output folder")
    overrides = {
        "dataset_dir": str(dataset_dirs[0]),
        "extra_dirs": [str(folder) for folder in dataset_dirs[1:]],
        "output_dir": str(output_dir),
        "num_workers": 0,
        "val_interval": 10**6,  # the server's weights are measured, not those between two rounds
        **settings,
    }
    client: Any = MonaiAlgo(
        bundle_root=str(bundle),
        local_epochs=local_epochs,
        send_weight_diff=False,
        train_kwargs=overrides,
        config_evaluate_filename=None,
    )
    client.initialize({ExtraItems.CLIENT_NAME: name})
    client.evaluator = client.train_workflow.evaluator
    return client


def train_federated(
    clients: Sequence[Any],
    films: Sequence[int],
    weights: Weights,
    rounds: int,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, torch.Tensor]:
    """Run the rounds: every client trains from the common weights, then their mean becomes the common weights.

    Args:
        clients: initialised `MonaiAlgo` clients.
        films: training films of each.
        weights: weights to start from.
        rounds: number of rounds.
        say: told of every round.
    """
    from monai.fl.utils.exchange_object import ExchangeObject

    common = dict(weights)
    for number in range(1, rounds + 1):
        sent = []
        for client in clients:
            client.train(ExchangeObject(weights=common))
            sent.append({name: value.clone() for name, value in client.get_weights().weights.items()})
        common = federated_average(sent, films)
        say(f"round {number} of {rounds}")
    return common


def dice_of(client: Any, weights: Weights) -> float:
    """Mean Dice of the vertebral bodies on the network's grid, over the client's validation films."""
    from monai.fl.utils.exchange_object import ExchangeObject

    return float(client.evaluate(ExchangeObject(weights=dict(weights))).metrics["val_dice"])


def compare_ways(
    sites: Sequence[Site],
    bundle: Path,
    output: Path,
    rounds: int = 8,
    local_epochs: int = 1,
    say: Callable[[str], None] = print,
    **settings: Any,
) -> Path:
    """Train federated, each site alone, and on pooled films; measure each way at each site.

    All begin with the same weights and see their films equally often.

    Args:
        sites: at least two.
        bundle: the bundle's folder.
        output: folder for ``federated.json`` (scores), ``federated.pt`` (weights) and the runs.
        rounds: rounds of federated training.
        local_epochs: epochs of each round.
        say: told of the progress.
        settings: further settings of ``train.json``.
    Returns:
        Path of ``federated.json``: for each way the Dice at each site.
    """

    def client(name: str, folders: Sequence[Path], epochs: int) -> Any:
        return make_client(name, bundle, output / "runs" / name, folders, epochs, **settings)

    def measure(way: str, weights: Weights) -> None:
        scores[way] = {site.name: dice_of(one, weights) for site, one in zip(sites, clients)}
        say(f"{way}: " + ", ".join(f"{name} {value:.3f}" for name, value in scores[way].items()))

    if len(sites) < 2:
        raise ValueError("a federation has at least two sites")
    scores: Scores = {}
    films = [site.films for site in sites]
    clients = [client(site.name, [site.dataset_dir], local_epochs) for site in sites]
    start = {name: value.clone() for name, value in clients[0].get_weights().weights.items()}
    measure("before", start)
    for site in sites:
        alone = client(f"{site.name}_alone", [site.dataset_dir], rounds * local_epochs)
        measure(f"{site.name} alone", train_federated([alone], [1], start, 1))
    common = train_federated(clients, films, start, rounds, say)
    measure("federated", common)
    pooled = client("pooled", [site.dataset_dir for site in sites], rounds * local_epochs)
    measure("pooled", train_federated([pooled], [1], start, 1))

    network = clients[0].trainer.network
    network.load_state_dict(common)
    save_weights(network, output / "federated.pt")
    report = output / "federated.json"
    record = {"dice": scores, "films": dict(zip((site.name for site in sites), films)), "rounds": rounds}
    write_json(report, {**record, "local_epochs": local_epochs, "settings": settings})
    return report


def as_table(report: Path) -> str:
    """The scores of `compare_ways` as a Markdown table."""
    dice: Scores = read_json(report)["dice"]
    names = list(next(iter(dice.values())))
    rows = [[way, *(f"{at[name]:.3f}" for name in names)] for way, at in dice.items()]
    return markdown_table(["weights", *(f"Dice at {name}" for name in names)], rows)


def main() -> None:
    """Train sites together without sharing films, and compare with each alone and with pooled films."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("sites", type=Path, nargs="+", help="two or more folders with datalist.json, one a site")
    parser.add_argument("output", type=Path, help="folder for federated.json, federated.pt and the runs")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--local-epochs", type=int, default=1, help="epochs of each round")
    parser.add_argument("--tiny", action="store_true", help="a small network and grid, for a CPU")
    chosen = parser.parse_args()
    sites = [Site(folder.resolve().name, folder.resolve()) for folder in chosen.sites]
    settings = TINY if chosen.tiny else {}
    where = bundle_root(None).resolve(), chosen.output.resolve()
    report = compare_ways(sites, *where, chosen.rounds, chosen.local_epochs, **settings)
    print(f"\n{as_table(report)}\n\nscores: {report}")


if __name__ == "__main__":
    main()
