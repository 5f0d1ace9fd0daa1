"""Which values of 16-bit images become black and white, and that nothing odd decides it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.errors import UsageError
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.images import load_images
from andon_trainer.data.input import choose_input
from numpy.typing import NDArray

from tests.fixtures.images import samples_of, save_noise

RNG = np.random.default_rng(0)


def counts(low: int, high: int, images: int = 8) -> NDArray[np.uint16]:
    """Images uint16 [N, 64, 64] with values from `low` to `high`."""
    return RNG.integers(low, high + 1, (images, 64, 64)).astype(np.uint16)


def levels_of(folder: Path, images: NDArray[np.uint16], region: tuple[int, int, int, int] | None = None):
    paths = [folder / f"{i:02}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        cv2.imwrite(str(path), image)
    return choose_input(samples_of(*paths), 64, region=region).levels


@pytest.mark.parametrize(
    ("low", "high", "levels"),
    [
        (0, 900, (0, 1023)),
        (0, 4095, (0, 4095)),
        (700, 3800, (0, 4095)),
        (0, 16000, (0, 16383)),
        (100, 65535, (0, 65535)),
        (20000, 60000, (0, 65535)),
    ],
)
def test_ranges_that_begin_near_0_are_those_of_cameras(tmp_path: Path, low, high, levels) -> None:
    assert levels_of(tmp_path, counts(low, high)) == levels


@pytest.mark.parametrize(("low", "high"), [(29000, 29500), (1000, 1090), (65000, 65500), (40000, 40100)])
def test_narrow_ranges_far_from_0_are_spread_with_room_on_both_sides(tmp_path: Path, low: int, high: int) -> None:
    levels = levels_of(tmp_path, counts(low, high))
    assert levels is not None
    black, white = levels
    width = max(high - low, 85)
    assert low - 1.1 * width <= black <= low - 0.9 * width
    assert min(65535, high + 0.9 * width) <= white <= high + 1.1 * width


def test_the_pixels_of_a_narrow_range_differ_by_many_grey_levels(tmp_path: Path) -> None:
    images = counts(29000, 29500)
    assert levels_of(tmp_path, images) is not None
    samples = open_dataset(tmp_path).train
    pixels = load_images(samples, choose_input(samples, 64))
    assert np.ptp(pixels) > 80
    brighter = np.full((64, 64), 29900, np.uint16)
    cv2.imwrite(str(tmp_path / "line.png"), brighter)
    assert pixels.max() + 60 < load_images(samples_of(tmp_path / "line.png"), choose_input(samples, 64)).max() < 255


def test_dead_pixels_missing_values_and_one_odd_image_decide_nothing(tmp_path: Path) -> None:
    expected = levels_of(tmp_path, counts(29000, 29500))
    odd = counts(29000, 29500)
    odd[:, 10, 10], odd[:, 20, 20] = 5, 65000  # two dead pixels
    odd[:, :8, :8] = 0  # no measurement
    odd[3] = RNG.integers(0, 60000, (64, 64))
    levels = levels_of(tmp_path, odd)
    assert levels is not None
    assert expected is not None
    np.testing.assert_allclose(levels, expected, atol=10)


def test_one_odd_image_does_not_darken_the_others(tmp_path: Path) -> None:
    images = counts(0, 4000)
    images[5] = 60000
    assert levels_of(tmp_path, images) == (0, 4095)


def test_only_the_region_of_interest_counts(tmp_path: Path) -> None:
    images = counts(29000, 29500)
    images[:, 40:] = RNG.integers(0, 65536, images[:, 40:].shape)
    levels = levels_of(tmp_path, images, region=(0, 0, 64, 32))
    assert levels is not None
    assert levels[0] > 28000


def test_one_value_for_all_pixels_gives_levels(tmp_path: Path) -> None:
    for value in (0, 200, 29000, 65535):
        levels = levels_of(tmp_path, np.full((8, 64, 64), value, np.uint16))
        assert levels is not None
        assert levels[1] - levels[0] >= 255


def test_images_of_8_bits_have_no_levels(tmp_path: Path) -> None:
    assert choose_input(samples_of(save_noise(tmp_path / "0.png")), 64).levels is None


@pytest.mark.parametrize(("common", "odd"), [(np.uint16, np.uint8), (np.uint8, np.uint16)])
def test_8_and_16_bits_in_one_folder_are_refused_by_name(tmp_path: Path, common: type, odd: type) -> None:
    paths = [save_noise(tmp_path / f"{i}.png", dtype=common) for i in range(7)]
    paths.append(save_noise(tmp_path / "odd.png", dtype=odd))
    bits = 8 * np.dtype(odd).itemsize
    with pytest.raises(UsageError, match=rf"odd\.png: {bits} bits a channel, 7 of 8 images have {24 - bits}"):
        choose_input(samples_of(*paths), 64)


@pytest.mark.parametrize("suffix", ["png", "tif", "ppm"])
def test_16_bit_colour_gives_the_same_pixels_in_each_format(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(4)
    images = (20000 + rng.random((8, 64, 64, 3)) * 40000).astype(np.uint16)
    for i, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{i}.{suffix}"), image)
    samples = open_dataset(tmp_path).train
    spec = choose_input(samples, 64)
    assert (spec.levels, spec.channels) == ((0, 65535), 3)
    expected = np.round(images[..., ::-1].astype(np.float64) * 255 / 65535)
    assert np.abs(load_images(samples, spec) - expected).max() <= 1


def test_colours_within_a_narrow_range_are_colours(tmp_path: Path) -> None:
    images = RNG.integers(29000, 29500, (8, 64, 64, 3)).astype(np.uint16)
    for i, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{i}.png"), image)
    assert choose_input(open_dataset(tmp_path).train, 64).channels == 3


def test_arrays_of_floats_and_of_16_bits_have_levels_too(tmp_path: Path) -> None:
    for name, values in (("floats", RNG.uniform(0.45, 0.46, (8, 64, 64))), ("counts", counts(29500, 30000))):
        np.save(tmp_path / f"{name}.npy", values)
        samples = open_dataset(tmp_path / f"{name}.npy").train
        spec = choose_input(samples, 64)
        assert spec.black_level > 28000
        assert np.ptp(load_images(samples, spec)) > 80
