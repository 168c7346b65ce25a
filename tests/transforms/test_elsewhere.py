"""The transforms in other MONAI projects: datasets, loaders, lazy chains, inverses, copies."""

from __future__ import annotations

import copy
import operator
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import (
    CacheDataset,
    DataLoader,
    Dataset,
    MetaTensor,
    PersistentDataset,
    SmartCacheDataset,
    TestTimeAugmentation,
    ThreadDataLoader,
    decollate_batch,
)
from monai.transforms import (
    BatchInverseTransform,
    Compose,
    Flipd,
    InvertibleTransform,
    Lambdad,
    RandRotated,
    Rotate90d,
    ScaleIntensityRanged,
    allow_missing_keys_mode,
)
from PIL import Image, ImageDraw
from scipy import ndimage

from cmnet_monai.transforms import (
    CarryCentresd,
    CentreHeatmapd,
    CentresFromLabel,
    CentresFromLabeld,
    HistogramEqualized,
    RandCentrePromptd,
    RandSimilarityd,
    ResizeWithPadd,
    TargetFromLabeld,
)

GRID = (64, 128)
KEYS = ["image", "label"]
MODES = ["bilinear", "nearest"]


def arrays(i: int = 0) -> dict[str, np.ndarray]:
    """An uneven film with two bodies, L1 and L2."""
    size = (90 + 7 * i, 140 - 11 * i)
    label = np.zeros((1, *size), dtype=np.float32)
    label[0, 20:50, 30:60], label[0, 25:60, 70:100] = 20, 21
    return {"image": np.random.default_rng(i).random((1, *size), dtype=np.float32) + (label > 0), "label": label}


def tensors(i: int = 0) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(value) for key, value in arrays(i).items()}


def meta_tensors(i: int = 0, affine: np.ndarray | None = None) -> dict[str, MetaTensor]:
    affine = np.diag([-0.5, -0.25, 1.0]) if affine is None else affine
    return {key: MetaTensor(value, affine=affine) for key, value in tensors(i).items()}


def steps() -> list:
    return [
        CentresFromLabeld("label"),
        HistogramEqualized("image"),
        ResizeWithPadd(KEYS, GRID, mode=MODES),
        ScaleIntensityRanged("image", 0, 255, 0, 1),
        Flipd(KEYS, spatial_axis=0),
        RandSimilarityd(KEYS, prob=1.0, rotation_deg=10, magnification=(0.8, 0.9), mode=MODES),
        Flipd(KEYS, spatial_axis=1),
        CarryCentresd(),
        CentreHeatmapd(sigma_px=4),
        RandCentrePromptd(prob=1.0),
        TargetFromLabeld(),
    ]


def chain(**kwargs) -> Compose:
    return Compose(steps(), **kwargs).set_random_state(seed=4)


def fixed_chain() -> Compose:
    return Compose([step for step in steps() if not isinstance(step, (RandSimilarityd, RandCentrePromptd))])


def assert_same(one: dict, other: dict) -> None:
    assert set(one) == set(other)
    for key, value in one.items():
        np.testing.assert_allclose(np.asarray(other[key]), np.asarray(value), atol=1e-5, err_msg=key)


# --- a project on films of hands


def draw_hand(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Film (16 bit) and label map, rows first: five slanting bones of their own lengths in soft tissue, with noise."""
    rng = np.random.default_rng(seed)
    width, height = int(rng.integers(150, 330)), int(rng.integers(220, 420))
    label = Image.new("L", (width, height))
    hand = Image.new("L", (width, height))
    ImageDraw.Draw(hand).ellipse([0.08 * width, 0.12 * height, 0.92 * width, 0.9 * height], fill=1)
    for bone in range(1, 6):
        foot, tip = 0.24 + 0.52 * (bone - 1) / 4, 0.18 + 0.64 * (bone - 1) / 4
        top, base = (0.34 + 0.05 * abs(bone - 3) + rng.uniform(-0.03, 0.03)) * height, 0.62 * height
        ends = [(tip * width, top), (foot * width, base)]
        ImageDraw.Draw(label).line(ends, fill=bone, width=round(0.07 * width))
    tissue = 9000.0 * np.asarray(hand) + 14000.0 * (np.asarray(label) > 0) * rng.uniform(0.8, 1.2)
    film = ndimage.gaussian_filter(tissue, 1.5) + rng.normal(3000, 600, (height, width))
    return film.clip(0, 65535).astype(np.uint16), np.asarray(label)


def test_guide_reads_hands_with_monai_network_loss_and_inversion(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("films", "labels"):
        (tmp_path / "hands" / folder).mkdir(parents=True)
    truth = []
    for i in range(8):
        film, label = draw_hand(i)
        Image.fromarray(film).save(tmp_path / "hands" / "films" / f"{i}.png")
        Image.fromarray(label).save(tmp_path / "hands" / "labels" / f"{i}.png")
        truth.append(label.T)
    guide = (repository / "docs" / "guides" / "reuse_transforms.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    assert len(blocks) == 2
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks:
        exec(compile(block, "docs/guides/reuse_transforms.md", "exec"), names)

    for label, result in zip(truth, names["results"], strict=True):
        mask = result["mask"].numpy()
        assert mask.shape == label.shape
        assert 2 * (mask & (label > 0)).sum() / (mask.sum() + (label > 0).sum()) > 0.9
        centres = np.array(ndimage.center_of_mass(label > 0, label, range(1, 6)))
        found = result["centres_xy_px"]
        assert len(found) == 5
        distance = np.linalg.norm(found[:, None] - centres[None], axis=2)
        assert distance.min(axis=0).max() < 0.03 * label.shape[1]
        assert sorted(distance.argmin(axis=1)) == list(range(5))


def test_labels_of_other_anatomy_give_their_centres_in_the_order_asked_for() -> None:
    label = np.zeros((1, 9, 11), dtype=np.uint8)
    label[0, 1:4, 2:5], label[0, 6:8, 7:9] = 3, 1
    points, levels = CentresFromLabel(labels=[3, 2, 1])(label)
    assert points.tolist() == [[2.0, 3.0], [6.5, 7.5]]
    assert levels.tolist() == [3, 1]
    one, level = CentresFromLabel(labels=[1])((label > 0).astype(np.uint8))  # 0 and 1, yet no binary mask to part
    assert one.tolist() == [[pytest.approx((9 * 2 + 4 * 6.5) / 13), pytest.approx((9 * 3 + 4 * 7.5) / 13)]]
    assert level.tolist() == [1]


@pytest.mark.parametrize("labels", [[0, 1], [1, 1], [1.5], []])
def test_impossible_labels_are_an_error(labels: list) -> None:
    with pytest.raises(ValueError, match="distinct positive whole numbers"):
        CentresFromLabel(labels=labels)


# --- datasets and loaders


@pytest.mark.parametrize("kind", ["cache", "smart", "persistent"])
def test_caching_datasets_give_what_a_plain_one_does(kind: str, tmp_path: Path) -> None:
    data = [meta_tensors(i) for i in range(3)]
    make = {
        "cache": lambda: CacheDataset(data, chain(), progress=False),
        "smart": lambda: SmartCacheDataset(data, chain(), replace_rate=0.5, cache_num=2, progress=False, shuffle=False),
        "persistent": lambda: PersistentDataset(data, chain(), tmp_path, track_meta=True, weights_only=False),
    }[kind]
    plain = Dataset(data, chain())
    expected = [plain[i] for i in range(3)]
    for _ in range(2):  # the second time from what the first left behind
        dataset = make()
        dataset.transform.set_random_state(seed=4)
        assert len(dataset) == (2 if kind == "smart" else 3)
        for i in range(len(dataset)):
            assert_same(expected[i], dataset[i])


@pytest.mark.parametrize("loader", ["threads", "fork", "spawn"])
def test_loaders_give_what_a_plain_loop_does(loader: str) -> None:
    # Of fixed transforms: what random ones draw is the loader's business.
    data = [meta_tensors(0) for _ in range(2)]
    dataset = Dataset(data, Compose([Lambdad("image", operator.pos), *fixed_chain().transforms]))
    if loader == "threads":
        batches = ThreadDataLoader(dataset, batch_size=2, num_workers=0)
    else:
        batches = DataLoader(dataset, batch_size=2, num_workers=1, multiprocessing_context=loader)
    expected = fixed_chain()(meta_tensors(0))
    (batch,) = list(batches)
    items = decollate_batch(batch)
    assert len(items) == 2
    for item in items:
        assert_same(expected, {key: item[key] for key in expected})
        np.testing.assert_allclose(item["image"].affine.numpy(), expected["image"].affine.numpy())


# --- lazy chains, kinds of arrays, copies


def test_lazy_chain_gives_the_same_as_an_eager_one() -> None:
    eager, lazy = (chain(lazy=value)(meta_tensors()) for value in (False, True))
    assert len(eager["points"]) == 2
    assert set(np.unique(lazy["label"].numpy())) == {0.0, 20.0, 21.0}
    assert_same(eager, lazy)
    np.testing.assert_allclose(lazy["image"].affine.numpy(), eager["image"].affine.numpy(), atol=1e-9)


def test_points_follow_pending_steps_of_a_lazy_chain() -> None:
    """MONAI's own steps stay pending until the points need the image's place."""
    moves = [Flipd(KEYS, spatial_axis=0), Rotate90d(KEYS)]
    ends = [CarryCentresd(), CentreHeatmapd(sigma_px=3)]
    eager, lazy = (Compose([CentresFromLabeld("label"), *moves, *ends], lazy=v)(meta_tensors()) for v in (False, True))
    assert_same(eager, lazy)
    # (x, y) of a 90 x 140 film, mirrored to (89 - x, y), then turned: MONAI's Rotate90 takes (x, y) to (139 - y, x).
    expected = [[139 - 44.5, 89 - 34.5], [139 - 84.5, 89 - 42.0]]
    np.testing.assert_allclose(eager["points"].numpy(), expected, atol=1e-4)


def test_arrays_and_tensors_give_what_a_metatensor_on_the_pixel_grid_gives() -> None:
    expected = chain()(meta_tensors(affine=np.eye(3)))
    assert_same(expected, chain()(arrays()))
    assert_same(expected, chain()(tensors()))


def test_deep_copy_repeats_the_random_state_and_goes_its_own_way() -> None:
    original = chain()
    original(meta_tensors())
    twin = copy.deepcopy(original)
    first, second = original(meta_tensors()), original(meta_tensors())
    assert_same(first, twin(meta_tensors()))
    assert_same(second, twin(meta_tensors()))
    assert np.abs(np.asarray(first["image"]) - np.asarray(second["image"])).max() > 0.1


# --- MONAI's conventions for what can be inverted


def invertible() -> list[InvertibleTransform]:
    return [
        Flipd(KEYS, spatial_axis=0),
        ResizeWithPadd(KEYS, GRID, mode=MODES),
        RandSimilarityd(KEYS, prob=1.0, rotation_deg=0, magnification=(1.0, 1.0), mode=MODES),
        Rotate90d(KEYS),
    ]


def agreement(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((np.asarray(one) == np.asarray(other)).mean())


def test_each_step_undoes_itself_and_leaves_no_record() -> None:
    source = meta_tensors()
    states = [source]
    transforms = invertible()
    for step in transforms:
        states.append(step(states[-1]))
        assert len(states[-1]["label"].applied_operations) == len(states) - 1
    back = states[-1]
    for step, before in zip(reversed(transforms), reversed(states[:-1])):
        back = step.inverse(back)
        assert back["label"].shape == before["label"].shape
        assert len(back["label"].applied_operations) == len(before["label"].applied_operations)
        np.testing.assert_allclose(back["label"].affine.numpy(), before["label"].affine.numpy(), atol=1e-6)
        assert agreement(back["label"], before["label"]) > 0.97  # a flip or a shift loses more than 0.1
    assert agreement(source["label"], meta_tensors()["label"]) == 1.0


def test_chain_is_undone_past_steps_that_have_no_way_back() -> None:
    there = chain()
    back = there.inverse(there(meta_tensors()))
    assert back["label"].shape == meta_tensors()["label"].shape
    assert agreement(back["label"], meta_tensors()["label"]) > 0.95
    np.testing.assert_allclose(back["image"].affine.numpy(), meta_tensors()["image"].affine.numpy(), atol=1e-6)


def test_batch_is_undone_item_by_item() -> None:
    data = [meta_tensors(i) for i in range(3)]
    there = Compose([ResizeWithPadd(KEYS, GRID, mode=MODES), Flipd(KEYS, spatial_axis=1)])
    loader = DataLoader(Dataset(data, there), batch_size=3)
    undo = BatchInverseTransform(there, loader, collate_fn=lambda items: items)
    for source, item in zip(data, undo(next(iter(loader))), strict=True):
        assert item["label"].shape == source["label"].shape
        assert agreement(item["label"], source["label"]) > 0.97


def test_one_key_of_two_can_be_undone() -> None:
    there = Compose(invertible())
    sample = there(meta_tensors())
    with allow_missing_keys_mode(there):
        back = there.inverse({"label": sample["label"]})
    assert agreement(back["label"], meta_tensors()["label"]) > 0.97


@pytest.mark.parametrize("make", [lambda: ResizeWithPadd(KEYS, GRID).resizer, lambda: Flipd(KEYS).flipper])
def test_tracing_can_be_switched_off(make) -> None:
    step = make()
    with step.trace_transform(False):
        result = step(meta_tensors()["image"])
    assert result.applied_operations == []


def test_test_time_augmentation_brings_every_view_back() -> None:
    data = meta_tensors()
    there = Compose(
        [
            ResizeWithPadd(KEYS, GRID, mode="nearest"),
            RandRotated(KEYS, range_x=0.2, prob=1.0, mode="nearest", keep_size=True),
        ]
    )
    augment = TestTimeAugmentation(
        there,
        batch_size=2,
        num_workers=0,
        inferrer_fn=lambda image: image,
        device="cpu",
        progress=False,
        return_full_data=True,
    )
    there.set_random_state(seed=0)
    views = augment(data, num_examples=4)
    assert views.shape[0] == 4
    assert views.shape[-2:] == data["image"].shape[-2:]
    inner = (slice(20, 70), slice(30, 110))  # what no view loses
    for view in np.asarray(views):
        seen, truth = view.reshape(data["image"].shape)[0][inner], data["image"][0].numpy()[inner]
        assert np.corrcoef(seen.ravel(), truth.ravel())[0, 1] > 0.7
