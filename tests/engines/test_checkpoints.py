from __future__ import annotations

import errno
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events
from monai.optimizers import WarmupCosineSchedule
from torch import nn

from cmnet_monai.engines import (
    TrainingCheckpoint,
    WeightAverage,
    load_weights,
    pack_checkpoint,
    read_checkpoint,
    save_weights,
    with_precision,
)
from cmnet_monai.io import OutputError, atomic_write
from cmnet_monai.io.files.checksums import recorded_sha256
from cmnet_monai.io.files.results import file_sha256
from cmnet_monai.networks import CMNet

EPOCHS = 6


class Evaluator:
    """Stands for a MONAI evaluator: a state with the metric of the last validation."""

    def __init__(self) -> None:
        self.state = SimpleNamespace(metrics={}, key_metric_name="val_dice", best_metric=-1, best_metric_epoch=-1)


class Run:
    """A small training run with dropout, Adam and a schedule, whose validation gives a listed metric."""

    def __init__(self, folder: Path, metrics: list[float | None], stop_after: int = EPOCHS, decay: float = 0) -> None:
        torch.manual_seed(1)
        self.network = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=0.1)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, 2, 0.5)
        self.evaluator = Evaluator()
        self.epochs: list[int] = []

        def step(engine: Engine, batch: torch.Tensor) -> None:
            self.optimizer.zero_grad()
            self.network(batch).square().mean().backward()
            self.optimizer.step()

        def end(engine: Engine) -> None:
            self.epochs.append(engine.state.epoch)
            self.schedule.step()
            metric = metrics[engine.state.epoch - 1]
            if metric is not None:
                self.evaluator.state.metrics = {"val_dice": metric}

        self.engine = Engine(step)
        self.engine.add_event_handler(Events.EPOCH_COMPLETED, end)
        self.average = WeightAverage(self.network, decay)
        self.average.attach(self.engine)
        self.checkpoint = TrainingCheckpoint(
            folder, self.network, self.optimizer, self.schedule, self.evaluator, self.average
        )
        self.checkpoint.attach(self.engine)
        batches = torch.arange(24.0).reshape(4, 2, 3)
        self.engine.add_event_handler(Events.EPOCH_COMPLETED(once=stop_after), lambda engine: engine.terminate())
        self.engine.run(batches, max_epochs=EPOCHS, epoch_length=4)


RISING = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


@pytest.mark.parametrize("broken_off", [1, 3, 5])
def test_resumed_run_ends_with_the_weights_of_one_that_was_not_broken_off(tmp_path: Path, broken_off: int) -> None:
    through = Run(tmp_path / "through", RISING)
    Run(tmp_path / "parts", RISING, stop_after=broken_off)
    resumed = Run(tmp_path / "parts", RISING)
    assert resumed.epochs == list(range(broken_off + 1, EPOCHS + 1))
    assert resumed.engine.state.iteration == through.engine.state.iteration == 4 * EPOCHS
    for name, value in through.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], value), name
    assert resumed.optimizer.param_groups[0]["lr"] == through.optimizer.param_groups[0]["lr"] == 0.1 / 8
    last, expected = (read_checkpoint(tmp_path / run / "last.pt") for run in ("parts", "through"))
    assert last["epoch"] == EPOCHS and torch.equal(last["random_state"], expected["random_state"])


@pytest.mark.parametrize("file", ["last.pt", "best.pt"])
@pytest.mark.parametrize("fault", ["full disk", "full disk, as torch.save says it", "SIGTERM"])
def test_fault_while_a_checkpoint_is_written_costs_an_epoch_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, fault: str
) -> None:
    through = Run(tmp_path / "through", RISING, decay=0.9)
    replace, save, struck = Path.replace, torch.save, []

    def failing_replace(path: Path, target: Path) -> Path:
        if fault != "full disk, as torch.save says it" and Path(target).name == file:
            struck.append(file)
            if len(struck) == 3:
                raise OSError(errno.ENOSPC, "No space left on device") if fault == "full disk" else SystemExit(143)
        return replace(path, target)

    def failing_save(state: object, path: Path) -> None:
        save(state, path)
        if fault == "full disk, as torch.save says it" and ("epoch" in state) == (file == "last.pt"):  # type: ignore[operator]
            struck.append(file)
            if len(struck) == 3:
                raise RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed writing file")

    with monkeypatch.context() as patch, pytest.raises(SystemExit if fault == "SIGTERM" else OutputError):
        patch.setattr(Path, "replace", failing_replace)
        patch.setattr(torch, "save", failing_save)
        Run(tmp_path / "parts", RISING, decay=0.9)
    assert {path.name for path in (tmp_path / "parts").iterdir()} == {"last.pt", "best.pt"}  # nothing temporary
    last = read_checkpoint(tmp_path / "parts" / "last.pt")
    assert last["epoch"] == (2 if file == "last.pt" else 3)
    resumed = Run(tmp_path / "parts", RISING, decay=0.9)
    assert resumed.epochs == list(range(last["epoch"] + 1, EPOCHS + 1))
    assert equal(resumed.network.state_dict(), through.network.state_dict())
    assert equal(*(read_checkpoint(tmp_path / run / "best.pt") for run in ("parts", "through")))


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_best_weights_are_the_average_and_the_last_ones_those_in_training(tmp_path: Path) -> None:
    run = Run(tmp_path, RISING, stop_after=2, decay=0.9)
    last, best = (read_checkpoint(tmp_path / name) for name in ("last.pt", "best.pt"))
    assert equal(last["network"], run.network.state_dict())
    assert equal(best, run.average.network.state_dict())
    assert not torch.equal(best["0.weight"], last["network"]["0.weight"])
    assert last["average"]["n_averaged"] == 2 * 4  # four steps an epoch


@pytest.mark.parametrize("broken_off", [1, 4])
def test_resumed_run_goes_on_with_its_average(tmp_path: Path, broken_off: int) -> None:
    through = Run(tmp_path / "through", RISING, decay=0.9)
    Run(tmp_path / "parts", RISING, stop_after=broken_off, decay=0.9)
    resumed = Run(tmp_path / "parts", RISING, decay=0.9)
    assert equal(resumed.average.state_dict(), through.average.state_dict())
    assert equal(*(read_checkpoint(tmp_path / run / "best.pt") for run in ("parts", "through")))


def test_lost_best_weights_are_made_good_with_the_average(tmp_path: Path) -> None:
    run = Run(tmp_path, RISING, stop_after=3, decay=0.9)
    averaged = run.average.network.state_dict()
    (tmp_path / "best.pt").unlink()
    Run(tmp_path, [0.0] * EPOCHS, decay=0.9)
    assert equal(read_checkpoint(tmp_path / "best.pt"), averaged)


def test_run_without_an_average_is_resumed_with_one_from_its_trained_weights(tmp_path: Path) -> None:
    trained = Run(tmp_path, RISING, stop_after=3).network.state_dict()
    resumed = Run(tmp_path, [0.0] * EPOCHS, decay=0.9)
    assert equal(read_checkpoint(tmp_path / "best.pt"), trained)
    assert resumed.average.state_dict()["n_averaged"] == 3 * 4
    plain = Run(tmp_path, RISING)  # and the other way round: done, nothing to average
    assert plain.epochs == [] and plain.average.state_dict() == {}


def test_checkpoint_of_before_there_were_averages_is_resumed(tmp_path: Path) -> None:
    trained = Run(tmp_path, RISING, stop_after=3).network.state_dict()
    state = read_checkpoint(tmp_path / "last.pt")
    del state["average"]
    torch.save(state, tmp_path / "last.pt")
    assert Run(tmp_path, [0.0] * EPOCHS, decay=0.5).epochs == [4, 5, 6]
    assert equal(read_checkpoint(tmp_path / "best.pt"), trained)


def test_finished_run_does_nothing_more(tmp_path: Path) -> None:
    Run(tmp_path, RISING)
    stamp = (tmp_path / "last.pt").stat().st_mtime_ns
    assert Run(tmp_path, RISING).epochs == []
    assert (tmp_path / "last.pt").stat().st_mtime_ns == stamp


def best_epoch(folder: Path) -> int:
    return read_checkpoint(folder / "last.pt")["best_epoch"]


@pytest.mark.parametrize(
    ("metrics", "best"),
    [
        ([0.1, 0.5, 0.3, 0.5, 0.2, 0.4], 2),
        ([0.1, None, 0.3, None, 0.2, None], 3),
        ([None, None, 0.0, None, None, None], 3),
        ([-0.5, -0.2, -0.3, -0.9, -0.4, -0.6], 2),
        ([math.nan, 0.4, math.nan, 0.3, math.nan, math.nan], 2),
    ],
)
def test_best_weights_are_those_of_the_highest_metric(tmp_path: Path, metrics: list, best: int) -> None:
    Run(tmp_path / "to_best", metrics, stop_after=best)
    Run(tmp_path / "all", metrics)
    assert best_epoch(tmp_path / "all") == best
    kept, then = read_checkpoint(tmp_path / "all" / "best.pt"), read_checkpoint(tmp_path / "to_best" / "last.pt")
    assert all(torch.equal(kept[name], value) for name, value in then["network"].items())


def test_resumed_run_does_not_replace_better_weights(tmp_path: Path) -> None:
    Run(tmp_path, [0.1, 0.9, 0, 0, 0, 0], stop_after=2)
    before = read_checkpoint(tmp_path / "best.pt")
    resumed = Run(tmp_path, [0, 0, 0.5, 0.7, 0.8, 0.9])
    after = read_checkpoint(tmp_path / "best.pt")
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert (best_epoch(tmp_path), resumed.evaluator.state.best_metric) == (2, 0.9)


def test_kill_between_the_two_files_is_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Run(tmp_path, RISING, stop_after=2)
    written: list[str] = []

    def killed_at_second_file(path: Path) -> object:
        written.append(Path(path).name)
        if len(written) == 3:  # best.pt of epoch 2 is made good at the start, then come last.pt and best.pt of epoch 3
            raise KeyboardInterrupt
        return atomic_write(path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("cmnet_monai.engines.checkpoints.atomic_write", killed_at_second_file)
        Run(tmp_path, RISING)
    assert written == ["best.pt", "last.pt", "best.pt"]
    last, best = (read_checkpoint(tmp_path / name) for name in ("last.pt", "best.pt"))
    assert last["epoch"] == last["best_epoch"] == 3
    assert not torch.equal(best["0.weight"], last["network"]["0.weight"])

    Run(tmp_path, [0.0] * EPOCHS)  # nothing better comes
    best = read_checkpoint(tmp_path / "best.pt")
    assert all(torch.equal(best[name], value) for name, value in last["network"].items())


def test_checkpoint_holds_tensors_and_plain_values_only(tmp_path: Path) -> None:
    Run(tmp_path, RISING, stop_after=1)
    assert {file.name for file in tmp_path.iterdir()} == {"last.pt", "best.pt"}
    torch.load(tmp_path / "last.pt", weights_only=True)
    assert set(torch.load(tmp_path / "best.pt", weights_only=True)) == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_without_an_evaluator_the_last_epoch_is_the_best(tmp_path: Path) -> None:
    network = nn.Linear(1, 1)
    checkpoint = TrainingCheckpoint(tmp_path, network, torch.optim.SGD(network.parameters(), 0.1))
    engine = Engine(lambda engine, batch: network.weight.data.add_(1))
    checkpoint.attach(engine)
    engine.run([0], max_epochs=2)
    assert torch.equal(read_checkpoint(tmp_path / "best.pt")["weight"], network.weight.data)
    assert best_epoch(tmp_path) == 2


def test_weights_of_a_wrapped_network_fit_the_bare_one(tmp_path: Path) -> None:
    network = nn.Conv2d(1, 2, 3)
    save_weights(with_precision(network, "bf16"), tmp_path / "w.pt")
    other = nn.Conv2d(1, 2, 3)
    load_weights(other, tmp_path / "w.pt")
    assert torch.equal(other.weight, network.weight)


def test_packed_weights_are_flat_half_precision_and_load_as_floats(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    torch.save({"network": network.state_dict(), "epoch": 3}, tmp_path / "last.pt")
    size = pack_checkpoint(tmp_path / "last.pt", tmp_path / "deep" / "model.pt")
    assert size == (tmp_path / "deep" / "model.pt").stat().st_size
    packed = read_checkpoint(tmp_path / "deep" / "model.pt")
    assert recorded_sha256(tmp_path / "deep" / "model.pt") == file_sha256(tmp_path / "deep" / "model.pt")
    assert packed["0.weight"].dtype == torch.float16 and packed["1.num_batches_tracked"].dtype == torch.int64
    other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    load_weights(other, tmp_path / "deep" / "model.pt")
    assert other[0].weight.dtype == torch.float32
    # Half precision has 11 significant bits.
    torch.testing.assert_close(other[0].weight, network[0].weight, rtol=2**-11, atol=1e-7)


def test_no_path_leaves_the_network_as_it_is() -> None:
    network = nn.Linear(2, 2)
    before = network.weight.clone()
    load_weights(network, "")
    assert torch.equal(network.weight, before)


def test_missing_damaged_and_foreign_weights_are_named(tmp_path: Path) -> None:
    network = nn.Linear(2, 2)
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        load_weights(network, tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("these are no weights")
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "whole.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:-300])
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "other.pt")
    for name in ("text", "empty", "cut", "list", "other"):
        with pytest.raises(ValueError, match=rf"{name}\.pt"):
            load_weights(network, tmp_path / f"{name}.pt")
    for name in ("text", "list"):
        with pytest.raises(ValueError, match=rf"{name}\.pt"):
            pack_checkpoint(tmp_path / f"{name}.pt", tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists()


def test_weights_of_several_checkpoints_are_averaged_before_packing(tmp_path: Path) -> None:
    first = {"a": torch.tensor([1.0, -2.0, 4.0]), "n": torch.tensor(7)}
    second = {"a": torch.tensor([2.0, 2.0, 0.0]), "n": torch.tensor(9)}
    torch.save(first, tmp_path / "first.pt")
    torch.save({"network": second, "epoch": 3}, tmp_path / "second.pt")
    pack_checkpoint([tmp_path / "first.pt", tmp_path / "second.pt"], tmp_path / "model.pt")
    packed = read_checkpoint(tmp_path / "model.pt")
    assert packed["a"].dtype == torch.float16 and packed["a"].tolist() == [1.5, 0.0, 2.0] and int(packed["n"]) == 7


def test_weights_of_other_networks_are_not_averaged(tmp_path: Path) -> None:
    for name, size in (("first", 3), ("second", 4)):
        torch.save({"a": torch.zeros(size)}, tmp_path / f"{name}.pt")
    with pytest.raises(ValueError, match=r"second\.pt: weights of another network than .*first\.pt"):
        pack_checkpoint([tmp_path / "first.pt", tmp_path / "second.pt"], tmp_path / "model.pt")
    with pytest.raises(ValueError, match="no checkpoints"):
        pack_checkpoint([], tmp_path / "model.pt")


def test_weights_without_a_lumbar_channel_start_it_as_a_copy_of_the_vertebra_channel(tmp_path: Path) -> None:
    torch.manual_seed(3)
    known, grown = (CMNet(8, s1_channel=True, lumbar_channel=lumbar).eval() for lumbar in (False, True))
    save_weights(known, tmp_path / "visible.pt")
    load_weights(grown, tmp_path / "visible.pt")
    film = torch.rand(1, 1, 64, 96)
    with torch.inference_mode():
        before, after = known(film), grown(film)
    # Other sums in the last bits: the heads' convolutions have one channel more.
    torch.testing.assert_close(after[:, :3], before)
    torch.testing.assert_close(after[:, 3], before[:, 1])
    with pytest.raises(ValueError, match=r"visible\.pt"):
        load_weights(CMNet(8), tmp_path / "visible.pt")


@pytest.mark.parametrize("lumbar", [True, False])
def test_weights_without_a_level_channel_leave_it_as_the_network_has_it(tmp_path: Path, lumbar: bool) -> None:
    torch.manual_seed(3)
    known = CMNet(8, s1_channel=True, lumbar_channel=lumbar, initial_probability=0.05).eval()
    grown = CMNet(8, s1_channel=True, lumbar_channel=True, level_channel=True, initial_probability=0.05).eval()
    save_weights(known, tmp_path / "shipped.pt")
    load_weights(grown, tmp_path / "shipped.pt")
    film = torch.rand(1, 1, 64, 96)
    with torch.inference_mode():
        before, after = known(film), grown(film)
    torch.testing.assert_close(after[:, : 3 + lumbar], before)
    torch.testing.assert_close(after[:, 3], before[:, 3 if lumbar else 1])
    assert float((after[:, 4].sigmoid() - 0.5).abs().max()) < 0.2
    save_weights(grown, tmp_path / "coordinate.pt")
    without = CMNet(8, s1_channel=True, lumbar_channel=True).eval()
    load_weights(without, tmp_path / "coordinate.pt")
    with torch.inference_mode():
        torch.testing.assert_close(without(film), after[:, :4])


@pytest.mark.parametrize(("length", "rate"), [(4, 0.5), (6, 0.75), (8, 0.853553)])
def test_schedule_of_a_resumed_run_follows_its_new_length(tmp_path: Path, length: int, rate: float) -> None:
    # Half a cosine from 1 to 0: after 2 of 4 epochs 0.5, of 6 cos(60 degrees) -> 0.75, of 8 cos(45 degrees) -> 0.8536.
    def run(epochs: int, total: int) -> float:
        network = nn.Linear(1, 1)
        optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
        schedule = WarmupCosineSchedule(optimizer, warmup_steps=0, t_total=total)
        rates = []
        engine = Engine(lambda engine, batch: rates.append(optimizer.param_groups[0]["lr"]))
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: (optimizer.step(), schedule.step()))
        TrainingCheckpoint(tmp_path, network, optimizer, schedule).attach(engine)
        engine.run([0], max_epochs=epochs)
        return rates[0]

    assert run(2, 4) == 1.0
    assert run(3, length) == pytest.approx(rate, abs=1e-6)
