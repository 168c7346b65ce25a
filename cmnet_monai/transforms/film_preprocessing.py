"""From a film's file to the network's input: the one preparation of training, evaluation and inference."""

from __future__ import annotations

from collections.abc import Sequence

from monai.transforms import (
    Compose,
    CopyItemsd,
    EnsureChannelFirstd,
    LoadImaged,
    ScaleIntensityRanged,
    ScaleIntensityRangePercentilesd,
    Transform,
)

from cmnet_monai.conventions import LUMBAR_PROTOCOL, PAPER_SPATIAL_SIZE
from cmnet_monai.transforms.centres import CentresFromLabeld
from cmnet_monai.transforms.check_film import CheckFilmd
from cmnet_monai.transforms.crop_border import CropBorderd
from cmnet_monai.transforms.equalize import HistogramEqualized
from cmnet_monai.transforms.given_prompt import GivenCentrePromptd
from cmnet_monai.transforms.resize import ResizeWithPadd
from cmnet_monai.transforms.same_grid import SameGridd

READER = "cmnet_monai.io.RadiographReader"


class FilmPreprocessing(Compose):
    """Read "image", refuse what shows nothing, cut borders off, equalise, letterbox to the grid, scale to 0 to 1.

    ``transforms`` is one flat sequence with LoadImaged first, which MONAI Label and MONAI Deploy look for; each step is
    recorded, so ``Invertd(transform=...)`` leads maps back to the film's own pixels.

    Args:
        spatial_size: (x, y) size of the network's grid.
        label_key: where the datalist names a label map. It is read, laid on the film and brought to the grid with it;
            the centres go to "points" (from the label map, or the datalist's "centres"), in pixels of the film.
        film_key: a copy of the film as it was read goes there.
        truth_key: a copy of the label map at the film's own size goes there.
        protocol: label protocol that says which centres count.
        equalisation: equalise the histogram; False: scale the range between two percentiles.
        crop_border: cut off edges that show nothing.
        sigma_px: also append the centres that a reader gave, as `GivenCentrePromptd` does, with Gaussians of this
            standard deviation in pixels of the grid; None: do not.
        reader: any reader of MONAI's LoadImaged.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.linear_gradient("L").resize((100, 200)).save(f"{folder}/film.png")
    ...     image = FilmPreprocessing((64, 96))({"image": f"{folder}/film.png"})["image"]
    >>> image.shape, round(float(image.max()), 2), int((image[0] > 0).any(dim=1).sum())  # 48 columns, and padding
    (torch.Size([1, 64, 96]), 1.0, 48)
    """

    def __init__(
        self,
        spatial_size: Sequence[int] = PAPER_SPATIAL_SIZE,
        label_key: str | None = None,
        truth_key: str | None = None,
        film_key: str | None = None,
        protocol: str = LUMBAR_PROTOCOL,
        equalisation: bool = True,
        crop_border: bool = True,
        sigma_px: float | None = None,
        reader: str | None = READER,
    ) -> None:
        keys = ["image"] if label_key is None else ["image", label_key]
        steps: list[Transform] = [LoadImaged(keys, reader=reader), EnsureChannelFirstd(keys), CheckFilmd("image")]
        steps += [CopyItemsd("image", names=film_key)] if film_key is not None else []
        if label_key is not None:
            steps += [SameGridd(label_key, refer_key="image"), CentresFromLabeld(label_key, protocol=protocol)]
            steps += [CopyItemsd(label_key, names=truth_key)] if truth_key is not None else []
        steps += prepare_film(spatial_size, label_key is not None, label_key or "label", equalisation, crop_border)
        if sigma_px is not None:
            steps.append(GivenCentrePromptd("image", sigma_px=sigma_px))
        super().__init__(steps)


def load_film(reader: str | None = READER, with_label: bool = True) -> list[Transform]:
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


def prepare_film(
    spatial_size: Sequence[int] = PAPER_SPATIAL_SIZE,
    with_label: bool = True,
    label_key: str = "label",
    equalisation: bool = True,
    crop_border: bool = True,
) -> list[Transform]:
    """Cut off borders, equalise "image", bring it (and the label map) to the grid, scale it to 0 to 1.

    Arguments are those of `FilmPreprocessing`.

    >>> import numpy as np
    >>> film = 20 * np.add.outer(np.arange(100.0), np.arange(200.0))
    >>> image = Compose(prepare_film((64, 96), with_label=False))({"image": film[None]})["image"]
    >>> image.shape, round(float(image.max()), 2), int((image[0] > 0).any(dim=1).sum())  # 48 columns, and padding
    (torch.Size([1, 64, 96]), 1.0, 48)
    """
    keys, modes = (["image", label_key], ["bilinear", "nearest"]) if with_label else (["image"], ["bilinear"])
    grey: Transform = HistogramEqualized("image")
    if not equalisation:
        grey = ScaleIntensityRangePercentilesd("image", lower=0.5, upper=99.5, b_min=0.0, b_max=255.0, clip=True)
    return [
        *([CropBorderd(keys, source_key="image")] if crop_border else []),
        grey,
        ResizeWithPadd(keys, spatial_size=spatial_size, mode=modes),
        ScaleIntensityRanged("image", a_min=0.0, a_max=255.0, b_min=0.0, b_max=1.0, clip=True),
    ]
