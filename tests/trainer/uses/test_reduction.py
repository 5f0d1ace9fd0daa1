"""Latent vectors as a table, and what they keep of images."""

import io

import numpy as np
import pytest
from andon_monitor.model.autoencoder import Autoencoder
from andon_trainer.uses.reduction import TABLE_FORMATS, reduce_frames, standardise, table

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def part(model_file) -> Autoencoder:
    return Autoencoder.load(model_file, "cpu")


def noise_frames(part: Autoencoder) -> np.ndarray:
    spec = part.card.input
    return RNG.integers(0, 256, (12, spec.height, spec.width, spec.channels), dtype=np.uint8)


def test_a_table_is_the_same_in_every_format(part: Autoencoder) -> None:
    frames = noise_frames(part)
    files = [f"{i}.png" for i in range(12)]
    reduced = reduce_frames(part, frames, files, list("xy") * 6, frames)
    contents = {suffix: table(reduced, suffix) for suffix in TABLE_FORMATS}
    header, *lines = contents[".csv"].decode().splitlines()
    assert header.split(",")[:4] == ['"file"', '"label"', '"score"', '"latent_000"']
    numbers = np.array([line.split(",")[3:] for line in lines], np.float32)
    np.testing.assert_allclose(numbers, reduced.latents, rtol=1e-6)
    arrays = np.load(io.BytesIO(contents[".npz"]))
    assert arrays["name"].tolist() == files
    assert np.array_equal(arrays["latent"], reduced.latents)


def test_a_reduction_by_components_of_the_same_images_keeps_their_neighbours(part: Autoencoder) -> None:
    frames = noise_frames(part)
    reduced = reduce_frames(part, frames, [""] * 12, ["a", "b"] * 6, frames)
    by_model, by_components = reduced.quality
    assert by_components.size == 11
    assert by_components.error < 1, "as many components as images restore them"
    assert by_components.trustworthiness == pytest.approx(1)
    assert by_components.continuity == pytest.approx(1)
    assert by_model.error > 30, "noise is nothing that a model of parts can rebuild"


def test_standardised_numbers_have_one_spread() -> None:
    codes = RNG.normal(3, [1, 100, 0], (50, 3)).astype(np.float32)
    assert standardise(codes).std(axis=0) == pytest.approx([1, 1, 0], abs=1e-4)
