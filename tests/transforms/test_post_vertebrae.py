from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd

from cmnet_monai.transforms import LabelMapd, ResizeWithPad, ResizeWithPadd, SelectVertebrae, SelectVertebraed
from cmnet_monai.transforms.post_vertebrae import grid_to_film

WIDTH, STEP, HIGH = 70, 36, 26


def spine(bodies: int = 7, gap: int = STEP - HIGH) -> np.ndarray:
    """Probability maps (3, x, y): `bodies` boxes, 34 wide and 26 high, from top to bottom, then S1."""
    step = HIGH + gap
    maps = np.zeros((3, WIDTH, step * (bodies + 1) + 20), np.float32)
    for i in range(bodies):
        top = 9 + step * i
        maps[0, 28:33, top + 11 : top + 16] = 0.9
        maps[1, 13:47, top : top + HIGH] = 0.8
    maps[2, 13:47, 9 + step * bodies : 9 + step * bodies + HIGH] = 0.9
    return maps


def box(i: int) -> tuple[slice, slice]:
    return slice(13, 47), slice(9 + STEP * i, 9 + STEP * i + HIGH)


def test_lumbar_bodies_stay_and_thoracic_ones_go() -> None:
    maps = spine()
    selected, reading = SelectVertebrae()(maps)
    assert selected.shape == (1, *maps.shape[1:])
    expected = np.zeros(maps.shape[1:], np.float32)
    for i in range(2, 7):
        expected[box(i)] = 0.8
    np.testing.assert_array_equal(selected[0], expected)
    assert [body.level for body in reading.bodies] == ["T11", "T12", "L1", "L2", "L3", "L4", "L5"]


def test_chosen_levels_or_all() -> None:
    maps = spine()
    only, _ = SelectVertebrae(levels=["L3"])(maps)
    assert only[0][box(4)].min() == pytest.approx(0.8) and (only > 0).sum() == 34 * HIGH
    every, _ = SelectVertebrae(levels=None)(maps)
    np.testing.assert_array_equal(every[0], maps[1])


def test_probabilities_around_a_body_stay_so_that_its_border_is_sub_pixel() -> None:
    maps = spine()
    left, top, bottom = 17, 9 + STEP * 3 - 1, 9 + STEP * 3 + HIGH
    maps[1, left, top + 1 : bottom] = 0.4
    maps[1, 13:47, 9 + STEP - 1] = 0.4  # T12's, not to be kept
    selected, _ = SelectVertebrae()(maps)
    assert (selected[0, left, top + 1 : bottom] == np.float32(0.4)).all()
    assert selected[0, 13:47, 9 + STEP - 1].max() == 0


def test_sacrum_taken_for_a_vertebra_too_is_not_exported() -> None:
    maps = spine()
    maps[1][maps[2] > 0] = 0.7
    selected, _ = SelectVertebrae()(maps)
    assert selected[0][maps[2] > 0].max() == 0
    assert (selected > 0).sum() == 5 * 34 * HIGH


def test_sacrum_touching_l5_is_cut_off_at_its_border() -> None:
    maps = spine(gap=0)
    maps[1][maps[2] > 0] = 0.7
    selected, reading = SelectVertebrae()(maps)
    assert reading.bodies[-1].level == "L5"
    assert selected[0][maps[2] > 0].max() == 0
    assert selected[0, 13:47, 9 + HIGH * 6 : 9 + HIGH * 7].min() == pytest.approx(0.8)


def test_specks_and_bodies_below_the_sacrum_are_not_exported() -> None:
    maps = spine()
    maps[1, 5:9, 150:155] = 0.9  # 20 px
    maps[1, 13:47, -10:] = 0.9  # below S1
    selected, _ = SelectVertebrae()(maps)
    assert (selected > 0).sum() == 5 * 34 * HIGH


def test_nothing_found_gives_an_empty_map() -> None:
    selected, reading = SelectVertebrae()(np.full((3, 40, 50), 0.4, np.float32))
    assert reading.bodies == () and selected.shape == (1, 40, 50) and not selected.any()


def test_two_channels_take_the_lowest_body_for_l5() -> None:
    selected, reading = SelectVertebrae()(torch.from_numpy(spine(5)[:2]))
    assert isinstance(selected, torch.Tensor) and selected.dtype == torch.float32
    assert int((selected > 0).sum()) == 5 * 34 * HIGH
    assert {body.evidence for body in reading.bodies} == {"lowest body taken for L5"}


def film_on_grid(size: tuple[int, int], grid: tuple[int, int]) -> MetaTensor:
    """A film (1, x, y) with anisotropic spacing, resized to the grid as the pipeline does it."""
    affine = torch.diag(torch.tensor([-0.2, -0.3, 1.0], dtype=torch.float64))
    film = MetaTensor(torch.rand(1, *size), affine=affine, meta={"original_affine": affine.numpy()})
    return ResizeWithPad(grid)(film)


@pytest.mark.parametrize("size", [(141, 560), (70, 272), (97, 401)])
def test_centres_are_in_pixels_of_the_film(size: tuple[int, int]) -> None:
    maps = spine(6)
    grid = maps.shape[1:]
    image = film_on_grid(size, grid)
    scale = min(grid[0] / size[0], grid[1] / size[1])
    data = SelectVertebraed("pred", points_key="points")({"pred": MetaTensor(torch.from_numpy(maps)), "image": image})
    assert [centre["level"] for centre in data["centres"]] == ["L1", "L2", "L3", "L4", "L5"]
    assert [centre["label"] for centre in data["centres"]] == [20, 21, 22, 23, 24]
    for i, centre in enumerate(data["centres"], start=1):
        # Middle of the box of 34 x 26 px from (13, top) on; pixels of the grid are centred on the film with half-pixel
        # rules. The peak of the centre map lies half a pixel beside it, at (30, top + 13), and is not what is wanted.
        expected = [
            (at - (length - round_size(side * scale)) // 2 + 0.5) / round_size(side * scale) * side - 0.5
            for at, length, side in zip((29.5, 9.0 + STEP * i + 12.5), grid, size)
        ]
        assert (centre["x_px"], centre["y_px"]) == pytest.approx(expected, abs=0.05 / scale)
        assert 0 < centre["score"] <= 1 and centre["evidence"] == "counted from S1"
    points = [(centre["x_px"], centre["y_px"]) for centre in data["centres"]]
    np.testing.assert_allclose(data["points"], points, atol=1e-3)


def round_size(value: float) -> int:
    return max(1, round(value))


def test_array_of_a_host_program_keeps_grid_coordinates() -> None:
    data = SelectVertebraed("pred")({"pred": spine(6), "image": np.zeros((1, 70, 272))})
    assert data["centres"][0]["x_px"] == pytest.approx(29.5, abs=0.01)
    np.testing.assert_array_equal(grid_to_film(np.zeros((1, 2, 3))), np.eye(3))


def test_no_body_gives_no_points() -> None:
    data = SelectVertebraed("pred", points_key="points")({"pred": np.zeros((3, 40, 50), np.float32)})
    assert data["centres"] == [] and data["points"].shape == (0, 2)


def label_map(maps: np.ndarray, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """Label map and mask without a resize in between."""
    data = SelectVertebraed("pred", level_keys=("labels", "inside"))({"pred": maps})
    data = LabelMapd("labels", inside_key="inside", mask_key="mask", **settings)(data)
    return data["labels"], data["mask"]


def test_label_map_holds_every_body_and_the_sacrum() -> None:
    maps = spine()
    labels, mask = label_map(maps)
    expected = np.zeros(maps.shape[1:], np.uint8)
    for i, code in enumerate((18, 19, 20, 21, 22, 23, 24, 26)):
        expected[box(i)] = code
    assert labels.dtype == mask.dtype == np.uint8
    np.testing.assert_array_equal(labels[0], expected)
    np.testing.assert_array_equal(mask[0], (expected >= 20) & (expected <= 24))
    only, three = label_map(maps, levels=["L3"])
    np.testing.assert_array_equal(only, labels)
    np.testing.assert_array_equal(three[0], expected == 22)


def test_labels_of_touching_bodies_and_a_sacrum_taken_for_a_vertebra_meet_at_their_borders() -> None:
    maps = spine(gap=0)
    maps[1][maps[2] > 0] = 0.7
    labels, _ = label_map(maps)
    column = labels[0, 30, 9 : 9 + 8 * HIGH].reshape(8, HIGH)
    assert column[-1].tolist() == [26] * HIGH  # S1 against L5
    for i, code in enumerate((18, 19, 20, 21, 22, 23, 24)):
        # Equal seeds 26 px apart part within a pixel of the middle between them.
        assert (column[i, 1:-1] == code).all()
    assert not labels[0, :13].any() and not labels[0, 47:].any()


def test_what_the_reading_dropped_is_not_in_the_label_map() -> None:
    maps = spine()
    maps[1, 5:9, 150:155] = 0.9  # 20 px
    maps[1, 13:47, -10:] = 0.9  # below S1
    np.testing.assert_array_equal(label_map(maps)[0], label_map(spine())[0])
    assert not label_map(np.full((3, 40, 50), 0.4, np.float32))[0].any()


def test_label_map_comes_back_to_a_film_of_another_size() -> None:
    grid = (70, 272)
    chain = Compose([ResizeWithPadd("image", grid)])
    affine = torch.diag(torch.tensor([-0.2, -0.3, 1.0], dtype=torch.float64))
    data = chain({"image": MetaTensor(torch.rand(1, 2 * 70, 2 * 272 + 1), affine=affine)})
    data["pred"] = MetaTensor(torch.from_numpy(spine(6)), meta=data["image"].meta)
    data = SelectVertebraed("pred", level_keys=("labels", "inside"))(data)
    back = Invertd(["labels", "inside"], chain, orig_keys="image", nearest_interp=[True, False], to_tensor=True)
    data = LabelMapd("labels", "inside", "mask")(back(data))
    labels = data["labels"][0].numpy()
    assert labels.shape == (140, 545) and set(np.unique(labels)) == {0, 19, 20, 21, 22, 23, 24, 26}
    for i, code in enumerate((19, 20, 21, 22, 23, 24, 26)):
        # Boxes of 34 x 26 px, twice as large on the film; a border lies within a pixel of its place.
        where = np.argwhere(labels == code)
        np.testing.assert_allclose(where.min(axis=0), (26, 2 * (9 + STEP * i)), atol=1)
        np.testing.assert_allclose(where.max(axis=0), (93, 2 * (9 + STEP * i + HIGH) - 1), atol=1)
    np.testing.assert_array_equal(data["mask"][0].numpy(), (labels >= 20) & (labels <= 24))


def test_missing_key_is_an_error_unless_allowed() -> None:
    with pytest.raises(KeyError):
        SelectVertebraed("pred")({"image": 0})
    assert SelectVertebraed("pred", allow_missing_keys=True)({"image": 0}) == {"image": 0}
