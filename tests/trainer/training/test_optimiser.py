"""Steps: kernels by Muon, the rest by AdamW, and all of it in the network's own memory."""

import pytest
import torch
from andon_trainer.architecture import Architecture
from andon_trainer.network.conv_dense import Autoencoder
from andon_trainer.training.optimiser import MUON_RATE, Optimiser, as_matrix
from torch import nn


def test_a_kernel_is_a_matrix_in_the_same_memory() -> None:
    for kernel in (torch.randn(8, 3, 5, 5), torch.randn(8, 1, 3, 3), torch.randn(8, 4, 1, 1)):
        last = kernel.to(memory_format=torch.channels_last)
        matrix = as_matrix(last)
        assert matrix.shape == (8, kernel[0].numel())
        matrix.mul_(2)
        assert torch.equal(last, 2 * kernel)


def test_kernels_in_another_layout_are_refused() -> None:
    with pytest.raises(RuntimeError, match="view"):
        as_matrix(torch.randn(8, 3, 5, 5))


def test_a_step_is_as_long_in_every_direction() -> None:
    """Of a gradient with one strong and many weak directions, Muon's step has them all alike; a plain one would not."""
    torch.manual_seed(0)
    network = nn.Conv2d(16, 16, 1).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before = network.weight.detach().clone()
    turn = torch.linalg.qr(torch.randn(16, 16))[0]
    network.bias.grad = torch.zeros(16)
    network.weight.grad = (turn @ torch.diag(torch.logspace(0, -1.5, 16)) @ turn.T)[:, :, None, None]
    Optimiser(network, weight_decay=0.0, muon=True).step(0.01)
    lengths = torch.linalg.svdvals((network.weight.detach() - before)[:, :, 0, 0])
    assert lengths.max() / lengths.min() < 2
    assert network.weight.grad is None


@pytest.mark.parametrize("muon", [False, True])
def test_every_weight_moves_and_only_kernels_decay(muon: bool) -> None:
    torch.manual_seed(0)
    network = Autoencoder(Architecture(64, 64, 1, components=0)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = Optimiser(network, weight_decay=0.1, muon=muon)
    output = network(torch.randn(4, 1, 64, 64))
    (output.logits.square().mean() + output.reconstruction.square().mean()).backward()
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    optimiser.step(0.01)
    assert all(not torch.equal(value, before[name]) for name, value in network.named_parameters())
    assert all(value.grad is None for value in network.parameters())
    decayed = {0.0: 0, 0.1: 0}
    groups = optimiser.adam.param_groups + (optimiser.muon.param_groups if optimiser.muon else [])
    for group in groups:
        decayed[group["weight_decay"]] += sum(p.numel() for p in group["params"])
    kernels = sum(p.numel() for p in network.parameters() if p.ndim == 4)
    assert decayed == {0.1: kernels, 0.0: sum(p.numel() for p in network.parameters()) - kernels}
    if optimiser.muon:
        assert optimiser.muon.param_groups[0]["lr"] == pytest.approx(MUON_RATE * 0.01)
