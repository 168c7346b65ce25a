from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from cmnet_monai.transforms import FourierAmplitudeMix, RandFourierAmplitudeMixd, mean_amplitude
from cmnet_monai.transforms.fourier import low_amplitude


def film(seed: int, size: tuple[int, int] = (24, 40), low: float = 0.3, high: float = 0.7) -> torch.Tensor:
    return low + (high - low) * torch.rand(1, *size, generator=torch.Generator().manual_seed(seed))


def spectrum(image: torch.Tensor) -> np.ndarray:
    return np.fft.fft2(np.asarray(image, dtype=np.float64)[0])


def test_mean_alone_takes_the_mean_of_the_other_film_by_hand() -> None:
    own = torch.full((1, 4, 6), 0.5)
    own[0, 1, 2] = 0.7
    own[0, 3, 4] = 0.3
    other = torch.full((1, 4, 6), 0.4)
    mixed = FourierAmplitudeMix(band=0.0)(own, low_amplitude(other))
    torch.testing.assert_close(torch.as_tensor(mixed), own - 0.1)  # all else stays, the mean goes from 0.5 to 0.4
    half = FourierAmplitudeMix(band=0.0, weight=0.5)(own, low_amplitude(other))
    torch.testing.assert_close(torch.as_tensor(half), own - 0.05)


def test_low_frequencies_are_the_others_high_ones_and_phases_its_own() -> None:
    own, other = film(1), film(2)
    mixed = spectrum(FourierAmplitudeMix(band=0.1)(own, low_amplitude(other)))
    before, wanted = spectrum(own), spectrum(other)
    fx, fy = np.abs(np.fft.fftfreq(24))[:, None], np.abs(np.fft.fftfreq(40))[None, :]
    low = (fx <= 0.1) & (fy <= 0.1)
    assert 0 < low.sum() < low.size
    # float32 transforms of a thousand pixels leave about 1e-4 of the amplitudes.
    assert np.abs(mixed)[low] == pytest.approx(np.abs(wanted)[low], abs=5e-3)
    assert mixed[~low] == pytest.approx(before[~low], abs=5e-3)
    strong = low & (np.abs(wanted) > 0.5) & (np.abs(before) > 0.5)
    assert np.exp(1j * np.angle(mixed))[strong] == pytest.approx(np.exp(1j * np.angle(before))[strong], abs=2e-2)


def test_own_amplitude_or_no_weight_changes_nothing() -> None:
    own = film(3)
    torch.testing.assert_close(torch.as_tensor(FourierAmplitudeMix(0.2)(own, low_amplitude(own))), own)
    torch.testing.assert_close(torch.as_tensor(FourierAmplitudeMix(0.2, 0.0)(own, low_amplitude(film(4)))), own)


def test_padding_stays_black_values_stay_in_range_and_metadata_stay() -> None:
    own = film(5, low=0.0, high=1.0)
    own[:, :4] = 0.0
    own[:, :, 30:] = 0.0
    tracked = MetaTensor(own, affine=torch.diag(torch.tensor([2.0, 3.0, 1.0])))
    mixed = FourierAmplitudeMix(0.1)(tracked, 5.0 * low_amplitude(film(6)))
    assert isinstance(mixed, MetaTensor) and torch.equal(mixed.affine, tracked.affine)
    plain = mixed.as_tensor()
    assert float(plain.min()) >= 0.0 and float(plain.max()) <= 1.0
    assert not plain[:, :4].any() and not plain[:, :, 30:].any() and plain[:, 4:, :30].any()


def test_flipping_both_films_flips_the_result() -> None:
    own, other = film(7), film(8)
    mix = FourierAmplitudeMix(0.1)
    flipped = mix(own.flip(1), low_amplitude(other.flip(1)))
    torch.testing.assert_close(torch.as_tensor(flipped), torch.as_tensor(mix(own, low_amplitude(other))).flip(1))


def test_mean_amplitude_is_the_mean() -> None:
    films = [film(seed) for seed in range(3)]
    expected = np.mean([np.abs(spectrum(one)) for one in films], axis=0)
    assert mean_amplitude(films).numpy()[0] == pytest.approx(expected, abs=1e-3)
    with pytest.raises(ValueError, match="no films"):
        mean_amplitude([])


def test_random_mixing_is_seeded_rare_where_asked_and_between_the_two() -> None:
    data = {"image": film(9), "other": 1}
    mean = float(data["image"].mean())
    amplitudes = [low_amplitude(torch.full((1, 24, 40), 0.9))]
    always = RandFourierAmplitudeMixd("image", amplitudes, prob=1.0, band=0.0)
    results = [float(always.set_random_state(seed)(data)["image"].mean()) for seed in (1, 1, 2)]
    assert results[0] == results[1] != results[2]
    assert all(mean < result < 0.9 for result in results)
    never = RandFourierAmplitudeMixd("image", amplitudes, prob=0.0)
    assert never.set_random_state(1)(data)["image"] is data["image"]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"band is 0 to 0.5 and weight 0 to 1, got 0.6 and 1.0"):
        FourierAmplitudeMix(0.6)
    with pytest.raises(ValueError, match=r"film has shape \(1, 24, 40\), the reference \(1, 40, 24\)"):
        FourierAmplitudeMix()(film(1), low_amplitude(film(1, (40, 24))))
    with pytest.raises(ValueError, match="no film to take amplitudes from"):
        RandFourierAmplitudeMixd("image", [])
