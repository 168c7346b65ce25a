from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from cmnet_monai.datasets import synthesize

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "nvflare"
sys.path.insert(0, str(EXAMPLES))
import federated  # noqa: E402
from federated import Site, as_table, compare_ways, federated_average, make_client  # noqa: E402

SMALL = {"spatial_size": [48, 64], "base_channels": 8, "batch_size": 2, "learning_rate": 1e-3, "device": "cpu"}


def test_average_counts_each_site_by_its_films() -> None:
    one = {"w": torch.tensor([1.0, 4.0]), "steps": torch.tensor(3)}
    other = {"w": torch.tensor([5.0, 0.0]), "steps": torch.tensor(7)}
    mean = federated_average([one, other], [30, 10])
    assert mean["w"].tolist() == [2.0, 3.0]  # (30 * 1 + 10 * 5) / 40 and (30 * 4 + 10 * 0) / 40
    assert mean["steps"].item() == 4
    assert mean["steps"].dtype == torch.int64


@pytest.mark.parametrize(
    ("weights", "films", "message"),
    [
        ([], [], "give films of each"),
        ([{"w": torch.ones(1)}], [1, 2], "give films of each"),
        ([{"w": torch.ones(1)}], [0], "give films of each"),
        ([{"w": torch.ones(1)}, {"v": torch.ones(1)}], [1, 1], "networks differ"),
    ],
)
def test_sites_that_do_not_fit_are_an_error(weights: list, films: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        federated_average(weights, films)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[Site]:
    """Two sites with four films each, of the looks of two manufacturers: three to train on, one to validate."""
    folder = tmp_path_factory.mktemp("sites")
    for look, seed in (("a", 1), ("b", 2)):
        datalist = synthesize(folder / look, 4, seed=seed, height_px=160, workers=1, progress=False, look=look)
        sections = json.loads(datalist.read_text())
        items = [item for name in ("training", "validation", "test") for item in sections.get(name, [])]
        datalist.write_text(json.dumps({"training": items[:3], "validation": items[3:]}))
    return [Site(look, folder / look) for look in "ab"]


def test_rounds_start_from_the_common_weights(
    sites: list[Site], tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the second round each site's own checkpoint must not come back in place of what the server sent."""
    received: dict[str, list[torch.Tensor]] = {"a": [], "b": []}
    clients = []
    for site in sites:
        client = make_client(site.name, repository / "bundle", tmp_path / site.name, [site.dataset_dir], 1, **SMALL)
        client.trainer.add_event_handler(
            "EPOCH_STARTED",
            lambda engine, name=site.name: received[name].append(next(engine.network.parameters()).detach().clone()),
        )
        clients.append(client)
    start = {name: value.clone() for name, value in clients[0].get_weights().weights.items()}
    first = next(iter(dict(clients[0].trainer.network.named_parameters())))
    federated.train_federated(clients, [3, 3], start, rounds=2)
    for name in "ab":
        assert len(received[name]) == 2
        assert torch.equal(received[name][0], start[first])
        assert not torch.equal(received[name][1], start[first])
    assert torch.equal(received["a"][1], received["b"][1])
    with pytest.raises(ValueError, match="earlier run"):
        make_client("a", repository / "bundle", tmp_path / "a", [sites[0].dataset_dir], 1, **SMALL)


def test_every_way_is_measured_at_every_site(sites: list[Site], tmp_path: Path, repository: Path) -> None:
    told: list[str] = []
    report = compare_ways(sites, repository / "bundle", tmp_path, rounds=2, say=told.append, **SMALL)
    record = json.loads(report.read_text())
    assert list(record["dice"]) == ["before", "a alone", "b alone", "federated", "pooled"]
    assert record["films"] == {"a": 3, "b": 3}
    for way, scores in record["dice"].items():
        assert set(scores) == {"a", "b"}, way
        assert all(0 <= value <= 1 for value in scores.values())
    assert record["dice"]["federated"] != record["dice"]["before"]
    assert as_table(report).splitlines()[0] == "| weights | Dice at a | Dice at b |"
    assert len(as_table(report).splitlines()) == 7
    saved = torch.load(tmp_path / "federated.pt", weights_only=True)
    assert set(saved) == set(make_network_names(repository))
    with pytest.raises(ValueError, match="at least two"):
        compare_ways(sites[:1], repository / "bundle", tmp_path)


def make_network_names(repository: Path) -> list[str]:
    from cmnet_monai.networks import CMNet

    return list(CMNet(base_channels=8, s1_channel=True, lumbar_channel=True).state_dict())
