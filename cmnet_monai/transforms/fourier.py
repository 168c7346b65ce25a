"""Fourier amplitude mixing: a film given the broad contrast of films of another look, without any label."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.transforms import MapTransform, RandomizableTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

from cmnet_monai.transforms.film_preprocessing import FilmPreprocessing


def low_amplitude(film: NdarrayOrTensor) -> torch.Tensor:
    """Amplitude of the Fourier transform of a film (C, x, y): (C, x, y), the mean's frequency in the corner."""
    plain = convert_to_tensor(film, dtype=torch.float32, track_meta=False)
    return torch.fft.fft2(plain).abs()


def mean_amplitude(films: Iterable[NdarrayOrTensor]) -> torch.Tensor:
    """Mean amplitude of films of one size, (C, x, y).

    Raises:
        ValueError: there is no film.

    >>> amplitude = mean_amplitude([torch.full((1, 4, 6), 0.2), torch.full((1, 4, 6), 0.6)])
    >>> amplitude.shape, round(float(amplitude[0, 0, 0]), 4)  # at frequency 0 the sum of the pixels: 24 times 0.4
    (torch.Size([1, 4, 6]), 9.6)
    """
    total, count = None, 0
    for film in films:
        amplitude = low_amplitude(film)
        total, count = amplitude if total is None else total + amplitude, count + 1
    if total is None:
        raise ValueError("the mean amplitude of no films is not known")
    return total / count


class FourierAmplitudeMix(Transform):
    """Mix a film's lowest amplitudes with those of other films; its phases stay (Yang and Soatto, 2020).

    The lowest frequencies of a film hold its broad contrast, which differs between manufacturers, while the phases hold
    where things are. Amplitudes of frequencies up to ``band`` cycles a pixel along both axes become
    ``(1 - weight) own + weight reference``. Values are kept within 0 to 1, and rows and columns that hold nothing but 0
    (padding) stay 0.

    Args:
        band: highest frequency, in cycles a pixel, 0 (the mean alone) to 0.5.
        weight: of the reference, 0 to 1.
    Raises:
        ValueError: a value is out of range.

    >>> film = torch.full((1, 4, 6), 0.2)
    >>> film[0, 1, 2] = 0.6
    >>> mixed = FourierAmplitudeMix(band=0.0)(film, mean_amplitude([torch.full((1, 4, 6), 0.5)]))
    >>> round(float(mixed.mean()), 3), round(float(mixed[0, 1, 2] - mixed[0, 0, 0]), 3)  # their mean, its own detail
    (0.5, 0.4)
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, band: float = 0.01, weight: float = 1.0) -> None:
        if not 0.0 <= band <= 0.5 or not 0.0 <= weight <= 1.0:
            raise ValueError(f"band is 0 to 0.5 and weight 0 to 1, got {band} and {weight}")
        self.band, self.weight = band, weight

    def __call__(  # type: ignore[override]
        self, film: NdarrayOrTensor, reference: torch.Tensor, weight: float | None = None
    ) -> NdarrayOrTensor:
        """Mix.

        Args:
            film: (C, x, y), 0 to 1.
            reference: amplitudes of the same shape, see `mean_amplitude`.
            weight: instead of that of the constructor.
        Returns:
            (C, x, y), float32, of the film's kind.
        Raises:
            ValueError: film and reference differ in shape.
        """
        plain = convert_to_tensor(film, dtype=torch.float32, track_meta=False)
        if plain.shape != reference.shape:
            raise ValueError(f"The film has shape {tuple(plain.shape)}, the reference {tuple(reference.shape)}.")
        weight = self.weight if weight is None else weight
        spectrum = torch.fft.fft2(plain)
        own = spectrum.abs()
        frequencies = [torch.fft.fftfreq(size).abs() <= self.band for size in plain.shape[1:]]
        low = frequencies[0][:, None] & frequencies[1][None, :]
        factor = torch.where(low & (own > 0), 1.0 + weight * (reference / own.clamp(min=1e-12) - 1.0), 1.0)
        mixed = torch.fft.ifft2(spectrum * factor).real.clamp(0.0, 1.0)
        inside = (plain > 0).any(dim=2, keepdim=True) & (plain > 0).any(dim=1, keepdim=True)
        return convert_to_dst_type(mixed * inside, film, dtype=torch.float32)[0]


class RandFourierAmplitudeMixd(RandomizableTransform, MapTransform):
    """Give films in training the broad contrast of a film drawn from unlabelled ones of another look.

    Args:
        keys: films, (C, x, y), 0 to 1.
        amplitudes: one of each unlabelled film, of the same shape, see `amplitudes_of`.
        prob: probability.
        band: see `FourierAmplitudeMix`.
        allow_missing_keys: ignore keys that are not in the data.
    Raises:
        ValueError: there are no amplitudes.

    >>> mix = RandFourierAmplitudeMixd("image", [mean_amplitude([torch.full((1, 4, 6), 0.9)])], prob=1.0)
    >>> _ = mix.set_random_state(seed=0)
    >>> mixed = mix({"image": torch.full((1, 4, 6), 0.1)})["image"]
    >>> 0.1 < float(mixed.mean()) < 0.9, round(float(mixed.std()), 6)  # brighter, and as flat as it was
    (True, 0.0)
    """

    backend = FourierAmplitudeMix.backend

    def __init__(
        self,
        keys: KeysCollection,
        amplitudes: Sequence[torch.Tensor],
        prob: float = 0.5,
        band: float = 0.01,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        if not len(amplitudes):
            raise ValueError("there is no film to take amplitudes from")
        self.amplitudes = list(amplitudes)
        self.mix = FourierAmplitudeMix(band)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Mix all keys with the amplitudes of one film, with a weight drawn between 0 and 1."""
        d = dict(data)
        self.randomize(None)
        if self._do_transform:
            number, weight = self.R.randint(len(self.amplitudes)), float(self.R.uniform())
            for key in self.key_iterator(d):
                d[key] = self.mix(d[key], self.amplitudes[number], weight)
        return d


def amplitudes_of(films: Sequence[str | Path], spatial_size: Sequence[int], count: int = 32) -> list[torch.Tensor]:
    """Amplitudes of the first films of a list, prepared as the network's input.

    Args:
        films: files.
        spatial_size: (x, y) size of the network's grid.
        count: how many films at most.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     films = [Path(folder, f"{number}.png") for number in range(3)]
    ...     for film in films:
    ...         Image.radial_gradient("L").resize((60, 90)).save(film)
    ...     amplitudes = amplitudes_of(films, spatial_size=(32, 64), count=2)
    >>> len(amplitudes), amplitudes[0].shape
    (2, torch.Size([1, 32, 64]))
    """
    prepare = FilmPreprocessing(spatial_size)
    return [low_amplitude(prepare({"image": str(film)})["image"]) for film in films[:count]]


RandFourierAmplitudeMixD = RandFourierAmplitudeMixDict = RandFourierAmplitudeMixd
