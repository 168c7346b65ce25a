from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, decollate_batch
from monai.transforms import Compose, Invertd

from cmnet_monai.datasets import collate_films
from cmnet_monai.decode import GivenCentres
from cmnet_monai.transforms import CentreHeatmap, GivenCentrePromptd, ResizeWithPadd

GRID = (48, 80)


def film(size: tuple[int, int] = (37, 121)) -> MetaTensor:
    affine = torch.diag(torch.tensor([-0.2, -0.3, 1.0], dtype=torch.float64))
    return MetaTensor(torch.rand(1, *size), affine=affine, meta={"original_affine": affine.numpy()})


@pytest.mark.parametrize("adds", [False, True])
def test_centres_of_the_film_are_rendered_where_they_are_on_the_grid(adds: bool) -> None:
    chain = Compose([ResizeWithPadd("image", GRID), GivenCentrePromptd("image", sigma_px=3.0)])
    given = GivenCentres(((10.0, 20.0), (30.5, 99.0)), ("", "L5"), adds)
    data = chain({"image": film(), "given_centres": given})
    image = data["image"]
    assert image.shape == (3, *GRID) and GivenCentres.from_rows(data["given_centres"]) == given
    # 121 rows become 80; the 37 columns become 24 (24.46), in the middle of 48.
    places = [((x + 0.5) * 24 / 37 - 0.5 + 12, (y + 0.5) * 80 / 121 - 0.5) for x, y in ((10.0, 20.0), (30.5, 99.0))]
    expected = CentreHeatmap(3.0)(torch.tensor(places), GRID)
    np.testing.assert_allclose(image[1 + adds].numpy(), expected[0].numpy(), atol=1e-4)
    assert not image[2 - adds].any()


@pytest.mark.parametrize("points", [{}, {"given_centres": GivenCentres((), ())}])
def test_no_centres_give_a_prompt_of_zeros(points: dict) -> None:
    plain = ResizeWithPadd("image", GRID)({"image": film()})["image"]
    image = GivenCentrePromptd("image")({"image": plain, **points})["image"]
    assert torch.equal(image[:1].as_tensor(), plain.as_tensor()) and not image[1:].any()


def test_the_way_back_to_the_film_is_kept() -> None:
    chain = Compose([ResizeWithPadd("image", GRID), GivenCentrePromptd("image")])
    data = chain({"image": film(), "given_centres": GivenCentres(((10.0, 20.0),), ("",))})
    data["pred"] = MetaTensor(torch.ones(1, *GRID), meta=data["image"].meta)
    back = Invertd("pred", chain, orig_keys="image", nearest_interp=True, to_tensor=True)(data)["pred"]
    assert back.shape == (1, 37, 121)


def test_array_of_a_host_program_gets_a_prompt_in_its_own_pixels() -> None:
    given = GivenCentres(((4.0, 7.0),), ("",))
    image = GivenCentrePromptd("image", sigma_px=2.0)({"image": np.zeros((1, 20, 30)), "given_centres": given})["image"]
    assert np.unravel_index(int(image[1].argmax()), (20, 30)) == (4, 7) and image[1, 4, 7] == 1


def test_films_with_different_numbers_of_centres_collate() -> None:
    chain = Compose([ResizeWithPadd("image", GRID), GivenCentrePromptd("image")])
    givens = [
        GivenCentres(((1.5, 2.25), (3.0, 4.0)), ("", "L1"), True),
        GivenCentres((), ()),
        GivenCentres(((5, 6),), ("",)),
    ]
    items = decollate_batch(collate_films([chain({"image": film(), "given_centres": given}) for given in givens]))
    assert [GivenCentres.from_rows(item["given_centres"]) for item in items] == givens


def test_several_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="one key"):
        GivenCentrePromptd(["a", "b"])
