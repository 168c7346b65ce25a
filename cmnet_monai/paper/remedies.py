"""What can be done about films of another look without a label of theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from cmnet_monai.transforms import FourierAmplitudeMix, mean_amplitude

BATCH = 4


def adapt_batch_statistics(network: nn.Module, films: Sequence[Tensor], device: torch.device) -> None:
    """Estimate the statistics of batch norms anew, on films of the new look (Li et al., 2016, adaptive batch norm).

    Args:
        network: changed in place.
        films: prepared films, (1, x, y), of one size.
        device: of the network.
    Raises:
        ValueError: the network has no batch norms: group and instance norms keep no statistics to estimate.
    """
    if not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules()):
        raise ValueError("the network has no batch norms; there are no statistics to estimate anew")
    plain = [torch.as_tensor(film).as_subclass(Tensor) for film in films]
    batches = [torch.stack(plain[i : i + BATCH]) for i in range(0, len(plain), BATCH)]
    update_bn(batches, network, device)
    network.eval()


def fourier_to_training_look(films: Iterable[Tensor]) -> Callable[[Tensor], Tensor]:
    """Gives films (1, 1, x, y) the mean amplitudes of prepared training films (1, x, y) in the lowest frequencies."""
    reference, mix = mean_amplitude(films), FourierAmplitudeMix()

    def change(film: Tensor) -> Tensor:
        return torch.stack([torch.as_tensor(mix(one.cpu(), reference)) for one in film]).to(film.device)

    return change
