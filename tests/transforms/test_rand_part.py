"""Random parts of films: what is kept, what is dropped, and that points stay on their bodies."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose

from cmnet_monai.transforms import CentresFromLabeld, RandPartOfFilmd, augment_geometry

BODIES = {20: 20, 21: 60, 22: 100, 23: 140, 24: 180, 26: 220}  # top row of each


def a_film():
    """80 x 250 px on a grid of 120 x 250: 20 columns of padding on the left, 20 on the right."""
    image, label = torch.zeros(1, 120, 250), torch.zeros(1, 120, 250)
    image[:, 20:100] = torch.linspace(0.2, 0.9, 250)
    for value, top in BODIES.items():
        label[:, 40 + value : 66 + value, top : top + 30] = value
    item = {"image": MetaTensor(image), "label": MetaTensor(label)}
    return CentresFromLabeld("label", protocol="levels")(item)


def parts(count=40, **settings):
    for seed in range(count):
        cut = RandPartOfFilmd(["image", "label"], prob=1.0, **settings).set_random_state(seed=seed)
        yield cut, cut(a_film())


def test_every_body_is_kept_by_the_half_and_keeps_its_centre():
    for cut, part in parts():
        first, last = int(cut._top * 250), round(cut._bottom * 250)
        left = {v: max(0, min(top + 30, last) - max(top, first)) for v, top in BODIES.items()}
        assert set(part["label"].unique().tolist()) - {0.0} == {v for v, rows in left.items() if rows >= 15}
        whole = [v for v, rows in left.items() if rows == 30 and v != 26]
        centres = {v: part["label"][0].eq(v).nonzero().double().mean(dim=0) for v in whole}
        points = part["points"].double()
        for centre in centres.values():
            # Nearest neighbours move the rim of a magnified body by less than a pixel, its centre by half of that.
            assert float((points - centre).abs().amax(dim=1).min()) < 0.51
        assert len(points) == sum(first - 0.5 <= BODIES[v] + 14.5 < last - 0.5 for v in BODIES if v != 26)


def test_a_part_fills_the_grid_as_a_film_of_that_size_would():
    for cut, part in parts(20):
        rows = round(cut._bottom * 250) - int(cut._top * 250)
        scale = min(120 / 80, 250 / rows)
        seen = (part["image"][0] > 0).numpy()
        assert part["image"].shape == (1, 120, 250)
        assert abs(seen.any(axis=1).sum() - 80 * scale) <= 2 and abs(seen.any(axis=0).sum() - rows * scale) <= 2


def test_parts_are_of_every_size_and_end():
    drawn = np.array([(cut._top, cut._bottom) for cut, _ in parts(200, least=0.4)])
    share = drawn[:, 1] - drawn[:, 0]
    assert 0.4 <= share.min() < 0.45 and 0.95 < share.max() <= 1
    assert 0.15 < (drawn[:, 0] == 0).mean() < 0.35 and 0.15 < (drawn[:, 1] > 1 - 1e-9).mean() < 0.35


def test_a_film_without_a_single_pixel_stays_empty():
    cut = RandPartOfFilmd(["image", "label"], prob=1.0).set_random_state(seed=0)
    part = cut({"image": torch.zeros(1, 30, 40), "label": torch.zeros(1, 30, 40)})
    assert part["image"].shape == (1, 30, 40) and not part["image"].any()


def test_not_at_all_with_probability_0():
    film = a_film()
    part = RandPartOfFilmd(["image", "label"], prob=0.0)(film)
    assert torch.equal(part["image"], film["image"]) and torch.equal(part["points"], film["points"])


def test_share_out_of_range():
    with pytest.raises(ValueError, match="least must be above 0"):
        RandPartOfFilmd(least=0.0)


def test_only_where_asked_for_in_the_chain():
    without, with_it = augment_geometry((64, 96)), augment_geometry((64, 96), part_prob=0.2)
    assert [type(step) for step in with_it] == [RandPartOfFilmd, *(type(step) for step in without)]
    item = {**a_film(), "points": a_film()["points"]}
    whole = Compose(augment_geometry((120, 250), prob=0.0, flip_prob=0.0, part_prob=1.0)).set_random_state(seed=1)
    assert whole(item)["image"].shape == (1, 120, 250)
