"""The network: shapes, and that the latent vector is the only way to the reconstruction."""

import pytest
import torch
from andon_trainer.architecture import Architecture
from andon_trainer.network.conv_dense import Autoencoder
from andon_trainer.network.tensors import normalise, to_unit


@pytest.mark.parametrize(("height", "width", "channels"), [(64, 64, 1), (96, 64, 3)])
def test_outputs_have_the_promised_shapes(height: int, width: int, channels: int) -> None:
    network = Autoencoder(Architecture(height, width, channels, latent=10)).eval()
    output = network(torch.rand(2, channels, height, width))
    assert output.logits.shape == (2, 1, height // 4, width // 4)
    assert output.reconstruction.shape == (2, channels, height // 2, width // 2)
    assert output.latent.shape == (2, 48 + 10)
    assert output.difference.shape == (2, channels, height // 2, width // 2)
    assert output.features.shape == (2, network.arch.features, height // 8, width // 8)


def test_reconstruction_depends_on_the_latent_vector_alone() -> None:
    network = Autoencoder(Architecture(64, 64, 1)).eval()
    with torch.no_grad():
        network.bottleneck.encode.weight.zero_()
        network.bottleneck.encode.bias.zero_()
        network.linear.components.zero_()
        first, second = (network(torch.rand(1, 1, 64, 64)).reconstruction for _ in range(2))
    assert torch.equal(first, second)


def test_normalised_frames_have_no_exposure_but_keep_their_colour() -> None:
    frames = torch.rand(2, 3, 32, 32)
    frames[:, 0] *= 0.5
    normalised, mean, spread = normalise(frames)
    brighter, _, _ = normalise(frames * 0.8 + 0.1)
    assert torch.allclose(normalised * spread + mean, frames, atol=1e-6)
    assert torch.allclose(normalised, brighter, atol=0.02)
    assert normalised[:, 0].mean() < normalised[:, 1].mean() - 0.3


def test_a_flat_frame_is_not_blown_up_to_noise() -> None:
    frames = 0.5 + 0.001 * torch.randn(1, 1, 32, 32)
    assert normalise(frames)[0].abs().max() < 0.2


def test_to_unit_turns_camera_frames_into_tensors() -> None:
    frames = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 2, 1)
    assert to_unit(frames).tolist() == [[[[0.0, 1.0]]]]
