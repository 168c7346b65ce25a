"""The chain from a datalist item to a training sample, with the paper's augmentation and what films vary in."""

from __future__ import annotations

import math
from collections.abc import Sequence

from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    OneOf,
    RandAdjustContrastd,
    RandBiasFieldd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSharpend,
    RandGaussianSmoothd,
    RandHistogramShiftd,
    ScaleIntensityRanged,
    SelectItemsd,
    Transform,
)

from cmnet_monai.conventions import LUMBAR_PROTOCOL, PAPER_SPATIAL_SIZE
from cmnet_monai.transforms.centres import CarryCentresd, CentresFromLabeld
from cmnet_monai.transforms.crop_border import CropBorderd
from cmnet_monai.transforms.equalize import HistogramEqualized
from cmnet_monai.transforms.heatmap import CentreHeatmapd
from cmnet_monai.transforms.prompts import RandCentrePromptd
from cmnet_monai.transforms.rand_articulated import RandArticulatedd
from cmnet_monai.transforms.rand_burnt_in import RandBurntInd
from cmnet_monai.transforms.rand_elastic import RandElasticd
from cmnet_monai.transforms.rand_film import RandCollimationd, RandDiscsd, RandLocalContrastd, WithinFilm
from cmnet_monai.transforms.rand_low_quality import RandLowQualityd
from cmnet_monai.transforms.rand_objects import RandObjectsd
from cmnet_monai.transforms.rand_part import RandPartOfFilmd
from cmnet_monai.transforms.rand_similarity import RandSimilarityd
from cmnet_monai.transforms.resize import ResizeWithPadd
from cmnet_monai.transforms.same_grid import SameGridd
from cmnet_monai.transforms.targets import TargetFromLabeld


def load_film(reader: str | None = "cmnet_monai.io.RadiographReader", with_label: bool = True) -> list[Transform]:
    """Read "image" and "label" as (1, x, y). ``reader`` is any reader of MONAI's LoadImaged.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("L", (30, 50), color=90).save(f"{folder}/film.png")
    ...     item = Compose(load_film(with_label=False))({"image": f"{folder}/film.png"})
    >>> item["image"].shape, float(item["image"].max())
    (torch.Size([1, 30, 50]), 90.0)
    """
    keys = ["image", "label"] if with_label else ["image"]
    steps: list[Transform] = [LoadImaged(keys, reader=reader), EnsureChannelFirstd(keys)]
    return [*steps, SameGridd("label", refer_key="image")] if with_label else steps


def prepare_film(spatial_size: Sequence[int] = PAPER_SPATIAL_SIZE, with_label: bool = True) -> list[Transform]:
    """Cut off borders, equalise "image", bring it (and "label") to the grid, scale it to 0 to 1.

    >>> import numpy as np
    >>> film = 20 * np.add.outer(np.arange(100.0), np.arange(200.0))
    >>> image = Compose(prepare_film((64, 96), with_label=False))({"image": film[None]})["image"]
    >>> image.shape, round(float(image.max()), 2), int((image[0] > 0).any(dim=1).sum())  # 48 columns, and padding
    (torch.Size([1, 64, 96]), 1.0, 48)
    """
    keys, modes = (["image", "label"], ["bilinear", "nearest"]) if with_label else (["image"], ["bilinear"])
    return [
        CropBorderd(keys, source_key="image"),
        HistogramEqualized("image"),
        ResizeWithPadd(keys, spatial_size=spatial_size, mode=modes),
        ScaleIntensityRanged("image", a_min=0.0, a_max=255.0, b_min=0.0, b_max=1.0, clip=True),
    ]


def augment_geometry(
    spatial_size: Sequence[int] = PAPER_SPATIAL_SIZE,
    prob: float = 0.8,
    magnification: tuple[float, float] = (0.8, 1.25),
    rotation_deg: float = 20.0,
    translation: float = 0.08,
    flip_prob: float = 0.5,
    flip_axes: Sequence[int] = (0,),
    elastic_px: float = 0.0,
    part_prob: float = 0.0,
    least_part: float = 0.45,
    articulated_prob: float = 0.0,
    far_prob: float = 0.0,
) -> list[Transform]:
    """The paper's scaling, rotation and flipping, of "image" and "label" alike, on the grid; more on demand.

    Args:
        spatial_size: (x, y) size of the grid.
        prob: probability of a change of size, angle and place.
        magnification: smallest and largest, the same for both axes.
        rotation_deg: largest rotation either way.
        translation: largest shift, as a share of the grid.
        flip_prob: probability of a flip along each of ``flip_axes``.
        flip_axes: 0 flips left and right. 1 would turn a film upside down, which makes L5 an L1: off by default.
        elastic_px: largest standard deviation of an elastic deformation, pixels of the grid; "points" follow. 0: none.
        part_prob: probability that only a part of the film is kept, see `RandPartOfFilmd`, before all else; "points"
            follow. 0: never.
        least_part: smallest part, as a share of the film's height.
        articulated_prob: probability that the spine is bent at its discs, see `RandArticulatedd`, before all else.
        far_prob: share of the changes of size and angle that are large: a quarter smaller, a tenth larger, 45 degrees.

    >>> import torch
    >>> label = torch.zeros(1, 64, 96)
    >>> label[0, 5, 70] = 24
    >>> mirror = Compose(augment_geometry((64, 96), prob=0.0, flip_prob=1.0))
    >>> mirror({"image": label / 24, "label": label})["label"][0].nonzero().tolist()  # x from the other side: 63 - 5
    [[58, 70]]
    """
    keys = ["image", "label"]
    carry = CarryCentresd("points", refer_key="image", allow_missing_keys=True)

    def move(magnification: tuple[float, float], rotation_deg: float) -> Transform:
        return RandSimilarityd(
            keys,
            prob=prob,
            magnification=magnification,
            rotation_deg=rotation_deg,
            translation_px=[translation * size for size in spatial_size],
            spatial_size=spatial_size,
            mode=["bilinear", "nearest"],
        )

    change = move(magnification, rotation_deg)
    if far_prob > 0:
        change = OneOf(
            [change, move((0.75 * magnification[0], 1.1 * magnification[1]), 45.0)], weights=[1 - far_prob, far_prob]
        )
    first: list[Transform] = [carry, RandArticulatedd(keys, prob=articulated_prob)] if articulated_prob > 0 else []
    if part_prob > 0:
        first.append(RandPartOfFilmd(keys, prob=part_prob, least=least_part))
    steps: list[Transform] = [
        *first,
        change,
        *(RandFlipd(keys, prob=flip_prob, spatial_axis=axis) for axis in flip_axes),
    ]
    if elastic_px > 0:
        steps.append(carry)
        steps.append(RandElasticd(keys, magnitude_px=elastic_px))
    return steps


def augment_film(strength: float = 1.0, hidden_prob: float = 0.0) -> list[Transform]:
    """What films vary in: tone, local contrast, shading, sharpness, noise, marks, collimation. "image" only.

    Values stay within 0 to 1 and padding stays 0. Polarity is never inverted: the reader has settled it.

    Args:
        strength: scales the size of every change; 0 leaves the film as it is.
        hidden_prob: probability of each of the following: objects over the bones (`RandObjectsd`), burnt-in marks
            (`RandBurntInd`), poor quality (`RandLowQualityd`), and other grey values (a random monotone curve).

    >>> import torch
    >>> film = torch.zeros(1, 64, 96)
    >>> film[:, :, 8:88] = torch.linspace(0.2, 0.8, 80)  # padding above and below
    >>> changed = Compose(augment_film()).set_random_state(seed=0)({"image": film.clone()})["image"]
    >>> float(changed[:, :, :8].max()), bool(0 <= changed.min() <= changed.max() <= 1), bool((changed != film).any())
    (0.0, True, True)
    """
    if strength <= 0:
        return []
    curve: list[Transform] = [RandHistogramShiftd("image", num_control_points=(4, 9), prob=hidden_prob)]
    over: list[Transform] = [RandObjectsd("image", prob=hidden_prob), RandBurntInd("image", prob=hidden_prob)]
    poor: list[Transform] = [RandLowQualityd("image", prob=hidden_prob)]
    if hidden_prob <= 0:
        curve, over, poor = [], [], []
    gamma = (math.exp(-0.4 * strength), math.exp(0.4 * strength))
    return [
        RandCollimationd("image", prob=0.3, max_fraction=min(0.15 * strength, 0.45), keep_key="label"),
        WithinFilm(
            "image",
            [
                *curve,
                RandAdjustContrastd("image", prob=0.3, gamma=gamma),
                RandAdjustContrastd("image", prob=0.3, gamma=gamma, invert_image=True),  # from the bright end
                RandLocalContrastd("image", prob=0.5, strength=0.3 * strength),
                RandBiasFieldd("image", prob=0.2, degree=2, coeff_range=(0.0, 0.15 * strength)),
                *over,
                RandGaussianSmoothd("image", prob=0.3, sigma_x=(0.3, 1.5 * strength), sigma_y=(0.3, 1.5 * strength)),
                RandGaussianSharpend("image", prob=0.2, alpha=(0.5, 4.0 * strength)),
                RandGaussianNoised("image", prob=0.4, std=0.05 * strength),
                RandDiscsd("image", prob=0.5),
                *poor,
            ],
        ),
    ]


def build_sample(
    protocol: str = LUMBAR_PROTOCOL, sigma_px: float = 8.0, prompt_prob: float | None = None
) -> list[Transform]:
    """From "image", "label" and points to "image", "target" and, unless ``prompt_prob`` is None, "prompt".

    >>> import torch
    >>> from monai.data import MetaTensor
    >>> image, label = MetaTensor(torch.zeros(1, 64, 96)), torch.zeros(1, 64, 96)
    >>> label[0, 20:40, 45:60] = 22
    >>> points = MetaTensor(torch.tensor([[29.5, 52.0]]), affine=image.affine)
    >>> sample = Compose(build_sample("visible", prompt_prob=1.0))({"image": image, "label": label, "points": points})
    >>> {name: tuple(value.shape) for name, value in sample.items()}, float(sample["target"][1].sum())
    ({'image': (1, 64, 96), 'target': (3, 64, 96), 'prompt': (1, 64, 96)}, 300.0)
    """
    steps: list[Transform] = [
        CarryCentresd("points", refer_key="image"),
        CentreHeatmapd("points", refer_key="image", names="heatmap", sigma_px=sigma_px),
        TargetFromLabeld("label", heatmap_key="heatmap", target_key="target", protocol=protocol),
    ]
    if prompt_prob is not None:
        steps.append(RandCentrePromptd("points", refer_key="image", prob=prompt_prob, sigma_px=sigma_px))
    kept = ["image", "target", "prompt"] if prompt_prob is not None else ["image", "target"]
    return [*steps, SelectItemsd(kept)]


def training_chain(
    spatial_size: Sequence[int] = PAPER_SPATIAL_SIZE,
    protocol: str = LUMBAR_PROTOCOL,
    sigma_px: float = 8.0,
    augment: bool = True,
    strength: float = 1.0,
    prompt_prob: float | None = None,
    flip_axes: Sequence[int] = (0,),
    reader: str | None = "cmnet_monai.io.RadiographReader",
) -> Compose:
    """The whole chain: a datalist item with "image" and "label" (and "centres") to a sample of fixed size.

    All deterministic steps come first, so a cache holds the prepared film.

    Args:
        spatial_size: (x, y) size of the grid.
        protocol: one of `cmnet_monai.conventions.PROTOCOLS`.
        sigma_px: standard deviation of the centre heatmap, in pixels of the grid.
        augment: random changes, for training; False for validation.
        strength: scales the changes of grey values.
        prompt_prob: probability of a centre prompt; None leaves the key "prompt" out.
        flip_axes: axes of random flips, 0 is left-right.
        reader: any reader of MONAI's LoadImaged.
    Returns:
        A chain whose result has "image" (1, x, y), 0 to 1, "target" (2 or 3, x, y) and, where asked for, "prompt" (1,
        x, y).

    >>> import tempfile
    >>> import numpy as np
    >>> from cmnet_monai.io import write_dx, write_label_png
    >>> film, label = np.add.outer(np.arange(60), np.arange(100)).astype(np.uint16), np.zeros((60, 100), dtype=np.uint8)
    >>> label[20:40, 30:50], label[20:40, 60:80] = 23, 24  # L4, L5
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     item = {"image": write_dx(f"{folder}/f.dcm", film), "label": write_label_png(f"{folder}/l.png", label)}
    ...     sample = training_chain((48, 96), augment=False)(item)
    >>> {name: tuple(value.shape) for name, value in sample.items()}, float(sample["target"][1].sum())  # 800 * 0.8 ** 2
    ({'image': (1, 48, 96), 'target': (2, 48, 96)}, 512.0)
    """
    steps = [*load_film(reader), CentresFromLabeld("label", protocol=protocol), *prepare_film(spatial_size)]
    if augment:
        steps += [*augment_geometry(spatial_size, flip_axes=flip_axes), *augment_film(strength)]
    return Compose([*steps, *build_sample(protocol, sigma_px, prompt_prob)])
