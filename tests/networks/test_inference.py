from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from cmnet_monai.networks import CMNet, prepare_for_inference


def test_prepared_network_gives_the_same_logits_from_the_same_weights() -> None:
    torch.manual_seed(0)
    network = CMNet(base_channels=8)
    film = torch.rand(1, 1, 64, 96)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        expected = network.eval()(film)
        prepared = prepare_for_inference(network.train())
        assert prepared is network and not network.training
        # Sums in another order: about 1e-3 of the spread of these logits of an untrained network.
        assert prepared(film).allclose(expected, atol=2e-3 * expected.std().item())
    assert not any(p.requires_grad for p in network.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    assert network.trunk.context[0].conv2.conv.weight.is_contiguous(memory_format=torch.channels_last)


PAGE_FAULTS = """
import resource
import torch
from cmnet_monai.networks import keep_freed_memory
torch.set_num_threads(1)
print(keep_freed_memory())
for _ in range(4):
    torch.ones(16, 2**20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(16, 2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(script: str) -> int:
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    took_effect, count = run.stdout.split()
    assert took_effect == "True"
    return int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="changes glibc's allocator")
def test_freed_memory_is_kept_for_the_next_tensor() -> None:
    returned = page_faults(PAGE_FAULTS.replace("keep_freed_memory()", "True"))
    kept = page_faults(PAGE_FAULTS)
    assert returned >= 10 * 16384  # ten tensors have 16384 pages of 4 KiB each
    assert kept < 0.75 * returned
    if torch.version.cuda is None:  # in CUDA builds a small block lies behind the tensor at times: the heap grows again
        assert kept < 40_000  # the heap grows for the first ones only
